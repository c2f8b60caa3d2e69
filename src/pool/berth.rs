//! Where a pool's runners stay between two spells of work: their memory is kept, while the pool has no task.
//!
//! A runner that leaves and one that starts would free and allocate the same bell, lists and future again, for each job
//! of a caller that submits one at a time. So the few that the runtime's threads can poll at once are kept.

use super::shared::Shared;
use crate::kernel::bell::Bell;
use crate::kernel::engine::{Batch, Effects};
use crate::shim::Mutex;
use crate::shim::atomic::{AtomicBool, Ordering};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// The runners of a pool that have left. They hold the pool's shared state, and go when the pool lets its launcher go.
pub(super) struct Berths<F> {
    idle: Mutex<Vec<Berth<F>>>,
    most: usize,
}

/// A runner's future, which does not end but rests when the runner has left.
struct Berth<F> {
    runner: Pin<Box<F>>,
    rest: Rest,
}

/// How a runner tells that it has left.
#[derive(Clone)]
pub(super) struct Rest(Arc<AtomicBool>);

impl Rest {
    /// Pending once.
    pub(super) async fn take(&self) {
        let mut rested = false;
        poll_fn(|_| {
            if std::mem::replace(&mut rested, true) {
                return Poll::Ready(());
            }
            // Ordering: Relaxed. Who polls the runner looks, on the same thread.
            self.0.store(true, Ordering::Relaxed);
            Poll::Pending
        })
        .await;
    }

    fn is_taken(&self) -> bool {
        // Ordering: Relaxed, see `take`.
        let rests = self.0.load(Ordering::Relaxed);
        if rests {
            self.0.store(false, Ordering::Relaxed);
        }
        rests
    }
}

impl<F: Future<Output = ()>> Berths<F> {
    /// Room for so many.
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { idle: Mutex::new(Vec::new()), most })
    }

    /// The next spell of a runner that is here, or of one that `make` makes.
    pub(super) fn spell<J, T, E>(
        self: &Arc<Self>,
        shared: Arc<Shared<J, T, E>>,
        make: impl FnOnce(Arc<Shared<J, T, E>>, Rest) -> F,
    ) -> Spell<J, T, E, F> {
        let idle = self.idle.lock().pop();
        let counts = idle.is_some();
        let berth = idle.unwrap_or_else(|| {
            let rest = Rest(Arc::new(AtomicBool::new(false)));
            Berth { runner: Box::pin(make(shared.clone(), rest.clone())), rest }
        });
        Spell { shared, berths: self.clone(), berth: Some(berth), counts }
    }

    fn keep(&self, berth: Berth<F>) {
        let mut idle = self.idle.lock();
        if idle.len() < self.most {
            idle.push(berth);
        }
    }
}

/// The task of a runner, from its start to its leave.
pub(super) struct Spell<J, T, E, F> {
    shared: Arc<Shared<J, T, E>>,
    berths: Arc<Berths<F>>,
    /// `None` once the runner has left.
    berth: Option<Berth<F>>,
    /// The runner does not know yet that it is counted as starting.
    counts: bool,
}

impl<J, T, E, F: Future<Output = ()>> Future for Spell<J, T, E, F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.counts = false;
        let Some(berth) = &mut self.berth else { return Poll::Ready(()) };
        if berth.runner.as_mut().poll(cx).is_pending() && !berth.rest.is_taken() {
            return Poll::Pending;
        }
        if let Some(berth) = self.berth.take() {
            self.berths.keep(berth);
        }
        Poll::Ready(())
    }
}

impl<J, T, E, F> Drop for Spell<J, T, E, F> {
    fn drop(&mut self) {
        // Only a runtime that shuts down drops the task of a runner before its first poll.
        if self.counts {
            let mut fx = Effects::default();
            let mut batch = Batch::new(Arc::new(Bell::new()));
            self.shared.engine.lose_runner(false, std::iter::empty(), &mut batch, &mut fx);
            self.shared.apply(&mut fx);
            self.shared.abandon();
        }
    }
}
