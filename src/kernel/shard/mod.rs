//! # What
//! [`Shard`] is one part of a concurrent map: a hash table behind a lock, with the deadlines of those entries that have
//! one and the loads that are under way for keys that are absent.
//!
//! # States
//! | a key is | stored | a load | left by |
//! |---|---|---|---|
//! | absent | no | no | [`Free::insert`], [`Locked::begin`] |
//! | loading | no, or expired | yes | [`Locked::end`], [`Free::insert`], [`Locked::overtake`], [`Locked::take_all`] |
//! | live | yes, before its deadline | no | [`Taken::remove`], [`Locked::take_all`], its deadline |
//! | expired | yes, at or after its deadline | no | any write that comes across it, [`Locked::begin`] |
//!
//! # Invariants
//! 1. A key with a live value has no load. So whoever stores a value ends the key's load in the same critical section,
//!    and a load whose result may be stored is one that [`Locked::end`] still finds.
//! 2. Values, keys and loads leave through return values and [`Gone`]: none is dropped under the lock.
//! 3. Code of the user that panics under the lock (`Hash`, `Eq`, `Clone`, a closure) leaves every entry as it was:
//!    whatever it decides or computes comes before the change.
//! 4. A thread that is inside of a map, in any of its shards, gets no lock of that map.
//! 5. [`Room`] has counted every entry of the shard whenever its lock is free.
//! 6. The deadline of an entry is kept at the place of that entry, wherever a growing table moves it to.
//!
//! # Why not the obvious
//! A deadline inside each entry costs 8 bytes for entries without one; a second table of deadlines costs a second search
//! and a copy of each key. A list as long as the table, made when the first deadline is set, costs neither.
//! Growing a table whose room is taken up by removed entries would move them about in place, and a `Hash` that panics
//! meanwhile would lose entries; such a table is rebuilt beside the old one instead. To find out re-entry from the owner of
//! a lock that is taken would be found only by those who meet the same shard; asking a thread-local is as cheap.
//!
//! # Cost
//! One lock, one search, one load and two stores to a thread-local. Shards that have seen neither a deadline nor a load
//! pay one branch for both.

mod extra;
mod gate;
mod room;
mod size;
mod table;
mod walk;

pub(crate) use gate::is_inside;
pub(crate) use room::Room;
#[allow(unused_imports, reason = "their names stand in the documentation")]
pub(crate) use table::{Free, Seat, Taken};

use super::alarms::Ticks;
use crate::shim::{Mutex, MutexGuard};
use extra::Extra;
use gate::Inside;
use hashbrown::HashTable;

/// What a shard lets go of, to be dropped after its lock was released. Made before the lock is taken.
///
/// One word, as most operations let go of nothing.
#[derive(Debug)]
pub(crate) struct Gone<K, V, F>(Option<Box<Left<K, V, F>>>);

#[derive(Debug)]
struct Left<K, V, F> {
    /// Entries that were taken out.
    pairs: Vec<(K, V)>,
    /// Loads that a write has overtaken.
    flights: Vec<(K, F)>,
}

impl<K, V, F> Gone<K, V, F> {
    /// Nothing yet.
    #[inline(always)]
    pub(crate) const fn new() -> Self {
        Self(None)
    }

    /// How many entries there are.
    pub(crate) fn entries(&self) -> usize {
        self.0.as_ref().map_or(0, |left| left.pairs.len())
    }

    #[cold]
    fn left(&mut self) -> &mut Left<K, V, F> {
        self.0.get_or_insert_with(|| Box::new(Left { pairs: Vec::new(), flights: Vec::new() }))
    }
}

impl<K, V, F> Drop for Gone<K, V, F> {
    /// Most let go of nothing: that is found out without a call.
    #[inline(always)]
    fn drop(&mut self) {
        if self.0.is_some() {
            bury(self.0.take());
        }
    }
}

#[cold]
#[inline(never)]
fn bury<T>(gone: T) {
    drop(gone);
}

