//! The pool, by axis.
mod batches;
mod complaints;
mod concurrent;
mod config;
mod control;
mod correct;
mod early_exit;
mod lanes;
mod leak;
mod limits;
mod nested;
mod ordered;
mod overflow;
mod promises;
mod seed_defects;
mod threads;
