//! The jobs of one submitter that reads all their outcomes: what `map`, `sink` and `scope` stand on, each job with a tag
//! that comes back with its outcome.
//!
//! # What
//! A [`Window`] takes jobs, has them admitted as there is room, and hands their outcomes on, in the order of the jobs or as
//! they come. It is not bounded by itself: who fills it looks at [`Window::len`], which counts a job from the moment it is
//! put in until its outcome has been handed on.
//!
//! # States
//! | stage of a member | where it stands | next |
//! |---|---|---|
//! | `Fresh` | in `fresh`; the first of these may stand in the pool's line, and its cell with it | `Accepted`, `Over` (refused) |
//! | `Accepted` | in the pool, or its outcome in the inbox or in `arrived` | `Over` (ordered), handed on (as ready) |
//! | `Over` | in `order`, or in `refused` | handed on |
//!
//! # Invariants
//! 1. A member is in exactly one of these places, and leaves once.
//! 2. At most one member stands in the pool's line; whoever drops the window takes it out.
//! 3. What is dropped with the window is cancelled: no job of it goes on unseen.
//!
//! # Why not the obvious
//! A handle for each job would have to be polled for each wake-up; a future for each (`FuturesUnordered`) is an allocation
//! a job. Here all outcomes of a window come through one inbox, with one waker.
//!
//! # Cost
//! A cell is handed from the window to the engine, to a runner and back, and nobody else has a reference: it is looked at
//! without a lock, and used for job after job, so there is no allocation a job. One lock operation of the engine for all jobs
//! that are admitted at once, and one of the inbox for all outcomes that have arrived.

use super::error::{JobError, RunError, SubmitError};
use super::handle::JobId;
use super::member::{Delivery, Fresh, Member, Order, Stage};
use super::nested::{self, Wait};
use super::shared::{JobCell, JobInbox, Outcome, Parcel, Shared};
use super::submit::{Terms, take_job};
use crate::contain::discard;
use crate::kernel::cell::Cell;
use crate::kernel::engine::{Effects, Waited};
use crate::kernel::inbox::{Arrivals, Inbox};
use crate::kernel::slab::{Fifo, Key, Slab};
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

/// The jobs of one submitter.
pub(super) struct Window<J, T, E, X> {
    pub(super) shared: Arc<Shared<J, T, E>>,
    inbox: Arc<JobInbox<J, T, E>>,
    pub(super) order: Order,
    pub(super) members: Slab<Member<J, T, E, X>>,
    /// All members, in order; nobody if they are handed on as they come.
    in_order: Fifo,
    /// Those that are not accepted yet, in order.
    pub(super) fresh: VecDeque<Fresh<J, T, E>>,
    /// Where the first of these stands in the pool's line.
    pub(super) line: Option<Key>,
    /// Those that are over without an outcome from the pool, if outcomes are handed on as they come.
    pub(super) refused: VecDeque<Key>,
    /// What has come out of the inbox and is not handed on yet.
    arrived: Arrivals<JobCell<J, T, E>>,
    /// Cells for jobs to come: not more than there are members.
    spare: Vec<JobCell<J, T, E>>,
    wait: Option<Wait>,
    /// Somebody was refused.
    pub(super) refuses: bool,
}

impl<J, T, E, X> Window<J, T, E, X> {
    pub(super) fn new(shared: &Arc<Shared<J, T, E>>, order: Order) -> Self {
        Self {
            shared: shared.clone(),
            inbox: Arc::new(Inbox::new()),
            order,
            members: Slab::new(),
            in_order: Fifo::new(),
            fresh: VecDeque::new(),
            line: None,
            refused: VecDeque::new(),
            arrived: VecDeque::new(),
            spare: Vec::new(),
            wait: None,
            refuses: false,
        }
    }

    /// The jobs that were put in and whose outcome has not been handed on.
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether a job has been refused: the pool is closed, or full and the caller is a handler of it.
    pub(super) fn refuses(&self) -> bool {
        self.refuses
    }

