//! What only some shards need: deadlines of entries, and the loads that are under way.

use super::Gone;
use crate::kernel::alarms::{NEVER, Ticks};
use hashbrown::HashTable;

/// How many places a write looks at for entries that have expired.
const SWEPT: usize = 4;

/// A load of a key that is absent.
#[derive(Debug)]
struct Loading<K, F> {
    /// Kept, so that no code of the user runs when the table grows.
    hash: u64,
    key: K,
    flight: F,
}

/// The rarer part of a shard, behind one pointer.
#[derive(Debug)]
pub(super) struct Extra<K, F> {
    /// The deadline of the entry in each place of the table; empty while no entry has one.
    pub(super) deadlines: Vec<Ticks>,
    /// The place at which the next sweep begins.
    hand: usize,
    flights: HashTable<Loading<K, F>>,
}

impl<K, F> Extra<K, F> {
    pub(super) const fn new() -> Self {
        Self { deadlines: Vec::new(), hand: 0, flights: HashTable::new() }
    }

    /// Whether any entry of the shard may expire.
    #[inline]
    pub(super) fn is_timed(&self) -> bool {
        !self.deadlines.is_empty()
    }

    /// Whether the entry at `place` has expired; the clock is read only if it has a deadline.
    #[inline]
    pub(super) fn has_expired(&self, place: usize, now: impl FnOnce() -> Ticks) -> bool {
        let due = self.deadlines.get(place).copied().unwrap_or(NEVER);
        due != NEVER && due <= now()
    }

    /// Notes the deadline of the entry at `place`, in a table of `places`.
    pub(super) fn set_deadline(&mut self, place: usize, places: usize, due: Ticks) {
        if self.deadlines.is_empty() {
            if due == NEVER {
                return;
            }
            self.deadlines.resize(places, NEVER);
        }
        self.deadlines[place] = due;
    }

    /// Takes expired entries out of the next few places.
    pub(super) fn sweep<V>(&mut self, table: &mut HashTable<(K, V)>, now: Ticks, gone: &mut Gone<K, V, F>) {
        let places = self.deadlines.len();
        for _ in 0..SWEPT.min(places) {
            self.hand = if self.hand + 1 < places { self.hand + 1 } else { 0 };
            self.expel(table, self.hand, now, gone);
        }
    }

    /// Takes all expired entries out.
    pub(super) fn sweep_all<V>(&mut self, table: &mut HashTable<(K, V)>, now: Ticks, gone: &mut Gone<K, V, F>) {
        for place in 0..self.deadlines.len() {
            self.expel(table, place, now, gone);
        }
    }

    /// Takes the entry at `place` out if it has expired.
    pub(super) fn expel<V>(
        &mut self,
        table: &mut HashTable<(K, V)>,
        place: usize,
        now: Ticks,
        gone: &mut Gone<K, V, F>,
    ) {
        if self.deadlines[place] > now {
            return;
        }
        self.deadlines[place] = NEVER;
        if let Ok(entry) = table.get_bucket_entry(place) {
            gone.left().pairs.push(entry.remove().0);
        }
    }

    pub(super) fn flight(&self, hash: u64, eq: impl Fn(&K) -> bool) -> Option<&F> {
        self.flights.find(hash, |loading| eq(&loading.key)).map(|loading| &loading.flight)
    }

    /// Notes a load of a key that has none.
    pub(super) fn begin(&mut self, hash: u64, key: K, flight: F) {
        self.flights.insert_unique(hash, Loading { hash, key, flight }, |loading| loading.hash);
    }

    /// Takes out the load that `which` means.
    pub(super) fn end(&mut self, hash: u64, which: impl Fn(&K, &F) -> bool) -> Option<(K, F)> {
        if self.flights.is_empty() {
            return None;
        }
        let entry = self.flights.find_entry(hash, |loading| which(&loading.key, &loading.flight)).ok()?;
        let (loading, _) = entry.remove();
        Some((loading.key, loading.flight))
    }

    /// Takes all loads out.
    pub(super) fn end_all(&mut self) -> impl Iterator<Item = (K, F)> + use<K, F> {
        std::mem::take(&mut self.flights).into_iter().map(|loading| (loading.key, loading.flight))
    }

    /// Whether any load is under way.
    #[inline]
    pub(super) fn is_loading(&self) -> bool {
        !self.flights.is_empty()
    }

    /// Whether it holds nothing.
    pub(super) fn is_idle(&self) -> bool {
        !self.is_loading() && self.deadlines.iter().all(|due| *due == NEVER)
    }
}
