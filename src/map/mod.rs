//! A hash map that many tasks and threads share, and that cannot be held wrongly.
//!
//! No method returns a guard. What is done to a value in place is done by a closure, and everything else is a copy: so
//! nothing of this map can be held over an `.await`, and no two calls of one thread can wait for each other.
//!
//! # What is promised
//!
//! | | |
//! |---|---|
//! | bound | it holds what is put into it. With `max_entries` set, [`try_insert`](ConcurrentMap::try_insert), [`compute`](ConcurrentMap::compute), [`upsert`](ConcurrentMap::upsert) and [`get_or_insert_with`](ConcurrentMap::get_or_insert_with) never take it past that number; [`insert`](ConcurrentMap::insert) and its relatives cannot refuse, and do |
//! | given back | what is refused comes back: [`MapFull`] has key and value, [`Computed::Refused`] the value |
//! | waiting | for a lock that is held while one entry is looked at, or one shard visited; only a load waits for a task |
//! | order | none between keys; all calls for one key happen one after the other |
//! | closures | run exactly once (or not at all, where so documented), under one shard's lock |
//! | re-entry | code that the map runs under a lock (closures; `Hash`, `Eq` and `Clone` of entries) and that calls the same map is refused with a panic that names the map: every time, not only when it meets the same shard. Other maps may be called |
//! | panics | in any such code release the lock and leave the entry as it was; a closure with `&mut` leaves what it has done |
//! | drops | keys and values are dropped after the lock was released, so their `Drop` may call the map. A `Drop` that panics comes after the change was made |
//! | memory | a table that has become nearly empty shrinks; see [`shrink_to_fit`](ConcurrentMap::shrink_to_fit) |
//! | loads | [`get_or_load`](ConcurrentMap::get_or_load): a missing value is loaded once, however many wait for it, in a task of its own that ends with its last waiter. A load that a write has overtaken is returned and not stored; see [`get_or_try_load`](ConcurrentMap::get_or_try_load) for every event |
//! | time | entries without a deadline never read a clock, and take no memory for one |
//!
//! # Consistency
//!
//! Calls for one key are linearizable: each takes effect at one moment between its call and its return. A read sees the
//! last write that came before it.
//!
//! What concerns many keys goes from shard to shard, and sees each at one moment, but not all at the same one:
//! [`len`](ConcurrentMap::len), [`iter`](ConcurrentMap::iter), [`for_each`](ConcurrentMap::for_each),
//! [`snapshot`](ConcurrentMap::snapshot), [`retain`](ConcurrentMap::retain), [`drain`](ConcurrentMap::drain) and
//! [`clear`](ConcurrentMap::clear). An entry that is there from beginning to end is seen exactly once. One that comes or
//! goes meanwhile is seen or not: of two entries that were stored one after the other, the later alone may be seen. A
//! writer waits for such a call for as long as the visit of one shard takes, with your closure or `Clone` in it.
//!
//! An entry with a deadline is absent from that moment on, in every call. It is counted by `len` and takes memory (and a
//! place of `max_entries`) until a write to its shard sweeps it out: each looks at four places of the table. No thread and
//! no task does this, so a map that is not written to keeps what has expired until
//! [`remove_expired`](ConcurrentMap::remove_expired).
//!
//! # When not to use it
//!
//! * **A cache of bounded size that evicts the least useful.** `max_entries` refuses, it does not evict: use `moka` or
//!   `quick_cache`.
//! * **Read by many threads, hardly ever written.** Each look-up locks its shard: use `papaya`, whose reads take no lock, or
//!   `scc::HashIndex`.
//! * **Ordered keys.** Use a tree behind a lock, or `scc::TreeIndex`.
//! * **Values to be locked while you await.** Store an `Arc<tokio::sync::Mutex<_>>`, and lock what
//!   [`get`](ConcurrentMap::get) returns.
//! * **One key that everybody writes to.** Its shard's lock is the bottleneck: use an atomic.
//!
//! Two deadlocks remain, and are yours: a closure that waits for another thread which wants the same map, and closures
//! of two maps that call each other's map from two threads.
//!
//! # Moving from dashmap
//!
//! | dashmap | here |
//! |---|---|
//! | `Arc<DashMap<K, V>>` | `ConcurrentMap<K, V>`: a clone is the same map |
//! | `map.get(&k).map(\|v\| v.clone())` | `map.get(&k)` |
//! | `let v = map.get(&k)?; f(&v)` | `map.read(&k, \|v\| f(v))` |
//! | `*map.get_mut(&k)? += 1` | `map.update(&k, \|v\| *v += 1)` |
//! | `map.entry(k).or_insert_with(f).clone()` | `map.get_or_insert_with(k, f)` |
//! | `map.entry(k).and_modify(f).or_insert_with(g)` | `map.upsert(k, f, g)` |
//! | `match map.entry(k) { Occupied(..) => .., Vacant(..) => .. }` | `map.compute(k, \|v\| match v { Some(..) => .., None => .. })` |
//! | `map.insert(k.to_owned(), v)` with a key that is often there | `map.insert_ref(k, v)` |
//! | `map.remove(&k)`, `map.remove_if(&k, \|k, v\| ..)` | `map.remove(&k)`, `map.remove_if(&k, \|v\| ..)` |
//! | `for entry in map.iter() { .. }` | `map.for_each(\|k, v\| ..)`, or `for (k, v) in &map` with copies |
//! | `map.iter_mut()`, `map.alter_all(f)` | `map.retain(\|k, v\| { ..; true })` |
//! | `map.into_iter()` | `map.drain()` |
//! | `try_get`, which may find the lock taken | `get`: no lock is held for long enough |
//! | a lock per missing key, or a second map of `OnceCell`s | `map.get_or_load(k, \|\| async { .. }).await` |
//! | `DashMap::with_shard_amount(n)` | `ConcurrentMap::with_shards(n)` |
//!
//! # How it is built
//!
//! A power of two of shards, each a `hashbrown` table behind a lock of one byte. A key is hashed once, by foldhash with
//! keys drawn at random for each map (a keyed hash that takes 2 to 5 ns for short keys; it resists collisions made
//! up without knowing its output, but is no cryptographic hash: take `std`'s through
//! [`with_hasher`](ConcurrentMap::with_hasher) where an attacker can choose keys and time the answers). High bits of the
//! hash choose the shard.
//!
//! What was measured, in processor time per call on two busy cores of an AMD EPYC (medians of seven rounds, single runs vary by
//! a tenth; `Set` then `Get` of 1,000 short keys, unless named otherwise):
//!
//! * **64 shards.** 64, 128 and 256 took 15.1, 18.3 and 17.8 ns, and 15.9, 17.4 and 17.2 ns with two threads: with few threads
//!   more locks only take more of the cache, and 256 of them 33 KB. Many cores that write are what
//!   [`shards`](ConcurrentMapBuilder::shards) is for.
//! * **128 bytes a shard.** 64 bytes were as fast there (10.9 and 10.9 ns in a prototype of the bare table and lock). 128 are
//!   kept because other processors fetch cache lines in pairs, at 4 KB a map.
//! * **A mutex.** A reader-writer lock writes to its word for a read as well, so it gained nothing for look-ups (9.4 against 9.1 ns,
//!   with two threads 10.9 against 9.7) and cost more for writes (13.3 against 10.9).
//! * **Refusing every re-entry** costs one load and two stores to a thread-local.
//! * **No caching reader.** A handle with 1,024 copies, each checked against a version of its shard, took 7.3 ns instead of 12.3
//!   for one hot key, but 13.6 instead of 12.4 for 1,000 keys (seven of ten were hits), 18.7 instead of 16.3 where one call in a
//!   hundred writes, and 38.9 instead of 22.5 with `String` keys. It would also keep up to 1,024 values alive after they were
//!   removed.
//!

