//! loom models of the kernels: the library's own files over loom's locks and atomics.
//!
//! Each model explores every interleaving of its threads that a bound on preemptions allows, asserts that nothing is
//! lost or doubled, prints how many executions it had and fails below its recorded baseline. Each names the one
//! change to a kernel with which it was seen to fail; `planted.rs` repeats that.
//!
//! | variable | effect |
//! |---|---|
//! | `LOOM_MAX_PREEMPTIONS` | the bound; 3 if unset |
//! | `FLOWGATE_DEEP=1` | the models of two threads are explored without a bound |
//!
//! A lost wake-up is a deadlock, whose report ends the process.

#![allow(clippy::disallowed_types, reason = "models record what happens behind loom's back, in std's locks")]

#[allow(dead_code, unreachable_pub, unused_imports, reason = "the library's files, of which models use a part")]
#[path = "../../../../src/kernel/mod.rs"]
mod kernel;
#[allow(dead_code, unused_imports, reason = "whatever a kernel may ask of the shim")]
mod shim;

mod support;

mod admission;
mod batching;
mod bell;
mod cancelling;
mod cell;
mod channel;
mod control;
mod crew;
mod ending;
mod flight;
mod gate;
mod inbox;
mod lanes;
mod ledger;
mod patrol;
mod ready;
mod running;
mod sequence;
mod shard;
mod timing;
mod window;
