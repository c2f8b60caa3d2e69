//! How the tokens that a handler on a thread has handed out are cancelled: nobody polls the handler, so ringing its
//! runner's bell does it.

use crate::contain::{contain, discard};
use crate::kernel::bell::Bell;
use crate::rt::CancellationToken;
use crate::shim::Mutex;
use std::sync::Arc;
use std::task::Wake;

/// The waker behind the bell of one runner on a thread.
pub(in crate::pool) struct Ringer {
    bell: Arc<Bell>,
    /// The tokens that attempts have handed out and that are not over, by their job's number.
    tokens: Mutex<Vec<(u64, CancellationToken)>>,
}

impl Ringer {
    pub(in crate::pool) fn new(bell: Arc<Bell>) -> Arc<Self> {
        Arc::new(Self { bell, tokens: Mutex::new(Vec::new()) })
    }

    /// Has `token` cancelled when the job `number` is asked to end. Look at the bell after this.
    pub(in crate::pool) fn listen(&self, number: u64, token: CancellationToken) {
        self.tokens.lock().push((number, token));
    }

    /// The attempt that had handed a token out is over.
    pub(in crate::pool) fn forget(&self, number: u64) {
        let mut tokens = self.tokens.lock();
        let at = tokens.iter().position(|(of, _)| *of == number);
        let token = at.map(|at| tokens.swap_remove(at));
        drop(tokens);
        discard(token);
    }
}

impl Wake for Ringer {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let told: Vec<_> = {
            let tokens = self.tokens.lock();
            let told = tokens.iter().filter(|(number, _)| self.bell.is_stopped(*number));
            told.map(|(_, token)| token.clone()).collect()
        };
        for token in told {
            // Cancelling wakes whoever waits for it, and a waker may panic.
            if let Err(payload) = contain(|| token.cancel()) {
                discard(payload);
            }
        }
    }
}