mod builder;
mod bulk;
mod compute;
mod error;
mod inner;
mod iter;
mod load;
mod read;
mod source;
mod ttl;
mod write;

pub use builder::ConcurrentMapBuilder;
pub use compute::{Compute, Computed};
pub use error::{InvalidMap, MapFull};
pub use foldhash::fast::RandomState;
pub use hashbrown::Equivalent;
pub use iter::{Iter, Keys, Values};
pub use load::{LoadError, LoadSource, Loaded};
pub use ttl::Ticker;

use builder::MOST_SHARDS;
use inner::Inner;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

/// A hash map that many tasks and threads share. A clone is the same map. See [the module](self) for what it promises.
///
/// ```
/// use flowgate::{Compute, ConcurrentMap};
///
/// let stock = ConcurrentMap::<String, u32>::new();
/// stock.insert("pears".into(), 3);
/// stock.upsert_ref("plums", |count| *count += 5, || 5);
///
/// assert_eq!(stock.get("pears"), Some(3)); // a clone of the value
/// assert_eq!(stock.update("pears", |count| { *count -= 1; *count }), Some(2)); // in place, under a lock
/// stock.compute_ref("plums", |count| match count {
///     Some(5..) => Compute::Remove,
///     _ => Compute::Keep,
/// });
/// assert_eq!(stock.snapshot(), [("pears".into(), 2)]);
/// ```
///
/// Nothing that it returns borrows from it, so there is nothing to hold over an `.await`:
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # let map = flowgate::ConcurrentMap::from([("k", String::from("v"))]);
/// let value: String = map.get("k").unwrap();
/// tokio::task::yield_now().await;
/// assert_eq!(value, "v");
/// # }
/// ```
///
/// A reference to a value cannot leave the closure that it was lent to:
///
/// ```compile_fail
/// # let map = flowgate::ConcurrentMap::from([("k", String::from("v"))]);
/// let value: Option<&String> = map.read("k", |value| value);
/// ```
///
/// ```
/// # let map = flowgate::ConcurrentMap::from([("k", String::from("v"))]);
/// let value: Option<String> = map.read("k", |value| value.clone());
/// ```
///
/// And the closure cannot await:
///
/// ```compile_fail,E0728
/// # async fn f(map: flowgate::ConcurrentMap<&str, String>) {
/// map.read("k", |value| tokio::task::yield_now().await);
/// # }
/// ```
pub struct ConcurrentMap<K, V, S = RandomState> {
    inner: Arc<Inner<K, V, S>>,
}

