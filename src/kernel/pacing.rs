//! # What
//! [`Pacing`] says how many items whoever moves them takes together: what collects items asks it how many to collect before it
//! hands them over, what reads them how many to take at once. More and more, while they are short work; else one at a time.
//!
//! # States
//! | what is known | `size` | entered by | [`Pacing::done`] |
//! |---|---|---|---|
//! | nothing: the items had to be waited for | 1 | the beginning, [`Pacing::waited`] | reads no clock: one item was done |
//! | one item was done since | 1 | [`Pacing::done`] | reads it: the next batch begins now |
//! | nothing: something else has taken time | as it was | [`Pacing::held`] | reads no clock, and nothing becomes known |
//! | when this batch began | as it was | [`Pacing::done`], [`Pacing::resume`] | reads it, judges this batch, and the next begins now |
//!
//! # Invariants
//! 1. `1 <= size <= most`.
//! 2. `size` grows by a batch only that is known to have been done within [`SHORT`], and to twice its size at most.
//! 3. After a batch that took longer, and after a wait for items, `size` is 1.
//! 4. Of an owner that calls [`Pacing::resume`] when it goes on, each batch of more than one item is timed: when items begin to
//!    take long, one such batch at most is made of them.
//!
//! # Why not the obvious
//! Batches of one size delay the items of a slow input, or the work of an idle reader, or cost a lock for each item. A timer that
//! hands over what is late wakes a task to find that nothing is. A clock that is read for each item costs more than moving it, and
//! for items that come one by one it says nothing: hence none is read until two have come without a wait between them. A wait for
//! room, or for the turn of other tasks, says nothing about the items: counted as theirs, it would make the batches small just when
//! there is much to move; not counted and not begun anew, no batch that fills all the room would ever be timed.
//!
//! # Cost
//! No lock. A reading of the clock a batch and one after each time that something else has taken; none if `most` is 1. 32 bytes.

use std::ops::Sub;
use std::time::Duration;

/// A batch that is done within this time was short work.
pub(crate) const SHORT: Duration = Duration::from_micros(100);

/// The most items of a batch, for each reader that it is for: by then what a batch costs is little beside what its items do.
pub(crate) const BATCH: usize = 64;

/// The most items to collect for a channel of so many places with one reader: as many as there is room for. If it waits, each
/// hand-over wakes it, and that costs more than it gains by reading while the rest is collected.
pub(crate) fn all_of(places: usize) -> usize {
    places.clamp(1, BATCH)
}

/// The most items to collect for channels of so many places, each for so many readers, where one source feeds several: not more than
/// half of the places, so that some read while the rest is collected.
pub(crate) fn half_of(places: usize, readers: usize) -> usize {
    (places / 2).clamp(1, BATCH.saturating_mul(readers))
}

/// How many items to take together. `M` is a moment of whatever clock its owner has.
#[derive(Debug)]
pub(crate) struct Pacing<M> {
    size: usize,
    most: usize,
    known: Known<M>,
}

#[derive(Debug)]
enum Known<M> {
    Waited,
    OneDone,
    Held,
    Began(M),
}

impl<M: Copy + Sub<M, Output = Duration>> Pacing<M> {
    /// One item at first, and never more than `most`, 1 or more.
    pub(crate) fn new(most: usize) -> Self {
        Self { size: 1, most: most.max(1), known: Known::Waited }
    }

    /// How many items are to be taken together.
    #[inline]
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// A batch is done, of `size` items unless there was no room for so many: the next may begin.
    #[inline]
    pub(crate) fn done(&mut self, now: impl FnOnce() -> M) {
        if self.most == 1 {
            return;
        }
        self.known = match self.known {
            Known::Waited => Known::OneDone,
            Known::OneDone => Known::Began(now()),
            Known::Held => Known::Held,
            Known::Began(began) => {
                let now = now();
                self.size = if now - began <= SHORT { self.size.saturating_mul(2).min(self.most) } else { 1 };
                Known::Began(now)
            }
        };
    }

    /// The items have to be waited for, and nobody knows how fast the next ones come. What was collected is handed over.
    #[inline]
    pub(crate) fn waited(&mut self) {
        (self.size, self.known) = (1, Known::Waited);
    }

    /// Something else takes time from here on: a wait for room, or the turn of others. What was collected is handed over.
    #[inline]
    pub(crate) fn held(&mut self) {
        self.known = Known::Held;
    }

    /// It goes on. Nothing changes unless it was held: it may be called whenever that is possible.
    #[inline]
    pub(crate) fn resume(&mut self, now: impl FnOnce() -> M) {
        if matches!(self.known, Known::Held) && self.most > 1 {
            self.known = Known::Began(now());
        }
    }
}
