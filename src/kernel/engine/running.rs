//! Running: what a runner asks of the engine between its attempts, and during one.

use super::{Bin, Clock, Due, Effects, Engine, NEVER, Phase, Standing, State, Ticket, Ticks};
use crate::kernel::alarms::Alarm;
use crate::kernel::cell::Cell;
use crate::kernel::slab::Key;
use std::collections::VecDeque;
use std::sync::Arc;
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

/// A claimed job that has ended and is to be counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    pub(crate) key: Key,
    pub(crate) bin: Bin,
    /// Whether there was an attempt.
    pub(crate) attempted: bool,
}

/// A claimed job that is to wait for another attempt.
#[derive(Debug)]
pub(crate) struct Parking<C> {
    pub(crate) ticket: Ticket,
    pub(crate) cell: C,
    pub(crate) due: Ticks,
    pub(crate) deadline: Ticks,
}

/// What a claimed job can tell of itself: whether the runner that took it along has started it.
pub(crate) trait Claimed: Clone {
    /// Takes the job back from that runner, which will not start it; `false` if it has.
    fn reclaim(&self) -> bool;
    /// Whether it has been taken back.
    fn is_reclaimed(&self) -> bool;
    /// The job waits again: its value may be taken by the next one that is chosen, and not before.
    fn restore(&self);
}

impl<V, O> Claimed for Arc<Cell<V, O>> {
    fn reclaim(&self) -> bool {
        Cell::reclaim(self)
    }

    fn is_reclaimed(&self) -> bool {
        Cell::is_reclaimed(self)
    }

    fn restore(&self) {
        Cell::restore(self);
    }
}

/// The jobs that a runner has claimed and not started, and how many it may claim at once.
///
/// One job at a time is the rule. A runner whose jobs have been short may claim its fair share of the queue, so that a
/// lock operation serves several jobs. They stay within reach: the first await of one gives the others back
/// ([`Engine::suspend`]), and while one blocks its thread the others can still be cancelled, run out of time and be swept.
#[derive(Debug)]
pub(crate) struct Batch<C> {
    pub(crate) claims: VecDeque<Claim<C>>,
    /// The most jobs to claim at once.
    pub(crate) burst: usize,
    /// Whether the engine counts this runner as having a job.
    busy: bool,
}

impl<C> Batch<C> {
    pub(crate) const fn new() -> Self {
        Self { claims: VecDeque::new(), burst: 1, busy: false }
    }

    pub(super) fn is_busy(&self) -> bool {
        self.busy
    }
}

impl<C: Claimed, K: Clock> Engine<C, K> {
    /// A spawned runner's first call: claims. With nothing claimed, leave.
    pub(crate) fn arrive(&self, batch: &mut Batch<C>, fx: &mut Effects) {
        let now = self.now();
        let mut state = self.state.lock();
        state.starting -= 1;
        batch.burst = state.burst;
        state.claim(batch, now);
        state.balance(fx);
    }

    /// Counts what has ended and, if nothing is claimed, claims. With nothing claimed, publish and leave.
    #[inline]
    pub(crate) fn turn(&self, ended: impl Iterator<Item = Ended>, batch: &mut Batch<C>, fx: &mut Effects) {
        let now = self.now();
        let mut state = self.state.lock();
        state.burst = batch.burst;
        state.count(ended, now, fx);
        state.claim(batch, now);
        state.balance(fx);
    }

    /// Counts what has ended, and claims nothing: the runner is about to let others run.
    pub(crate) fn pause(&self, ended: impl Iterator<Item = Ended>, batch: &mut Batch<C>, fx: &mut Effects) {
        let now = self.now();
        let mut state = self.state.lock();
        state.count(ended, now, fx);
        state.active -= usize::from(std::mem::take(&mut batch.busy));
        state.balance(fx);
    }

    /// Parks a claimed job, and is a [`turn`](Self::turn). Gives it back, with nothing done, if it cannot be parked.
    pub(crate) fn park(
        &self,
        parking: Parking<C>,
        ended: impl Iterator<Item = Ended>,
        batch: &mut Batch<C>,
        fx: &mut Effects,
    ) -> Result<(), (Phase, C)> {
        let now = self.now();
        let mut state = self.state.lock();
        let state = &mut *state;
        if let Err(phase) = state.may_park() {
            return Err((phase, parking.cell));
        }
        state.count(ended, now, fx);
        state.claimed -= 1;
        state.parked += 1;
        state.totals.attempts += 1;
        state.totals.retries += 1;
        let key = parking.ticket.key;
        // Under the engine's lock: before it, the place still says that its runner has the job.
        parking.cell.restore();
        let place = state.places.get_mut(key).expect("a claimed job holds its place");
        let parked = Standing::Parked(parking.cell);
        if let Standing::Suspended(_, waker) = std::mem::replace(&mut place.standing, parked) {
            state.suspended -= 1;
            fx.wakers.extend(waker.map(Due::Drop));
        }
        // A job that was taken along has kept its alarm.
        state.alarms.clear(&mut state.places, key);
        state.alarms.set(&mut state.places, Alarm { due: parking.due, deadline: parking.deadline, owner: key });
        state.claim(batch, now);
        state.balance(fx);
        Ok(())
    }

    /// Whether a job may be parked, at this moment.
    pub(crate) fn may_park(&self) -> Result<(), Phase> {
        self.state.lock().may_park()
    }

