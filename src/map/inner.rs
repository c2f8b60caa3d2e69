//! What the clones of a map share: the shards, and how a key finds its own.

use super::load::Flight;
use super::ttl::Clock;
use crate::kernel::alarms::{NEVER, Ticks};
use crate::kernel::shard::{Locked, Room, Shard, is_inside};
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::time::Duration;

/// A shard of a map, as it is locked.
pub(super) type Lock<'a, K, V> = Locked<'a, K, V, Flight<V>>;

/// What a shard lets go of.
pub(super) type Gone<K, V> = crate::kernel::shard::Gone<K, V, Flight<V>>;

/// The shards of a map.
type Shards<K, V> = Box<[Padded<Shard<K, V, Flight<V>>>]>;

/// Keeps what it holds on cache lines of its own: two of them, as processors fetch lines in pairs.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Padded<T>(pub(super) T);

pub(super) struct Inner<K, V, S> {
    pub(super) shards: Shards<K, V>,
    /// How far the hash's bits that choose the shard stand from its low end.
    pub(super) shift: u32,
    pub(super) hasher: S,
    pub(super) room: Option<Room>,
    /// The time that an entry lives if its writer does not say.
    pub(super) ttl: Option<Duration>,
    pub(super) clock: Clock,
    pub(super) name: Option<Box<str>>,
}

impl<K, V, S> Inner<K, V, S> {
    /// The shard's number for a hash. A table inside a shard uses the seven highest bits and the lowest ones; these stand
    /// next to the seven, so that the keys of one shard still differ in both.
    #[inline(always)]
    pub(super) fn index(&self, hash: u64) -> usize {
        // Truncation: the mask leaves fewer bits than a `usize` has.
        (hash >> self.shift) as usize & (self.shards.len() - 1)
    }

    /// Locks the shard of a hash.
    ///
    /// # Panics
    /// If the calling thread is inside of this map.
    #[inline(always)]
    pub(super) fn lock(&self, hash: u64) -> Lock<'_, K, V> {
        self.lock_at(self.index(hash))
    }

    /// Locks the shard of a hash for somebody who stores nothing and takes nothing out.
    ///
    /// # Panics
    /// If the calling thread is inside of this map.
    #[inline(always)]
    pub(super) fn lock_to_read(&self, hash: u64) -> Lock<'_, K, V> {
        self.lock_with(self.index(hash), None)
    }

    /// Locks a shard by its number.
    ///
    /// # Panics
    /// If the calling thread is inside of this map.
    #[inline(always)]
    pub(super) fn lock_at(&self, index: usize) -> Lock<'_, K, V> {
        self.lock_with(index, self.room.as_ref())
    }

    #[inline(always)]
    fn lock_with<'a>(&'a self, index: usize, room: Option<&'a Room>) -> Lock<'a, K, V> {
        match self.shards[index].0.lock(self.id(), room) {
            Some(lock) => lock,
            None => self.refuse_reentry(),
        }
    }

    /// A name that no other map in memory has.
    #[inline(always)]
    fn id(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Whether code that runs under a lock of this map is calling.
    pub(super) fn is_reentered(&self) -> bool {
        is_inside(self.id())
    }

    /// Panics if code that runs under a lock of this map is calling.
    pub(super) fn expect_outside(&self) {
        if self.is_reentered() {
            self.refuse_reentry()
        }
    }

    #[cold]
    #[inline(never)]
    fn refuse_reentry(&self) -> ! {
        panic!(
            "{self} was called by code that it runs under one of its own locks (a closure, or `Hash`, `Eq` or `Clone` of \
             an entry): it would wait for itself"
        )
    }

    /// The time, if an entry has a deadline.
    #[inline(always)]
    pub(super) fn now(&self) -> Ticks {
        self.clock.now()
    }

    /// The deadline of an entry that is stored now and lives for `ttl`.
    #[inline(always)]
    pub(super) fn due(&self, ttl: Option<Duration>) -> Ticks {
        match ttl {
            Some(ttl) => self.clock.due(ttl),
            None => NEVER,
        }
    }
}

impl<K, V, S: BuildHasher> Inner<K, V, S> {
    /// The hash of a key, in any of its forms.
    #[inline(always)]
    pub(super) fn hash<Q: Hash + ?Sized>(&self, key: &Q) -> u64 {
        self.hasher.hash_one(key)
    }
}

/// The map's name, or else its type.
impl<K, V, S> fmt::Display for Inner<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "ConcurrentMap {name:?}"),
            None => write!(f, "ConcurrentMap<{}, {}>", std::any::type_name::<K>(), std::any::type_name::<V>()),
        }
    }
}
