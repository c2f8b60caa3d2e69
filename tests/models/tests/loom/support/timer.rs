//! The timer task, as in `src/pool/timer.rs`.

use super::{Parker, Pool};
use crate::kernel::cell::Cell;
use crate::kernel::engine::{Bin, Clock, Effects, Expired, Ring};
use std::sync::Arc;

/// A timer that the engine has asked for.
#[derive(Debug)]
pub(crate) struct Timer {
    pool: Arc<Pool>,
    parker: Parker,
}

impl Timer {
    pub(super) fn new(pool: &Arc<Pool>) -> Self {
        Self { pool: pool.clone(), parker: Parker::new() }
    }

    /// Works until there is nothing to wait for.
    pub(crate) fn run(mut self) {
        while let Ring::SleepUntil(until) = self.ring() {
            self.pool.engine.clock().sleep(until, &self.parker);
        }
    }

    /// One turn.
    pub(crate) fn ring(&mut self) -> Ring {
        let (mut fx, mut expired) = (Effects::default(), Vec::new());
        let engine = &self.pool.engine;
        let next = engine.ring(engine.clock().now(), self.parker.waker().clone(), &mut expired, &mut fx);
        let count = expired.len();
        for Expired { mut cell } in expired {
            let job = Cell::lend(&mut cell);
            let (id, outcome) = (job.id, self.pool.outcome(Bin::TimedOut, job));
            self.pool.publish(cell, id, outcome, &mut fx);
        }
        if count > 0 {
            engine.published(count, &mut fx);
        }
        self.pool.apply(&mut fx);
        next
    }
}
