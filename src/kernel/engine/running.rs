//! Running: what a runner asks of the engine between its attempts, and during one.

use super::claims::Batch;
use super::tray::Here;
use super::{Bin, Clock, Effects, Engine, NEVER, Now, Phase, Standing, State, Tempo, Ticket, Ticks};
use crate::kernel::bell::{Bell, Signal};
use crate::kernel::slab::Key;

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

/// Why a job cannot be parked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unparkable {
    /// As many as may be are parked.
    Full,
    /// The pool is being aborted.
    Aborted,
    /// It has been cancelled meanwhile.
    Cancelled,
}

impl<C, K: Clock> Engine<C, K> {
    /// A spawned runner's first call, and that of one that has lingered: claims. With nothing claimed, leave.
    pub(crate) fn arrive(&self, batch: &mut Batch<C>, fx: &mut Effects) {
        let mut state = self.lock();
        let state = &mut *state;
        state.starting -= 1;
        if batch.entry.get().is_none() {
            let here = Here { bell: batch.bell.clone(), tray: batch.tray.clone() };
            batch.entry = state.here.insert(here).into();
        }
        let now = self.now();
        batch.tempo = state.tempo;
        state.learn(batch.tempo, &now);
        state.claim(batch);
        state.balance(fx);
    }

    /// Counts what has ended and, if nothing is claimed, claims. With nothing claimed, publish and leave.
    #[inline]
    pub(crate) fn turn(
        &self,
        ended: impl Iterator<Item = Ended>,
        batch: &mut Batch<C>,
        now: &Now<'_, K>,
        fx: &mut Effects,
    ) {
        let mut state = self.lock();
        state.learn(batch.tempo, now);
        state.count(ended, now, fx);
        state.claim(batch);
        state.balance(fx);
    }

    /// Counts what has ended, and claims nothing: the runner is about to let others run.
    pub(crate) fn rest(&self, ended: impl Iterator<Item = Ended>, batch: &mut Batch<C>, fx: &mut Effects) {
        let now = self.now();
        let mut state = self.lock();
        state.count(ended, &now, fx);
        state.note_free(batch);
        state.balance(fx);
    }

    /// Counts what a runner has ended that is busy with another job, in its stead.
    ///
    /// The caller publishes those and then calls [`Engine::published`] with their number.
    pub(crate) fn count_for(&self, ended: impl ExactSizeIterator<Item = Ended>, fx: &mut Effects) {
        let now = self.now();
        let mut state = self.lock();
        state.publishing += ended.len();
        state.count(ended, &now, fx);
        state.balance(fx);
    }

    /// Parks a claimed job, and is a [`turn`](Self::turn). If it cannot be parked, does nothing and gives the cell back.
    pub(crate) fn park(
        &self,
        parking: Parking<C>,
        ended: impl Iterator<Item = Ended>,
        batch: &mut Batch<C>,
        fx: &mut Effects,
    ) -> Result<(), (Unparkable, C)> {
        let now = self.now();
        let mut state = self.lock();
        let state = &mut *state;
        if let Err(why) = state.may_park() {
            return Err((why, parking.cell));
        }
        if batch.bell.signal() == Signal::Cancel {
            return Err((Unparkable::Cancelled, parking.cell));
        }
        state.count(ended, &now, fx);
        state.claimed -= 1;
        state.parked += 1;
        state.totals.attempts += 1;
        state.totals.retries += 1;
        let key = parking.ticket.key;
        state.unwatch(key);
        let place = state.places.get_mut(key).expect("a claimed job holds its place");
        place.standing = Standing::Parked(parking.cell);
        state.set_alarm(key, parking.due, parking.deadline);
        // Before the next is claimed: what is asked of that one from then on must stay.
        batch.bell.end();
        state.claim(batch);
        state.balance(fx);
        Ok(())
    }

    /// Whether a job may be parked, at this moment.
    pub(crate) fn may_park(&self) -> Result<(), Unparkable> {
        self.lock().may_park()
    }

    /// Whether a runner whose job begins to wait has to [`stall`](Self::stall), if that job's time need not be kept.
    #[inline]
    pub(crate) fn must_stall(batch: &Batch<C>) -> bool {
        batch.bell.is_swift() || !batch.is_empty()
    }

