//! A submitter that reads all outcomes of its jobs from one inbox and uses their cells again, as `src/pool/window.rs` does.

use super::{Job, JobCell, Outcome, Parker, Pool};
use crate::kernel::cell::{Cell, CellInbox};
use crate::kernel::engine::{Admission, Effects, Request, Ticket};
use crate::kernel::inbox::{Arrivals, Inbox};
use crate::kernel::slab::{Key, Slab};
use crate::shim::Shared;
use std::collections::VecDeque;
use std::sync::Arc;

/// The jobs of one submitter.
#[derive(Debug)]
pub(crate) struct Window {
    pool: Arc<Pool>,
    inbox: Arc<CellInbox<Job, Outcome>>,
    /// The numbers of the jobs that are in the pool.
    members: Slab<usize>,
    arrived: Arrivals<JobCell>,
    /// Cells for jobs to come, the oldest first, so that one gets another key than it had.
    spare: VecDeque<JobCell>,
    /// How often a cell was used again.
    pub(crate) refilled: usize,
}

impl Window {
    pub(crate) fn new(pool: &Arc<Pool>) -> Self {
        let (members, arrived, spare) = (Slab::new(), VecDeque::new(), VecDeque::new());
        Self { pool: pool.clone(), inbox: Arc::new(Inbox::new()), members, arrived, spare, refilled: 0 }
    }

    /// Submits a job, for which there is room.
    pub(crate) fn submit(&mut self, job: Job) -> Ticket {
        let key = self.members.insert(job.id);
        let cell = match self.spare.pop_front() {
            Some(mut cell) => Cell::refill(&mut cell, job, key).map(|()| cell),
            None => Err(job),
        };
        self.refilled += usize::from(cell.is_ok());
        let cell = cell.unwrap_or_else(|job| Shared::new(Cell::addressed(job, self.inbox.clone(), key)));
        let mut fx = Effects::default();
        let admitted = self.pool.engine.admit(Request { cell, lane: None, deadline: None }, &mut fx);
        self.pool.apply(&mut fx);
        let Admission::Accepted(ticket) = admitted else { panic!("{admitted:?} although there is room") };
        ticket
    }

    /// The next outcome and the number of its job.
    pub(crate) fn wait(&mut self) -> (usize, Outcome) {
        let parker = Parker::new();
        while self.arrived.is_empty() {
            if self.inbox.collect(&mut self.arrived, parker.waker()).is_pending() {
                parker.park();
            }
        }
        let (key, mut cell): (Key, JobCell) = self.arrived.pop_front().expect("something has arrived");
        let outcome = Cell::open(&mut cell);
        self.spare.push_back(cell);
        (self.members.take(key), outcome)
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        let (unread, waker) = self.inbox.close();
        drop((unread, waker));
    }
}
