//! How large a shard's table is.
//!
//! Every way to another size calls `Hash` before it moves anything, or moves into a table beside the old one: a `Hash`
//! that panics leaves the old table as it was.

use super::extra::Extra;
use super::{Gone, Locked, State};
use crate::kernel::alarms::{NEVER, Ticks};
use hashbrown::HashTable;

/// A table of at most this many places never shrinks by itself.
const KEPT_PLACES: usize = 64;

impl<K, V, F> Locked<'_, K, V, F> {
    /// Gives memory back if the table has become nearly empty. To be called after entries were taken out.
    #[inline]
    pub(crate) fn trim(&mut self, hasher: impl Fn(&K) -> u64) {
        let places = self.state.table.num_buckets();
        if places > KEPT_PLACES && self.state.table.len() < places / 16 && self.state.reserved < places / 4 {
            let least = (self.state.table.len() * 2).max(self.state.reserved);
            shrink_to(&mut self.state, least, &hasher);
        }
    }

    /// Makes room for `additional` more entries, which `trim` leaves alone.
    pub(crate) fn reserve(&mut self, additional: usize, hasher: impl Fn(&K) -> u64) {
        let State { table, extra, reserved, .. } = &mut *self.state;
        let wanted = table.len().saturating_add(additional);
        if wanted > table.capacity() {
            resize(table, extra, wanted, &hasher);
        }
        *reserved = wanted.max(*reserved);
    }

    /// Gives back all memory that the entries do not need, and what was reserved.
    pub(crate) fn shrink_to_fit(&mut self, hasher: impl Fn(&K) -> u64) {
        self.state.reserved = 0;
        shrink_to(&mut self.state, 0, &hasher);
        self.state.extra.take_if(|extra| extra.is_idle());
    }
}

/// Whether any entry of the shard may expire.
#[inline]
pub(super) fn is_timed<K, F>(extra: &Option<Box<Extra<K, F>>>) -> bool {
    extra.as_ref().is_some_and(|extra| extra.is_timed())
}

/// How many entries a table of so many places takes before it grows.
fn full(places: usize) -> usize {
    if places < 8 { places.saturating_sub(1) } else { places / 8 * 7 }
}

/// Makes room for one more entry in a table that has none: takes out what has expired if that is enough, else grows.
#[cold]
#[inline(never)]
pub(super) fn make_room<K, V, F>(
    table: &mut HashTable<(K, V)>,
    extra: &mut Option<Box<Extra<K, F>>>,
    time: Option<Ticks>,
    hasher: &impl Fn(&K) -> u64,
    gone: &mut Gone<K, V, F>,
) {
    let full = full(table.num_buckets());
    if let (Some(extra), Some(time)) = (extra.as_mut(), time) {
        extra.sweep_all(table, time, gone);
        // Less than this is not worth having looked at the whole table.
        if table.capacity() - table.len() > full / 8 {
            return;
        }
    }
    // More than half of the room is taken by removed entries: the same size will do.
    let wanted = if table.len() < full / 2 { full } else { full + 1 };
    resize(table, extra, wanted, hasher);
}

/// Gives the table room for `wanted` entries, which are no fewer than it has, in memory of its own.
fn resize<K, V, F>(
    table: &mut HashTable<(K, V)>,
    extra: &mut Option<Box<Extra<K, F>>>,
    wanted: usize,
    hasher: &impl Fn(&K) -> u64,
) {
    if is_timed(extra) || wanted <= full(table.num_buckets()) {
        rebuild(table, extra, wanted, hasher);
    } else {
        // It cannot be done in place, as the table is too small.
        table.reserve(wanted - table.len(), |pair| hasher(&pair.0));
    }
}

fn shrink_to<K, V, F>(state: &mut State<K, V, F>, least: usize, hasher: &impl Fn(&K) -> u64) {
    let State { table, extra, .. } = state;
    if is_timed(extra) {
        rebuild(table, extra, least.max(table.len()), hasher);
    } else {
        table.shrink_to(least, |pair| hasher(&pair.0));
    }
}

/// Moves all entries, and their deadlines, to a table with room for `wanted`.
fn rebuild<K, V, F>(
    table: &mut HashTable<(K, V)>,
    extra: &mut Option<Box<Extra<K, F>>>,
    wanted: usize,
    hasher: &impl Fn(&K) -> u64,
) {
    // Invariant 3: all hashes first.
    let hashed = |place| table.get_bucket(place).map(|pair| (place, hasher(&pair.0)));
    let moves: Vec<(usize, u64)> = table.iter_buckets().filter_map(hashed).collect();
    let mut larger = HashTable::with_capacity(wanted);
    let mut deadlines = Vec::new();
    let old = extra.as_mut().map(|extra| std::mem::take(&mut extra.deadlines)).unwrap_or_default();
    if old.iter().any(|due| *due != NEVER) {
        deadlines.resize(larger.num_buckets(), NEVER);
    }
    for (place, hash) in moves {
        if let Ok(entry) = table.get_bucket_entry(place) {
            let pair = entry.remove().0;
            let to = larger.insert_unique(hash, pair, |pair| hasher(&pair.0)).bucket_index();
            if let (Some(due), Some(kept)) = (old.get(place), deadlines.get_mut(to)) {
                *kept = *due;
            }
        }
    }
    *table = larger;
    if let Some(extra) = extra {
        extra.deadlines = deadlines;
    }
}
