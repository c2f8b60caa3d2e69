//! The fault soak: pool after pool under errors, panics, timeouts, cancellations and shutdowns at random instants.
//!
//! `FLOWGATE_SOAK_JOBS` sets the number of jobs, `FLOWGATE_SOAK_SEED` repeats a run. It must end with nothing lost,
//! doubled or hung, with all tasks gone and the memory where it was.

use std::collections::VecDeque;
use std::ops::AddAssign;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flowgate::{Attempt, JobError, JobHandle, Report, RetryPolicy, RunError, Shutdown, Totals, WorkerPool};
use tokio::runtime::Runtime;

use crate::support::{Counted, Gauge, Tally, ledger, ms, one_thread, promptly, resident, threads, until};

type Pool = WorkerPool<Counted, u64, &'static str>;
type Handle = JobHandle<Counted, u64, &'static str>;
type Outcome = Result<u64, JobError<Counted, &'static str>>;

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

/// What became of one round's jobs, as their submitters saw it.
#[derive(Debug, Default)]
struct Seen {
    bins: [AtomicU64; 7],
    /// Accepted, and nobody waited for the outcome.
    detached: AtomicU64,
    refused: AtomicU64,
    /// Their `run` was dropped: in line, or after they were accepted.
    left: AtomicU64,
    dead_letters: AtomicU64,
    /// Handlers at work.
    inside: Gauge,
}

fn count(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

fn one_more(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Seen {
    /// The outcome of the job with this id; an outcome of another would be one lost and one doubled.
    fn note(&self, id: u64, outcome: Outcome) {
        let bin = match &outcome {
            Ok(_) => 0,
            Err(JobError::Failed(_)) => 1,
            Err(JobError::Panicked(_)) => 2,
            Err(JobError::TimedOut(_)) => 3,
            Err(JobError::Cancelled(_)) => 4,
            Err(JobError::Aborted(_)) => 5,
            Err(JobError::Returned) => 6,
            Err(other) => panic!("{other:?}"),
        };
        one_more(&self.bins[bin]);
        let came_back = match outcome {
            Ok(result) => Some(result),
            Err(error) => error.into_job().map(|job| job.id),
        };
        assert!(came_back.is_none_or(|came| came == id), "another job's outcome, bin {bin}");
        assert!(came_back.is_some() || bin >= 5, "only a report may have the job instead, not bin {bin}");
    }

    fn all(&self) -> u64 {
        self.bins.iter().map(count).sum()
    }
}

/// 1 % panics, 5 % errors (half of them for good), 2 % hang until their timeout; one in four of the rest awaits.
async fn handle(job: Attempt<Counted>, inside: Gauge) -> Result<u64, &'static str> {
    let _inside = inside.enter();
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

fn pool(random: &mut Random, seen: &Arc<Seen>) -> Pool {
    let (letters, inside) = (seen.clone(), seen.inside.clone());
    let (slots, queue) = [(8, 120), (1, 0), (2, 6), (16, 16)][random.below(4) as usize];
    Pool::builder()
        .concurrency(slots)
        .queue(queue)
        .max_parked(slots + queue - random.below(2) as usize)
        .retry(RetryPolicy::fixed(ms(1)).max_attempts(2).no_budget().classify(|error, _| match *error {
            "for now" => flowgate::Verdict::Retry,
            _ => flowgate::Verdict::Stop,
        }))
        .attempt_timeout(ms(2))
        .deadline(ms(5 + random.below(5_000)))
        .cancel_grace(ms(random.below(2)))
        .on_dead_letter(move |_| one_more(&letters.dead_letters))
        .build(move |job| handle(job, inside.clone()))
        .unwrap()
}

/// Submits one job in one way or another. `None`: there is nothing to wait for.
async fn submit(pool: &Pool, job: Counted, random: &mut Random, seen: &Seen) -> Option<Handle> {
    let id = job.id;
    let submitted = match random.below(16) {
        0 | 1 => pool.submit_timeout(job, ms(1)).await,
        2 | 3 => pool.try_submit(job),
        4 => match pool.reserve().await {
            Ok(permit) => permit.submit(job),
            Err(_) => Err(flowgate::SubmitError::Closed(job)),
        },
        5 => {
            match tokio::time::timeout(ms(random.below(3)), pool.run(job)).await {
                Err(_) => one_more(&seen.left),
                Ok(Err(RunError::Submit(_))) => one_more(&seen.refused),
                Ok(Err(RunError::Job(error))) => seen.note(id, Err(error)),
                Ok(Ok(result)) => seen.note(id, Ok(result)),
            }
            return None;
        }
        _ => pool.submit(job).await,
    };
    if let Err(refused) = &submitted {
        one_more(&seen.refused);
        assert!(!matches!(refused, flowgate::SubmitError::WouldDeadlock(_)));
    }
    submitted.map_err(|refused| assert_eq!(refused.into_job().id, id)).ok()
}

/// Submits its share; reads outcomes late, and some never.
async fn produce(pool: Pool, tally: Tally, seen: Arc<Seen>, seed: u64) {
    let mut random = Random(seed);
    let mut window: VecDeque<(u64, Handle)> = VecDeque::new();
    for _ in 0..ROUND / PRODUCERS {
        let id = random.next();
        let Some(handle) = submit(&pool, tally.make(id), &mut random, &seen).await else { continue };
        match random.below(20) {
            0 => {
                handle.cancel();
                window.push_back((id, handle));
            }
            1 => one_more(&seen.detached),
            _ => window.push_back((id, handle)),
        }
        if window.len() == WINDOW {
            for (id, handle) in window.drain(..WINDOW / 2) {
                seen.note(id, promptly(handle).await);
            }
        }
    }
    for (id, handle) in window {
        seen.note(id, promptly(handle).await);
    }
}

fn settle_accounts(seen: &Seen, report: &Report<Counted, &'static str>) {
    let (totals, known) = (report.totals, seen.all() + count(&seen.detached));
    let about = format!("{seen:?} {report}");
    assert!((known..=known + count(&seen.left)).contains(&totals.accepted), "an outcome for each job: {about}");
    assert_eq!(known + count(&seen.left) + count(&seen.refused), ROUND, "none lost on the way in: {about}");
    assert_eq!(count(&seen.dead_letters), totals.failed + totals.panicked + totals.timed_out, "{about}");
    assert_eq!((report.unstarted.len() + report.parked.len()) as u64, totals.returned, "by value: {about}");
    let bins = [totals.succeeded, totals.failed, totals.panicked, totals.timed_out];
    let unread = count(&seen.detached) + count(&seen.left);
    for (handled, counted) in seen.bins.iter().map(count).zip(bins) {
        assert!((handled..=handled + unread).contains(&counted), "a bin differs: {about}");
    }
}

/// One pool's life, and its ledger.
async fn round(random: &mut Random) -> Totals {
    let (tally, seen) = (Tally::new(), Arc::new(Seen::default()));
    let pool = pool(random, &seen);
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
        ledger::check_without_lending(&pool.stats());
        pool.stats().totals.accepted >= after || tasks.iter().all(tokio::task::JoinHandle::is_finished)
    })
    .await;
    let report = promptly(pool.shutdown(how)).await.unwrap();
    for task in tasks {
        promptly(task).await.unwrap();
    }
    ledger::check_report(&report);
    settle_accounts(&seen, &report);
    let stats = pool.stats();
    assert!(stats.in_system == 0 && stats.peak_running <= stats.concurrency, "{stats:?}");
    assert!(seen.inside.max() <= stats.concurrency && seen.inside.now() == 0, "{:?} with {stats:?}", seen.inside);
    let totals = report.totals;
    drop((report, pool));
    until("every job is dropped", || tally.alive() == 0).await;
    totals
}

