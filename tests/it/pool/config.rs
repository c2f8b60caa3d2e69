//! Options at the edge: each value is refused, with its name, itself and what is allowed, or works as documented.

use std::time::Duration;

use flowgate::retry::{Jitter, RetryBudget, RetryPolicy};
use flowgate::{Attempt, BuildError, JobError, Shutdown, StopReason, SubmitError, WorkerPool, WorkerPoolBuilder};

use crate::support::{HOUR, ledger, ms, quiet, secs, settle, soon};

type Builder = WorkerPoolBuilder<u32, u32, &'static str>;
type Pool = WorkerPool<u32, u32, &'static str>;

/// Job 0 never ends, 1 fails, the others succeed at their second poll.
fn build(builder: Builder) -> Result<Pool, BuildError> {
    builder.build(|job: Attempt<u32>| async move {
        tokio::task::yield_now().await;
        match *job {
            0 => std::future::pending().await,
            1 => Err("failed"),
            _ => Ok(*job),
        }
    })
}

fn small() -> Builder {
    Pool::builder().concurrency(2).queue(6)
}

#[tokio::test]
async fn each_option_that_cannot_be_honoured_is_named_with_its_value_and_range() {
    let table: [(Builder, &str, &str, &str); 14] = [
        (Pool::builder(), "concurrency", "not set", "1 to 1048576"),
        (Pool::builder().queue(5), "concurrency", "not set", "1 to 1048576"),
        (small().concurrency(0), "concurrency", "0", "1 to 1048576"),
        (small().concurrency(1_048_577), "concurrency", "1048577", "1 to 1048576"),
        (small().concurrency(usize::MAX), "concurrency", "18446744073709551615", "1 to 1048576"),
        (small().queue(usize::MAX), "queue", "18446744073709551615", "0 to 2147483646 with 2 run slots"),
        (small().queue(2_147_483_647), "queue", "2147483647", "0 to 2147483646 with 2 run slots"),
        (small().max_parked(9), "max_parked", "9", "0 to 8, the capacity"),
        (small().max_parked(usize::MAX), "max_parked", "18446744073709551615", "0 to 8, the capacity"),
        (small().attempt_timeout(Duration::ZERO), "attempt_timeout", "0s", "above zero"),
        (small().deadline(Duration::ZERO), "deadline", "0s", "above zero"),
        (
            small().attempt_timeout(secs(10)).deadline(secs(9)),
            "attempt_timeout",
            "10s",
            "above zero, to 9s, the deadline",
        ),
        (
            small().attempt_timeout(Duration::MAX).deadline(ms(1)),
            "attempt_timeout",
            "18446744073709551615.999999999s",
            "above zero, to 1ms, the deadline",
        ),
        // The first of several.
        (small().concurrency(0).queue(usize::MAX).deadline(Duration::ZERO), "concurrency", "0", "1 to 1048576"),
    ];
    for (builder, name, refused, range) in table {
        let shown = format!("{builder:?}");
        let error = build(builder).expect_err(&shown);
        assert_eq!(error.to_string(), format!("pool option `{name}` is {refused}; allowed: {range}"));
        let BuildError::Option { option, value, allowed } = error else { panic!("{shown}") };
        assert_eq!((option, value.as_str(), allowed.as_str()), (name, refused, range));
    }
}

#[tokio::test]
async fn an_invalid_retry_policy_is_refused_with_its_own_words() {
    let base = || RetryPolicy::exponential(ms(100));
    let table = [
        (base().max_attempts(0), "max_attempts"),
        (RetryPolicy::none().max_attempts(2), "max_attempts"),
        (base().max_elapsed(Duration::ZERO), "max_elapsed"),
        (base().factor(f64::NAN), "factor"),
        (base().max_delay(ms(1)), "max_delay"),
        (RetryPolicy::exponential(Duration::ZERO), "exponential"),
        (base().budget(RetryBudget::new().ratio(-1.0)), "budget.ratio"),
    ];
    for (policy, option) in table {
        let error = build(small().retry(policy)).unwrap_err();
        assert!(error.to_string().starts_with(&format!("retry option `{option}` is ")), "{error}");
        assert!(matches!(error, BuildError::Retry(invalid) if invalid.option() == option));
    }
}

/// Every builder method alone is no reason to panic, whatever it is given.
#[tokio::test]
async fn no_number_makes_a_builder_panic() {
    let sizes = [0, 1, 2, 1 << 20, 1 << 31, 1 << 32, usize::MAX - 1, usize::MAX];
    let times = [Duration::ZERO, Duration::from_nanos(1), secs(1), secs(u64::MAX), Duration::MAX];
    let mut built = 0;
    for size in sizes {
        for time in times {
            let builders = [
                small().concurrency(size),
                small().queue(size),
                small().max_parked(size),
                small().attempt_timeout(time).deadline(Duration::MAX),
                small().deadline(time),
                small().cancel_grace(time),
                small().retry(RetryPolicy::fixed(time).max_attempts(u32::try_from(size).unwrap_or(u32::MAX))),
            ];
            built += builders.into_iter().map(build).filter(Result::is_ok).count();
        }
    }
    assert!(built > 100, "{built} of them are honoured");
}

