//! Time as the map sees it.

use crate::kernel::alarms::{NEVER, Ticks};
use crate::rt;
use crate::shim::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;

/// A clock that is cheap to read, because it shows the time of its last tick.
///
/// Reading tokio's clock takes about 20 ns, several times as long as the look-up that it serves. A map that was built
/// with a ticker reads the time from a shared number instead, for entries that may expire. Something of yours has to
/// tick: [`run`](Self::run) in a task, or [`tick`](Self::tick) from anywhere. Writes with a time to live tick too.
///
/// An entry expires with the first tick at or after its deadline: late by up to the time between two ticks, never early.
/// If nothing ticks, nothing expires.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use flowgate::{ConcurrentMap, Ticker};
/// use std::time::Duration;
///
/// let ticker = Ticker::new();
/// let map = ConcurrentMap::builder().ttl(Duration::from_secs(60)).ticker(&ticker).build().unwrap();
/// map.insert("session", 7);
/// let ticking = tokio::spawn(async move { ticker.run(Duration::from_millis(100)).await });
///
/// tokio::time::sleep(Duration::from_secs(59)).await;
/// assert_eq!(map.get("session"), Some(7));
/// tokio::time::sleep(Duration::from_secs(2)).await;
/// assert_eq!(map.get("session"), None);
/// # ticking.abort();
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Ticker {
    shown: Arc<AtomicU64>,
}

impl Ticker {
    /// A ticker that shows the present time. Clones show the same time.
    #[must_use]
    pub fn new() -> Self {
        Self { shown: Arc::new(AtomicU64::new(real())) }
    }

    /// Shows the present time.
    pub fn tick(&self) {
        self.advance(real());
    }

    /// Ticks for as long as it is polled, once in `every`; at most once in a millisecond.
    ///
    /// # Cancel safety
    ///
    /// Safe: dropping it ends the ticking.
    pub async fn run(&self, every: Duration) {
        loop {
            self.tick();
            rt::sleep(every.max(Duration::from_millis(1))).await;
        }
    }

    fn advance(&self, now: Ticks) {
        // Ordering: Relaxed, here and in `now`: the time guards nothing; entries are behind their shard's lock.
        self.shown.fetch_max(now, Ordering::Relaxed);
    }
}

impl Default for Ticker {
    fn default() -> Self {
        Self::new()
    }
}

/// Where a map has the time from.
#[derive(Debug, Default)]
pub(super) struct Clock(Option<Ticker>);

impl Clock {
    pub(super) const fn new(ticker: Option<Ticker>) -> Self {
        Self(ticker)
    }

    #[inline]
    pub(super) fn now(&self) -> Ticks {
        match &self.0 {
            Some(ticker) => ticker.shown.load(Ordering::Relaxed),
            None => real(),
        }
    }

    /// The moment `ttl` from now, on the real clock. One that is too far away never comes.
    pub(super) fn due(&self, ttl: Duration) -> Ticks {
        let now = real();
        if let Some(ticker) = &self.0 {
            ticker.advance(now);
        }
        now.saturating_add(u64::try_from(ttl.as_nanos()).unwrap_or(NEVER))
    }
}

#[inline]
fn real() -> Ticks {
    let passed = rt::since_epoch(rt::now());
    // Five centuries fit; in 128 bits, as `Duration::as_nanos` has it, this would take twice as long.
    passed.as_secs() * 1_000_000_000 + u64::from(passed.subsec_nanos())
}
