//! How the jobs of a window get into the pool.

use super::error::{RunError, SubmitError};
use super::member::{Order, Stage};
use super::nested;
use super::shared::JobCell;
use super::submit::take_job;
use super::window::Window;
use crate::kernel::engine::{Admission, Closed, Effects, Entry, Overflow, Request, Ticket, Waited};
use std::cell::Cell;
use std::task::{Context, Poll, ready};

impl<J, T, E, X> Window<J, T, E, X> {
    /// Has as many jobs admitted as there is room for now.
    pub(super) fn admit_now(&mut self) {
        if self.line.is_none() && !self.fresh.is_empty() {
            let _refused = self.admit_many();
        }
    }

    /// The same, and room is made for the first that finds none, if that is the pool's rule.
    pub(super) fn try_admit(&mut self) {
        self.admit_now();
        if !self.fresh.is_empty() && self.shared.options.overflow == Overflow::DropOldest {
            self.enter_first();
        }
    }

    /// Ready once every job that was put in is accepted, or refused: then its refusal is handed on as its outcome.
    ///
    /// Pending, it stands in line with the first of them, which is accepted in its turn whether this is polled or not. In a
    /// handler of the same pool, or where that is the pool's rule, it does not wait: what finds no room is refused.
    pub(super) fn poll_admit(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(line) = self.line {
                let waited = ready!(self.shared.engine.poll_wait(line, cx.waker()));
                self.line = None;
                match waited {
                    Waited::Accepted(ticket) => self.accept_first(ticket),
                    Waited::Closed(Some(cell)) => {
                        self.restore_first(cell);
                        self.refuse_first(SubmitError::Closed);
                    }
                    _ => unreachable!("who waits with a job has it back, or a ticket"),
                }
            }
            if self.fresh.is_empty() || self.admit_many().is_err() {
                return Poll::Ready(());
            }
            if self.fresh.is_empty() {
                return Poll::Ready(());
            }
            if self.shared.options.overflow != Overflow::Wait {
                self.enter_first();
            } else if nested::is_inside(self.shared.id) {
                self.refuse_all(SubmitError::WouldDeadlock);
                return Poll::Ready(());
            } else {
                self.stand_in_line(cx);
            }
        }
    }

    /// The same for a caller that goes on to [`poll_next`](Self::poll_next): where it does not wait it is not refused either,
    /// as long as jobs of its own are inside, which make room.
    pub(super) fn admit_beside(&mut self, cx: &mut Context<'_>) {
        if nested::is_inside(self.shared.id) || self.shared.options.overflow != Overflow::Wait {
            self.admit_now();
            if self.fresh.len() < self.members.len() {
                return;
            }
        }
        // Pending, it is woken when its turn has come; refused, there is something to hand on.
        let _in_line = self.poll_admit(cx);
    }

    /// Has as many admitted as there is room for.
    fn admit_many(&mut self) -> Result<(), Closed> {
        while self.fresh.front().is_some_and(|fresh| !fresh.terms.is_plain()) {
            match self.admit_first() {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(closed) => {
                    self.refuse_all(SubmitError::Closed);
                    return Err(closed);
                }
            }
        }
        self.admit_plain()
    }

    /// Has the first admitted; `false` if there is no room for it, in the pool or in its lane.
    fn admit_first(&mut self) -> Result<bool, Closed> {
        let mut fx = Effects::default();
        let request = self.offer_first();
        let admitted = match self.shared.engine.admit(request, &mut fx) {
            Admission::Accepted(ticket) => {
                self.accept_first(ticket);
                Ok(true)
            }
            Admission::Shedding(ticket, shed) => {
                self.shared.shed(shed, &mut fx);
                self.accept_first(ticket);
                Ok(true)
            }
            Admission::Full(cell) => {
                self.restore_first(cell);
                Ok(false)
            }
            Admission::Closed(cell) => {
                self.restore_first(cell);
                Err(Closed)
            }
        };
        self.shared.apply(&mut fx);
        admitted
    }

    /// Has as many of those without terms of their own admitted as there is room for, up to the first that has some.
    fn admit_plain(&mut self) -> Result<(), Closed> {
        if self.fresh.is_empty() {
            return Ok(());
        }
        let mut fx = Effects::default();
        let Self { members, fresh, .. } = self;
        let entering = Cell::new(None);
        let cells = std::iter::from_fn(|| {
            // The engine takes no more of them than it accepts.
            if !fresh.front()?.terms.is_plain() {
                return None;
            }
            let mut first = fresh.pop_front()?;
            entering.set(Some(first.key));
            Some(first.take_cell())
        });
        let accepted = |ticket| {
            if let Some(member) = entering.take().and_then(|key| members.get_mut(key)) {
                member.stage = Stage::Accepted(ticket);
            }
        };
        let admitted = self.shared.engine.admit_many(cells, accepted, &mut fx);
        self.shared.apply(&mut fx);
        if admitted.is_err() {
            self.refuse_all(SubmitError::Closed);
        }
        admitted
    }

    /// Submits the first, without waiting; room may be made for it.
    fn enter_first(&mut self) {
        let request = self.offer_first();
        let mut fx = Effects::default();
        match self.shared.engine.admit(request, &mut fx) {
            Admission::Accepted(ticket) => self.accept_first(ticket),
            Admission::Shedding(ticket, shed) => {
                self.shared.shed(shed, &mut fx);
                self.accept_first(ticket);
            }
            Admission::Full(cell) => {
                self.restore_first(cell);
                self.end_first(|job| SubmitError::Full(job).into());
            }
            Admission::Closed(cell) => {
                self.restore_first(cell);
                self.refuse_all(SubmitError::Closed);
            }
        }
        self.shared.apply(&mut fx);
    }

    fn stand_in_line(&mut self, cx: &mut Context<'_>) {
        let request = self.offer_first();
        let mut fx = Effects::default();
        let entry = self.shared.engine.admit_or_wait(request, cx.waker().clone(), &mut fx);
        self.shared.apply(&mut fx);
        match entry {
            Entry::Accepted(ticket) => self.accept_first(ticket),
            Entry::Waiting(line) => self.line = Some(line),
            Entry::Closed(cell) => {
                self.restore_first(cell);
                self.refuse_all(SubmitError::Closed);
            }
        }
    }

    fn offer_first(&mut self) -> Request<JobCell<J, T, E>> {
        let Some(first) = self.fresh.front_mut() else { unreachable!("there is a fresh member") };
        first.terms.request(first.take_cell())
    }

    /// The first that is not accepted has its cell back.
    pub(super) fn restore_first(&mut self, cell: JobCell<J, T, E>) {
        if let Some(first) = self.fresh.front_mut() {
            first.cell = Some(cell);
        }
    }

    pub(super) fn accept_first(&mut self, ticket: Ticket) {
        let member = self.fresh.pop_front().and_then(|fresh| self.members.get_mut(fresh.key));
        let Some(member) = member else { unreachable!("an accepted member was fresh") };
        member.stage = Stage::Accepted(ticket);
    }

    fn refuse_first(&mut self, why: fn(J) -> SubmitError<J>) {
        self.refuses = true;
        self.end_first(|job| why(job).into());
    }

    fn refuse_all(&mut self, why: fn(J) -> SubmitError<J>) {
        while !self.fresh.is_empty() {
            self.refuse_first(why);
        }
    }

    /// The first that is not accepted is over.
    pub(super) fn end_first(&mut self, why: impl FnOnce(J) -> RunError<J, E>) {
        let Some(mut first) = self.fresh.pop_front() else { return };
        let key = first.key;
        let Some(member) = self.members.get_mut(key) else { unreachable!("a fresh member is here") };
        member.stage = Stage::Over(None, Err(why(take_job(first.take_cell()))));
        if self.order == Order::Unordered {
            self.refused.push_back(key);
        }
    }
}
