//! Ending: one job's cancellation, closing, sweeping out, and the wait until nothing is left.

use super::claims::Batch;
use super::running::Ended;
use super::{Bin, Clock, Due, Effects, Engine, Key, Now, Phase, Standing, State, Ticket};
use crate::kernel::bell::Signal;
use std::task::{Poll, Waker};

/// What a cancellation found.
#[derive(Debug)]
pub(crate) enum Cancelled<C> {
    /// The job waited, and is counted as cancelled: publish it, then call [`Engine::published`].
    Waiting(C),
    /// It runs; its runner has been asked to end it.
    Running,
    /// It had its outcome.
    Ended,
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

impl<C, K: Clock> Engine<C, K> {
    /// Takes a job that waits out of the system, or asks its runner to end it.
    pub(crate) fn cancel(&self, ticket: Ticket, fx: &mut Effects) -> Cancelled<C> {
        let now = self.now();
        let mut state = self.lock();
        if let Some(cell) = state.withdraw(ticket, &now, fx) {
            return Cancelled::Waiting(cell);
        }
        // In the same lock operation: once the lock is free the job may wait again, or lie on another runner's tray.
        let runner = match state.place(ticket).map(|place| &place.standing) {
            Some(Standing::Active(runner) | Standing::Taken(runner, _)) => *runner,
            _ => return Cancelled::Ended,
        };
        // A job that has ended and is not counted yet is not the runner's current one any more.
        match state.here.get(runner).filter(|here| here.bell.raise(ticket.number, Signal::Cancel)) {
            Some(here) => {
                fx.wakers.push(Due::Ring(here.bell.clone()));
                Cancelled::Running
            }
            None => Cancelled::Ended,
        }
    }

    /// Takes a job that waits out of the system.
    ///
    /// Whoever gets the cell publishes it and then calls [`Engine::published`].
    pub(crate) fn withdraw(&self, ticket: Ticket, fx: &mut Effects) -> Option<C> {
        let now = self.now();
        self.lock().withdraw(ticket, &now, fx)
    }

    /// Admits no more. Those in line are turned away.
    pub(crate) fn close(&self, phase: Phase, fx: &mut Effects) {
        let mut state = self.lock();
        if state.phase < phase {
            state.phase = phase;
        }
        state.dismiss_line(fx);
        state.balance(fx);
    }

    /// Admits and starts no more: takes out everything that waits, and asks what runs to end.
    ///
    /// Whoever gets the jobs publishes them and then calls [`Engine::published`] with their number.
    pub(crate) fn sweep(&self, sweep: Sweep, fx: &mut Effects) -> Vec<C> {
        let now = self.now();
        let mut state = self.lock();
        let state = &mut *state;
        state.phase = Phase::Aborted;
        state.dismiss_line(fx);
        let mut swept = Vec::new();
        for key in state.keys_by_age() {
            if let Some(cell) = state.unlist(key) {
                let bin = if sweep == Sweep::Return { Bin::Returned } else { Bin::Aborted };
                state.publishing += 1;
                state.free(key, bin, &now, fx);
                swept.push(cell);
            }
        }
        // After that: a job that a runner has begun is its last, and hears this (invariant 2 of the bell).
        for key in state.here.keys() {
            if let Some(here) = state.here.get(key) {
                here.bell.abort();
                fx.wakers.push(Due::Ring(here.bell.clone()));
            }
        }
        state.retire_timer(fx);
        swept
    }

    /// `count` outcomes that were counted here are now in their cells.
    pub(crate) fn published(&self, count: usize, fx: &mut Effects) {
        let mut state = self.lock();
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
        batch: &mut Batch<C>,
        fx: &mut Effects,
    ) {
        let now = self.now();
        let mut state = self.lock();
        state.starting -= usize::from(!arrived);
        state.publishing += ended.len();
        state.count(ended, &now, fx);
        state.runners -= 1;
        state.dismiss_runner(batch);
        state.note_idle(fx);
    }

    /// The timer was dropped by its runtime.
    pub(crate) fn lose_timer(&self) {
        let timer = std::mem::replace(&mut self.lock().timer, super::Timer::Off);
        drop(timer);
    }

    /// Ready once the pool has been idle since the wait began; `key` keeps the caller's place between polls.
    pub(crate) fn poll_idle(&self, key: &mut Option<Key>, waker: &Waker) -> Poll<()> {
        let waker = waker.clone();
        let mut state = self.lock();
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
        let idler = self.lock().idlers.take(key);
        drop(idler);
    }
}

impl<C> State<C> {
    fn withdraw<K: Clock>(&mut self, ticket: Ticket, now: &Now<'_, K>, fx: &mut Effects) -> Option<C> {
        self.place(ticket)?;
        let cell = self.unlist(ticket.key)?;
        self.publishing += 1;
        self.free(ticket.key, Bin::Cancelled, now, fx);
        self.balance(fx);
        Some(cell)
    }

    /// Takes a job that waits, queued, taken along or parked, off its list, and its alarm out. Its place is still held.
    pub(super) fn unlist(&mut self, key: Key) -> Option<C> {
        let recalled = self.recall(key);
        let place = self.places.get_mut(key)?;
        let cell = match (std::mem::replace(&mut place.standing, Standing::Reserved), recalled) {
            (Standing::Queued(cell), _) => {
                self.unqueue(key);
                cell
            }
            (Standing::Parked(cell), _) => {
                self.parked -= 1;
                cell
            }
            (Standing::Taken(..), Some(cell)) => cell,
            (other, _) => {
                place.standing = other;
                return None;
            }
        };
        self.silence(key);
        Some(cell)
    }

    /// All places, in the order in which their jobs were accepted.
    pub(super) fn keys_by_age(&self) -> Vec<Key> {
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
