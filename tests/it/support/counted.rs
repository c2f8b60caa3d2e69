//! Values that count their lives.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Debug, Default)]
struct Lives {
    made: AtomicUsize,
    dropped: AtomicUsize,
}

/// Makes [`Counted`] values and knows how many of them are alive.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally(Arc<Lives>);

impl Tally {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn make(&self, id: u64) -> Counted {
        self.0.made.fetch_add(1, Ordering::SeqCst);
        Counted { id, tally: self.clone() }
    }

    pub(crate) fn made(&self) -> usize {
        self.0.made.load(Ordering::SeqCst)
    }

    pub(crate) fn dropped(&self) -> usize {
        self.0.dropped.load(Ordering::SeqCst)
    }

    pub(crate) fn alive(&self) -> usize {
        // In this order: what is made and dropped in between must not be missing from the first.
        let dropped = self.dropped();
        self.made() - dropped
    }
}

/// A value whose construction and drop are counted. Neither `Clone` nor `Copy`: what comes back is what went in.
#[derive(Debug)]
pub(crate) struct Counted {
    pub(crate) id: u64,
    tally: Tally,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.tally.0.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_tally_counts_lives() {
    let tally = Tally::new();
    let (a, b) = (tally.make(1), tally.make(2));
    assert_eq!((a.id, b.id, tally.alive()), (1, 2, 2));
    drop(a);
    assert_eq!((tally.made(), tally.dropped(), tally.alive()), (2, 1, 1));
    drop(b);
    assert_eq!(tally.alive(), 0);
}
