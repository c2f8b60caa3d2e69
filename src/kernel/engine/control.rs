//! Control: pausing, resuming, and changing how many jobs may run at once.

use super::{Claimed, Clock, Effects, Engine, Standing, State};

impl<C: Claimed, K: Clock> Engine<C, K> {
    /// Starts no more jobs until [`resume`](Self::resume). What runs goes on; admission goes on.
    pub(crate) fn pause(&self, fx: &mut Effects) {
        let mut state = self.state.lock();
        state.paused = true;
        state.recall_all();
        state.balance(fx);
    }

    /// Starts jobs again.
    pub(crate) fn resume(&self, fx: &mut Effects) {
        let mut state = self.state.lock();
        state.paused = false;
        state.balance(fx);
    }

    /// From here on so many jobs may run at once. Those above that number which run already end first.
    pub(crate) fn set_concurrency(&self, concurrency: usize, fx: &mut Effects) {
        let mut state = self.state.lock();
        let fewer = concurrency < state.limits.concurrency;
        state.limits.concurrency = concurrency;
        if fewer {
            state.recall_all();
        }
        state.balance(fx);
    }
}

impl<C: Claimed> State<C> {
    /// Takes back what runners have taken along and not started, to the front of the queue, in the order of acceptance.
    fn recall_all(&mut self) {
        if self.claimed == 0 {
            return;
        }
        for key in self.keys_by_age().into_iter().rev() {
            let Some(place) = self.places.get_mut(key) else { continue };
            if !matches!(&place.standing, Standing::Taken(cell, _) if cell.recall()) {
                continue;
            }
            place.recalls += 1;
            if let Standing::Taken(cell, _) = std::mem::replace(&mut place.standing, Standing::Reserved) {
                place.standing = Standing::Queued(cell);
            }
            self.claimed -= 1;
            self.ready.push_front(&mut self.places, key);
        }
    }
}