    /// Whether an outcome can be handed on without a look into the inbox.
    pub(super) fn has_arrivals(&self) -> bool {
        match self.order {
            Order::Unordered => !self.arrived.is_empty() || !self.refused.is_empty(),
            Order::Ordered => self.head_is_over().is_some(),
        }
    }

    /// Puts a job in; it is admitted by the next [`poll_admit`](Self::poll_admit) that finds room for it.
    pub(super) fn push(&mut self, tag: X, job: J) -> Key {
        self.push_on(tag, job, Terms::PLAIN)
    }

    /// The same for a job with terms of its own.
    pub(super) fn push_on(&mut self, tag: X, job: J, terms: Terms) -> Key {
        let key = self.members.insert(Member { tag, stage: Stage::Fresh });
        let cell = match self.spare.pop() {
            Some(mut cell) => Cell::refill(&mut cell, Parcel::new(job), key).map(|()| cell),
            None => Err(Parcel::new(job)),
        };
        let cell = cell.unwrap_or_else(|parcel| JobCell::new(Cell::addressed(parcel, self.inbox.clone(), key)));
        self.fresh.push_back(Fresh { key, cell: Some(cell), terms });
        self.keep_order(key);
        key
    }

    /// Puts in what is over already: it is handed on in its turn.
    pub(super) fn push_over(&mut self, tag: X, error: RunError<J, E>) {
        let key = self.members.insert_with(|_| Member { tag, stage: Stage::Over(None, Err(error)) });
        self.keep_order(key);
        if self.order == Order::Unordered {
            self.refused.push_back(key);
        }
    }

    fn keep_order(&mut self, key: Key) {
        if self.order == Order::Ordered {
            self.in_order.push_back(&mut self.members, key);
        }
    }

    /// The number of a job that is in here and was accepted.
    pub(super) fn id(&self, key: Key) -> Option<JobId> {
        self.members.get(key).and_then(Member::id)
    }

    /// The refusal of a job, with its tag, if it was refused; it leaves the window.
    pub(super) fn take_refused(&mut self, key: Key) -> Option<(X, SubmitError<J>)> {
        let at = self.refused.iter().position(|other| *other == key)?;
        self.refused.remove(at);
        let Member { tag, stage } = self.members.take(key);
        match stage {
            Stage::Over(_, Err(RunError::Submit(refused))) => Some((tag, refused)),
            _ => unreachable!("what was refused is over"),
        }
    }

    /// The caller waits for jobs of this window no longer.
    pub(super) fn go_on(&mut self) {
        nested::wait_over(&mut self.wait, self.shared.id);
    }