#[tokio::test(start_paused = true)]
async fn the_default_queue_is_as_long_as_there_are_slots() {
    let pool = build(Pool::builder().concurrency(3)).unwrap();
    assert_eq!((pool.capacity(), pool.stats().concurrency), (6, 3));
}

/// The largest pool costs no memory until it is used.
#[tokio::test(start_paused = true)]
async fn the_largest_pool_works() {
    let pool = build(Pool::builder().concurrency(1 << 20).queue((1 << 31) - (1 << 20))).unwrap();
    assert_eq!(pool.capacity(), 1 << 31);
    assert_eq!(soon(pool.run(7)).await.unwrap(), 7);
    let handles: Vec<_> = (2..2_002).map(|job| pool.try_submit(job).unwrap()).collect();
    for (job, handle) in (2..).zip(handles) {
        assert_eq!(soon(handle).await.unwrap(), job);
    }
}

/// With every limit as far away as it can be, a pool is one without limits.
#[tokio::test(start_paused = true)]
async fn endless_durations_never_end_and_never_overflow() {
    let endless = Duration::MAX;
    for far in [endless, Duration::from_nanos(u64::MAX), Duration::from_nanos(u64::MAX - 1), secs(u64::MAX / 2)] {
        let retry = RetryPolicy::fixed(far).max_delay(far).jitter(Jitter::None).max_elapsed(endless).no_budget();
        let pool = build(small().attempt_timeout(far).deadline(endless).cancel_grace(far).retry(retry)).unwrap();
        assert_eq!(soon(pool.run(7)).await.unwrap(), 7);
        assert_eq!(soon(soon(pool.submit_timeout(8, far)).await.unwrap()).await.unwrap(), 8);
        let (hung, parked) = (pool.try_submit(0).unwrap(), pool.try_submit(1).unwrap());
        settle().await;
        tokio::time::advance(HOUR).await;
        settle().await;
        assert_eq!((pool.stats().running, pool.stats().parked), (1, 1), "{far:?}");
        assert!(!hung.is_finished() && !parked.is_finished());
        parked.cancel();
        assert!(matches!(soon(parked).await, Err(JobError::Cancelled(Some(1)))));
        hung.cancel();
        settle().await;
        assert!(!hung.is_finished(), "its grace is endless");
        drop(pool);
    }
}

/// A retry that would be due after the deadline ends the job, however far both are.
#[tokio::test(start_paused = true)]
async fn far_deadlines_are_compared_without_overflow() {
    let far = Duration::from_nanos(u64::MAX / 4);
    let retry = || RetryPolicy::fixed(Duration::MAX).max_delay(Duration::MAX).jitter(Jitter::None).no_budget();
    let pool = build(small().deadline(far).retry(retry())).unwrap();
    let error = soon(pool.try_submit(1).unwrap()).await.unwrap_err();
    assert_eq!(error.failure().map(|failure| failure.stop), Some(StopReason::Deadline));
}

/// The shortest limits end jobs at once; nothing divides by them or waits for them.
#[tokio::test(start_paused = true)]
async fn the_shortest_durations_work() {
    let instant = Duration::from_nanos(1);
    let pool = build(small().attempt_timeout(instant)).unwrap();
    let error = soon(pool.try_submit(0).unwrap()).await.unwrap_err();
    assert!(matches!(error, JobError::TimedOut(_)), "{error:?}");

    let pool = build(small().deadline(instant)).unwrap();
    let error = soon(pool.try_submit(0).unwrap()).await.unwrap_err();
    assert_eq!(error.failure().map(|failure| failure.stop), Some(StopReason::Deadline));

    let pool = build(small().cancel_grace(instant)).unwrap();
    let handle = pool.try_submit(0).unwrap();
    settle().await;
    handle.cancel();
    assert!(matches!(soon(handle).await, Err(JobError::Cancelled(Some(0)))));

    let retry = RetryPolicy::fixed(Duration::ZERO).max_attempts(50).no_budget();
    let pool = build(small().retry(retry)).unwrap();
    let error = soon(pool.try_submit(1).unwrap()).await.unwrap_err();
    assert_eq!(error.failure().map(|failure| failure.attempts), Some(50));
    quiet(&pool).await;

    let full = build(Pool::builder().concurrency(1).queue(0)).unwrap();
    drop(full.try_submit(0).unwrap());
    assert!(matches!(soon(full.submit_timeout(5, Duration::ZERO)).await, Err(SubmitError::Timeout(5))));
    let report = soon(full.shutdown(Shutdown::DrainFor(Duration::ZERO))).await.unwrap();
    ledger::check_report(&report);
}

/// A policy that makes no retries is the same as none.
#[tokio::test(start_paused = true)]
async fn one_attempt_is_one_attempt() {
    for builder in [
        small(),
        small().retry(RetryPolicy::none()),
        small().retry(RetryPolicy::fixed(secs(1)).max_attempts(1)),
        small().retry(RetryPolicy::fixed(secs(1)).no_budget()).max_parked(0),
    ] {
        let pool = build(builder).unwrap();
        let error = soon(pool.try_submit(1).unwrap()).await.unwrap_err();
        let failure = error.failure().unwrap();
        assert_eq!(failure.attempts, 1);
        assert!(matches!(failure.stop, StopReason::MaxAttempts | StopReason::ParkedFull), "{:?}", failure.stop);
    }
}
