//! Looking up, storing and removing an entry of a locked shard.

use super::extra::Extra;
use super::size::{is_timed, make_room};
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
    places: usize,
    extra: &'a mut Option<Box<Extra<K, F>>>,
    room: Option<&'a Room>,
    counted: &'a mut usize,
}

impl<K, V, F> Taken<'_, K, V, F> {
    /// The value.
    #[inline]
    pub(crate) fn get(&self) -> &V {
        &self.entry.get().1
    }

    /// The value.
    #[inline]
    pub(crate) fn get_mut(&mut self) -> &mut V {
        &mut self.entry.get_mut().1
    }

    /// Stores another value, with a deadline of its own, and returns the old one.
    #[inline]
    pub(crate) fn replace(mut self, value: V, due: Ticks) -> V {
        let old = std::mem::replace(&mut self.entry.get_mut().1, value);
        if due != NEVER || is_timed(self.extra) {
            let (place, places) = (self.entry.bucket_index(), self.entry.into_table().num_buckets());
            set_deadline(self.extra, place, places, due);
        }
        old
    }

    /// Takes the entry out.
    #[inline]
    pub(crate) fn remove(self) -> (K, V) {
        if is_timed(self.extra) {
            set_deadline(self.extra, self.entry.bucket_index(), 0, NEVER);
        }
        self.entry.remove().0
    }
}

impl<K, V, F> Free<'_, K, V, F> {
    /// Takes a place for one more entry, unless the map is full.
    #[inline]
    pub(crate) fn admit(&mut self) -> bool {
        let Some(room) = self.room else { return true };
        let admitted = room.take();
        *self.counted += usize::from(admitted);
        admitted
    }

    /// Stores an entry. A load of the key, found by `hash`, is overtaken.
    #[inline]
    pub(crate) fn insert(self, hash: u64, key: K, value: V, due: Ticks, gone: &mut Gone<K, V, F>)
    where
        K: Eq,
    {
        // Invariant 3: `Eq` is called before anything changes.
        if let Some(extra) = self.extra {
            gone.flight = extra.end(hash, |other, _| *other == key);
        }
        let place = self.entry.insert((key, value)).bucket_index();
        if due != NEVER || is_timed(self.extra) {
            set_deadline(self.extra, place, self.places, due);
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

impl<K, V, F> Locked<'_, K, V, F> {
    /// The live entry of a key. `now` is asked only if the entry has a deadline.
    #[inline]
    pub(crate) fn get(&self, hash: u64, eq: impl Fn(&K) -> bool, now: impl FnOnce() -> Ticks) -> Option<&(K, V)> {
        let State { table, extra, .. } = &*self.state;
        match extra {
            Some(extra) if extra.is_timed() => {
                let place = table.find_bucket_index(hash, |pair| eq(&pair.0))?;
                if extra.has_expired(place, now) { None } else { table.get_bucket(place) }
            }
            _ => table.find(hash, |pair| eq(&pair.0)),
        }
    }

    /// The live entry of a key, to be changed or removed. An expired one is taken out.
    #[inline]
    pub(crate) fn find(
        &mut self,
        hash: u64,
        eq: impl Fn(&K) -> bool,
        now: impl FnOnce() -> Ticks,
        gone: &mut Gone<K, V, F>,
    ) -> Option<Taken<'_, K, V, F>> {
        let State { table, extra, .. } = &mut *self.state;
        let time = sweep(table, extra, now, gone);
        let entry = table.find_entry(hash, |pair| eq(&pair.0)).ok()?;
        if has_expired(extra, time, || entry.bucket_index()) {
            gone.pairs.push(entry.remove().0);
            return None;
        }
        Some(Taken { entry, extra })
    }

    /// The place of a key, with room for an entry there. An expired one is taken out.
    #[inline]
    pub(crate) fn seat(
        &mut self,
        hash: u64,
        eq: impl Fn(&K) -> bool,
        hasher: impl Fn(&K) -> u64,
        now: impl FnOnce() -> Ticks,
        gone: &mut Gone<K, V, F>,
    ) -> Seat<'_, K, V, F> {
        let Self { state, room, counted, .. } = self;
        let State { table, extra, .. } = &mut **state;
        let room = *room;
        let time = sweep(table, extra, now, gone);
        if table.len() == table.capacity() {
            make_room(table, extra, time, &hasher, gone);
        }
        let places = table.num_buckets();
        // Invariant 3: there is room, so the table hashes nothing here.
        match table.entry(hash, |pair| eq(&pair.0), |pair| hasher(&pair.0)) {
            Entry::Vacant(entry) => Seat::Free(Free { entry, places, extra, room, counted }),
            Entry::Occupied(entry) if has_expired(extra, time, || entry.bucket_index()) => {
                let (pair, entry) = entry.remove();
                gone.pairs.push(pair);
                Seat::Free(Free { entry, places, extra, room, counted })
            }
            Entry::Occupied(entry) => Seat::Taken(Taken { entry, extra }),
        }
    }
}

/// Whether the entry at a place has expired by `time`, which is known if the shard is timed.
#[inline]
fn has_expired<K, F>(extra: &Option<Box<Extra<K, F>>>, time: Option<Ticks>, place: impl FnOnce() -> usize) -> bool {
    match (extra, time) {
        (Some(extra), Some(time)) => extra.has_expired(place(), || time),
        _ => false,
    }
}

/// Sweeps a few places of a shard that is timed, and returns the time.
#[inline]
fn sweep<K, V, F>(
    table: &mut HashTable<(K, V)>,
    extra: &mut Option<Box<Extra<K, F>>>,
    now: impl FnOnce() -> Ticks,
    gone: &mut Gone<K, V, F>,
) -> Option<Ticks> {
    let extra = extra.as_mut().filter(|extra| extra.is_timed())?;
    let now = now();
    extra.sweep(table, now, gone);
    Some(now)
}
