//! The synchronisation that kernels stand on.
//!
//! Kernels import their lock, their atomics and their clock from here and from nowhere else, so that the
//! model package can compile the very same kernel files over loom's versions.

pub(crate) use parking_lot::{Mutex, MutexGuard};
pub(crate) use std::thread_local;
/// A reference whose count a kernel reads: in the models each look at the count is a point at which threads switch.
pub(crate) use triomphe::Arc as Shared;

/// Atomics and their orderings.
#[allow(clippy::disallowed_types, reason = "the one place that names them; everything else imports the shim")]
pub(crate) mod atomic {
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
}

#[cfg(debug_assertions)]
pub(crate) use std::thread::panicking;
