//! Ending: one job's cancellation, closing, sweeping out, and the wait until nothing is left.

use super::running::{Batch, Ended};
use super::{Bin, Claimed, Clock, Due, Effects, Engine, Key, Phase, Standing, State, Ticket};
use crate::kernel::cell::Signal;
use std::task::{Poll, Waker};

/// How one job left the pool when everything was swept out.
#[derive(Debug)]
pub(crate) enum Swept<C> {
    /// It had not been started, or waited out a backoff. Counted; publish it.
    Waiting(C),
    /// It runs: raise its signal. Its runner ends it.
    Running(C),
}

/// How the jobs that wait are counted when a pool is swept out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sweep {
    /// A shutdown gives them back in its report.
    Return,
    /// Nobody is there to take them; their handles get them.
    Abandon,
}

/// A task that waits until the pool is idle.
#[derive(Debug)]
pub(super) enum Idler {
    Waiting(Waker),
    Told,
}

impl<C: Claimed, K: Clock> Engine<C, K> {
    /// Takes a job that waits out of the system.
    ///
    /// Whoever gets the cell publishes it and then calls [`Engine::published`].
    pub(crate) fn withdraw(&self, ticket: Ticket, fx: &mut Effects) -> Option<C> {
        let now = self.now();
        let mut state = self.state.lock();
        state.place(ticket)?;
        let cell = state.unlist(ticket.key)?;
        state.publishing += 1;
        state.free(ticket.key, Bin::Cancelled, now, fx);
        state.balance(fx);
        Some(cell)
    }

    /// Wakes the runner of a pending job, so that it looks at the cell's signal and makes its waker known again; of one
    /// whose handler is being called, notes that it has been told.
    pub(crate) fn nudge(&self, ticket: Ticket, fx: &mut Effects) {
        let mut state = self.state.lock();
        let cell = match state.place(ticket).map(|place| &mut place.standing) {
            Some(Standing::Suspended(_, waker)) => {
                fx.wakers.extend(waker.take().map(Due::Wake));
                None
            }
            // Its runner has the cell, and so does the caller.
            Some(standing @ (Standing::Active | Standing::Taken(_))) => {
                Some(std::mem::replace(standing, Standing::Told))
            }
            _ => None,
        };
        drop(state);
        drop(cell);
    }

    /// What a running job has been asked to do, for a handler that is not polled.
    pub(crate) fn stop_of(&self, ticket: Ticket) -> Signal {
        let mut state = self.state.lock();
        let told = matches!(state.place(ticket).map(|place| &place.standing), Some(Standing::Told));
        match state.phase {
            Phase::Aborted => Signal::Abort,
            _ if told => Signal::Cancel,
            _ => Signal::Run,
        }
    }

    /// Admits no more. Those in line are turned away.
    pub(crate) fn close(&self, phase: Phase, fx: &mut Effects) {
        let mut state = self.state.lock();
        if state.phase < phase {
            state.phase = phase;
        }
        state.dismiss_line(fx);
        state.balance(fx);
    }

    /// Admits and starts no more: takes out everything that waits, and lists what runs.
    ///
    /// Whoever gets the jobs publishes those that waited and then calls [`Engine::published`] with their number.
    pub(crate) fn sweep(&self, sweep: Sweep, fx: &mut Effects) -> Vec<Swept<C>> {
        let now = self.now();
        let mut state = self.state.lock();
        let state = &mut *state;
        state.phase = Phase::Aborted;
        state.dismiss_line(fx);
        let mut swept = Vec::new();
        for key in state.keys_by_age() {
            if let Some(cell) = state.unlist(key) {
                let bin = if sweep == Sweep::Return { Bin::Returned } else { Bin::Aborted };
                state.publishing += 1;
                state.free(key, bin, now, fx);
                swept.push(Swept::Waiting(cell));
            } else if let Some(Standing::Suspended(cell, waker)) = state.places.get_mut(key).map(|p| &mut p.standing) {
                swept.push(Swept::Running(cell.clone()));
                fx.wakers.extend(waker.take().map(Due::Wake));
            }
        }
        state.retire_timer(fx);
        swept
    }

