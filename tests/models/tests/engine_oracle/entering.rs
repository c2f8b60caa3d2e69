//! What submitters do: jobs, lanes, lines and permits.

use crate::kernel::cell::Cell;
use crate::kernel::engine::{Admission, Effects, Entry, LaneId, Overflow, Request, Reservation, Ticket, Waited};
use crate::kernel::slab::Key;
use crate::ops::Terms;
use crate::oracle::{Admitted, Entrant, Number, Wait, WakerId};
use crate::shim::Shared;
use crate::world::{STEP, TestCell, World, value};
use std::task::Poll;

impl World {
    /// A new job on both sides.
    fn submission(&mut self, terms: Terms) -> (Entrant, Request<TestCell>) {
        let (id, cell) = self.new_cell();
        // A job of a lane has a deadline that no other job has: of two that expire at once the first is told from the
        // second by what it lets out of its lane.
        let steps = terms.deadline.or(terms.lane.and(self.oracle.limits.deadline).map(|deadline| deadline / STEP));
        let deadline = steps.map(|steps| steps * STEP + self.stamp());
        let entrant = Entrant { cell: id, lane: terms.lane, deadline };
        (entrant, Request { cell, lane: terms.lane.map(LaneId), deadline })
    }

    pub(crate) fn new_cell(&mut self) -> (u64, TestCell) {
        self.cells += 1;
        (self.cells, Shared::new(Cell::new(self.cells)))
    }

    pub(crate) fn accepted(&mut self, ticket: Ticket, number: Number) {
        assert_eq!(ticket.number, number);
        self.tickets.insert(number, ticket);
    }

    fn shed(&mut self, cell: TestCell, expected: u64) {
        assert_eq!(value(cell), expected);
        self.unpublished.push(1);
    }

    pub(crate) fn admit(&mut self, terms: Terms, fx: &mut Effects) {
        let (entrant, request) = self.submission(terms);
        match (self.engine.admit(request, fx), self.oracle.admit(entrant)) {
            (Admission::Accepted(ticket), Admitted::Accepted(number)) => self.accepted(ticket, number),
            (Admission::Shedding(ticket, cell), Admitted::Shedding(number, shed)) => {
                self.accepted(ticket, number);
                self.shed(cell, shed);
            }
            (Admission::Full(back), Admitted::Full) | (Admission::Closed(back), Admitted::Closed) => {
                assert_eq!(value(back), entrant.cell);
            }
            (admission, expected) => panic!("{admission:?} instead of {expected:?}"),
        }
    }

    pub(crate) fn admit_or_wait(&mut self, terms: Terms, fx: &mut Effects) {
        if self.oracle.limits.overflow != Overflow::Wait {
            return self.admit(terms, fx);
        }
        let (entrant, request) = self.submission(terms);
        let (waker_id, waker) = self.new_waker();
        let id = self.new_id();
        match (self.engine.admit_or_wait(request, waker, fx), self.oracle.admit_or_wait(entrant, id, waker_id)) {
            (Entry::Accepted(ticket), Admitted::Accepted(number)) => self.accepted(ticket, number),
            (Entry::Waiting(key), Admitted::Waiting) => self.lines.push((id, key, waker_id)),
            (Entry::Closed(back), Admitted::Closed) => assert_eq!(value(back), entrant.cell),
            (entry, expected) => panic!("{entry:?} instead of {expected:?}"),
        }
    }

    pub(crate) fn reserve(&mut self, fx: &mut Effects) {
        let (waker_id, waker) = self.new_waker();
        let id = self.new_id();
        match (self.engine.reserve(waker, fx), self.oracle.reserve(id, waker_id)) {
            (Reservation::Granted(permit), Admitted::Accepted(_)) => self.permits.push(permit),
            (Reservation::Shedding(permit, cell), Admitted::Shedding(_, shed)) => {
                self.permits.push(permit);
                self.shed(cell, shed);
            }
            (Reservation::Waiting(key), Admitted::Waiting) => self.lines.push((id, key, waker_id)),
            (Reservation::Full, Admitted::Full) | (Reservation::Closed, Admitted::Closed) => {}
            (reservation, expected) => panic!("{reservation:?} instead of {expected:?}"),
        }
    }

    pub(crate) fn poll_wait(&mut self, n: usize, other_task: bool) {
        if self.lines.is_empty() {
            return;
        }
        let at = n % self.lines.len();
        let (id, key, mut waker_id) = self.lines[at];
        let mut waker = self.log.waker(waker_id);
        if other_task {
            (waker_id, waker) = self.new_waker();
        }
        match self.engine.poll_wait(key, &waker) {
            Poll::Pending => {
                match self.oracle.waiters.get_mut(&id) {
                    Some(Wait::ForRoom { waker, .. } | Wait::ForLane { waker, .. } | Wait::ForPermit { waker }) => {
                        *waker = waker_id;
                    }
                    over => panic!("pending, and {over:?}"),
                }
                self.lines[at].2 = waker_id;
            }
            Poll::Ready(waited) => {
                self.lines.swap_remove(at);
                let waits = matches!(
                    self.oracle.waiters[&id],
                    Wait::ForRoom { .. } | Wait::ForLane { .. } | Wait::ForPermit { .. }
                );
                assert!(!waits, "{waited:?} of one that waits");
                self.waited(id, waited);
            }
        }
    }

    pub(crate) fn leave_line(&mut self, n: usize, fx: &mut Effects) {
        if !self.lines.is_empty() {
            let (id, key, _): (usize, Key, WakerId) = self.lines.swap_remove(n % self.lines.len());
            let waited = self.engine.leave_line(key, fx);
            self.waited(id, waited);
        }
    }

    fn waited(&mut self, id: usize, waited: Waited<TestCell>) {
        match (waited, self.oracle.leave_line(id)) {
            (Waited::Accepted(ticket), Wait::Accepted(number)) => self.accepted(ticket, number),
            (Waited::Granted(permit), Wait::Granted) => self.permits.push(permit),
            (Waited::Closed(back), Wait::Closed { cell }) => assert_eq!(back.map(value), cell),
            (Waited::Left(back), Wait::ForRoom { entrant, .. } | Wait::ForLane { entrant, .. }) => {
                assert_eq!(back.map(value), Some(entrant.cell));
            }
            (Waited::Left(back), Wait::ForPermit { .. }) => assert!(back.is_none()),
            (waited, expected) => panic!("{waited:?} instead of {expected:?}"),
        }
    }

    pub(crate) fn redeem(&mut self, n: usize, fx: &mut Effects) {
        if self.permits.is_empty() {
            return;
        }
        let permit = self.permits.swap_remove(n % self.permits.len());
        let (id, cell) = self.new_cell();
        let filled = self.engine.redeem(permit, cell, fx).map_err(value);
        self.oracle.permits -= 1;
        if self.oracle.phase > crate::kernel::engine::Phase::Closed {
            assert_eq!(filled, Err(id));
            self.oracle.serve_line();
        } else {
            let number = self.oracle.accept(Entrant { cell: id, lane: None, deadline: None });
            self.oracle.balance();
            self.accepted(filled.expect("a permit that is honoured"), number);
        }
    }

    pub(crate) fn release(&mut self, n: usize, fx: &mut Effects) {
        if !self.permits.is_empty() {
            self.engine.release(self.permits.swap_remove(n % self.permits.len()), fx);
            self.oracle.permits -= 1;
            self.oracle.serve_line();
            self.oracle.balance();
        }
    }
}
