//! criterion benches of the retry policy: groups `retry/<load>/<threads>`.
//!
//! What a call pays for being allowed to retry, when it succeeds at once, beside the same call without a policy; and what
//! deciding about one failure costs.

#![allow(missing_docs, reason = "criterion's macro writes public functions")]

use std::convert::Infallible;
use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use flowgate::retry::{FailedAttempt, RetryPolicy};
use tokio::runtime::{Builder, Runtime};

async fn call(input: u64) -> Result<u64, Infallible> {
    Ok(black_box(input) + 1)
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().expect("a runtime")
}

fn first_try(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("retry/first_try/p1");
    group.bench_function("no-policy", |bencher| {
        let runtime = runtime();
        bencher.iter_custom(|calls| {
            runtime.block_on(async {
                let start = Instant::now();
                for input in 0..calls {
                    assert_eq!(call(input).await, Ok(input + 1));
                }
                start.elapsed()
            })
        });
    });
    group.bench_function("flowgate", |bencher| {
        let runtime = runtime();
        let policy = RetryPolicy::exponential(Duration::from_millis(100)).max_attempts(5);
        bencher.iter_custom(|calls| {
            runtime.block_on(async {
                let start = Instant::now();
                for input in 0..calls {
                    assert_eq!(policy.run(|_| call(input)).await.ok(), Some(input + 1));
                }
                start.elapsed()
            })
        });
    });
    group.finish();
}

fn decide(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("retry/decide/p1");
    group.bench_function("flowgate", |bencher| {
        let policy: RetryPolicy<&str> = RetryPolicy::exponential(Duration::from_millis(100)).max_attempts(5);
        let failed = |attempt| FailedAttempt {
            attempt,
            error: Some(&"connection reset"),
            elapsed: Duration::from_secs(1),
            previous_delay: None,
            until_deadline: Some(Duration::from_secs(60)),
            random: 0x9e37_79b9_7f4a_7c15,
            now: Duration::from_secs(10),
        };
        bencher.iter(|| policy.decide(black_box(&failed(2))));
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .without_plots();
    targets = first_try, decide
}
criterion_main!(benches);
