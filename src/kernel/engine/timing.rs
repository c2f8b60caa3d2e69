//! Timing: the transient timer that ends backoffs, the deadlines of jobs that wait, and the limits of attempts.

use super::{Bin, Due, Effects, Engine, NEVER, Standing, State, Ticks};
use crate::kernel::alarms::Alarm;
use std::cell::Cell;
use std::task::Waker;

/// Where the engine gets the time from; it never reads a clock of its own.
pub(crate) trait Clock {
    /// Nanoseconds since the pool was built.
    fn now(&self) -> Ticks;
}

/// The time of one operation: read once, and only if it is asked for, as reading a clock costs as much as a lock.
#[derive(Debug)]
pub(crate) struct Now<'a, K> {
    clock: &'a K,
    ticks: Cell<Option<Ticks>>,
}

impl<'a, K: Clock> Now<'a, K> {
    /// To be read when it is first asked for.
    #[inline]
    pub(crate) fn unread(clock: &'a K) -> Self {
        Self { clock, ticks: Cell::new(None) }
    }

    /// Read now.
    #[inline]
    pub(crate) fn read(clock: &'a K) -> Self {
        Self { clock, ticks: Cell::new(Some(clock.now())) }
    }

    /// The time.
    #[inline]
    pub(crate) fn ticks(&self) -> Ticks {
        self.ticks.get().unwrap_or_else(|| {
            let now = self.clock.now();
            self.ticks.set(Some(now));
            now
        })
    }
}

/// A job whose deadline passed while it waited. Counted as timed out, its outcome not yet published.
#[derive(Debug)]
pub(crate) struct Expired<C> {
    pub(crate) cell: C,
}

/// What the timer does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ring {
    /// Sleep until then, or until woken.
    SleepUntil(Ticks),
    /// There is nothing to wait for; leave.
    Leave,
}

/// | state | the timer task | earlier alarm set |
/// |---|---|---|
/// | `Off` | does not exist | is spawned |
/// | `Coming` | is spawned or awake and will look | nothing to do |
/// | `Asleep` | sleeps until `until` | is woken, becomes `Coming` |
#[derive(Debug)]
pub(super) enum Timer {
    Off,
    Coming,
    Asleep { until: Ticks, waker: Waker },
}

impl<C, K: Clock> Engine<C, K> {
    /// The timer's turn: sends due retries back to the queue, takes out what has expired, and tells runners whose job's
    /// time is up.
    ///
    /// Whoever gets expired jobs publishes them and then calls [`Engine::published`].
    pub(crate) fn ring(&self, now: Ticks, waker: Waker, expired: &mut Vec<Expired<C>>, fx: &mut Effects) -> Ring {
        let mut state = self.lock();
        let state = &mut *state;
        while let Some(alarm) = state.alarms.pop_due(now) {
            state.rang(alarm, &self.now(), expired, fx);
        }
        state.patrol(now, fx);
        state.balance(fx);
        let next = if state.next_due() == NEVER {
            fx.drop(waker);
            state.timer = Timer::Off;
            Ring::Leave
        } else {
            let until = state.next_due();
            state.timer = Timer::Asleep { until, waker };
            Ring::SleepUntil(until)
        };
        state.note_idle(fx);
        next
    }
}

impl<C> State<C> {
    fn rang<K: Clock>(&mut self, alarm: Alarm, now: &Now<'_, K>, expired: &mut Vec<Expired<C>>, fx: &mut Effects) {
        let key = alarm.owner;
        let recalled = self.recall(key);
        let place = self.places.get_mut(key).expect("an alarm's owner holds its place");
        place.alarm = super::Link::NONE;
        match (std::mem::replace(&mut place.standing, Standing::Reserved), recalled) {
            (Standing::Parked(cell), _) => {
                place.standing = Standing::Queued(cell);
                self.parked -= 1;
                self.ready.push_back(&mut self.places, key);
                if alarm.deadline != NEVER {
                    self.set_alarm(key, alarm.deadline, alarm.deadline);
                }
            }
            (Standing::Queued(cell), _) => {
                self.unqueue(key);
                self.expire(key, cell, now, expired, fx);
            }
            (Standing::Taken(..), Some(cell)) => self.expire(key, cell, now, expired, fx),
            (Standing::Active(runner), _) => {
                self.watched -= 1;
                place.standing = Standing::Active(runner);
                let number = place.number;
                let number = self.number(number);
                if let Some(here) = self.here.get(runner).filter(|here| here.bell.expire(number)) {
                    fx.wakers.push(Due::Ring(here.bell.clone()));
                }
            }
            // Started: its runner keeps the time, and has it kept here once the job waits.
            (other, _) => place.standing = other,
        }
    }

    fn expire<K: Clock>(
        &mut self,
        key: super::Key,
        cell: C,
        now: &Now<'_, K>,
        expired: &mut Vec<Expired<C>>,
        fx: &mut Effects,
    ) {
        self.publishing += 1;
        self.free(key, Bin::TimedOut, now, fx);
        expired.push(Expired { cell });
    }

    /// When the timer has something to do next, or [`NEVER`].
    fn next_due(&self) -> Ticks {
        self.alarms.next_due().min(self.patrol)
    }

    /// Restores invariant 4.
    pub(super) fn arm(&mut self, fx: &mut Effects) {
        match &self.timer {
            Timer::Off => {
                self.timer = Timer::Coming;
                fx.start_timer = true;
            }
            Timer::Asleep { until, .. } if self.next_due() < *until => self.wake_timer(fx),
            Timer::Coming | Timer::Asleep { .. } => {}
        }
    }

    pub(super) fn wake_timer(&mut self, fx: &mut Effects) {
        if let Timer::Asleep { waker, .. } = std::mem::replace(&mut self.timer, Timer::Coming) {
            fx.wake(waker);
        }
    }

    /// An idle pool keeps no timer either.
    pub(super) fn retire_timer(&mut self, fx: &mut Effects) {
        if self.next_due() == NEVER && matches!(self.timer, Timer::Asleep { .. }) {
            self.wake_timer(fx);
        }
    }
}
