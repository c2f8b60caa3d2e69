//! Running: what a runner asks of the engine between two attempts, and during one.

use super::{Bin, Clock, Effects, Engine, NEVER, Phase, SILENT, Standing, State, Ticket, Ticks};
use crate::kernel::alarms::Alarm;
use std::task::Waker;

/// A job that a runner is to run.
#[derive(Debug)]
pub(crate) struct Claim<C> {
    pub(crate) ticket: Ticket,
    pub(crate) cell: C,
    /// When it must be out of the system, or [`NEVER`].
    pub(crate) deadline: Ticks,
    /// The deadline has passed while it waited: do not start it.
    pub(crate) late: bool,
}

impl<C: Clone, K: Clock> Engine<C, K> {
    /// A spawned runner's first call. `None`: there is nothing to do; leave.
    pub(crate) fn arrive(&self, fx: &mut Effects) -> Option<Claim<C>> {
        let now = self.now();
        let mut state = self.state.lock();
        state.starting -= 1;
        let claim = state.claim(now);
        state.balance(fx);
        claim
    }

    /// Ends a claimed job and claims the next. `None`: publish, then call [`Engine::leave`].
    pub(crate) fn finish(&self, ticket: Ticket, bin: Bin, lent: bool, fx: &mut Effects) -> Option<Claim<C>> {
        let now = self.now();
        let mut state = self.state.lock();
        state.end_attempt(lent);
        let standing = state.free(ticket.key, bin, now, fx);
        let claim = state.claim(now);
        state.balance(fx);
        drop(state);
        drop(standing);
        claim
    }

    /// Whether a job whose attempt failed may still be parked.
    pub(crate) fn may_park(&self) -> Result<(), Phase> {
        let state = self.state.lock();
        match state.phase {
            Phase::Aborted => Err(Phase::Aborted),
            phase if state.parked >= state.limits.max_parked => Err(phase),
            _ => Ok(()),
        }
    }

    /// Parks a claimed job until `due` and claims the next. `Err`: no longer possible; the job is still claimed.
    pub(crate) fn park(
        &self,
        ticket: Ticket,
        cell: &C,
        (due, deadline): (Ticks, Ticks),
        lent: bool,
        fx: &mut Effects,
    ) -> Result<Option<Claim<C>>, Phase> {
        let now = self.now();
        let cell = cell.clone();
        let mut state = self.state.lock();
        let state = &mut *state;
        if state.phase == Phase::Aborted || state.parked >= state.limits.max_parked {
            return Err(state.phase);
        }
        state.end_attempt(lent);
        state.parked += 1;
        state.totals.retries += 1;
        let place = state.places.get_mut(ticket.key).expect("a claimed job holds its place");
        if let Standing::Suspended(_, Some(waker)) = std::mem::replace(&mut place.standing, Standing::Parked(cell)) {
            fx.spent.push(waker);
        }
        debug_assert_eq!(place.alarm, SILENT);
        state.alarms.set(&mut state.places, Alarm { due, deadline, owner: ticket.key });
        let claim = state.claim(now);
        state.balance(fx);
        Ok(claim)
    }

    /// Notes that a claimed job's future is pending, and whom to wake if it is cancelled. Returns whether the
    /// pool has been aborted.
    pub(crate) fn suspend(&self, ticket: Ticket, cell: &C, waker: Waker, fx: &mut Effects) -> bool {
        let cell = cell.clone();
        let mut state = self.state.lock();
        let place = state.places.get_mut(ticket.key).expect("a claimed job holds its place");
        if let Standing::Suspended(_, Some(old)) =
            std::mem::replace(&mut place.standing, Standing::Suspended(cell, Some(waker)))
        {
            fx.spent.push(old);
        }
        state.phase == Phase::Aborted
    }

    /// The job waits for another job of this pool: its slot may be used meanwhile.
    pub(crate) fn lend(&self, fx: &mut Effects) {
        let mut state = self.state.lock();
        state.lent += 1;
        state.balance(fx);
    }

    /// The wait is over. More than `concurrency` may run until one of them ends.
    pub(crate) fn take_back(&self) {
        self.state.lock().lent -= 1;
    }

    /// Leaves, unless work has come in. `None`: the caller is no longer a runner.
    pub(crate) fn leave(&self, fx: &mut Effects) -> Option<Claim<C>> {
        let now = self.now();
        let mut state = self.state.lock();
        if let Some(claim) = state.claim(now) {
            state.balance(fx);
            return Some(claim);
        }
        state.runners -= 1;
        state.balance(fx);
        state.note_idle(fx);
        None
    }
}

impl<C: Clone> State<C> {
    /// The job at the front of the queue, if the calling runner's slot is within the limit.
    fn claim(&mut self, now: Ticks) -> Option<Claim<C>> {
        if self.slots_used() > self.limits.concurrency {
            return None;
        }
        let key = self.ready.pop_front(&mut self.places)?;
        let deadline = self.alarms.clear(&mut self.places, key).map_or(NEVER, |alarm| alarm.deadline);
        let late = deadline <= now;
        self.active += 1;
        self.peak_running = self.peak_running.max(self.active);
        self.totals.attempts += u64::from(!late);
        let place = self.places.get_mut(key).expect("a ready job holds its place");
        // The place keeps the low half; the job is one of the last 2^32 that were accepted.
        let latest = self.totals.accepted - 1;
        let number = latest - u64::from((latest as u32).wrapping_sub(place.number));
        let Standing::Queued(cell) = std::mem::replace(&mut place.standing, Standing::Active) else {
            unreachable!("a ready job is queued")
        };
        Some(Claim { ticket: Ticket { key, number }, cell, deadline, late })
    }

    fn end_attempt(&mut self, lent: bool) {
        self.active -= 1;
        self.lent -= usize::from(lent);
    }
}
