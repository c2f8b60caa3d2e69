//! # What
//! [`Alarms`] is a binary min-heap of due times, each owned by a place of a slab; the owner can take its alarm
//! out again at any time (a job that starts no longer waits for its deadline).
//!
//! # States
//! | place | in the heap | position kept by |
//! |---|---|---|
//! | no alarm | no | `SILENT` |
//! | alarm set | once | the place, updated at every move |
//!
//! # Invariants
//! 1. Each alarm is due no earlier than its parent: the first entry is the earliest.
//! 2. `position(owner)` of the entry at `i` is `i`, for every `i`.
//!
//! # Why not the obvious
//! `std::collections::BinaryHeap` cannot give up an entry in the middle, so a cancelled job would keep its alarm
//! (and its memory) until it is due. A hashed timer wheel is faster for millions of timers, and rounds them;
//! a pool has at most `capacity` of them, and most are pushed in due order, which a heap does in O(1).
//!
//! # Cost
//! Set and clear are O(log n), set is O(1) when alarms come in due order; 24 bytes an alarm. Textbook binary heap
//! (Williams, 1964) with back-pointers.

use super::slab::Key;

/// Time in nanoseconds since the pool was built.
pub(crate) type Ticks = u64;

/// A time that never comes.
pub(crate) const NEVER: Ticks = Ticks::MAX;

/// The position of a place that has no alarm.
pub(crate) const SILENT: u32 = u32::MAX;

/// When to look at a place again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Alarm {
    /// When it rings.
    pub(crate) due: Ticks,
    /// The job's deadline; `due` itself unless the job is parked until an earlier time.
    pub(crate) deadline: Ticks,
    /// Whose alarm it is.
    pub(crate) owner: Key,
}

/// Where the positions of the alarms are kept: in the places that own them.
pub(crate) trait Positions {
    /// The slot in which `owner` keeps the position of its alarm.
    fn position(&mut self, owner: Key) -> &mut u32;
}

/// Due times, the earliest first.
#[derive(Debug)]
pub(crate) struct Alarms {
    heap: Vec<Alarm>,
}

impl Alarms {
    /// No alarms.
    pub(crate) const fn new() -> Self {
        Self { heap: Vec::new() }
    }

    /// How many alarms are set.
    pub(crate) fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// The earliest due time, or [`NEVER`].
    pub(crate) fn next_due(&self) -> Ticks {
        self.heap.first().map_or(NEVER, |alarm| alarm.due)
    }

    /// Sets an alarm for an owner that has none.
    pub(crate) fn set(&mut self, places: &mut impl Positions, alarm: Alarm) {
        debug_assert_eq!(*places.position(alarm.owner), SILENT, "an owner has one alarm at most");
        self.heap.push(alarm);
        self.rise(places, self.heap.len() - 1);
    }

    /// The alarm of `owner`, if it has one.
    pub(crate) fn get(&self, places: &mut impl Positions, owner: Key) -> Option<Alarm> {
        self.heap.get(*places.position(owner) as usize).copied()
    }

    /// Takes the alarm of `owner` out, if it has one.
    pub(crate) fn clear(&mut self, places: &mut impl Positions, owner: Key) -> Option<Alarm> {
        let position = std::mem::replace(places.position(owner), SILENT);
        if position == SILENT {
            return None;
        }
        let at = position as usize;
        let alarm = self.heap.swap_remove(at);
        if at < self.heap.len() {
            self.rise(places, at);
            self.sink(places, at);
        }
        Some(alarm)
    }

    /// Takes the earliest alarm out if it is due by `now`.
    pub(crate) fn pop_due(&mut self, places: &mut impl Positions, now: Ticks) -> Option<Alarm> {
        let owner = self.heap.first().filter(|alarm| alarm.due <= now)?.owner;
        self.clear(places, owner)
    }

    fn rise(&mut self, places: &mut impl Positions, mut at: usize) {
        while at > 0 {
            let parent = (at - 1) / 2;
            if self.heap[parent].due <= self.heap[at].due {
                break;
            }
            self.heap.swap(parent, at);
            self.seat(places, at);
            at = parent;
        }
        self.seat(places, at);
    }

    fn sink(&mut self, places: &mut impl Positions, mut at: usize) {
        loop {
            let children = (2 * at + 1)..(2 * at + 3).min(self.heap.len());
            let Some(child) = children.min_by_key(|child| self.heap[*child].due) else { break };
            if self.heap[at].due <= self.heap[child].due {
                break;
            }
            self.heap.swap(child, at);
            self.seat(places, at);
            at = child;
        }
        self.seat(places, at);
    }

    /// Restores invariant 2 for the entry at `at`.
    fn seat(&self, places: &mut impl Positions, at: usize) {
        // A slab's keys are 32 bits wide, so its alarms are fewer than 2^32.
        *places.position(self.heap[at].owner) = at as u32;
    }
}
