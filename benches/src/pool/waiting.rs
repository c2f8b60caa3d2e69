//! Many submitters that wait for room: what each of them takes, in memory and in time.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Notify, Semaphore};

use crate::pool::driver::Pool;
use crate::pool::load::{Load, Tally};
use crate::setup::Setup;

/// A load that runs once its gate is open, and counts itself.
#[derive(Clone, Debug)]
pub struct Gated {
    /// Closed for good when the jobs may run, so that waiting for a permit ends.
    gate: Arc<Semaphore>,
    tally: Arc<Tally>,
}

impl Load for Gated {
    async fn run(self, job: u64) -> u64 {
        let opened = self.gate.acquire().await;
        assert!(opened.is_err(), "the gate gives no permits");
        self.tally.record(job + 1);
        job + 1
    }
}

/// Spawns a submitting task for each operation; when all of them have asked once, notes what they hold and opens the gate.
pub fn waiting<P: Pool<Gated>>(setup: &Setup) -> u64 {
    let gate = Arc::new(Semaphore::new(0));
    let tally = Arc::new(Tally::expecting(setup.ops));
    let load = Gated { gate: Arc::clone(&gate), tally: Arc::clone(&tally) };
    setup.block_on(async {
        let pool = P::start(&setup.shape, load);
        let before = setup.live_bytes();
        let asking = Arc::new((AtomicU64::new(setup.ops), Notify::new()));
        let submitters: Vec<_> = (0..setup.ops)
            .map(|job| {
                let (pool, asking) = (pool.clone(), Arc::clone(&asking));
                tokio::spawn(async move { drop(asked(pool.submit(job), &asking).await) })
            })
            .collect();
        asking.1.notified().await;
        setup.note_held(before);
        gate.close();
        for submitter in submitters {
            submitter.await.expect("a submitter");
        }
        let sum = tally.complete().await;
        pool.finish(setup.ops).await;
        sum
    })
}

/// Drives `submission`, and counts its first poll.
async fn asked<F: Future>(submission: F, asking: &(AtomicU64, Notify)) -> F::Output {
    let mut submission = pin!(submission);
    let mut counted = false;
    poll_fn(|cx| {
        let polled = submission.as_mut().poll(cx);
        // Ordering: AcqRel, so that the last one to ask has seen all the others.
        if !std::mem::replace(&mut counted, true) && asking.0.fetch_sub(1, Ordering::AcqRel) == 1 {
            asking.1.notify_one();
        }
        polled
    })
    .await
}
