//! Wakers that note their use.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};

/// The numbers of the wakers that were used since the last look.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<usize>>>);

#[derive(Debug)]
struct Numbered {
    number: usize,
    log: Log,
}

impl Log {
    pub(crate) fn waker(&self, number: usize) -> Waker {
        Waker::from(Arc::new(Numbered { number, log: self.clone() }))
    }

    /// What was woken, in ascending order.
    pub(crate) fn take(&self) -> Vec<usize> {
        let mut woken = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        woken.sort_unstable();
        woken
    }
}

impl Wake for Numbered {
    fn wake(self: Arc<Self>) {
        self.log.0.lock().unwrap_or_else(PoisonError::into_inner).push(self.number);
    }
}
