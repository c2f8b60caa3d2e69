//! Bounded concurrency for services on tokio.
#![forbid(unsafe_code)]

mod rt;
mod shim;
