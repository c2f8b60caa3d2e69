//! What submitters hold: the outcome to come, and the wait for room.

use super::{Job, JobCell, Outcome, Parker, Pool};
use crate::kernel::alarms::Ticks;
use crate::kernel::cell::Cell;
use crate::kernel::engine::{Admission, Bin, Effects, Entry, LaneId, Request, Reservation, Ticket, Waited};
use crate::kernel::slab::Key;
use crate::shim::Shared;
use std::sync::Arc;
use std::task::Poll;

/// The outcome of an accepted job, to be waited for. Dropping it detaches the job.
#[derive(Debug)]
pub(crate) struct Handle {
    pool: Arc<Pool>,
    cell: JobCell,
    ticket: Ticket,
}

impl Handle {
    pub(super) fn new(pool: &Arc<Pool>, cell: JobCell, ticket: Ticket) -> Self {
        Self { pool: pool.clone(), cell, ticket }
    }

    pub(crate) fn poll(&self, parker: &Parker) -> Poll<Outcome> {
        self.cell.poll(parker.waker())
    }

    pub(crate) fn wait(self) -> Outcome {
        let parker = Parker::new();
        loop {
            if let Poll::Ready(outcome) = self.poll(&parker) {
                return outcome;
            }
            parker.park();
        }
    }

    /// The job's number in the order of acceptance.
    pub(crate) fn number(&self) -> u64 {
        self.ticket.number
    }

    /// What a second canceller needs.
    pub(crate) fn named(&self) -> (Ticket, JobCell) {
        (self.ticket, self.cell.clone())
    }

    pub(crate) fn cancel(&self) {
        self.pool.cancel(self.ticket);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let (unread, waker) = self.cell.detach();
        drop(unread);
        drop(waker);
    }
}

/// A submitter in line.
#[derive(Debug)]
pub(crate) struct Waiting {
    pool: Arc<Pool>,
    /// The job's cell; `None` in the line for a permit.
    cell: Option<JobCell>,
    key: Key,
}

/// How a wait ended, or was given up.
#[derive(Debug)]
pub(crate) enum Answer {
    Accepted(Handle),
    Granted(Key),
    /// Closed or given up, with the job, if there was one.
    Refused(Option<Job>),
}

/// A job, and on what terms it is to be let in.
#[derive(Debug)]
pub(crate) struct Terms {
    job: Job,
    lane: Option<LaneId>,
    deadline: Option<Ticks>,
}

impl From<Job> for Terms {
    fn from(job: Job) -> Self {
        Self { job, lane: None, deadline: None }
    }
}

impl Job {
    /// The job, in the lane of a key.
    pub(crate) fn keyed(mut self, key: u64) -> Terms {
        self.key = Some(key);
        Terms { lane: Some(LaneId(key)), ..self.into() }
    }

    /// The job, to be done so long after its acceptance.
    pub(crate) fn within(self, deadline: Ticks) -> Terms {
        Terms { deadline: Some(deadline), ..self.into() }
    }
}

impl Terms {
    fn request(self) -> (JobCell, Request<JobCell>) {
        let Self { job, lane, deadline } = self;
        let cell = Shared::plain(Cell::new(job));
        (cell.clone(), Request { cell, lane, deadline })
    }
}

impl Pool {
    /// Submits a job if there is room now, or if room may be made for it; otherwise it comes back.
    pub(crate) fn try_submit(self: &Arc<Self>, job: impl Into<Terms>) -> Result<Handle, Job> {
        let (cell, request) = job.into().request();
        let mut fx = Effects::default();
        let ticket = match self.engine.admit(request, &mut fx) {
            Admission::Accepted(ticket) => Ok(ticket),
            Admission::Shedding(ticket, shed) => {
                self.publish_waiting(shed, Bin::Shed, &mut fx);
                Ok(ticket)
            }
            Admission::Full(mut cell) | Admission::Closed(mut cell) => Err(Cell::lend(&mut cell)),
        };
        self.apply(&mut fx);
        ticket.map(|ticket| Handle::new(self, cell, ticket))
    }

