//! The pool, by axis.
mod batches;
mod concurrent;
mod promises;
mod seed_defects;
