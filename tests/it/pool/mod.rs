//! The pool, by axis.
mod batches;
mod concurrent;
mod correct;
mod limits;
mod nested;
mod ordered;
mod promises;
mod seed_defects;