    /// `count` outcomes that were counted here are now in their cells.
    pub(crate) fn published(&self, count: usize, fx: &mut Effects) {
        let mut state = self.state.lock();
        state.publishing -= count;
        state.note_idle(fx);
    }

    /// A runner was dropped by its runtime, before or after it had arrived, with the jobs that end with it.
    ///
    /// The caller publishes those and then calls [`Engine::published`] with their number.
    pub(crate) fn lose_runner(
        &self,
        arrived: bool,
        ended: impl ExactSizeIterator<Item = Ended>,
        batch: &Batch<C>,
        fx: &mut Effects,
    ) {
        let now = self.now();
        let mut state = self.state.lock();
        state.starting -= usize::from(!arrived);
        state.active -= usize::from(batch.is_busy());
        state.publishing += ended.len();
        state.count(ended, now, fx);
        state.runners -= 1;
        state.note_idle(fx);
    }

    /// The timer was dropped by its runtime.
    pub(crate) fn lose_timer(&self) {
        let timer = std::mem::replace(&mut self.state.lock().timer, super::Timer::Off);
        drop(timer);
    }

    /// Ready once the pool has been idle since the wait began; `key` keeps the caller's place between polls.
    pub(crate) fn poll_idle(&self, key: &mut Option<Key>, waker: &Waker) -> Poll<()> {
        let waker = waker.clone();
        let mut state = self.state.lock();
        let Some(known) = *key else {
            if state.is_idle() {
                drop(state);
                drop(waker);
                return Poll::Ready(());
            }
            *key = Some(state.idlers.insert(Idler::Waiting(waker)));
            return Poll::Pending;
        };
        let idler = state.idlers.get_mut(known).expect("an idler keeps its key until it leaves");
        if matches!(idler, Idler::Told) {
            state.idlers.remove(known);
            *key = None;
            drop(state);
            drop(waker);
            return Poll::Ready(());
        }
        let replaced = std::mem::replace(idler, Idler::Waiting(waker));
        drop(state);
        drop(replaced);
        Poll::Pending
    }

    /// The wait for idleness is given up.
    pub(crate) fn leave_idlers(&self, key: Key) {
        let idler = self.state.lock().idlers.take(key);
        drop(idler);
    }
}

impl<C: Claimed> State<C> {
    /// Takes a job that waits, queued, taken along or parked, off its list, and its alarm out. Its place is still held.
    fn unlist(&mut self, key: Key) -> Option<C> {
        let place = self.places.get_mut(key)?;
        match std::mem::replace(&mut place.standing, Standing::Active) {
            Standing::Queued(cell) => {
                self.ready.unlink(&mut self.places, key);
                self.alarms.clear(&mut self.places, key);
                Some(cell)
            }
            Standing::Parked(cell) => {
                self.parked -= 1;
                self.alarms.clear(&mut self.places, key);
                Some(cell)
            }
            Standing::Taken(cell) if cell.reclaim() => {
                self.claimed -= 1;
                self.alarms.clear(&mut self.places, key);
                Some(cell)
            }
            other => {
                place.standing = other;
                None
            }
        }
    }

    /// All places, in the order in which their jobs were accepted.
    fn keys_by_age(&self) -> Vec<Key> {
        let latest = self.totals.accepted as u32;
        let mut keys = self.places.keys();
        keys.sort_by_key(|key| std::cmp::Reverse(self.places.get(*key).map(|place| latest.wrapping_sub(place.number))));
        keys
    }

    fn is_idle(&self) -> bool {
        self.in_system() == 0 && self.runners == 0 && self.publishing == 0
    }

    /// Tells those who wait for it, if the pool is idle.
    pub(super) fn note_idle(&mut self, fx: &mut Effects) {
        if self.runners == 0 {
            self.retire_timer(fx);
        }
        if self.idlers.len() == 0 || !self.is_idle() {
            return;
        }
        for key in self.idlers.keys() {
            let idler = self.idlers.get_mut(key).expect("a listed key");
            if let Idler::Waiting(waker) = std::mem::replace(idler, Idler::Told) {
                fx.wake(waker);
            }
        }
    }
}