    /// The next outcome; `None` if nobody is in here.
    ///
    /// Only an outcome wakes the caller: it is to poll [`poll_admit`](Self::poll_admit) too while there are new jobs.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Delivery<J, T, E, X>>> {
        loop {
            if let Some(delivery) = self.next_here() {
                nested::wait_over(&mut self.wait, self.shared.id);
                return Poll::Ready(Some(delivery));
            }
            if self.members.len() == 0 {
                nested::wait_over(&mut self.wait, self.shared.id);
                return Poll::Ready(None);
            }
            if self.inbox.collect(&mut self.arrived, cx.waker()).is_pending() {
                nested::wait_here(&mut self.wait, self.shared.id);
                return Poll::Pending;
            }
            if self.order == Order::Ordered {
                self.sort_in();
            }
        }
    }

    fn next_here(&mut self) -> Option<Delivery<J, T, E, X>> {
        if self.order == Order::Ordered {
            let key = self.head_is_over()?;
            self.in_order.unlink(&mut self.members, key);
            return Some(self.members.take(key).delivery(None));
        }
        if let Some(key) = self.refused.pop_front() {
            return Some(self.members.take(key).delivery(None));
        }
        let (key, outcome) = self.next_arrived()?;
        Some(self.members.take(key).delivery(Some(outcome)))
    }

    /// The next outcome that has come out of the inbox.
    fn next_arrived(&mut self) -> Option<(Key, Outcome<J, T, E>)> {
        let (key, mut cell) = self.arrived.pop_front()?;
        self.notice(key);
        let outcome = Cell::open(&mut cell);
        if self.spare.len() < self.members.len() {
            self.spare.push(cell);
        }
        Some((key, outcome))
    }

    fn head_is_over(&self) -> Option<Key> {
        self.in_order
            .front()
            .filter(|key| matches!(self.members.get(*key), Some(Member { stage: Stage::Over(..), .. })))
    }

    /// Puts what has arrived to its members.
    fn sort_in(&mut self) {
        while let Some((key, outcome)) = self.next_arrived() {
            if let Some(member) = self.members.get_mut(key) {
                member.stage = Stage::Over(member.id(), outcome.map_err(RunError::Job));
            }
        }
    }

    /// The outcome of a job is here. If it stood in line, it was accepted since anybody looked.
    fn notice(&mut self, key: Key) {
        if matches!(self.members.get(key), Some(Member { stage: Stage::Fresh, .. })) {
            self.leave_line();
        }
    }

    /// Cancels every job in here; their outcomes are handed on as all others.
    pub(super) fn cancel_all(&mut self) {
        self.leave_line();
        while !self.fresh.is_empty() {
            self.end_first(|job| JobError::Cancelled(Some(job)).into());
        }
        self.cancel_accepted();
    }

    /// Cancels every job that was accepted, as far as this window knows.
    pub(super) fn cancel_accepted(&self) {
        for key in self.members.keys() {
            if let Some(Member { stage: Stage::Accepted(ticket), .. }) = self.members.get(key) {
                self.shared.cancel(*ticket);
            }
        }
    }

    /// Takes back what was put in last and has not been accepted; `None` if it has been by now.
    pub(super) fn take_back(&mut self) -> Option<(X, J)> {
        if self.fresh.len() == 1 {
            self.leave_line();
        }
        let Fresh { key, cell, .. } = self.fresh.pop_back()?;
        if self.order == Order::Ordered {
            self.in_order.unlink(&mut self.members, key);
        }
        let tag = self.members.take(key).tag;
        cell.map(|cell| (tag, take_job(cell)))
    }

    fn leave_line(&mut self) {
        if let Some(line) = self.line.take() {
            let mut fx = Effects::default();
            let waited = self.shared.engine.leave_line(line, &mut fx);
            self.shared.apply(&mut fx);
            match waited {
                Waited::Accepted(ticket) => self.accept_first(ticket),
                Waited::Closed(Some(cell)) | Waited::Left(Some(cell)) => self.restore_first(cell),
                _ => unreachable!("who waits with a job has it back, or a ticket"),
            }
        }
    }

    /// Lets all jobs go on, unseen; gives up those that were not accepted.
    pub(super) fn detach(mut self) {
        self.leave_line();
        while let Some((_, job)) = self.take_back() {
            discard(job);
        }
        self.close_inbox();
        self.forget();
    }

    fn close_inbox(&mut self) {
        let (unread, waker) = self.inbox.close();
        unread.into_iter().for_each(discard);
        discard(waker);
    }

    /// Drops everything that is here and was not handed on.
    fn forget(&mut self) {
        nested::wait_over(&mut self.wait, self.shared.id);
        self.arrived.drain(..).for_each(discard);
        while let Some(key) = self.in_order.pop_front(&mut self.members) {
            discard(self.members.take(key));
        }
        for key in self.members.keys() {
            discard(self.members.take(key));
        }
        self.refused.clear();
    }
}

impl<J, T, E, X> Drop for Window<J, T, E, X> {
    fn drop(&mut self) {
        if self.members.len() > 0 {
            // Nobody reads the inbox from here on: outcomes are dropped as they come, and wake nobody.
            self.close_inbox();
            self.cancel_all();
            self.forget();
        }
    }
}
