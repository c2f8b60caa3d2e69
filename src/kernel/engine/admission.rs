//! Admission: accepting jobs, the line of those who wait for room, and permits.

use super::line::Waiter;
use super::{Bin, Clock, Effects, Engine, Key, LaneId, Link, Now, Phase, Place, Standing, State, Ticket, Ticks};
use std::task::Waker;

/// What becomes of a submission for which there is no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Overflow {
    /// It waits, first come first served.
    #[default]
    Wait,
    /// It is refused.
    Reject,
    /// The job that has waited longest for a slot makes room; without one, the submission is refused.
    DropOldest,
}

/// A job that asks to be let in.
#[derive(Debug)]
pub(crate) struct Request<C> {
    pub(crate) cell: C,
    /// Its key, if it has one.
    pub(crate) lane: Option<LaneId>,
    /// How long after its acceptance it may be in the system, if that differs from the rule.
    pub(crate) deadline: Option<Ticks>,
}

/// The same, counted in by its lane.
#[derive(Debug)]
pub(super) struct Entrant<C> {
    pub(super) cell: C,
    pub(super) lane: Link,
    deadline: Option<Ticks>,
}

/// The answer to a submitter that does not wait.
#[derive(Debug)]
pub(crate) enum Admission<C> {
    /// The job is in the system.
    Accepted(Ticket),
    /// The same, and the one whose cell this is has been shed for it: publish it, then call [`Engine::published`].
    Shedding(Ticket, C),
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

/// The answer to one that wants a permit.
#[derive(Debug)]
pub(crate) enum Reservation<C> {
    /// A place is kept.
    Granted(Key),
    /// The same, and a job has been shed for it: publish it, then call [`Engine::published`].
    Shedding(Key, C),
    /// The caller stands in line under this key.
    Waiting(Key),
    /// No room, and waiting is not the rule.
    Full,
    /// Nothing is admitted any more.
    Closed,
}

impl<C> Entrant<C> {
    /// A job without a key, under the rules of the pool.
    pub(super) fn plain(cell: C) -> Self {
        Self { cell, lane: Link::NONE, deadline: None }
    }
}

impl<C, K: Clock> Engine<C, K> {
    /// The time for a job that is let in: read before the lock is taken, if it will be needed.
    #[inline]
    pub(super) fn now_for(&self, deadline: Option<Ticks>) -> Now<'_, K> {
        if self.timed || deadline.is_some() { Now::read(&self.clock) } else { self.now() }
    }

    /// Accepts the job if there is room now, or if room may be made for it.
    #[inline]
    pub(crate) fn admit(&self, request: Request<C>, fx: &mut Effects) -> Admission<C> {
        let now = self.now_for(request.deadline);
        let mut state = self.lock();
        if state.phase > Phase::Open {
            return Admission::Closed(request.cell);
        }
        if request.lane.is_none() && state.has_room() {
            let entrant = Entrant { cell: request.cell, lane: Link::NONE, deadline: request.deadline };
            let ticket = state.accept(entrant, &now);
            state.balance(fx);
            return Admission::Accepted(ticket);
        }
        let admission = state.admit_with_effort(request, &now, fx);
        state.balance(fx);
        admission
    }

    /// Accepts the job, or puts it in line.
    pub(crate) fn admit_or_wait(&self, request: Request<C>, waker: Waker, fx: &mut Effects) -> Entry<C> {
        let now = self.now_for(request.deadline);
        let mut state = self.lock();
        let Request { cell, lane, deadline } = request;
        if state.phase > Phase::Open {
            fx.drop(waker);
            return Entry::Closed(cell);
        }
        let lane = match lane.map(|id| state.enter_lane(id)) {
            Some(Err(lane)) => {
                let waiter = Waiter::ForLane(Entrant { cell, lane: lane.into(), deadline }, waker);
                return Entry::Waiting(state.stand_in_lane(lane, waiter));
            }
            Some(Ok(lane)) => lane.into(),
            None => Link::NONE,
        };
        let entrant = Entrant { cell, lane, deadline };
        if !state.has_room() {
            return Entry::Waiting(state.stand_in_line(Waiter::ForRoom(entrant, waker)));
        }
        fx.drop(waker);
        let ticket = state.accept(entrant, &now);
        state.balance(fx);
        Entry::Accepted(ticket)
    }

    /// Grants a place without a job, or puts the caller in line for one.
    pub(crate) fn reserve(&self, waker: Waker, fx: &mut Effects) -> Reservation<C> {
        let now = self.now();
        let mut state = self.lock();
        if state.phase > Phase::Open {
            fx.drop(waker);
            return Reservation::Closed;
        }
        if !state.has_room() && state.limits.overflow == Overflow::Wait {
            return Reservation::Waiting(state.stand_in_line(Waiter::ForPermit(waker)));
        }
        fx.drop(waker);
        let shed = if state.has_room() { None } else { state.make_room(&now, fx) };
        if !state.has_room() {
            return Reservation::Full;
        }
        let place = state.grant();
        state.balance(fx);
        match shed {
            Some(shed) => Reservation::Shedding(place, shed),
            None => Reservation::Granted(place),
        }
    }

