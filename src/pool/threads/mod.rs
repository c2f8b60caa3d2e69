//! Runners on threads: everything that [`build_blocking`](super::WorkerPoolBuilder::build_blocking) adds to a pool.
//!
//! The engine and the runner are those of every pool. Here is what they stand on: the threads, how one comes and goes, and
//! how a handler that cannot be dropped at an await learns that it should stop.

mod blocking;
mod build;
mod desk;
mod exec;
mod hearing;
mod lending;
mod staff;

pub(super) use desk::{Desk, Desks};
pub(super) use hearing::Ringer;
pub(super) use lending::Loan;

use super::shared::Shared;
use crate::contain;
use crate::kernel::crew::{Crew, Need};
use crate::kernel::slab::Key;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// What a pool on threads has beside its engine.
#[derive(Debug)]
pub(super) struct Threads {
    crew: Crew,
}

impl Threads {
    fn new(slots: usize) -> Arc<Self> {
        let crew = Crew::new(slots);
        // The timer's thread, at all times: one that it has left is there for it when it comes back.
        let Need(_) = crew.widen();
        Arc::new(Self { crew })
    }

    /// The pool's slots may have changed.
    pub(super) fn resize(&self, slots: impl FnOnce() -> usize) -> Need {
        self.crew.resize(slots)
    }

    /// Room for one thread more, as a handler is about to block its own.
    pub(super) fn widen(&self) -> Need {
        self.crew.widen()
    }

    /// That handler goes on.
    pub(super) fn narrow(&self) {
        self.crew.narrow();
    }

    /// Threads that were to be started are not: the pool has ended.
    pub(super) fn unneeded(&self, need: Need) {
        let mut wake = Vec::new();
        (0..need.0).for_each(|_| self.crew.depart(&mut wake));
        wake_all(wake);
    }

    /// No thread is to wait for shifts any more.
    pub(super) fn close(&self) {
        self.crew.close();
    }

    /// How many threads there are.
    pub(super) fn count(&self) -> usize {
        self.crew.threads()
    }
}

fn wake_all(wakers: Vec<Waker>) {
    wakers.into_iter().for_each(contain::wake);
}

/// Ready when the pool has no thread; at once, if it has none by design.
pub(super) struct Gone<'a> {
    threads: Option<&'a Threads>,
    key: Option<Key>,
}

impl<'a> Gone<'a> {
    pub(super) fn new<J, T, E>(shared: &'a Shared<J, T, E>) -> Self {
        Self { threads: shared.threads.as_deref(), key: None }
    }
}

impl Future for Gone<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.threads {
            Some(threads) => threads.crew.poll_gone(&mut self.key, cx.waker()),
            None => Poll::Ready(()),
        }
    }
}

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        if let (Some(threads), Some(key)) = (self.threads, self.key.take()) {
            threads.crew.forget(key);
        }
    }
}
