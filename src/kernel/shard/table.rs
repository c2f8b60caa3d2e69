//! Looking up, storing and removing an entry of a locked shard.

use super::extra::Extra;
use super::size::make_room;
use super::{Gone, Locked, Room, State};
use crate::kernel::alarms::{NEVER, Ticks};
use hashbrown::HashTable;
use hashbrown::hash_table::{Entry, OccupiedEntry, VacantEntry};

/// The place of a key.
#[derive(Debug)]
pub(crate) enum Seat<'a, K, V, F> {
    /// The key has a live value.
    Taken(Taken<'a, K, V, F>),
    /// It has none.
    Free(Free<'a, K, V, F>),
}

/// A live entry.
#[derive(Debug)]
pub(crate) struct Taken<'a, K, V, F> {
    entry: OccupiedEntry<'a, (K, V)>,
    extra: &'a mut Option<Box<Extra<K, F>>>,
}

/// Where an absent key belongs.
#[derive(Debug)]
pub(crate) struct Free<'a, K, V, F> {
    entry: VacantEntry<'a, (K, V)>,
    extra: &'a mut Option<Box<Extra<K, F>>>,
    room: Option<&'a Room>,
    counted: &'a mut usize,
}

impl<K, V, F> Taken<'_, K, V, F> {
    /// The value.
    #[inline(always)]
    pub(crate) fn get(&self) -> &V {
        &self.entry.get().1
    }

    /// The value.
    #[inline(always)]
    pub(crate) fn get_mut(&mut self) -> &mut V {
        &mut self.entry.get_mut().1
    }

    /// Stores another value, with a deadline of its own, and returns the old one.
    #[inline(always)]
    pub(crate) fn replace(mut self, value: V, due: Ticks) -> V {
        let old = std::mem::replace(&mut self.entry.get_mut().1, value);
        if due != NEVER || self.extra.is_some() {
            let (place, places) = (self.entry.bucket_index(), self.entry.into_table().num_buckets());
            set_deadline(self.extra, place, places, due);
        }
        old
    }

    /// Takes the entry out.
    #[inline(always)]
    pub(crate) fn remove(self) -> (K, V) {
        if self.extra.is_some() {
            set_deadline(self.extra, self.entry.bucket_index(), 0, NEVER);
        }
        self.entry.remove().0
    }
}

impl<K, V, F> Free<'_, K, V, F> {
    /// Takes a place for one more entry, unless the map is full.
    #[inline(always)]
    pub(crate) fn admit(&mut self) -> bool {
        let Some(room) = self.room else { return true };
        let admitted = room.take();
        *self.counted += usize::from(admitted);
        admitted
    }

    /// Stores an entry. A load of the key, found by `hash`, is overtaken.
    #[inline(always)]
    pub(crate) fn insert(self, hash: u64, key: K, value: V, due: Ticks, gone: &mut Gone<K, V, F>)
    where
        K: Eq,
    {
        // Invariant 3: `Eq` is called before anything changes.
        if let Some(extra) = self.extra {
            overtake(extra, hash, |other| *other == key, gone);
        }
        let entry = self.entry.insert((key, value));
        if due != NEVER || self.extra.is_some() {
            let (place, places) = (entry.bucket_index(), entry.into_table().num_buckets());
            set_deadline(self.extra, place, places, due);
        }
    }
}

#[inline(never)]
fn set_deadline<K, F>(extra: &mut Option<Box<Extra<K, F>>>, place: usize, places: usize, due: Ticks) {
    match extra {
        Some(extra) => extra.set_deadline(place, places, due),
        None if due == NEVER => {}
        None => extra.insert(Box::new(Extra::new())).set_deadline(place, places, due),
    }
}

#[inline(never)]
fn overtake<K, V, F>(extra: &mut Extra<K, F>, hash: u64, eq: impl Fn(&K) -> bool, gone: &mut Gone<K, V, F>) {
    if let Some(flight) = extra.end(hash, |key, _| eq(key)) {
        gone.left().flights.push(flight);
    }
}

