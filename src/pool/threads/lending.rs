//! The slot of a handler that blocks its thread until another job of its own pool is done.

use crate::kernel::crew::Need;
use crate::kernel::engine::Effects;
use crate::pool::directory::Pool;
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
    pub(in crate::pool) fn begin(&self, pool: Arc<dyn Pool>) {
        if !pool.blocks() {
            return;
        }
        let mut fx = Effects::default();
        let mut need = Need::default();
        {
            let mut state = self.0.lock();
            state.waits += 1;
            if !state.lent {
                state.lent = true;
                need = pool.lend(&mut fx);
            }
        }
        pool.go_on(need, fx);
    }

    /// A wait is over.
    pub(in crate::pool) fn end(&self, pool: &dyn Pool) {
        if !pool.blocks() {
            return;
        }
        let mut state = self.0.lock();
        state.waits -= 1;
        if state.waits == 0 {
            state.take_back(pool);
        }
    }

    /// The attempt is over, whatever has become of its waits.
    pub(in crate::pool) fn close(&self, pool: &dyn Pool) {
        self.0.lock().take_back(pool);
    }
}

impl State {
    fn take_back(&mut self, pool: &dyn Pool) {
        if std::mem::take(&mut self.lent) {
            pool.take_back();
        }
    }
}
