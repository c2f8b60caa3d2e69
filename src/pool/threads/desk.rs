//! Where a runner on a thread leaves the outcomes that it tells of together, so that they are told of even while it is
//! stuck in the next job.

use crate::kernel::engine::Effects;
use crate::kernel::inbox::Post;
use crate::pool::account::{Account, Settlement};
use crate::pool::shared::Shared;
use crate::shim::Mutex;
use std::sync::Arc;

/// The outcomes of one runner. Whoever takes them out counts and publishes them.
pub(in crate::pool) struct Desk<J, T, E>(Mutex<Vec<Settlement<J, T, E>>>);

/// The desks of a pool's runners.
pub(in crate::pool) struct Desks<J, T, E>(Mutex<Vec<Arc<Desk<J, T, E>>>>);

impl<J, T, E> Desk<J, T, E> {
    #[inline]
    pub(in crate::pool) fn leave(&self, settlement: Settlement<J, T, E>) {
        self.0.lock().push(settlement);
    }

    /// Moves what is here to the end of `to`.
    #[inline]
    pub(in crate::pool) fn clear(&self, to: &mut Vec<Settlement<J, T, E>>) {
        let mut here = self.0.lock();
        if to.is_empty() {
            std::mem::swap(&mut *here, to);
        } else {
            to.append(&mut here);
        }
    }
}

impl<J, T, E> Desks<J, T, E> {
    pub(in crate::pool) fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// One for a runner that begins.
    pub(in crate::pool) fn open(&self) -> Arc<Desk<J, T, E>> {
        let desk = Arc::new(Desk(Mutex::new(Vec::new())));
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
        let mut settled = Vec::new();
        let desks = self.0.lock().clone();
        desks.iter().for_each(|desk| desk.clear(&mut settled));
        if settled.is_empty() {
            return;
        }
        let (count, mut post, mut fx) = (settled.len(), Post::new(), Effects::default());
        shared.engine.count_for(Account::ended(&settled), &mut fx);
        for Settlement { cell, outcome, .. } in settled {
            shared.store(cell, outcome, &mut post, &mut fx);
        }
        shared.deliver(&mut post, &mut fx);
        shared.engine.published(count, &mut fx);
        shared.apply(&mut fx);
    }
}
