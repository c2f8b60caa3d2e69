//! Look-ups of entries that expire, long before they do.

use std::time::{Duration, Instant};

use flowgate::{ConcurrentMap, Ticker};

use crate::map::driver::on_threads;
use crate::map::keys::mixed;
use crate::map::subject::Hasher;
use crate::setup::Setup;

/// How long entries live.
const TTL: Duration = Duration::from_secs(3_600);

/// A map whose entries live for `TTL`.
pub trait Expiring: Send + Sync + 'static {
    /// An empty map.
    fn new() -> Self;
    /// Stores.
    fn set(&self, key: u64, value: u64);
    /// Looks up what has not expired.
    fn get(&self, key: u64) -> Option<u64>;
}

/// Ours on tokio's clock.
#[derive(Debug)]
pub struct ByClock(ConcurrentMap<u64, u64, Hasher>);

impl Expiring for ByClock {
    fn new() -> Self {
        let options = ConcurrentMap::builder().hasher(Hasher::default()).ttl(TTL);
        Self(options.build().expect("options that can be honoured"))
    }

    fn set(&self, key: u64, value: u64) {
        self.0.insert(key, value);
    }

    fn get(&self, key: u64) -> Option<u64> {
        self.0.get(&key)
    }
}

/// Ours on a ticker.
#[derive(Debug)]
pub struct ByTicker(ConcurrentMap<u64, u64, Hasher>);

impl Expiring for ByTicker {
    fn new() -> Self {
        let options = ConcurrentMap::builder().hasher(Hasher::default()).ttl(TTL).ticker(&Ticker::new());
        Self(options.build().expect("options that can be honoured"))
    }

    fn set(&self, key: u64, value: u64) {
        self.0.insert(key, value);
    }

    fn get(&self, key: u64) -> Option<u64> {
        self.0.get(&key)
    }
}

impl Expiring for moka::sync::Cache<u64, u64, Hasher> {
    fn new() -> Self {
        moka::sync::Cache::builder().time_to_live(TTL).build_with_hasher(Hasher::default())
    }

    fn set(&self, key: u64, value: u64) {
        self.insert(key, value);
    }

    fn get(&self, key: u64) -> Option<u64> {
        self.get(&key)
    }
}

/// `DashMap` with the deadline beside the value, compared by hand.
pub type DashInstant = dashmap::DashMap<u64, (u64, Instant), Hasher>;

impl Expiring for DashInstant {
    fn new() -> Self {
        Self::with_hasher(Hasher::default())
    }

    fn set(&self, key: u64, value: u64) {
        self.insert(key, (value, Instant::now() + TTL));
    }

    fn get(&self, key: u64) -> Option<u64> {
        let entry = self.get(&key)?;
        (Instant::now() < entry.1).then_some(entry.0)
    }
}

/// Looks the keys up in turn; how many look-ups were right.
pub fn reads<M: Expiring>(setup: &Setup) -> u64 {
    let keys = setup.shape.keys as u64;
    let map = setup.kept(|| {
        let map = M::new();
        for n in 0..keys {
            map.set(mixed(n), n);
        }
        map
    });
    on_threads(setup, |share| share.filter(|n| map.get(mixed(n % keys)) == Some(n % keys)).count() as u64)
}
