//! A clock that stands still until it is set.

use super::Parker;
use crate::kernel::alarms::Ticks;
use crate::kernel::engine::Clock;
use crate::shim::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

/// The engine's time, and who sleeps until when.
#[derive(Debug)]
pub(crate) struct Manual {
    state: Mutex<(Ticks, Vec<(Ticks, Waker)>)>,
    flows: AtomicBool,
}

impl Manual {
    pub(super) fn new() -> Self {
        Self { state: Mutex::new((0, Vec::new())), flows: AtomicBool::new(false) }
    }

    /// From now on time passes for whoever sleeps: as much as the sleep takes, at once.
    pub(crate) fn flow(&self) {
        self.flows.store(true, Ordering::Relaxed);
    }

    /// Sets the time and wakes those who have slept long enough.
    pub(crate) fn set(&self, now: Ticks) {
        let woken: Vec<_> = {
            let mut state = self.state.lock();
            state.0 = now;
            state.1.extract_if(.., |(until, _)| *until <= now).collect()
        };
        woken.into_iter().for_each(|(_, waker)| waker.wake());
    }

    /// Sleeps until then, or until `parker` is woken by somebody else.
    pub(crate) fn sleep(&self, until: Ticks, parker: &Parker) {
        if self.flows.load(Ordering::Relaxed) {
            let mut state = self.state.lock();
            state.0 = state.0.max(until);
            return;
        }
        {
            let mut state = self.state.lock();
            if until <= state.0 {
                return;
            }
            state.1.retain(|(_, waker)| !waker.will_wake(parker.waker()));
            state.1.push((until, parker.waker().clone()));
        }
        parker.park();
    }
}

impl Clock for Manual {
    fn now(&self) -> Ticks {
        self.state.lock().0
    }
}
