//! How an attempt on a thread learns that it should stop: it asks, and asking is cheap while there is no news.

use super::Threads;
use crate::contain::{contain, discard};
use crate::kernel::cell::Signal;
use crate::kernel::engine::Ticket;
use crate::kernel::slab::Key;
use crate::rt::CancellationToken;
use crate::shim::Mutex;
use crate::shim::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// What there is to hear in one pool.
#[derive(Debug, Default)]
pub(super) struct News {
    /// How often a running job was cancelled, or the pool aborted.
    count: AtomicU64,
    /// The tokens that running attempts have handed out, by their job's number.
    tokens: Mutex<Vec<(u64, CancellationToken)>>,
}

impl News {
    pub(super) fn announce(&self, number: Option<u64>) {
        // Ordering: Release pairs with the Acquire in `Ear::hear`: the engine has been told before.
        self.count.fetch_add(1, Ordering::Release);
        let concerned: Vec<_> = {
            let tokens = self.tokens.lock();
            let concerned = tokens.iter().filter(|(of, _)| number.is_none_or(|number| number == *of));
            concerned.map(|(_, token)| token.clone()).collect()
        };
        for token in concerned {
            // Cancelling wakes whoever waits for it, and a waker may panic.
            if let Err(payload) = contain(|| token.cancel()) {
                discard(payload);
            }
        }
    }
}

/// A pool that can say whether one of its running jobs should stop.
pub(in crate::pool) trait Stops: Send + Sync {
    fn stop_of(&self, ticket: Ticket) -> Signal;
}

/// The listening end of one attempt.
pub(in crate::pool) struct Ear {
    threads: Arc<Threads>,
    pool: Weak<dyn Stops>,
    key: AtomicU32,
    number: AtomicU64,
    /// The count of the news that has been heard.
    heard: AtomicU64,
    signal: AtomicU8,
}

impl Ear {
    pub(in crate::pool) fn new(threads: Arc<Threads>, pool: Weak<dyn Stops>) -> Self {
        Self {
            threads,
            pool,
            key: AtomicU32::new(0),
            number: AtomicU64::new(0),
            heard: AtomicU64::new(0),
            signal: AtomicU8::new(Signal::Run as u8),
        }
    }

    /// A fresh one of the same runner.
    pub(in crate::pool) fn successor(&self) -> Self {
        Self::new(self.threads.clone(), self.pool.clone())
    }

    /// An attempt at another job begins.
    pub(in crate::pool) fn begin(&self, ticket: Ticket) {
        // Ordering: Relaxed for all. Whoever reads them has got the context through the handler, which is called later.
        self.key.store(ticket.key.index() as u32, Ordering::Relaxed);
        self.number.store(ticket.number, Ordering::Relaxed);
        self.signal.store(Signal::Run as u8, Ordering::Relaxed);
        // News of before may concern this job, whose cancellation came when it was about to be started: ask once.
        self.heard.store(u64::MAX, Ordering::Relaxed);
    }

    /// What the attempt has been told to do, asking only if there is news.
    pub(in crate::pool) fn hear(&self) -> Signal {
        // Ordering: Acquire pairs with the Release in `announce`; Relaxed for what only attempts of this ear write.
        let count = self.threads.news.count.load(Ordering::Acquire);
        if self.heard.load(Ordering::Relaxed) == count {
            return self.heard();
        }
        let signal = self.ask();
        self.heard.store(count, Ordering::Relaxed);
        signal
    }

    /// What the attempt has learnt so far.
    pub(in crate::pool) fn heard(&self) -> Signal {
        // Ordering: Relaxed. It names a fact of the engine's, which was read under its lock.
        match self.signal.load(Ordering::Relaxed) {
            0 => Signal::Run,
            1 => Signal::Cancel,
            _ => Signal::Abort,
        }
    }

    /// Asks the pool.
    pub(in crate::pool) fn ask(&self) -> Signal {
        // Ordering: Relaxed, see `begin`.
        let key = Key::of(self.key.load(Ordering::Relaxed));
        let ticket = Ticket { key, number: self.number.load(Ordering::Relaxed) };
        let signal = self.pool.upgrade().map_or(Signal::Abort, |pool| pool.stop_of(ticket));
        // Ordering: Relaxed, see `heard`.
        self.signal.fetch_max(signal as u8, Ordering::Relaxed);
        signal
    }

    /// Has `token` cancelled when the attempt is told to stop, if it has not been told yet: ask after this.
    pub(in crate::pool) fn lend(&self, token: CancellationToken) {
        // Ordering: Relaxed, see `begin`.
        let number = self.number.load(Ordering::Relaxed);
        self.threads.news.tokens.lock().push((number, token));
    }

    /// The attempt that had handed a token out is over.
    pub(in crate::pool) fn forget(&self) {
        // Ordering: Relaxed, see `begin`.
        let number = self.number.load(Ordering::Relaxed);
        let mut tokens = self.threads.news.tokens.lock();
        let at = tokens.iter().position(|(of, _)| *of == number);
        let token = at.map(|at| tokens.swap_remove(at));
        drop(tokens);
        discard(token);
    }
}
