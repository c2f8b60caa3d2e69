//! Latency at half load: jobs come at random times that nobody waits for, twice as far apart as a job is long.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::latency::Recorder;
use crate::map::keys::mixed;
use crate::pool::driver::Pool;
use crate::pool::load::{LONG_STEPS, Load, Tally, compute, job_ns};
use crate::setup::Setup;

/// The mean distance of two arrivals, in job lengths.
const SPACING: f64 = 2.0;

/// Computes, then records how long ago it was due.
#[derive(Clone, Debug)]
pub struct Due(Arc<Plan>);

#[derive(Debug)]
struct Plan {
    epoch: Instant,
    due: Vec<Duration>,
    recorder: Recorder,
    tally: Tally,
}

impl Load for Due {
    async fn run(self, job: u64) -> u64 {
        black_box(compute(black_box(job), LONG_STEPS));
        let plan = &self.0;
        let latency = plan.epoch.elapsed().saturating_sub(plan.due[job as usize]);
        plan.recorder.record(job as usize, latency.as_nanos() as u64);
        plan.tally.record(job + 1);
        job + 1
    }
}

/// Submits each job when it is due, and as soon as the pool takes it; a latency begins when the job was due, so that a
/// pool which keeps the producer waiting is charged for the wait.
pub fn half_load<P: Pool<Due>>(setup: &Setup) -> u64 {
    let job = *setup.kept(|| job_ns(LONG_STEPS));
    let mut at = 0.0;
    let due = (0..setup.ops).map(|n| {
        at += exponential(n) * SPACING * job as f64;
        Duration::from_nanos(at as u64)
    });
    let plan = Arc::new(Plan {
        due: due.collect(),
        recorder: Recorder::new(setup.ops as usize),
        tally: Tally::expecting(setup.ops),
        epoch: Instant::now(),
    });
    let sum = setup.block_on(async {
        let pool = P::start(&setup.shape, Due(Arc::clone(&plan)));
        for job in 0..setup.ops {
            while plan.epoch.elapsed() < plan.due[job as usize] {
                std::hint::spin_loop();
            }
            drop(pool.submit(job).await);
        }
        let sum = plan.tally.complete().await;
        pool.finish(setup.ops).await;
        sum
    });
    setup.note_latencies(&plan.recorder);
    sum
}

/// An exponentially distributed number with mean 1, the `n`-th of a fixed sequence.
fn exponential(n: u64) -> f64 {
    let uniform = (mixed(n) >> 11) as f64 / (1_u64 << 53) as f64;
    -(1.0 - uniform).ln()
}
