//! A gate that handlers stop at until the test lets them through.

use std::sync::Arc;
use tokio::sync::Semaphore;

use super::Gauge;

#[derive(Clone, Debug)]
pub(crate) struct Gate {
    passes: Arc<Semaphore>,
    before: Gauge,
}

impl Gate {
    /// A shut gate.
    pub(crate) fn new() -> Self {
        Self { passes: Arc::new(Semaphore::new(0)), before: Gauge::new() }
    }

    /// Waits to be let through.
    pub(crate) async fn pass(&self) {
        let _inside = self.before.enter();
        if let Ok(pass) = self.passes.acquire().await {
            pass.forget();
        }
    }

    /// Lets `n` through, those who come later included.
    pub(crate) fn let_through(&self, n: usize) {
        self.passes.add_permits(n);
    }

    /// Lets everybody through from now on.
    pub(crate) fn open(&self) {
        self.passes.close();
    }

    /// How many stand before it.
    pub(crate) fn waiting(&self) -> usize {
        self.before.now()
    }
}
