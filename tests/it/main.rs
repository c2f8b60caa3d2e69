//! One binary for all integration tests, a folder per concept.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "tests spawn tasks, lock and count on their own account"
)]

mod auto_traits;
mod errors;
mod panics;
mod pool;
mod retry;
mod soak;
mod support;
