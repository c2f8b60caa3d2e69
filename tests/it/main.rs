//! flowgate's integration tests, in one binary.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "tests stand outside the library: they use the runtime and the atomics as a user does"
)]

mod tidy;
