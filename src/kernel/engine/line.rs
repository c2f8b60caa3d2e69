//! The line: submitters that wait for room, in the pool's own line or, behind a full lane, in that of their key.

use super::admission::Entrant;
use super::{Clock, Effects, Engine, Key, Now, State, Ticket};
use std::task::{Poll, Waker};

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

/// A submitter's entry. In `line` while it is `ForRoom` or `ForPermit`, in that of its lane while it is `ForLane`.
#[derive(Debug)]
pub(super) enum Waiter<C> {
    ForRoom(Entrant<C>, Waker),
    ForLane(Entrant<C>, Waker),
    ForPermit(Waker),
    Accepted(Ticket),
    Granted(Key),
    Closed(Option<C>),
}

impl<C, K: Clock> Engine<C, K> {
    /// Looks whether a wait is over; if not, `waker` will be woken when it is.
    pub(crate) fn poll_wait(&self, key: Key, waker: &Waker) -> Poll<Waited<C>> {
        let mut state = self.lock();
        match state.waiters.get_mut(key).and_then(Waiter::waker) {
            Some(known) if known.will_wake(waker) => return Poll::Pending,
            Some(_) => {}
            None => return Poll::Ready(state.waiters.take(key).ended()),
        }
        drop(state);
        let mut waker = waker.clone();
        let mut state = self.lock();
        match state.waiters.get_mut(key).and_then(Waiter::waker) {
            Some(known) => std::mem::swap(known, &mut waker),
            None => return Poll::Ready(state.waiters.take(key).ended()),
        }
        drop(state);
        Poll::Pending
    }

    /// Gives a wait up. Says what had happened by then.
    pub(crate) fn leave_line(&self, key: Key, fx: &mut Effects) -> Waited<C> {
        let mut state = self.lock();
        let state = &mut *state;
        if let Some(Waiter::ForRoom(..) | Waiter::ForPermit(_)) = state.waiters.get(key) {
            state.line.unlink(&mut state.waiters, key);
        } else if let Some(Waiter::ForLane(entrant, _)) = state.waiters.get(key) {
            let lane = entrant.lane.get().expect("who waits for a lane has one");
            state.leave_lane_line(lane, key);
        }
        match state.waiters.take(key) {
            Waiter::ForRoom(entrant, waker) => {
                fx.drop(waker);
                if let Some(lane) = entrant.lane.get() {
                    state.release_lane(lane);
                }
                Waited::Left(Some(entrant.cell))
            }
            Waiter::ForLane(entrant, waker) => {
                fx.drop(waker);
                Waited::Left(Some(entrant.cell))
            }
            Waiter::ForPermit(waker) => {
                fx.drop(waker);
                Waited::Left(None)
            }
            ended => ended.ended(),
        }
    }
}

impl<C> State<C> {
    pub(super) fn stand_in_line(&mut self, waiter: Waiter<C>) -> Key {
        let key = self.waiters.insert(waiter);
        self.line.push_back(&mut self.waiters, key);
        key
    }

    /// A submitter that waited for its lane waits for room from here on.
    pub(super) fn promote(&mut self, key: Key) {
        let waiter = self.waiters.get_mut(key).expect("a waiter in its lane's line");
        match std::mem::replace(waiter, Waiter::Closed(None)) {
            Waiter::ForLane(entrant, waker) => *waiter = Waiter::ForRoom(entrant, waker),
            other => unreachable!("not in a lane's line: {}", other.name()),
        }
        self.line.push_back(&mut self.waiters, key);
    }

    /// Restores invariant 1: hands free places to those who wait, in order.
    pub(super) fn admit_line<K: Clock>(&mut self, now: &Now<'_, K>, fx: &mut Effects) {
        while !self.line.is_empty() && self.has_room() {
            let Some(key) = self.line.pop_front(&mut self.waiters) else { return };
            let waiter = self.waiters.get_mut(key).expect("a waiter in line");
            let (ended, waker) = match std::mem::replace(waiter, Waiter::Closed(None)) {
                Waiter::ForRoom(entrant, waker) => (Waiter::Accepted(self.accept(entrant, now)), waker),
                Waiter::ForPermit(waker) => (Waiter::Granted(self.grant()), waker),
                other => unreachable!("not in line: {}", other.name()),
            };
            *self.waiters.get_mut(key).expect("a waiter in line") = ended;
            fx.wake(waker);
        }
    }

    /// Turns everybody away who waits, in the pool's line or in that of a lane.
    pub(super) fn dismiss_line(&mut self, fx: &mut Effects) {
        for lane in self.lanes.with_waiters() {
            while let Some(key) = self.lanes.get_mut(lane).line.front() {
                self.leave_lane_line(lane, key);
                self.dismiss(key, fx);
            }
        }
        while let Some(key) = self.line.pop_front(&mut self.waiters) {
            self.dismiss(key, fx);
        }
    }

    fn dismiss(&mut self, key: Key, fx: &mut Effects) {
        let waiter = self.waiters.get_mut(key).expect("a waiter in line");
        match std::mem::replace(waiter, Waiter::Closed(None)) {
            Waiter::ForRoom(entrant, waker) => {
                *waiter = Waiter::Closed(Some(entrant.cell));
                fx.wake(waker);
                if let Some(lane) = entrant.lane.get() {
                    self.release_lane(lane);
                }
            }
            Waiter::ForLane(entrant, waker) => {
                *waiter = Waiter::Closed(Some(entrant.cell));
                fx.wake(waker);
            }
            Waiter::ForPermit(waker) => fx.wake(waker),
            other => unreachable!("not in line: {}", other.name()),
        }
    }
}

impl<C> Waiter<C> {
    /// What wakes it, while it waits.
    fn waker(&mut self) -> Option<&mut Waker> {
        match self {
            Waiter::ForRoom(_, waker) | Waiter::ForLane(_, waker) | Waiter::ForPermit(waker) => Some(waker),
            Waiter::Accepted(_) | Waiter::Granted(_) | Waiter::Closed(_) => None,
        }
    }

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
            Waiter::ForLane(..) => "ForLane",
            Waiter::ForPermit(_) => "ForPermit",
            Waiter::Accepted(_) => "Accepted",
            Waiter::Granted(_) => "Granted",
            Waiter::Closed(_) => "Closed",
        }
    }
}
