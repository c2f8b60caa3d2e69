//! Threads that share a map.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::setup::Setup;

/// Runs `work` on as many threads as the case has producers, each over its share of the operations. Only the time from
/// the moment when all of them stand ready counts. Returns the sum of what they return.
pub fn on_threads(setup: &Setup, work: impl Fn(Range<u64>) -> u64 + Sync) -> u64 {
    // The threads and this one. They wait by yielding, because sleepers that are woken together may start on one core.
    let (ready, everyone) = (AtomicUsize::new(0), setup.shape.producers + 1);
    let meet = || {
        // Ordering: AcqRel and Acquire: what each did before it arrived is visible to all that leave.
        ready.fetch_add(1, Ordering::AcqRel);
        while ready.load(Ordering::Acquire) < everyone {
            std::thread::yield_now();
        }
    };
    std::thread::scope(|scope| {
        let (meet, work) = (&meet, &work);
        let start = |share| {
            scope.spawn(move || {
                meet();
                work(share)
            })
        };
        let threads: Vec<_> = setup.shares().map(start).collect();
        while ready.load(Ordering::Acquire) < everyone - 1 {
            std::thread::yield_now();
        }
        setup.timed(|| {
            meet();
            threads.into_iter().map(|thread| thread.join().expect("a working thread")).sum()
        })
    })
}
