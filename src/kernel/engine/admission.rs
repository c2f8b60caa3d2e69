//! Admission: accepting jobs, the line of those who wait for room, and permits.

use super::{Claimed, Clock, Effects, Engine, Key, Phase, Place, SILENT, Standing, State, Ticket, Ticks};
use crate::kernel::alarms::Alarm;
use std::task::{Poll, Waker};

/// The answer to a submitter that does not wait.
#[derive(Debug)]
pub(crate) enum Admission<C> {
    /// The job is in the system.
    Accepted(Ticket),
    /// No room; the cell comes back.
    Full(C),
    /// Nothing is admitted any more; the cell comes back.
    Closed(C),
}

/// The answer to one that does.
#[derive(Debug)]
pub(crate) enum Entry<C> {
    /// The job is in the system.
    Accepted(Ticket),
    /// The submitter stands in line under this key.
    Waiting(Key),
    /// Nothing is admitted any more; the cell comes back.
    Closed(C),
}

/// How a wait ended, or was given up.
#[derive(Debug)]
pub(crate) enum Waited<C> {
    /// The job was accepted, maybe some time ago.
    Accepted(Ticket),
    /// The permit was granted.
    Granted(Key),
    /// The pool was closed; the cell comes back, if there was one.
    Closed(Option<C>),
    /// The wait was given up before anything happened; the cell comes back, if there was one.
    Left(Option<C>),
}

/// A submitter's entry. In `line` while it is `ForRoom` or `ForPermit`.
#[derive(Debug)]
pub(super) enum Waiter<C> {
    ForRoom(C, Waker),
    ForPermit(Waker),
    Accepted(Ticket),
    Granted(Key),
    Closed(Option<C>),
}

impl<C: Claimed, K: Clock> Engine<C, K> {
    /// Accepts the job if there is room now.
    #[inline]
    pub(crate) fn admit(&self, cell: C, fx: &mut Effects) -> Admission<C> {
        let now = self.now();
        let mut state = self.state.lock();
        if state.phase > Phase::Open {
            return Admission::Closed(cell);
        }
        if !state.has_room() {
            return Admission::Full(cell);
        }
        let ticket = state.accept(cell, now);
        state.balance(fx);
        Admission::Accepted(ticket)
    }

    /// Accepts the job, or puts it in line.
    pub(crate) fn admit_or_wait(&self, cell: C, waker: Waker, fx: &mut Effects) -> Entry<C> {
        let now = self.now();
        let mut state = self.state.lock();
        if state.phase > Phase::Open {
            fx.drop(waker);
            return Entry::Closed(cell);
        }
        if !state.has_room() {
            return Entry::Waiting(state.stand_in_line(Waiter::ForRoom(cell, waker)));
        }
        fx.drop(waker);
        let ticket = state.accept(cell, now);
        state.balance(fx);
        Entry::Accepted(ticket)
    }

    /// Grants a place without a job, or puts the caller in line for one. `None`: closed.
    pub(crate) fn reserve_or_wait(&self, waker: Waker, fx: &mut Effects) -> Option<Result<Key, Key>> {
        let mut state = self.state.lock();
        if state.phase > Phase::Open {
            fx.drop(waker);
            return None;
        }
        if !state.has_room() {
            return Some(Err(state.stand_in_line(Waiter::ForPermit(waker))));
        }
        fx.drop(waker);
        Some(Ok(state.grant()))
    }

    /// Looks whether a wait is over; if not, `waker` will be woken when it is.
    pub(crate) fn poll_wait(&self, key: Key, waker: &Waker) -> Poll<Waited<C>> {
        let mut state = self.state.lock();
        match state.waiters.get(key) {
            Some(Waiter::ForRoom(_, known) | Waiter::ForPermit(known)) if known.will_wake(waker) => {
                return Poll::Pending;
            }
            Some(Waiter::ForRoom(..) | Waiter::ForPermit(_)) => {}
            _ => return Poll::Ready(state.waiters.take(key).ended()),
        }
        drop(state);
        let mut waker = waker.clone();
        let mut state = self.state.lock();
        match state.waiters.get_mut(key) {
            Some(Waiter::ForRoom(_, known) | Waiter::ForPermit(known)) => std::mem::swap(known, &mut waker),
            _ => return Poll::Ready(state.waiters.take(key).ended()),
        }
        drop(state);
        Poll::Pending
    }

    /// Gives a wait up. Says what had happened by then.
    pub(crate) fn leave_line(&self, key: Key, fx: &mut Effects) -> Waited<C> {
        let mut state = self.state.lock();
        let state = &mut *state;
        if matches!(state.waiters.get(key), Some(Waiter::ForRoom(..) | Waiter::ForPermit(_))) {
            state.line.unlink(&mut state.waiters, key);
        }
        match state.waiters.take(key) {
            Waiter::ForRoom(cell, waker) => {
                fx.drop(waker);
                Waited::Left(Some(cell))
            }
            Waiter::ForPermit(waker) => {
                fx.drop(waker);
                Waited::Left(None)
            }
            ended => ended.ended(),
        }
    }