impl<K, V> ConcurrentMap<K, V> {
    /// An empty map. It allocates its shards, and nothing for entries.
    #[must_use]
    pub fn new() -> Self {
        Self::with_hasher(RandomState::default())
    }

    /// An empty map with about this many shards: rounded up to a power of two, from 1 to 65,536.
    #[must_use]
    pub fn with_shards(shards: usize) -> Self {
        Self::builder().shards(shards.clamp(1, MOST_SHARDS)).assemble()
    }

    /// Options to build a map with.
    pub fn builder() -> ConcurrentMapBuilder<K, V> {
        ConcurrentMapBuilder::new(RandomState::default())
    }
}

impl<K: Eq + Hash, V> ConcurrentMap<K, V> {
    /// An empty map with memory for `capacity` entries.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        let map = Self::new();
        map.reserve(capacity);
        map
    }
}

impl<K, V, S> ConcurrentMap<K, V, S> {
    /// An empty map that hashes keys with `hasher`, which has to spread them over all 64 bits, the high ones too.
    #[must_use]
    pub fn with_hasher(hasher: S) -> Self {
        ConcurrentMapBuilder::new(hasher).assemble()
    }

    /// The hasher.
    #[must_use]
    pub fn hasher(&self) -> &S {
        &self.inner.hasher
    }
}

/// The same map once more: a clone shares the entries.
impl<K, V, S> Clone for ConcurrentMap<K, V, S> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<K, V, S: Default> Default for ConcurrentMap<K, V, S> {
    fn default() -> Self {
        Self::with_hasher(S::default())
    }
}

/// The map's name and numbers, not its entries: they may be many, secret, or busy.
impl<K, V, S> fmt::Debug for ConcurrentMap<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut summary = f.debug_struct("ConcurrentMap");
        if let Some(name) = &self.inner.name {
            summary.field("name", name);
        }
        if !self.inner.is_reentered() {
            summary.field("len", &self.len());
        }
        summary.field("max_entries", &self.max_entries()).field("shards", &self.shards()).finish_non_exhaustive()
    }
}

impl<K: Eq + Hash, V, S: BuildHasher + Default> FromIterator<(K, V)> for ConcurrentMap<K, V, S> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::default();
        map.extend(entries);
        map
    }
}

impl<K: Eq + Hash, V, const N: usize> From<[(K, V); N]> for ConcurrentMap<K, V> {
    fn from(entries: [(K, V); N]) -> Self {
        entries.into_iter().collect()
    }
}

impl<K: Eq + Hash, V, S: BuildHasher> Extend<(K, V)> for ConcurrentMap<K, V, S> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}

impl<K: Eq + Hash, V, S: BuildHasher> Extend<(K, V)> for &ConcurrentMap<K, V, S> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}
