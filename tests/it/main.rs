//! One binary for all integration tests, a folder per concept.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "tests stand outside the library: they use the runtime and std's locks as a user does"
)]

mod auto_traits;
mod errors;
mod fan;
mod map;
mod panics;
mod pipeline;
mod pipeline_limits;
mod pool;
mod retry;
mod soak;
mod support;
mod tasks;
mod tidy;