    /// Submits a job; waits for room. The job comes back if the pool is closed.
    pub(crate) fn submit(self: &Arc<Self>, job: impl Into<Terms>, parker: &Parker) -> Result<Handle, Job> {
        let answer = match self.line_up(job, parker) {
            Ok(waiting) => waiting.wait(parker),
            Err(answer) => answer,
        };
        match answer {
            Answer::Accepted(handle) => Ok(handle),
            Answer::Refused(Some(job)) => Err(job),
            Answer::Granted(_) | Answer::Refused(None) => unreachable!("the wait of a submitter with a job"),
        }
    }

    /// Gets into the line, or an answer at once.
    pub(crate) fn line_up(self: &Arc<Self>, job: impl Into<Terms>, parker: &Parker) -> Result<Waiting, Answer> {
        let (cell, request) = job.into().request();
        let mut fx = Effects::default();
        let entry = self.engine.admit_or_wait(request, parker.waker().clone(), &mut fx);
        self.apply(&mut fx);
        match entry {
            Entry::Accepted(ticket) => Err(Answer::Accepted(Handle::new(self, cell, ticket))),
            Entry::Waiting(key) => Ok(Waiting { pool: self.clone(), cell: Some(cell), key }),
            Entry::Closed(mut cell) => Err(Answer::Refused(Some(Cell::lend(&mut cell)))),
        }
    }

    /// Gets into the line for a permit, or an answer at once.
    pub(crate) fn reserve(self: &Arc<Self>, parker: &Parker) -> Result<Waiting, Answer> {
        let mut fx = Effects::default();
        let answer = match self.engine.reserve(parker.waker().clone(), &mut fx) {
            Reservation::Granted(permit) => Err(Answer::Granted(permit)),
            Reservation::Shedding(permit, shed) => {
                self.publish_waiting(shed, Bin::Shed, &mut fx);
                Err(Answer::Granted(permit))
            }
            Reservation::Waiting(key) => Ok(Waiting { pool: self.clone(), cell: None, key }),
            Reservation::Full | Reservation::Closed => Err(Answer::Refused(None)),
        };
        self.apply(&mut fx);
        answer
    }

    /// Uses a permit; the job comes back if a shutdown has revoked it.
    pub(crate) fn redeem(self: &Arc<Self>, permit: Key, job: Job) -> Result<Handle, Job> {
        let cell = Shared::plain(Cell::new(job));
        let mut fx = Effects::default();
        let filled = self.engine.redeem(permit, cell.clone(), &mut fx);
        self.apply(&mut fx);
        filled.map(|ticket| Handle::new(self, cell, ticket)).map_err(|mut cell| Cell::lend(&mut cell))
    }

    /// Gives a permit back.
    pub(crate) fn release(self: &Arc<Self>, permit: Key) {
        let mut fx = Effects::default();
        self.engine.release(permit, &mut fx);
        self.apply(&mut fx);
    }
}

impl Waiting {
    pub(crate) fn poll(&mut self, parker: &Parker) -> Poll<Answer> {
        self.pool.engine.poll_wait(self.key, parker.waker()).map(|waited| self.answer(waited))
    }

    pub(crate) fn wait(mut self, parker: &Parker) -> Answer {
        loop {
            if let Poll::Ready(answer) = self.poll(parker) {
                return answer;
            }
            parker.park();
        }
    }

    /// Gives the wait up, and says what had happened by then.
    pub(crate) fn leave(mut self) -> Answer {
        let mut fx = Effects::default();
        let waited = self.pool.engine.leave_line(self.key, &mut fx);
        self.pool.apply(&mut fx);
        self.answer(waited)
    }

    fn answer(&mut self, waited: Waited<JobCell>) -> Answer {
        match waited {
            Waited::Accepted(ticket) => {
                let cell = self.cell.take().expect("only a submitter with a job is accepted");
                Answer::Accepted(Handle::new(&self.pool, cell, ticket))
            }
            Waited::Granted(permit) => Answer::Granted(permit),
            Waited::Closed(cell) | Waited::Left(cell) => Answer::Refused(cell.map(|mut cell| Cell::lend(&mut cell))),
        }
    }
}
