//! What the benches share: cases, rivals and the `ratios` harness.
//!
//! A [`Case`](case::Case) is a load with the contenders that carry it; a contender is a function from a
//! [`Setup`](setup::Setup) to a checksum. `ratios` times the contenders of a case interleaved in one process
//! ([`harness`]), `allocs` counts their allocations in a process of its own ([`allocs`]), and the criterion benches
//! reuse the same functions. A new rival is one implementation of [`pool::driver::Pool`] and one line
//! in the contenders of [`pool`]; a new case is one entry in [`cases`].

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "the rivals are measured as their users write them, and a failed step must end the run"
)]

pub mod allocs;
pub mod args;
pub mod book;
pub mod case;
pub mod fan;
pub mod harness;
pub mod json;
pub mod latency;
pub mod machine;
pub mod map;
pub mod pipeline;
pub mod pool;
pub mod report;
pub mod setup;
pub mod stats;

/// Every case of every concept, in the order in which they are run.
#[must_use]
pub fn cases() -> Vec<case::Case> {
    let mut cases = pool::cases();
    cases.extend(map::cases());
    cases.extend(fan::cases());
    cases.extend(pipeline::cases());
    cases
}
