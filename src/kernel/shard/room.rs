//! How many entries all shards of a bounded map may hold together.

use crate::shim::atomic::{AtomicUsize, Ordering};

/// The bound on a map's entries, and how many there are.
#[derive(Debug)]
pub(crate) struct Room {
    most: usize,
    taken: AtomicUsize,
}

impl Room {
    /// Room for `most` entries.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, taken: AtomicUsize::new(0) }
    }

    /// The bound.
    pub(crate) fn most(&self) -> usize {
        self.most
    }

    /// Takes a place if there is one.
    pub(super) fn take(&self) -> bool {
        // Ordering: Relaxed, here and below: the number guards nothing but itself, entries are behind their shard's lock.
        let free = |taken: usize| (taken < self.most).then(|| taken + 1);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, free).is_ok()
    }

    /// Corrects the number when a shard that was counted as `counted` entries has `held`.
    pub(super) fn correct(&self, counted: usize, held: usize) {
        if held > counted {
            self.taken.fetch_add(held - counted, Ordering::Relaxed);
        } else if held < counted {
            self.taken.fetch_sub(counted - held, Ordering::Relaxed);
        }
    }
}