    /// The running job waits. Counts what has ended and gives back what is claimed: a job that waits holds up no other.
    /// The runner is told when `due` comes, unless that is [`NEVER`].
    pub(crate) fn stall(
        &self,
        ticket: Ticket,
        due: Ticks,
        ended: impl Iterator<Item = Ended>,
        batch: &mut Batch<C>,
        fx: &mut Effects,
    ) {
        let now = self.now();
        let mut state = self.lock();
        let state = &mut *state;
        batch.tempo = Tempo::UNKNOWN;
        state.tempo = Tempo::UNKNOWN;
        state.note_pace(batch);
        state.count(ended, &now, fx);
        state.give_back(batch);
        state.unwatch(ticket.key);
        // What was set before is not heard after this.
        batch.bell.take_due();
        let runner = batch.entry.get().expect("a runner that has a job is here");
        let place = state.places.get_mut(ticket.key).expect("a claimed job holds its place");
        place.standing = Standing::Active(runner);
        if due != NEVER {
            state.watched += 1;
            state.set_alarm(ticket.key, due, due);
        }
        state.balance(fx);
    }

    /// The job waits for another job of this pool: its slot may be used meanwhile.
    pub(crate) fn lend(&self, fx: &mut Effects) {
        let mut state = self.lock();
        state.lent += 1;
        state.balance(fx);
    }

    /// The wait is over. More than `concurrency` may run until one of them ends.
    pub(crate) fn take_back(&self) {
        self.lock().lent -= 1;
    }

    /// Leaves, unless work has come in and is now claimed. `true`: the caller is no longer a runner.
    pub(crate) fn leave(&self, batch: &mut Batch<C>, fx: &mut Effects) -> bool {
        let mut state = self.lock();
        state.claim(batch);
        let leaves = batch.is_empty();
        if leaves {
            state.runners -= 1;
            state.dismiss_runner(batch);
        }
        state.balance(fx);
        state.note_idle(fx);
        leaves
    }

    /// Lets the caller look once more before it leaves: until then it counts as starting. `false`: another is.
    pub(crate) fn linger(&self, batch: &mut Batch<C>) -> bool {
        let mut state = self.lock();
        let lingers = state.starting == 0 && state.starts_jobs() && state.slots_used() <= state.limits.concurrency;
        if lingers {
            state.starting += 1;
            state.note_swift(&batch.bell, false);
        }
        lingers
    }
}

impl<C> State<C> {
    /// Counts the outcomes of claimed jobs and frees their places.
    #[inline]
    pub(super) fn count<K: Clock>(&mut self, ended: impl Iterator<Item = Ended>, now: &Now<'_, K>, fx: &mut Effects) {
        for Ended { key, bin, attempted } in ended {
            self.claimed -= 1;
            self.totals.attempts += u64::from(attempted);
            self.unwatch(key);
            self.free(key, bin, now, fx);
        }
    }

    /// Takes the alarm of a claimed job out, if it has one.
    #[inline]
    fn unwatch(&mut self, key: Key) {
        if self.alarms.is_empty() {
            return;
        }
        let Some(place) = self.places.get_mut(key) else { return };
        if let Some(alarm) = place.alarm.take() {
            self.watched -= usize::from(matches!(place.standing, Standing::Active(_)));
            self.alarms.clear(alarm);
        }
    }

    fn may_park(&self) -> Result<(), Unparkable> {
        if self.phase == Phase::Aborted {
            return Err(Unparkable::Aborted);
        }
        if self.parked >= self.limits.max_parked { Err(Unparkable::Full) } else { Ok(()) }
    }

    /// The runner has no job.
    pub(super) fn note_free(&mut self, batch: &mut Batch<C>) {
        self.active -= usize::from(std::mem::take(&mut batch.busy));
    }

    /// Counts the runner as swift if it may claim several jobs at once.
    #[inline]
    pub(super) fn note_pace(&mut self, batch: &mut Batch<C>) {
        self.note_swift(&batch.bell, batch.tempo.burst > 1);
    }

    #[inline]
    pub(super) fn note_swift(&mut self, bell: &Bell, swift: bool) {
        if swift != bell.is_swift() {
            bell.set_swift(swift);
            if swift {
                self.swift += 1;
            } else {
                self.swift -= 1;
            }
        }
    }

    /// The runner is here no longer.
    pub(super) fn dismiss_runner(&mut self, batch: &mut Batch<C>) {
        self.note_free(batch);
        self.note_swift(&batch.bell, false);
        if let Some(entry) = batch.entry.take() {
            self.here.remove(entry);
        }
    }
}
