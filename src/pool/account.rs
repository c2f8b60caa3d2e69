//! A runner's account with the engine: what it has claimed, what has ended, and what the engine asked for.

use super::settled::{End, Settled};
use super::shared::{JobCell, JobPost, Outcome, PoolClock, Shared};
use super::threads::Desk;
use crate::kernel::bell::Bell;
use crate::kernel::engine::{Batch, Effects, Ended, Now};
use crate::kernel::inbox::Post;
use std::sync::Arc;

/// What a runner has claimed and settled: its account with the engine.
pub(super) struct Account<J, T, E> {
    pub(super) batch: Batch<JobCell<J, T, E>>,
    pub(super) settled: Settled<J, T, E>,
    post: JobPost<J, T, E>,
    /// On a thread: where outcomes are within reach of others until this tells of them.
    desk: Option<Arc<Desk<J, T, E>>>,
    pub(super) fx: Effects,
}

impl<J, T, E> Account<J, T, E> {
    pub(super) fn new(bell: Arc<Bell>, desk: Option<Arc<Desk<J, T, E>>>) -> Self {
        Self { batch: Batch::new(bell), settled: Settled::new(), post: Post::new(), desk, fx: Effects::default() }
    }

    /// Notes that a job has ended.
    #[inline(always)]
    pub(super) fn settle(&mut self, ended: Ended, cell: JobCell<J, T, E>, outcome: Outcome<J, T, E>) {
        match &self.desk {
            Some(desk) if self.batch.tempo.burst > 1 => desk.leave(ended, cell, outcome),
            _ => self.settled.push(ended, cell, outcome),
        }
    }

    /// Takes what others could have told of: from here on only the caller can.
    #[inline]
    pub(super) fn clear_desk(&mut self) {
        if let Some(desk) = &self.desk {
            desk.clear(&mut self.settled);
        }
    }

    /// The runner has left.
    pub(super) fn close_desk(&mut self, shared: &Shared<J, T, E>) {
        if let Some(desk) = self.desk.take() {
            desk.clear(&mut self.settled);
            shared.desks.close(&desk);
        }
    }

    /// Counts what has ended and claims, unless it is time to let others run; then publishes.
    pub(super) fn turn(&mut self, shared: &Arc<Shared<J, T, E>>, now: &Now<'_, PoolClock>, go_on: bool) {
        self.clear_desk();
        let ended = self.settled.ended();
        if go_on {
            shared.engine.turn(ended, &mut self.batch, now, &mut self.fx);
        } else {
            shared.engine.rest(ended, &mut self.batch, &mut self.fx);
        }
        self.publish(shared);
    }

    /// Stores the outcomes that have been counted and wakes their readers; does what the engine asked for.
    #[inline]
    pub(super) fn publish(&mut self, shared: &Arc<Shared<J, T, E>>) {
        for End { cell, outcome } in self.settled.drain() {
            // Readers wake when all of the batch is there: one that awaits several is woken once.
            shared.store(cell, outcome, &mut self.post, &mut self.fx);
        }
        shared.deliver(&mut self.post, &mut self.fx);
        shared.apply(&mut self.fx);
    }
}