    /// Uses a permit. The cell comes back if a shutdown has revoked it.
    pub(crate) fn redeem(&self, permit: Key, cell: C, fx: &mut Effects) -> Result<Ticket, C> {
        let now = self.now_for(None);
        let mut state = self.lock();
        if state.phase > Phase::Closed {
            state.release(permit, &now, fx);
            return Err(cell);
        }
        let ticket = state.seat(permit, cell, &now);
        state.balance(fx);
        Ok(ticket)
    }

    /// Gives a permit back unused.
    pub(crate) fn release(&self, permit: Key, fx: &mut Effects) {
        let now = self.now();
        let mut state = self.lock();
        state.release(permit, &now, fx);
        state.balance(fx);
    }
}

impl<C> State<C> {
    #[inline]
    pub(super) fn has_room(&self) -> bool {
        self.places.len() + self.held < self.limits.capacity
    }

    /// Accepts a job that has a key, or for which there is no room as it is.
    fn admit_with_effort<K: Clock>(&mut self, request: Request<C>, now: &Now<'_, K>, fx: &mut Effects) -> Admission<C> {
        let Request { cell, lane: id, deadline } = request;
        let mut shed = None;
        let mut lane = Link::NONE;
        if let Some(id) = id {
            match self.enter_lane(id) {
                Ok(entered) => lane = entered.into(),
                Err(full) => {
                    shed = self.make_room_in(full, now, fx);
                    match shed.is_some().then(|| self.enter_lane(id)) {
                        Some(Ok(entered)) => lane = entered.into(),
                        _ => return Admission::Full(cell),
                    }
                }
            }
        }
        // A job that was shed has left its place: where jobs are shed nobody stands in line for it.
        debug_assert!(shed.is_none() || self.has_room(), "room that was made is there");
        if !self.has_room() {
            shed = self.make_room(now, fx);
        }
        if !self.has_room() {
            if let Some(lane) = lane.get() {
                self.release_lane(lane);
            }
            return Admission::Full(cell);
        }
        let ticket = self.accept(Entrant { cell, lane, deadline }, now);
        match shed {
            Some(shed) => Admission::Shedding(ticket, shed),
            None => Admission::Accepted(ticket),
        }
    }

    /// Sheds the job that has waited longest for a slot, if that is the rule and there is one.
    fn make_room<K: Clock>(&mut self, now: &Now<'_, K>, fx: &mut Effects) -> Option<C> {
        let oldest = self.ready.front().or_else(|| {
            let lane = self.lanes.backlogged.front()?;
            self.lanes.get_mut(lane).queue.front()
        });
        self.shed(oldest?, now, fx)
    }

    /// The same among the jobs of one key.
    fn make_room_in<K: Clock>(&mut self, lane: Key, now: &Now<'_, K>, fx: &mut Effects) -> Option<C> {
        let lane = self.lanes.get_mut(lane);
        let mut oldest = lane.head.into_iter().chain(lane.queue.front());
        let queued = |key: &Key| matches!(self.places.get(*key).map(|p| &p.standing), Some(Standing::Queued(_)));
        let oldest = oldest.find(queued)?;
        self.shed(oldest, now, fx)
    }

    fn shed<K: Clock>(&mut self, oldest: Key, now: &Now<'_, K>, fx: &mut Effects) -> Option<C> {
        if self.limits.overflow != Overflow::DropOldest {
            return None;
        }
        let cell = self.unlist(oldest)?;
        self.publishing += 1;
        self.free(oldest, Bin::Shed, now, fx);
        Some(cell)
    }

    pub(super) fn grant(&mut self) -> Key {
        self.reserved += 1;
        self.places.insert(Place::reserved())
    }

    #[inline]
    pub(super) fn accept<K: Clock>(&mut self, entrant: Entrant<C>, now: &Now<'_, K>) -> Ticket {
        let number = self.totals.accepted as u32;
        let Entrant { cell, lane, deadline } = entrant;
        let key =
            self.places.insert_with(|_| Place { standing: Standing::Queued(cell), alarm: Link::NONE, number, lane });
        self.enqueue(key, lane, deadline, now)
    }

    /// The job of a place that was just taken joins its queue.
    #[inline]
    fn enqueue<K: Clock>(&mut self, key: Key, lane: Link, deadline: Option<Ticks>, now: &Now<'_, K>) -> Ticket {
        let number = self.totals.accepted;
        self.totals.accepted += 1;
        match lane.get() {
            None => self.ready.push_back(&mut self.places, key),
            Some(lane) => self.join_lane(lane, key),
        }
        self.doubt(now);
        if let Some(deadline) = deadline.or(self.limits.deadline) {
            let due = now.ticks().saturating_add(deadline);
            self.set_alarm(key, due, due);
        }
        Ticket { key, number }
    }

    /// A permit's place is its job's from here on.
    pub(super) fn seat<K: Clock>(&mut self, permit: Key, cell: C, now: &Now<'_, K>) -> Ticket {
        let number = self.totals.accepted as u32;
        let place = self.places.get_mut(permit).expect("a permit has a place");
        (place.standing, place.number) = (Standing::Queued(cell), number);
        self.reserved -= 1;
        self.enqueue(permit, Link::NONE, None, now)
    }

    pub(super) fn release<K: Clock>(&mut self, permit: Key, now: &Now<'_, K>, fx: &mut Effects) {
        self.places.remove(permit);
        self.reserved -= 1;
        self.admit_line(now, fx);
    }
}
