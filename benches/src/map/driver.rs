//! Threads that share a map.

use std::ops::Range;
use std::sync::Barrier;

use crate::setup::Setup;

/// Runs `work` on as many threads as the case has producers, each over its share of the operations. Only the time from
/// the moment when all of them stand ready counts. Returns the sum of what they return.
pub fn on_threads(setup: &Setup, work: impl Fn(Range<u64>) -> u64 + Sync) -> u64 {
    let ready = Barrier::new(setup.shape.producers + 1);
    std::thread::scope(|scope| {
        let (ready, work) = (&ready, &work);
        let threads: Vec<_> = setup
            .shares()
            .map(|share| {
                scope.spawn(move || {
                    ready.wait();
                    work(share)
                })
            })
            .collect();
        setup.timed(|| {
            ready.wait();
            threads.into_iter().map(|thread| thread.join().expect("a working thread")).sum()
        })
    })
}
