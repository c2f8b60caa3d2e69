//! The pool, by axis.
mod promises;
