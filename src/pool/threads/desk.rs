//! Where a runner on a thread leaves the outcomes that it tells of together, so that they are told of even while it is
//! stuck in the next job.

use crate::kernel::engine::{Effects, Ended};
use crate::kernel::inbox::Post;
use crate::pool::settled::{End, Settled};
use crate::pool::shared::{JobCell, Outcome, Shared};
use crate::shim::Mutex;
use std::sync::Arc;

/// The outcomes of one runner. Whoever takes them out counts and publishes them.
pub(in crate::pool) struct Desk<J, T, E>(Mutex<Settled<J, T, E>>);

/// The desks of a pool's runners.
pub(in crate::pool) struct Desks<J, T, E>(Mutex<Vec<Arc<Desk<J, T, E>>>>);

impl<J, T, E> Desk<J, T, E> {
    #[inline]
    pub(in crate::pool) fn leave(&self, ended: Ended, cell: JobCell<J, T, E>, outcome: Outcome<J, T, E>) {
        self.0.lock().push(ended, cell, outcome);
    }

    /// Moves what is here to the end of `to`.
    #[inline]
    pub(in crate::pool) fn clear(&self, to: &mut Settled<J, T, E>) {
        to.append(&mut self.0.lock());
    }
}

impl<J, T, E> Desks<J, T, E> {
    pub(in crate::pool) fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// One for a runner that begins.
    pub(in crate::pool) fn open(&self) -> Arc<Desk<J, T, E>> {
        let desk = Arc::new(Desk(Mutex::new(Settled::new())));
        self.0.lock().push(desk.clone());
        desk
    }

    /// The runner has left.
    pub(in crate::pool) fn close(&self, desk: &Arc<Desk<J, T, E>>) {
        let mut desks = self.0.lock();
        if let Some(at) = desks.iter().position(|known| Arc::ptr_eq(known, desk)) {
            desks.swap_remove(at);
        }
    }

    /// Tells of what runners have ended, in their stead.
    pub(in crate::pool) fn collect(&self, shared: &Arc<Shared<J, T, E>>) {
        let mut settled = Settled::new();
        let desks = self.0.lock().clone();
        desks.iter().for_each(|desk| desk.clear(&mut settled));
        if settled.is_empty() {
            return;
        }
        let (count, mut post, mut fx) = (settled.len(), Post::new(), Effects::default());
        shared.engine.count_for(settled.ended(), &mut fx);
        for End { cell, outcome } in settled.drain() {
            shared.store(cell, outcome, &mut post, &mut fx);
        }
        shared.deliver(&mut post, &mut fx);
        shared.engine.published(count, &mut fx);
        shared.apply(&mut fx);
    }
}
