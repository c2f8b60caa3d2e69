//! The pool, by axis.
mod batches;
mod concurrent;
mod config;
mod correct;
mod early_exit;
mod leak;
mod limits;
mod nested;
mod ordered;
mod promises;
mod scope;
mod seed_defects;
mod sink;
mod stream;
mod submit_batch;
