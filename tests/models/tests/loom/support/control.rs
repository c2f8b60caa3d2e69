//! What owners do to a pool: changing, closing and ending it.

use super::Pool;
use crate::kernel::cell::Cell;
use crate::kernel::engine::{Bin, Effects, Phase, Sweep};
use crate::kernel::inbox::Post;
use std::sync::Arc;

impl Pool {
    /// Starts no more jobs.
    pub(crate) fn pause(self: &Arc<Self>) {
        let mut fx = Effects::default();
        self.engine.pause(&mut fx);
        self.apply(&mut fx);
    }

    /// Starts jobs again.
    pub(crate) fn resume(self: &Arc<Self>) {
        let mut fx = Effects::default();
        self.engine.resume(&mut fx);
        self.apply(&mut fx);
    }

    /// From now on so many jobs may run at once.
    pub(crate) fn resize(self: &Arc<Self>, concurrency: usize) {
        let mut fx = Effects::default();
        self.engine.set_concurrency(concurrency, &mut fx);
        self.apply(&mut fx);
    }

    /// Admits no more.
    pub(crate) fn close(self: &Arc<Self>, phase: Phase) {
        let mut fx = Effects::default();
        self.engine.close(phase, &mut fx);
        self.apply(&mut fx);
    }

    /// Takes out what waits and signals what runs. `Return`: what waits goes into the harvest.
    pub(crate) fn sweep(self: &Arc<Self>, sweep: Sweep) {
        let mut fx = Effects::default();
        let swept = self.engine.sweep(sweep, &mut fx);
        let (count, mut post) = (swept.len(), Post::new());
        for mut cell in swept {
            let job = Cell::lend(&mut cell);
            let (id, bin) = (job.id, if sweep == Sweep::Return { Bin::Returned } else { Bin::Aborted });
            let outcome = self.outcome(bin, job);
            self.store(cell, id, outcome, &mut post, &mut fx);
        }
        self.deliver(&mut post, &mut fx);
        self.engine.published(count, &mut fx);
        self.apply(&mut fx);
    }

    /// Nobody owns the pool any more, or its runtime is gone: ends everything.
    pub(crate) fn abandon(self: &Arc<Self>) {
        self.sweep(Sweep::Abandon);
    }
}
