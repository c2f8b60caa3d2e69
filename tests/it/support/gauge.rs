//! How many are inside, and how many were at most.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Debug, Default)]
struct Counts {
    now: AtomicUsize,
    max: AtomicUsize,
    entered: AtomicUsize,
}

/// An in-flight gauge. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gauge(Arc<Counts>);

impl Gauge {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Counts the caller as inside until the guard is dropped.
    pub(crate) fn enter(&self) -> Inside {
        let now = self.0.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.max.fetch_max(now, Ordering::SeqCst);
        self.0.entered.fetch_add(1, Ordering::SeqCst);
        Inside(self.clone())
    }

    pub(crate) fn now(&self) -> usize {
        self.0.now.load(Ordering::SeqCst)
    }

    pub(crate) fn max(&self) -> usize {
        self.0.max.load(Ordering::SeqCst)
    }

    pub(crate) fn entered(&self) -> usize {
        self.0.entered.load(Ordering::SeqCst)
    }
}

#[derive(Debug)]
pub(crate) struct Inside(Gauge);

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn a_gauge_keeps_its_maximum() {
    let gauge = Gauge::new();
    let (a, b) = (gauge.enter(), gauge.enter());
    drop(a);
    drop(gauge.enter());
    assert_eq!((gauge.now(), gauge.max(), gauge.entered()), (1, 2, 3));
    drop(b);
    assert_eq!(gauge.now(), 0);
}