/// One part of a map.
#[derive(Debug)]
pub(crate) struct Shard<K, V, F> {
    state: Mutex<State<K, V, F>>,
}

#[derive(Debug)]
struct State<K, V, F> {
    table: HashTable<(K, V)>,
    extra: Option<Box<Extra<K, F>>>,
    /// The number of entries that the table keeps room for when it shrinks by itself.
    reserved: usize,
    /// How many entries the map's room has counted here. Of no use in a map without a bound.
    counted: usize,
}

/// A shard whose lock is held, by a thread that is inside of its map.
#[derive(Debug)]
pub(crate) struct Locked<'a, K, V, F> {
    _inside: Inside,
    state: MutexGuard<'a, State<K, V, F>>,
    room: Option<&'a Room>,
}

impl<K, V, F> Shard<K, V, F> {
    /// An empty shard.
    pub(crate) fn new() -> Self {
        Self { state: Mutex::new(State { table: HashTable::new(), extra: None, reserved: 0, counted: 0 }) }
    }

    /// Locks the shard of `map`, whose entries `room` counts; `None` if the calling thread is inside of that map.
    #[inline(always)]
    pub(crate) fn lock<'a>(&'a self, map: usize, room: Option<&'a Room>) -> Option<Locked<'a, K, V, F>> {
        let door = gate::find(map)?;
        let state = self.state.lock();
        Some(Locked { _inside: door.enter(map), state, room })
    }
}

impl<K, V, F> Drop for Locked<'_, K, V, F> {
    #[inline(always)]
    fn drop(&mut self) {
        if let Some(room) = self.room {
            let held = self.state.table.len();
            room.correct(std::mem::replace(&mut self.state.counted, held), held);
        }
    }
}

impl<K, V, F> Locked<'_, K, V, F> {
    /// The load of a key.
    pub(crate) fn flight(&self, hash: u64, eq: impl Fn(&K) -> bool) -> Option<&F> {
        self.state.extra.as_ref()?.flight(hash, eq)
    }

    /// Notes a load of a key that is neither live nor loading.
    pub(crate) fn begin(&mut self, hash: u64, key: K, flight: F) {
        self.state.extra.get_or_insert_with(|| Box::new(Extra::new())).begin(hash, key, flight);
    }

    /// Takes out the load that `which` means, and no other. `None` if it is gone: a write has overtaken it, and its result
    /// must not be stored.
    pub(crate) fn end(&mut self, hash: u64, which: impl Fn(&F) -> bool) -> Option<(K, F)> {
        self.state.extra.as_mut()?.end(hash, |_, flight| which(flight))
    }

    /// Tells every load of the shard that its key was written to meanwhile.
    pub(crate) fn overtake_all(&mut self, gone: &mut Gone<K, V, F>) {
        if let Some(extra) = self.state.extra.as_mut().filter(|extra| extra.is_loading()) {
            gone.left().flights.extend(extra.end_all());
        }
    }

    /// How many entries are stored, expired ones included.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.state.table.len()
    }

    /// How many entries fit into the memory of the table.
    pub(crate) fn capacity(&self) -> usize {
        self.state.table.capacity()
    }

    /// Takes out all entries, live or expired, and all loads.
    pub(crate) fn take_all(&mut self, gone: &mut Gone<K, V, F>) -> HashTable<(K, V)> {
        self.overtake_all(gone);
        if let Some(extra) = &mut self.state.extra {
            extra.deadlines = Vec::new();
        }
        self.state.reserved = 0;
        std::mem::take(&mut self.state.table)
    }

    /// Takes out what has expired.
    pub(crate) fn sweep_all(&mut self, now: impl FnOnce() -> Ticks, gone: &mut Gone<K, V, F>) {
        let State { table, extra, .. } = &mut *self.state;
        if let Some(extra) = extra.as_mut().filter(|extra| extra.is_timed()) {
            extra.sweep_all(table, now(), gone);
        }
    }
}
