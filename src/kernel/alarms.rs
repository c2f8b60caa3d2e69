//! # What
//! [`Alarms`] keeps due times in order, each owned by a place of a slab; the owner can take its alarm out again at any
//! time (a job that starts no longer waits for its deadline).
//!
//! # States
//! | alarm | is in | found by |
//! |---|---|---|
//! | in a run | a list in due order | its entry's links |
//! | in the heap | a binary min-heap | its entry's position, updated at every move |
//!
//! # Invariants
//! 1. Each run is in due order from front to back.
//! 2. Each entry of the heap is due no earlier than its parent, and knows its own position.
//! 3. An alarm is in exactly one run or in the heap.
//!
//! # Why not the obvious
//! `std::collections::BinaryHeap` cannot give up an entry in the middle, so a cancelled job would keep its alarm (and
//! its memory) until it is due. A heap alone pays O(log n) for what pools do most: equal durations, set in due order and
//! taken out from the front. A hashed timer wheel rounds its times, and a pool has at most `capacity` of them.
//!
//! # Cost
//! An alarm goes to the run whose last one is due latest but not after it, so each of a few durations finds a run of its
//! own, and setting and clearing are O(1). What fits no run goes to the heap: O(log n). 40 bytes an alarm. Runs as in
//! patience sorting (Mallows, 1962); textbook binary heap (Williams, 1964) with back-pointers.

use super::slab::{Fifo, Key, Slab};

/// Time in nanoseconds since the pool was built.
pub(crate) type Ticks = u64;

/// A time that never comes.
pub(crate) const NEVER: Ticks = Ticks::MAX;

/// How many runs there are: one for deadlines, one for the limits of attempts, one for a fixed backoff.
const RUNS: usize = 3;

/// When to look at a place again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Alarm {
    /// When it rings.
    pub(crate) due: Ticks,
    /// The job's deadline; `due` itself unless it is to ring earlier for another reason.
    pub(crate) deadline: Ticks,
    /// Whose alarm it is.
    pub(crate) owner: Key,
}

#[derive(Clone, Copy, Debug)]
enum Seat {
    Run(u8),
    Heap(u32),
}

#[derive(Debug)]
struct Entry {
    alarm: Alarm,
    seat: Seat,
}

/// Due times, the earliest first.
#[derive(Debug)]
pub(crate) struct Alarms {
    entries: Slab<Entry>,
    runs: [Fifo; RUNS],
    heap: Vec<Key>,
}

impl Alarms {
    /// No alarms.
    pub(crate) const fn new() -> Self {
        Self { entries: Slab::new(), runs: [const { Fifo::new() }; RUNS], heap: Vec::new() }
    }

    /// Whether no alarm is set.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.len() == 0
    }

    /// The earliest due time, or [`NEVER`].
    pub(crate) fn next_due(&self) -> Ticks {
        self.earliest().map_or(NEVER, |key| self.due(key))
    }

    /// Sets an alarm. The owner keeps its key.
    #[inline]
    pub(crate) fn set(&mut self, alarm: Alarm) -> Key {
        let mut best: Option<(usize, Ticks)> = None;
        for (nth, run) in self.runs.iter().enumerate() {
            // An empty run serves if no other does.
            let last = run.back().map_or(0, |key| self.due(key));
            if last <= alarm.due && best.is_none_or(|(_, latest)| last > latest) {
                best = Some((nth, last));
            }
        }
        let Some((nth, _)) = best else { return self.set_in_heap(alarm) };
        let key = self.entries.insert(Entry { alarm, seat: Seat::Run(nth as u8) });
        self.runs[nth].push_back(&mut self.entries, key);
        key
    }

    fn set_in_heap(&mut self, alarm: Alarm) -> Key {
        let key = self.entries.insert(Entry { alarm, seat: Seat::Heap(0) });
        self.heap.push(key);
        self.rise(self.heap.len() - 1);
        key
    }

    /// The alarm at `key`.
    #[inline]
    pub(crate) fn get(&self, key: Key) -> Alarm {
        self.entries.get(key).expect("a set alarm").alarm
    }

    /// Takes an alarm out.
    #[inline]
    pub(crate) fn clear(&mut self, key: Key) -> Alarm {
        match self.entries.get(key).expect("a set alarm").seat {
            Seat::Run(nth) => self.runs[usize::from(nth)].unlink(&mut self.entries, key),
            Seat::Heap(at) => {
                let at = at as usize;
                self.heap.swap_remove(at);
                if at < self.heap.len() {
                    self.rise(at);
                    self.sink(at);
                }
            }
        }
        self.entries.take(key).alarm
    }

    /// Takes the earliest alarm out if it is due by `now`.
    pub(crate) fn pop_due(&mut self, now: Ticks) -> Option<Alarm> {
        let key = self.earliest().filter(|key| self.due(*key) <= now)?;
        Some(self.clear(key))
    }

    fn earliest(&self) -> Option<Key> {
        let fronts = self.runs.iter().filter_map(Fifo::front);
        fronts.chain(self.heap.first().copied()).min_by_key(|key| self.due(*key))
    }

    #[inline]
    fn due(&self, key: Key) -> Ticks {
        self.get(key).due
    }

    fn rise(&mut self, mut at: usize) {
        while at > 0 {
            let parent = (at - 1) / 2;
            if self.due(self.heap[parent]) <= self.due(self.heap[at]) {
                break;
            }
            self.heap.swap(parent, at);
            self.seat(at);
            at = parent;
        }
        self.seat(at);
    }

    fn sink(&mut self, mut at: usize) {
        loop {
            let children = (2 * at + 1)..(2 * at + 3).min(self.heap.len());
            let Some(child) = children.min_by_key(|child| self.due(self.heap[*child])) else { break };
            if self.due(self.heap[at]) <= self.due(self.heap[child]) {
                break;
            }
            self.heap.swap(child, at);
            self.seat(at);
            at = child;
        }
        self.seat(at);
    }

    /// Restores invariant 2 for the entry at `at`.
    fn seat(&mut self, at: usize) {
        // A slab's keys are 32 bits wide, so its alarms are fewer than 2^32.
        self.entries.get_mut(self.heap[at]).expect("an alarm in the heap").seat = Seat::Heap(at as u32);
    }
}
