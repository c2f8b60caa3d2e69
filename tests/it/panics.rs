//! Panics everywhere: in handlers, in what the user's types do when they are dropped, in hooks and wakers. Each is one
//! job's outcome, and the pool goes on.

mod drops;
mod handlers;
mod hooks;

use std::thread;

use flowgate::{JobError, RunError, Totals, WorkerPool};

use crate::support::{ledger, quiet, soon};

/// A value that panics when it is dropped, if it was given words for that; not while another panic unwinds.
#[derive(Debug)]
pub(crate) struct Touchy(pub(crate) Option<&'static str>);

impl Touchy {
    pub(crate) const CALM: Self = Self(None);

    /// Ends its life quietly.
    pub(crate) fn calm(mut self) {
        self.0 = None;
    }
}

impl Drop for Touchy {
    fn drop(&mut self) {
        if let Some(words) = self.0.take().filter(|_| !thread::panicking()) {
            panic!("{words}");
        }
    }
}

/// What a panic said.
fn message<J, E>(error: &JobError<J, E>) -> String {
    let JobError::Panicked(failure) = error else { panic!("{error}") };
    failure.panic_message().expect("a message")
}

fn job_error<J, E>(error: RunError<J, E>) -> JobError<J, E> {
    match error {
        RunError::Job(error) => error,
        RunError::Submit(refused) => panic!("{refused}"),
    }
}

/// The pool is idle and whole: its books balance, and `good` succeeds as often as there are places.
async fn goes_on<J, T, E>(pool: &WorkerPool<J, T, E>, good: impl Fn() -> J) -> Totals {
    quiet(pool).await;
    let before = pool.stats();
    assert!(!before.closed, "{before:?}");
    let handles: Vec<_> = (0..before.capacity).map(|_| pool.try_submit(good()).unwrap()).collect();
    for handle in handles {
        let outcome = soon(handle).await;
        assert!(outcome.is_ok(), "{}", outcome.map(|_| ()).unwrap_err());
    }
    quiet(pool).await;
    let after = pool.stats();
    ledger::check(&after);
    assert_eq!(after.totals.succeeded, before.totals.succeeded + before.capacity as u64);
    before.totals
}
