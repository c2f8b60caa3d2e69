//! Running user code so that no panic of it gets out.
//!
//! Handlers, classifiers, hooks, `Drop` implementations and wakers are the user's. A panic in one of them is that
//! job's outcome; it must not take a runner, or the thread of somebody else, with it. Not under
//! `panic = "abort"`, and not for a second panic while the first is still unwinding: both end the process.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

/// What a panic was raised with.
pub(crate) type Payload = Box<dyn Any + Send>;

/// Calls `f`; a panic becomes an error.
#[inline]
pub(crate) fn contain<R>(f: impl FnOnce() -> R) -> Result<R, Payload> {
    // Unwind safety: whatever `f` could leave half-changed belongs to the job that the panic ends.
    catch_unwind(AssertUnwindSafe(f))
}

/// Drops `value`; a panic in its `Drop` ends here, and so does one in the `Drop` of that panic's payload.
#[inline]
pub(crate) fn discard<T>(value: T) {
    if std::mem::needs_drop::<T>() {
        drop_contained(value);
    }
}

fn drop_contained<T>(value: T) {
    let mut left = contain(|| drop(value));
    for _ in 0..MAX_PAYLOADS {
        match left {
            Ok(()) => return,
            Err(payload) => left = contain(|| drop(payload)),
        }
    }
    if let Err(payload) = left {
        // A payload whose `Drop` panics with another such payload, again and again: leaking one is the way out.
        Box::leak(payload);
    }
}

/// How many payloads that panic when dropped are followed before one is leaked.
const MAX_PAYLOADS: usize = 8;

/// Wakes a task; a panic in its waker ends here.
pub(crate) fn wake(waker: Waker) {
    if let Err(payload) = contain(|| waker.wake()) {
        discard(payload);
    }
}
