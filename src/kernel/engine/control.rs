//! Control: pausing, resuming, and changing how many jobs may run at once.

use super::{Clock, Effects, Engine, NEVER, State, Tempo, Ticks};

impl<C, K: Clock> Engine<C, K> {
    /// Starts no more jobs until [`resume`](Self::resume). What runs goes on; admission goes on.
    pub(crate) fn pause(&self, fx: &mut Effects) {
        let mut state = self.lock();
        state.paused = true;
        state.recall_all();
        state.balance(fx);
    }

    /// Starts jobs again.
    pub(crate) fn resume(&self, fx: &mut Effects) {
        let mut state = self.lock();
        state.paused = false;
        state.balance(fx);
    }

    /// From here on so many jobs may run at once. Those above that number which run already end first.
    pub(crate) fn set_concurrency(&self, concurrency: usize, fx: &mut Effects) {
        let mut state = self.lock();
        let fewer = concurrency < state.limits.concurrency;
        state.limits.concurrency = concurrency;
        if fewer {
            state.recall_all();
        }
        state.balance(fx);
    }
}

impl<C> State<C> {
    /// Restores invariant 7, as far as it can be done without looking at the time: the first look is due at once.
    #[inline]
    pub(super) fn watch_pace(&mut self) {
        if self.patrol == NEVER && self.period.is_some() && self.relies_on_pace() {
            self.patrol = 0;
        }
    }

    /// Whether jobs wait for runners that are thought to be fast.
    fn relies_on_pace(&self) -> bool {
        self.swift > 0 && (self.claimed > self.active || self.ready.len() > self.starting)
    }

    /// Looks whether a swift runner has been with one job since the last look: then it is not, and others get what it has
    /// taken along. What it has ended before is for the caller to collect.
    pub(super) fn patrol(&mut self, now: Ticks, fx: &mut Effects) {
        let Some(period) = self.period.filter(|_| self.patrol <= now) else { return };
        let mut stuck = false;
        for key in self.here.keys() {
            let Some(bell) = self.here.get(key).map(|here| here.bell.clone()) else { continue };
            if bell.is_still() && bell.is_swift() {
                self.note_swift(&bell, false);
                stuck = true;
            }
        }
        if stuck {
            self.tempo = Tempo::UNKNOWN;
            self.recall_all();
            fx.collect = true;
        }
        self.patrol = if self.swift > 0 { now.saturating_add(period) } else { NEVER };
    }

    /// Takes back what runners have taken along and not started, to the front of the queue, in the order of acceptance.
    fn recall_all(&mut self) {
        // Not `claimed <= active`: a runner whose batch was taken back counts as active until it looks.
        if self.claimed == 0 {
            return;
        }
        let mut claims = Vec::new();
        for key in self.here.keys() {
            self.here.get(key).into_iter().for_each(|here| here.tray.take_all(&mut claims));
        }
        claims.sort_unstable_by_key(|claim| claim.ticket.number);
        self.requeue(claims);
    }
}
