//! The fault soak: pool after pool under errors, panics, timeouts, cancellations and shutdowns at random instants.
//!
//! `FLOWGATE_SOAK_JOBS` sets the number of jobs, `FLOWGATE_SOAK_SEED` repeats a run. It must end with nothing lost,
//! doubled or hung, with all tasks gone and the memory where it was.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flowgate::{Attempt, JobError, JobHandle, Report, RetryPolicy, Shutdown, WorkerPool};

use crate::support::{Counted, Tally, ledger, ms, promptly, threads, until};

type Pool = WorkerPool<Counted, u64, &'static str>;
type Handle = JobHandle<Counted, u64, &'static str>;

const ROUND: u64 = 10_000;
const PRODUCERS: u64 = 4;
const WINDOW: usize = 64;

/// Steele, Lea and Flood's SplitMix64: a seed is all there is to repeat a run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// What the handles of one round have seen.
#[derive(Debug, Default)]
struct Seen {
    bins: [AtomicU64; 7],
    detached: AtomicU64,
    refused: AtomicU64,
    dead_letters: AtomicU64,
}

impl Seen {
    fn note(&self, outcome: &Result<u64, JobError<Counted, &'static str>>) {
        let bin = match outcome {
            Ok(_) => 0,
            Err(JobError::Failed(_)) => 1,
            Err(JobError::Panicked(_)) => 2,
            Err(JobError::TimedOut(_)) => 3,
            Err(JobError::Cancelled(_)) => 4,
            Err(JobError::Aborted(_)) => 5,
            Err(JobError::Returned) => 6,
            Err(other) => panic!("{other:?}"),
        };
        self.bins[bin].fetch_add(1, Ordering::Relaxed);
    }

    fn all(&self) -> u64 {
        self.bins.iter().map(|bin| bin.load(Ordering::Relaxed)).sum()
    }
}

/// 1 % panics, 5 % errors (half of them for good), 2 % hang until their timeout; one in four of the rest awaits.
async fn handle(job: Attempt<Counted>) -> Result<u64, &'static str> {
    match Random(job.id).below(200) {
        // Not `panic!`: the panic hook would print ten thousand messages.
        0..2 => std::panic::resume_unwind(Box::new("planned")),
        2..7 => Err("for good"),
        7..12 if job.attempt() < 2 => Err("for now"),
        12..16 => std::future::pending().await,
        16..64 => {
            tokio::task::yield_now().await;
            Ok(job.id)
        }
        _ => Ok(job.id),
    }
}

fn pool(seen: &Arc<Seen>) -> Pool {
    let seen = seen.clone();
    Pool::builder()
        .concurrency(8)
        .queue(120)
        .retry(RetryPolicy::fixed(ms(1)).max_attempts(2).no_budget().classify(|error, _| match *error {
            "for now" => flowgate::Verdict::Retry,
            _ => flowgate::Verdict::Stop,
        }))
        .attempt_timeout(ms(2))
        .deadline(ms(5_000))
        .on_dead_letter(move |_| {
            seen.dead_letters.fetch_add(1, Ordering::Relaxed);
        })
        .build(handle)
        .unwrap()
}

/// Submits until its quota is done or the pool is closed; reads outcomes late, and some never.
async fn produce(pool: Pool, tally: Tally, seen: Arc<Seen>, seed: u64) {
    let mut random = Random(seed);
    let mut window: VecDeque<Handle> = VecDeque::new();
    for _ in 0..ROUND / PRODUCERS {
        let job = tally.make(random.next());
        let submitted = match random.below(8) {
            0 => pool.submit_timeout(job, ms(1)).await,
            1 => pool.try_submit(job),
            _ => pool.submit(job).await,
        };
        match submitted {
            Err(_) => _ = seen.refused.fetch_add(1, Ordering::Relaxed),
            Ok(handle) => match random.below(20) {
                0 => {
                    handle.cancel();
                    window.push_back(handle);
                }
                1 => _ = seen.detached.fetch_add(1, Ordering::Relaxed),
                _ => window.push_back(handle),
            },
        }
        if window.len() == WINDOW {
            for handle in window.drain(..WINDOW / 2) {
                seen.note(&promptly(handle).await);
            }
        }
    }
    for handle in window {
        seen.note(&promptly(handle).await);
    }
}

