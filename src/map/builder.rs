//! The options of a map.

use super::error::InvalidMap;
use super::inner::{Inner, Padded};
use super::ttl::{Clock, Ticker};
use super::{ConcurrentMap, RandomState};
use crate::kernel::shard::{Room, Shard};
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;
use std::time::Duration;

/// How many shards a map has unless it is told. See [the module](super#how-it-is-built) for the reason.
pub(super) const SHARDS: usize = 64;

/// The most shards that a map can have.
pub(super) const MOST_SHARDS: usize = 1 << 16;

/// The options of a [`ConcurrentMap`]; each is checked by [`build`](Self::build).
///
/// | option | unless set |
/// |---|---|
/// | [`shards`](Self::shards) | 64 |
/// | [`capacity`](Self::capacity) | 0 |
/// | [`hasher`](Self::hasher) | foldhash, with random keys |
/// | [`max_entries`](Self::max_entries) | no bound |
/// | [`ttl`](Self::ttl) | entries do not expire |
/// | [`ticker`](Self::ticker) | tokio's clock |
/// | [`name`](Self::name) | the types of key and value |
///
/// ```
/// use flowgate::ConcurrentMap;
/// use std::time::Duration;
///
/// let sessions = ConcurrentMap::<String, u64>::builder()
///     .name("sessions")
///     .max_entries(100_000)
///     .ttl(Duration::from_secs(1_800))
///     .build()
///     .unwrap();
/// assert!(sessions.is_empty());
/// ```
#[must_use = "a builder makes nothing until `build`"]
pub struct ConcurrentMapBuilder<K, V, S = RandomState> {
    shards: usize,
    capacity: usize,
    hasher: S,
    max_entries: Option<usize>,
    ttl: Option<Duration>,
    ticker: Option<Ticker>,
    name: Option<Box<str>>,
    entries: std::marker::PhantomData<fn() -> (K, V)>,
}

impl<K, V, S> ConcurrentMapBuilder<K, V, S> {
    pub(super) fn new(hasher: S) -> Self {
        Self {
            shards: SHARDS,
            capacity: 0,
            hasher,
            max_entries: None,
            ttl: None,
            ticker: None,
            name: None,
            entries: std::marker::PhantomData,
        }
    }

    /// How many shards, that is locks, the map has: 1 to 65,536, rounded up to a power of two. Each takes 128 bytes.
    /// More of them help many threads that write.
    pub fn shards(mut self, shards: usize) -> Self {
        self.shards = shards;
        self
    }

    /// For how many entries to allocate memory beforehand.
    pub fn capacity(mut self, entries: usize) -> Self {
        self.capacity = entries;
        self
    }

    /// The hasher. It has to spread keys over all 64 bits, the high ones too.
    pub fn hasher<T: BuildHasher>(self, hasher: T) -> ConcurrentMapBuilder<K, V, T> {
        ConcurrentMapBuilder {
            shards: self.shards,
            capacity: self.capacity,
            hasher,
            max_entries: self.max_entries,
            ttl: self.ttl,
            ticker: self.ticker,
            name: self.name,
            entries: self.entries,
        }
    }

    /// How many entries make the map full, at least 1. A full map takes no new key but through
    /// [`insert`](ConcurrentMap::insert) and its relatives, which cannot refuse.
    ///
    /// Entries that have expired and were not swept out yet count.
    pub fn max_entries(mut self, entries: usize) -> Self {
        self.max_entries = Some(entries);
        self
    }

    /// How long an entry lives after it was stored, unless its writer says otherwise; more than zero.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Takes the time from `ticker` instead of tokio's clock, wherever an entry has a deadline.
    pub fn ticker(mut self, ticker: &Ticker) -> Self {
        self.ticker = Some(ticker.clone());
        self
    }

    /// What the map is called in panics and in `Debug`.
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.into());
        self
    }

    fn check(&self) -> Result<(), InvalidMap> {
        let refuse = |option, value, allowed: &str| Err(InvalidMap { option, value, allowed: allowed.into() });
        if self.shards == 0 || self.shards > MOST_SHARDS {
            return refuse("shards", self.shards.to_string(), "1 to 65536");
        }
        if self.max_entries == Some(0) {
            return refuse("max_entries", "0".into(), "1 or more");
        }
        if self.ttl == Some(Duration::ZERO) {
            return refuse("ttl", "0ns".into(), "more than zero");
        }
        Ok(())
    }
}

impl<K: Eq + Hash, V, S: BuildHasher> ConcurrentMapBuilder<K, V, S> {
    /// The map.
    ///
    /// # Errors
    ///
    /// If an option is out of its range.
    pub fn build(self) -> Result<ConcurrentMap<K, V, S>, InvalidMap> {
        self.check()?;
        let capacity = self.capacity;
        let map = self.assemble();
        map.reserve(capacity);
        Ok(map)
    }
}

impl<K, V, S> ConcurrentMapBuilder<K, V, S> {
    /// The map, of options that are known to be in range, without memory for entries.
    pub(super) fn assemble(self) -> ConcurrentMap<K, V, S> {
        let shards: Box<[_]> = (0..self.shards.next_power_of_two()).map(|_| Padded(Shard::new())).collect();
        // The seven highest bits tell keys apart inside a table; the shard's bits stand below them.
        let shift = 57 - shards.len().trailing_zeros();
        ConcurrentMap {
            inner: Arc::new(Inner {
                shards,
                shift,
                hasher: self.hasher,
                room: self.max_entries.map(Room::new),
                ttl: self.ttl,
                clock: Clock::new(self.ticker),
                name: self.name,
            }),
        }
    }
}

impl<K, V, S> fmt::Debug for ConcurrentMapBuilder<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConcurrentMapBuilder")
            .field("shards", &self.shards)
            .field("capacity", &self.capacity)
            .field("max_entries", &self.max_entries)
            .field("ttl", &self.ttl)
            .field("ticker", &self.ticker)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