    /// Uses a permit. The cell comes back if a shutdown has revoked it.
    pub(crate) fn fill(&self, permit: Key, cell: C, fx: &mut Effects) -> Result<Ticket, C> {
        let now = self.now();
        let mut state = self.state.lock();
        if state.phase > Phase::Closed {
            state.release(permit, now, fx);
            return Err(cell);
        }
        let ticket = state.seat(permit, cell, now);
        state.reserved -= 1;
        state.balance(fx);
        Ok(ticket)
    }

    /// Gives a permit back unused.
    pub(crate) fn release(&self, permit: Key, fx: &mut Effects) {
        let now = self.now();
        let mut state = self.state.lock();
        state.release(permit, now, fx);
        state.balance(fx);
    }
}

impl<C: Claimed> State<C> {
    #[inline]
    pub(super) fn has_room(&self) -> bool {
        self.places.len() < self.limits.capacity
    }

    fn stand_in_line(&mut self, waiter: Waiter<C>) -> Key {
        let key = self.waiters.insert(waiter);
        self.line.push_back(&mut self.waiters, key);
        key
    }

    pub(super) fn grant(&mut self) -> Key {
        self.reserved += 1;
        self.places.insert(Place { standing: Standing::Reserved, alarm: SILENT, number: 0 })
    }

    #[inline]
    pub(super) fn accept(&mut self, cell: C, now: Ticks) -> Ticket {
        let key = self.places.insert(Place { standing: Standing::Reserved, alarm: SILENT, number: 0 });
        self.seat(key, cell, now)
    }

    /// Turns a place without a job into that of an accepted one.
    #[inline]
    pub(super) fn seat(&mut self, key: Key, cell: C, now: Ticks) -> Ticket {
        let number = self.totals.accepted;
        self.totals.accepted += 1;
        let place = self.places.get_mut(key).expect("a place that was just taken");
        place.standing = Standing::Queued(cell);
        place.number = number as u32;
        self.ready.push_back(&mut self.places, key);
        if let Some(deadline) = self.limits.deadline {
            let due = now.saturating_add(deadline);
            self.alarms.set(&mut self.places, Alarm { due, deadline: due, owner: key });
        }
        Ticket { key, number }
    }

    pub(super) fn release(&mut self, permit: Key, now: Ticks, fx: &mut Effects) {
        self.places.remove(permit);
        self.reserved -= 1;
        self.admit_line(now, fx);
    }

    /// Restores invariant 1: hands free places to those who wait, in order.
    pub(super) fn admit_line(&mut self, now: Ticks, fx: &mut Effects) {
        while !self.line.is_empty() && self.has_room() {
            let Some(key) = self.line.pop_front(&mut self.waiters) else { return };
            let waiter = self.waiters.get_mut(key).expect("a waiter in line");
            let (ended, waker) = match std::mem::replace(waiter, Waiter::Closed(None)) {
                Waiter::ForRoom(cell, waker) => (Waiter::Accepted(self.accept(cell, now)), waker),
                Waiter::ForPermit(waker) => (Waiter::Granted(self.grant()), waker),
                other => unreachable!("not in line: {}", other.name()),
            };
            *self.waiters.get_mut(key).expect("a waiter in line") = ended;
            fx.wake(waker);
        }
    }

    /// Turns everybody in line away.
    pub(super) fn dismiss_line(&mut self, fx: &mut Effects) {
        while let Some(key) = self.line.pop_front(&mut self.waiters) {
            let waiter = self.waiters.get_mut(key).expect("a waiter in line");
            match std::mem::replace(waiter, Waiter::Closed(None)) {
                Waiter::ForRoom(cell, waker) => {
                    *waiter = Waiter::Closed(Some(cell));
                    fx.wake(waker);
                }
                Waiter::ForPermit(waker) => fx.wake(waker),
                other => unreachable!("not in line: {}", other.name()),
            }
        }
    }
}

impl<C> Waiter<C> {
    fn ended(self) -> Waited<C> {
        match self {
            Waiter::Accepted(ticket) => Waited::Accepted(ticket),
            Waiter::Granted(permit) => Waited::Granted(permit),
            Waiter::Closed(cell) => Waited::Closed(cell),
            other => unreachable!("still in line: {}", other.name()),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Waiter::ForRoom(..) => "ForRoom",
            Waiter::ForPermit(_) => "ForPermit",
            Waiter::Accepted(_) => "Accepted",
            Waiter::Granted(_) => "Granted",
            Waiter::Closed(_) => "Closed",
        }
    }
}