impl<K, V, F> Locked<'_, K, V, F> {
    /// Tells the load of a key that the key was written to meanwhile. Any write to an absent key does this.
    #[inline(always)]
    pub(crate) fn overtake(&mut self, hash: u64, eq: impl Fn(&K) -> bool, gone: &mut Gone<K, V, F>) {
        if let Some(extra) = &mut self.state.extra {
            overtake(extra, hash, eq, gone);
        }
    }

    /// The live entry of a key. `now` is asked only if the entry has a deadline.
    #[inline(always)]
    pub(crate) fn get(&self, hash: u64, eq: impl Fn(&K) -> bool, now: impl FnOnce() -> Ticks) -> Option<&(K, V)> {
        let State { table, extra, .. } = &*self.state;
        match extra {
            None => table.find(hash, |pair| eq(&pair.0)),
            Some(extra) => get_timed(table, extra, hash, eq, now),
        }
    }

    /// The live entry of a key, to be changed or removed. An expired one is taken out.
    #[inline(always)]
    pub(crate) fn find(
        &mut self,
        hash: u64,
        eq: impl Fn(&K) -> bool,
        now: impl FnOnce() -> Ticks,
        gone: &mut Gone<K, V, F>,
    ) -> Option<Taken<'_, K, V, F>> {
        let State { table, extra, .. } = &mut *self.state;
        if extra.is_some() {
            expire(table, extra, hash, &eq, now, gone);
        }
        let entry = table.find_entry(hash, |pair| eq(&pair.0)).ok()?;
        Some(Taken { entry, extra })
    }

    /// The place of a key, with room for an entry there. An expired one is taken out.
    #[inline(always)]
    pub(crate) fn seat(
        &mut self,
        hash: u64,
        eq: impl Fn(&K) -> bool,
        hasher: impl Fn(&K) -> u64,
        now: impl FnOnce() -> Ticks,
        gone: &mut Gone<K, V, F>,
    ) -> Seat<'_, K, V, F> {
        let Self { state, room, .. } = self;
        let State { table, extra, counted, .. } = &mut **state;
        let time = if extra.is_some() { expire(table, extra, hash, &eq, now, gone) } else { None };
        if table.len() == table.capacity() {
            make_room(table, extra, time, &hasher, gone);
        }
        // Invariant 3: there is room, so the table hashes nothing here.
        match table.entry(hash, |pair| eq(&pair.0), |pair| hasher(&pair.0)) {
            Entry::Vacant(entry) => Seat::Free(Free { entry, extra, room: *room, counted }),
            Entry::Occupied(entry) => Seat::Taken(Taken { entry, extra }),
        }
    }
}

/// The live entry of a key in a shard that may be timed.
#[inline(never)]
fn get_timed<'a, K, V, F>(
    table: &'a HashTable<(K, V)>,
    extra: &Extra<K, F>,
    hash: u64,
    eq: impl Fn(&K) -> bool,
    now: impl FnOnce() -> Ticks,
) -> Option<&'a (K, V)> {
    let place = table.find_bucket_index(hash, |pair| eq(&pair.0))?;
    if extra.has_expired(place, now) { None } else { table.get_bucket(place) }
}

/// In a shard that is timed: sweeps a few places, takes the entry of a key out if it has expired, and returns the time.
#[inline(never)]
fn expire<K, V, F>(
    table: &mut HashTable<(K, V)>,
    extra: &mut Option<Box<Extra<K, F>>>,
    hash: u64,
    eq: &impl Fn(&K) -> bool,
    now: impl FnOnce() -> Ticks,
    gone: &mut Gone<K, V, F>,
) -> Option<Ticks> {
    let extra = extra.as_mut().filter(|extra| extra.is_timed())?;
    let now = now();
    extra.sweep(table, now, gone);
    if let Some(place) = table.find_bucket_index(hash, |pair| eq(&pair.0)) {
        extra.expel(table, place, now, gone);
    }
    Some(now)
}
