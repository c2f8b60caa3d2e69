//! Timing: the transient timer that ends backoffs and the deadlines of jobs that wait.

use super::{Bin, Claimed, Effects, Engine, NEVER, Phase, Standing, State, Ticks};
use crate::kernel::alarms::Alarm;
use std::task::Waker;

/// Where the engine gets the time from; it never reads a clock of its own.
pub(crate) trait Clock {
    /// Nanoseconds since the pool was built.
    fn now(&self) -> Ticks;
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

impl<C: Claimed, K: super::Clock> Engine<C, K> {
    /// The timer's turn: sends due retries back to the queue and takes out what has expired.
    ///
    /// Whoever gets expired jobs publishes them and then calls [`Engine::published`].
    pub(crate) fn ring(&self, now: Ticks, waker: Waker, expired: &mut Vec<Expired<C>>, fx: &mut Effects) -> Ring {
        let mut state = self.state.lock();
        let state = &mut *state;
        while state.phase < Phase::Aborted {
            let Some(alarm) = state.alarms.pop_due(&mut state.places, now) else { break };
            state.rang(alarm, now, expired, fx);
        }
        state.balance(fx);
        let next = if state.alarms.is_empty() {
            fx.drop(waker);
            state.timer = Timer::Off;
            Ring::Leave
        } else {
            let until = state.alarms.next_due();
            state.timer = Timer::Asleep { until, waker };
            Ring::SleepUntil(until)
        };
        state.note_idle(fx);
        next
    }
}

impl<C: Claimed> State<C> {
    fn rang(&mut self, alarm: Alarm, now: Ticks, expired: &mut Vec<Expired<C>>, fx: &mut Effects) {
        let key = alarm.owner;
        let place = self.places.get_mut(key).expect("an alarm's owner holds its place");
        match std::mem::replace(&mut place.standing, Standing::Active) {
            Standing::Parked(cell) => {
                place.standing = Standing::Queued(cell);
                self.parked -= 1;
                self.ready.push_back(&mut self.places, key);
                if alarm.deadline != NEVER {
                    let renewed = Alarm { due: alarm.deadline, ..alarm };
                    self.alarms.set(&mut self.places, renewed);
                }
            }
            Standing::Queued(cell) => {
                self.ready.unlink(&mut self.places, key);
                self.publishing += 1;
                self.free(key, Bin::TimedOut, now, fx);
                expired.push(Expired { cell });
            }
            Standing::Taken(cell) if cell.reclaim() => {
                self.claimed -= 1;
                self.publishing += 1;
                self.free(key, Bin::TimedOut, now, fx);
                expired.push(Expired { cell });
            }
            // Started: its runner keeps the time.
            other => place.standing = other,
        }
    }

    /// Restores invariant 4.
    pub(super) fn arm(&mut self, fx: &mut Effects) {
        match &self.timer {
            Timer::Off => {
                self.timer = Timer::Coming;
                fx.start_timer = true;
            }
            Timer::Asleep { until, .. } if self.alarms.next_due() < *until => self.wake_timer(fx),
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
        if self.alarms.is_empty() && matches!(self.timer, Timer::Asleep { .. }) {
            self.wake_timer(fx);
        }
    }
}