/// One pool's life. Returns how many jobs it was given.
async fn round(random: &mut Random) -> u64 {
    let (tally, seen) = (Tally::new(), Arc::new(Seen::default()));
    let pool = pool(&seen);
    let tasks: Vec<_> = (0..PRODUCERS)
        .map(|_| tokio::spawn(produce(pool.clone(), tally.clone(), seen.clone(), random.next())))
        .collect();
    let how = match random.below(4) {
        0 => Shutdown::Now,
        1 => Shutdown::DrainFor(ms(random.below(10))),
        _ => Shutdown::Drain,
    };
    let after = random.below(ROUND * 2);
    until("it is time to shut down", || {
        ledger::check(&pool.stats());
        pool.stats().totals.accepted >= after || tasks.iter().all(tokio::task::JoinHandle::is_finished)
    })
    .await;
    let report: Report<_, _> = promptly(pool.shutdown(how)).await.unwrap();
    for task in tasks {
        promptly(task).await.unwrap();
    }
    ledger::check_report(&report);
    let totals = report.totals;
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    assert_eq!(
        seen.all() + count(&seen.detached),
        totals.accepted,
        "an outcome for each job: {how:?} {seen:?} {totals:?}"
    );
    assert_eq!(count(&seen.dead_letters), totals.failed + totals.panicked + totals.timed_out, "{seen:?} {totals:?}");
    assert_eq!(totals.accepted + count(&seen.refused), ROUND / PRODUCERS * PRODUCERS, "none lost on the way in");
    let given_back = report.unstarted.len() + report.parked.len();
    assert_eq!(given_back as u64, totals.returned, "returned by value");
    assert!(pool.stats().in_system == 0 && pool.stats().peak_running <= 8);
    drop((report, pool));
    until("every job is dropped, once", || tally.alive() == 0).await;
    assert_eq!(tally.made(), tally.dropped());
    totals.accepted
}

/// Resident memory in bytes, where the system tells.
fn resident() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(statm.split_whitespace().nth(1)?.parse::<u64>().ok()? * 4096)
}

#[test]
fn the_fault_soak_balances() {
    let setting = |name| std::env::var(name).ok().map(|text: String| text.parse::<u64>().expect("a number"));
    let asked = setting("FLOWGATE_SOAK_JOBS");
    let jobs = asked.unwrap_or(200_000);
    let clock = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    let seed = setting("FLOWGATE_SOAK_SEED").unwrap_or(clock);
    println!("soak: {jobs} jobs, FLOWGATE_SOAK_SEED={seed}");
    let runtime = threads(2);
    runtime.block_on(async {
        let mut random = Random(seed);
        let metrics = tokio::runtime::Handle::current().metrics();
        let tasks = metrics.num_alive_tasks();
        let (mut submitted, mut accepted, mut warm) = (0, 0, None);
        while submitted < jobs {
            accepted += round(&mut random).await;
            submitted += ROUND;
            until("all tasks are gone", || metrics.num_alive_tasks() == tasks).await;
            if submitted >= jobs / 4 && warm.is_none() {
                warm = resident();
            }
        }
        let (warm, end) = (warm.unwrap_or(0), resident().unwrap_or(0));
        println!("soak: {submitted} submitted, {accepted} accepted, memory {warm} bytes warm, {end} at the end");
        if asked.is_some() {
            // Only a run of its own has the process, and so its memory, to itself.
            assert!(end as f64 <= warm as f64 * 1.05 + 1e6, "memory grew from {warm} to {end} bytes");
        }
    });
}