/// The ledger of all pools together.
#[derive(Default)]
struct Sum(Totals);

impl AddAssign<Totals> for Sum {
    fn add_assign(&mut self, of: Totals) {
        let sum = &mut self.0;
        sum.accepted += of.accepted;
        sum.succeeded += of.succeeded;
        sum.failed += of.failed;
        sum.panicked += of.panicked;
        sum.timed_out += of.timed_out;
        sum.cancelled += of.cancelled;
        sum.aborted += of.aborted;
        sum.returned += of.returned;
        sum.attempts += of.attempts;
        sum.retries += of.retries;
    }
}

/// Pools, one after the other, until so many jobs were submitted. The ledger, and the memory after a quarter of them.
fn pools(runtime: &Runtime, random: &mut Random, jobs: u64) -> (Sum, Option<u64>) {
    runtime.block_on(async {
        let metrics = tokio::runtime::Handle::current().metrics();
        let tasks = metrics.num_alive_tasks();
        let (mut submitted, mut sum, mut warm) = (0, Sum::default(), None);
        while submitted < jobs {
            sum += round(random).await;
            submitted += ROUND;
            until("all tasks are gone", || metrics.num_alive_tasks() == tasks).await;
            if submitted >= jobs / 4 && warm.is_none() {
                warm = resident();
            }
        }
        (sum, warm)
    })
}

#[test]
fn the_fault_soak_balances() {
    let setting = |name| std::env::var(name).ok().map(|text: String| text.parse::<u64>().expect("a number"));
    let asked = setting("FLOWGATE_SOAK_JOBS");
    let jobs = asked.unwrap_or(200_000);
    let clock = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    let seed = setting("FLOWGATE_SOAK_SEED").unwrap_or(clock);
    println!("soak: {jobs} jobs, FLOWGATE_SOAK_SEED={seed}");
    let mut random = Random(seed);
    let (alone, _) = pools(&one_thread(), &mut random, jobs / 4);
    println!("soak, one thread: {}", alone.0);
    let (shared, warm) = pools(&threads(2), &mut random, jobs - jobs / 4);
    println!("soak, two threads: {}", shared.0);
    let (warm, end) = (warm.unwrap_or(0), resident().unwrap_or(0));
    println!("soak: memory {warm} bytes warm, {end} at the end");
    if asked.is_some() {
        // Only a run of its own has the process, and so its memory, to itself.
        assert!(end as f64 <= warm as f64 * 1.05 + 1e6, "memory grew from {warm} to {end} bytes");
    }
}
