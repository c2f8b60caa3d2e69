//! The slot of a handler that blocks its thread until another job of its own pool is done.

use crate::kernel::crew::Need;
use crate::kernel::engine::Effects;
use crate::pool::shared::Shared;
use crate::shim::Mutex;
use std::sync::Arc;

/// Whether an attempt has lent its slot. Lent while it has waits; an attempt that is over has none.
#[derive(Debug, Default)]
pub(in crate::pool) struct Loan(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    waits: usize,
    lent: bool,
}

impl Loan {
    /// A wait of the attempt begins: it is about to block.
    pub(in crate::pool) fn begin<J, T, E>(&self, shared: &Arc<Shared<J, T, E>>) {
        let Some(threads) = &shared.threads else { return };
        let mut fx = Effects::default();
        let mut need = Need::default();
        {
            let mut state = self.0.lock();
            state.waits += 1;
            if !state.lent {
                state.lent = true;
                // The thread before the slot: a runner that the engine starts for it finds room to exist.
                need = threads.crew.widen();
                shared.engine.lend(&mut fx);
            }
        }
        shared.start_threads(need);
        shared.apply(&mut fx);
    }

    /// A wait is over.
    pub(in crate::pool) fn end<J, T, E>(&self, shared: &Arc<Shared<J, T, E>>) {
        if shared.threads.is_none() {
            return;
        }
        let mut state = self.0.lock();
        state.waits -= 1;
        if state.waits == 0 {
            state.take_back(shared);
        }
    }

    /// The attempt is over, whatever has become of its waits.
    pub(in crate::pool) fn close<J, T, E>(&self, shared: &Arc<Shared<J, T, E>>) {
        if shared.threads.is_some() {
            self.0.lock().take_back(shared);
        }
    }
}

impl State {
    fn take_back<J, T, E>(&mut self, shared: &Arc<Shared<J, T, E>>) {
        if let Some(threads) = shared.threads.as_ref().filter(|_| std::mem::take(&mut self.lent)) {
            shared.engine.take_back();
            threads.crew.narrow();
        }
    }
}
