//! What runners have ended and not told of, and the desks of a patrolled pool's runners, as in `src/pool/threads/desk.rs`.

use super::{JobCell, Outcome, Pool};
use crate::kernel::engine::{Effects, Ended};
use crate::kernel::inbox::Post;
use crate::shim::Mutex;
use std::sync::Arc;

/// A job that has ended, not yet counted or published.
#[derive(Debug)]
pub(super) struct Settlement {
    pub(super) ended: Ended,
    pub(super) cell: JobCell,
    pub(super) outcome: Outcome,
    pub(super) id: usize,
}

pub(super) fn ended(settled: &[Settlement]) -> impl ExactSizeIterator<Item = Ended> {
    settled.iter().map(|settlement| settlement.ended)
}

/// The outcomes of one runner. Whoever takes them out counts and publishes them.
#[derive(Debug)]
pub(super) struct Desk(Mutex<Vec<Settlement>>);

impl Desk {
    pub(super) fn leave(&self, settlement: Settlement) {
        self.0.lock().push(settlement);
    }

    /// Moves what is here to the end of `to`.
    pub(super) fn clear(&self, to: &mut Vec<Settlement>) {
        to.append(&mut self.0.lock());
    }
}

impl Pool {
    /// One for a runner that begins, if the pool is patrolled.
    pub(super) fn open_desk(&self) -> Option<Arc<Desk>> {
        let desk = self.patrolled.then(|| Arc::new(Desk(Mutex::new(Vec::new()))));
        self.desks.lock().extend(desk.clone());
        desk
    }

    /// The runner has left.
    pub(super) fn close_desk(&self, desk: &Arc<Desk>) {
        self.desks.lock().retain(|known| !Arc::ptr_eq(known, desk));
    }

    /// Tells of what runners have ended, in their stead.
    pub(super) fn collect(self: &Arc<Self>) {
        let mut settled = Vec::new();
        let desks = self.desks.lock().clone();
        desks.iter().for_each(|desk| desk.clear(&mut settled));
        if settled.is_empty() {
            return;
        }
        let (count, mut post, mut fx) = (settled.len(), Post::new(), Effects::default());
        self.engine.count_for(ended(&settled), &mut fx);
        for Settlement { cell, outcome, id, .. } in settled {
            self.store(cell, id, outcome, &mut post, &mut fx);
        }
        self.deliver(&mut post, &mut fx);
        self.engine.published(count, &mut fx);
        self.apply(&mut fx);
    }
}