    /// Notes that the running job's future is pending, and whom to wake if it is cancelled. Counts what has ended
    /// and gives back what is claimed: a job that waits holds up no other. Returns whether the pool has been aborted.
    pub(crate) fn suspend(
        &self,
        (ticket, cell, waker): (Ticket, C, Waker),
        ended: impl Iterator<Item = Ended>,
        batch: &mut Batch<C>,
        fx: &mut Effects,
    ) -> bool {
        let now = self.now();
        let mut state = self.state.lock();
        let state = &mut *state;
        // From here on the runner keeps the job's time.
        state.alarms.clear(&mut state.places, ticket.key);
        let place = state.places.get_mut(ticket.key).expect("a claimed job holds its place");
        let suspended = Standing::Suspended(cell, Some(waker));
        match std::mem::replace(&mut place.standing, suspended) {
            Standing::Suspended(_, old) => fx.wakers.extend(old.map(Due::Drop)),
            _ => state.suspended += 1,
        }
        batch.burst = 1;
        state.burst = 1;
        state.count(ended, now, fx);
        state.give_back(batch);
        let aborted = state.phase == Phase::Aborted;
        state.balance(fx);
        aborted
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

    /// Leaves, unless work has come in and is now claimed. `true`: the caller is no longer a runner.
    pub(crate) fn leave(&self, batch: &mut Batch<C>, fx: &mut Effects) -> bool {
        let now = self.now();
        let mut state = self.state.lock();
        state.claim(batch, now);
        let leaves = batch.claims.is_empty();
        if leaves {
            state.runners -= 1;
        }
        state.balance(fx);
        state.note_idle(fx);
        leaves
    }

    /// Lets the caller look once more before it leaves: until then it counts as starting. `false`: another is.
    pub(crate) fn linger(&self) -> bool {
        let mut state = self.state.lock();
        let lingers = state.starting == 0 && state.phase < Phase::Aborted;
        state.starting += usize::from(lingers);
        lingers
    }
}

impl<C: Claimed> State<C> {
    /// Counts the outcomes of claimed jobs and frees their places.
    #[inline]
    pub(super) fn count(&mut self, ended: impl Iterator<Item = Ended>, now: Ticks, fx: &mut Effects) {
        for Ended { key, bin, attempted } in ended {
            self.claimed -= 1;
            self.totals.attempts += u64::from(attempted);
            if let Some(Standing::Suspended(_, waker)) = self.places.get_mut(key).map(|place| &mut place.standing) {
                self.suspended -= 1;
                fx.wakers.extend(waker.take().map(Due::Drop));
            } else if !self.alarms.is_empty() {
                self.alarms.clear(&mut self.places, key);
            }
            // The cell that goes with a suspended place is not the last owner: the runner publishes to another.
            self.free(key, bin, now, fx);
        }
    }

    fn may_park(&self) -> Result<(), Phase> {
        let full = self.parked >= self.limits.max_parked;
        if full || self.phase == Phase::Aborted { Err(self.phase) } else { Ok(()) }
    }

    /// Claims from the front of the queue if nothing is claimed and the calling runner's slot is within the limit.
    #[inline]
    fn claim(&mut self, batch: &mut Batch<C>, now: Ticks) {
        if !batch.claims.is_empty() {
            return;
        }
        if self.slots_used() <= self.limits.concurrency {
            // The fair share leaves as much to every other runner that can be polled at the same instant.
            let share = self.ready.len().div_ceil(self.limits.parallelism);
            for nth in 0..share.min(batch.burst) {
                let Some(claim) = self.claim_one(nth > 0, now) else { break };
                batch.claims.push_back(claim);
            }
        }
        let busy = !batch.claims.is_empty();
        self.active += usize::from(busy);
        self.active -= usize::from(batch.busy);
        self.peak_running = self.peak_running.max(self.active);
        batch.busy = busy;
    }

    /// Claims the front of the queue. One that is taken along stays within reach, its alarm set.
    #[inline]
    fn claim_one(&mut self, along: bool, now: Ticks) -> Option<Claim<C>> {
        let key = self.ready.pop_front(&mut self.places)?;
        self.claimed += 1;
        let mut deadline = NEVER;
        if !self.alarms.is_empty() {
            let alarm =
                if along { self.alarms.get(&mut self.places, key) } else { self.alarms.clear(&mut self.places, key) };
            deadline = alarm.map_or(NEVER, |alarm| alarm.deadline);
        }
        let place = self.places.get_mut(key).expect("a ready job holds its place");
        // The place keeps the low half; the job is one of the last 2^32 that were accepted.
        let latest = self.totals.accepted - 1;
        let number = latest - u64::from((latest as u32).wrapping_sub(place.number));
        let Standing::Queued(cell) = std::mem::replace(&mut place.standing, Standing::Active) else {
            unreachable!("a ready job is queued")
        };
        if along {
            place.standing = Standing::Taken(cell.clone());
        }
        Some(Claim { ticket: Ticket { key, number }, cell, deadline, late: deadline <= now })
    }

    /// Puts what is claimed and not started back to where it was.
    fn give_back(&mut self, batch: &mut Batch<C>) {
        while let Some(Claim { ticket, cell, .. }) = batch.claims.pop_back() {
            // What has been taken back in the meantime has its outcome, and its place may be another job's.
            if !cell.is_reclaimed() {
                self.claimed -= 1;
                let place = self.places.get_mut(ticket.key).expect("a claimed job holds its place");
                place.standing = Standing::Queued(cell);
                self.ready.push_front(&mut self.places, ticket.key);
            }
        }
    }
}
