//! The pool, by axis.
mod batches;
mod promises;
