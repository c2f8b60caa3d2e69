//! What retry costs: a delay, a decision, the budget, and `run` around a call that succeeds at once.
//!
//! Rivals: backon's delay iterator and its `retry` around a future, tower's `TpsBudget`.

use std::convert::Infallible;
use std::hint::black_box;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder as _, ExponentialBuilder, Retryable as _};
use criterion::{Criterion, criterion_group, criterion_main};
use flowgate::retry::{Backoff, FailedAttempt, RetryBudget, RetryPolicy, Verdict};
use tower::retry::budget::{Budget as _, TpsBudget};

const BASE: Duration = Duration::from_millis(100);
const NOW: Duration = Duration::from_secs(60);

/// Random bits at the price of a usual generator, since flowgate takes them as an argument (Vigna's splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// The four delays of a job with five attempts: exponential, full jitter.
fn delays(c: &mut Criterion) {
    let mut group = c.benchmark_group("retry/four_delays");
    let backoff = Backoff::exponential(BASE);
    let mut random = Random(1);
    group.bench_function("flowgate", |b| {
        b.iter(|| {
            (1..=4).filter_map(|attempt| black_box(&backoff).delay(attempt, None, random.next())).sum::<Duration>()
        });
    });
    let builder = ExponentialBuilder::new().with_min_delay(BASE).with_jitter().with_max_times(4);
    group.bench_function("backon", |b| b.iter(|| black_box(builder).build().sum::<Duration>()));
    group.finish();
}

/// One decision about one failed attempt.
fn decide(c: &mut Criterion) {
    let mut group = c.benchmark_group("retry/decide");
    let endless = || RetryPolicy::<u32>::exponential(BASE).max_attempts(5).max_elapsed(Duration::from_secs(30));
    let classified = || endless().classify(|code, _| if *code < 500 { Verdict::Stop } else { Verdict::Retry });
    let rich = RetryBudget::new().min_per_sec(u32::MAX); // never refuses within this bench
    let policies = [
        ("no_classifier_no_budget", endless().no_budget()),
        ("no_budget", classified().no_budget()),
        ("classifier_and_budget", classified().budget(rich)),
    ];
    for (name, policy) in policies {
        let mut random = Random(1);
        group.bench_function(name, |b| {
            b.iter(|| {
                let failed = FailedAttempt {
                    attempt: 2,
                    error: Some(&503),
                    elapsed: BASE,
                    previous_delay: Some(BASE),
                    until_deadline: Some(NOW),
                    random: random.next(),
                    now: NOW,
                };
                black_box(&policy).decide(black_box(&failed))
            });
        });
    }
    group.finish();
}

/// Deposits and withdrawals on one thread.
fn budget(c: &mut Criterion) {
    let mut group = c.benchmark_group("retry/budget");
    let ours = RetryBudget::new().min_per_sec(u32::MAX);
    group.bench_function("deposit/flowgate", |b| b.iter(|| black_box(&ours).deposit(black_box(NOW), 1)));
    group.bench_function("withdraw/flowgate", |b| b.iter(|| black_box(&ours).try_withdraw(black_box(NOW))));
    let spent = RetryBudget::new().min_per_sec(0);
    group.bench_function("refused/flowgate", |b| b.iter(|| black_box(&spent).try_withdraw(black_box(NOW))));
    // tower's budget reads the clock itself, ours is given the time: with the reading, for comparison.
    group.bench_function("deposit_and_clock/flowgate", |b| {
        let epoch = Instant::now();
        b.iter(|| black_box(&ours).deposit(epoch.elapsed(), 1));
    });
    let theirs = TpsBudget::default();
    group.bench_function("deposit/tower", |b| b.iter(|| black_box(&theirs).deposit()));
    group.bench_function("withdraw/tower", |b| b.iter(|| black_box(&theirs).withdraw()));
    group.finish();
}

/// A call that succeeds at once: bare, and under a policy.
fn run(c: &mut Criterion) {
    let mut group = c.benchmark_group("retry/run_ok");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let call = |n: u64| std::future::ready(Ok::<_, Infallible>(black_box(n)));
    group.bench_function("bare", |b| {
        b.iter_custom(|n| {
            runtime.block_on(async {
                let began = Instant::now();
                for i in 0..n {
                    black_box(call(i).await).unwrap_or_default();
                }
                began.elapsed()
            })
        });
    });
    let budgeted = RetryPolicy::exponential(BASE);
    let unbudgeted = budgeted.clone().no_budget();
    for (name, policy) in [("flowgate", budgeted), ("flowgate_no_budget", unbudgeted)] {
        group.bench_function(name, |b| {
            b.iter_custom(|n| {
                runtime.block_on(async {
                    let began = Instant::now();
                    for i in 0..n {
                        black_box(policy.run(|_| call(i)).await).unwrap_or_default();
                    }
                    began.elapsed()
                })
            });
        });
    }
    let builder = ExponentialBuilder::new().with_min_delay(BASE).with_jitter();
    group.bench_function("backon", |b| {
        b.iter_custom(|n| {
            runtime.block_on(async {
                let began = Instant::now();
                for i in 0..n {
                    black_box((|| call(i)).retry(builder).await).unwrap_or_default();
                }
                began.elapsed()
            })
        });
    });
    group.finish();
}

criterion_group!(benches, delays, decide, budget, run);
criterion_main!(benches);
