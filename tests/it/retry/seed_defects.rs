//! The defects of a naive retrying pool that a policy must rule out, at the policy's own level.
//! Their numbers are those of the pool's tests of the same names.

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::time::Duration;

use flowgate::retry::{Jitter, RetryBudget, RetryPolicy, StopReason, Verdict};
use futures::future::{join_all, poll_fn};
use tokio::time::Instant;

use super::{ms, secs};

/// Attempt starts of a job that always fails at once, and how often its future was polled.
async fn attempt_times(policy: &RetryPolicy<()>) -> (Vec<Duration>, usize) {
    let (began, starts, polls) = (Instant::now(), RefCell::new(Vec::new()), Cell::new(0));
    {
        let mut run = pin!(policy.run(|_| {
            starts.borrow_mut().push(began.elapsed());
            async { Err::<(), _>(()) }
        }));
        let outcome = poll_fn(|cx| {
            polls.set(polls.get() + 1);
            run.as_mut().poll(cx)
        });
        assert!(outcome.await.is_err());
    }
    (starts.into_inner(), polls.get())
}

/// A timer fires on the next whole millisecond.
fn about(gap: Duration, expected: Duration) -> bool {
    (expected..=expected + ms(2)).contains(&gap)
}

/// S14: no backoff, so that an instant failure becomes a hot loop.
#[tokio::test(start_paused = true)]
async fn s14_attempts_are_spaced_by_the_policy() {
    let exponential = || RetryPolicy::exponential(ms(100)).max_attempts(6).max_delay(ms(900));
    let (starts, polls) = attempt_times(&exponential().jitter(Jitter::None)).await;
    let gaps: Vec<_> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(gaps.len(), 5);
    for (gap, expected) in gaps.iter().zip([100, 200, 400, 800, 900]) {
        assert!(about(*gap, ms(expected)), "{gaps:?}");
    }
    assert!(polls <= 2 * starts.len(), "{polls} polls for {} attempts: it waits, it does not spin", starts.len());

    let (starts, polls) = attempt_times(&exponential().jitter(Jitter::Equal)).await;
    let gaps: Vec<_> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    for (gap, longest) in gaps.iter().zip([100, 200, 400, 800, 900]) {
        assert!((ms(longest / 2)..=ms(longest + 2)).contains(gap), "{gaps:?}");
    }
    assert!(polls <= 2 * starts.len());
}

/// S15: no limit on attempts or time, or a limit that ends the work without saying which.
#[tokio::test(start_paused = true)]
async fn s15_every_limit_ends_with_its_own_reason() {
    let fixed = || RetryPolicy::fixed(secs(1)).jitter(Jitter::None);
    let hinted = |hint| fixed().max_delay(secs(1)).classify(move |(): &(), _| Verdict::RetryAfter(hint));
    let cases = [
        (fixed(), 3, StopReason::MaxAttempts),
        (fixed().max_attempts(7), 7, StopReason::MaxAttempts),
        (RetryPolicy::none(), 1, StopReason::MaxAttempts),
        (RetryPolicy::from_delays(|n| (n < 5).then_some(secs(1))), 5, StopReason::MaxAttempts),
        (fixed().max_attempts(u32::MAX).max_elapsed(ms(10_500)), 11, StopReason::MaxElapsed),
        (
            fixed().classify(|(), info| if info.attempt < 2 { Verdict::Retry } else { Verdict::Stop }),
            2,
            StopReason::Permanent,
        ),
        // A hint longer than the cap is waited out; one longer than the whole time allowed ends the work, and says so.
        (hinted(secs(3_600)), 3, StopReason::MaxAttempts),
        (hinted(secs(3_600)).max_elapsed(secs(900)), 1, StopReason::MaxElapsed),
        (hinted(Duration::MAX).max_elapsed(secs(900)), 1, StopReason::MaxElapsed),
        (fixed().budget(RetryBudget::new().ratio(1.0).min_per_sec(0)), 2, StopReason::Budget),
    ];
    for (policy, attempts, stop) in cases {
        let began = Instant::now();
        let gone = policy.run(|_| async { Err::<(), _>(()) }).await.expect_err("it always fails");
        assert_eq!((gone.attempts(), gone.stop()), (attempts, stop), "{policy:?}");
        assert_eq!(gone.elapsed(), began.elapsed(), "it ends at the last failure, not after another wait");
    }
}

/// S16: everybody retries at once when a dependency is down, and keeps it down.
#[tokio::test(start_paused = true)]
async fn s16_retry_storm_is_capped_by_the_budget() {
    const JOBS: u32 = 1_000;
    const RESERVE: u64 = 100; // 10 a second over 10 s, the default
    let policy = RetryPolicy::<()>::exponential(ms(10)).max_attempts(5);
    let budget = policy.retry_budget().expect("on by default");

    let attempts = Cell::new(0_u64);
    let storm = join_all((0..JOBS).map(|_| {
        policy.run(|_| {
            attempts.set(attempts.get() + 1);
            async { Err::<(), _>(()) }
        })
    }));
    let outcomes = storm.await;
    assert_eq!(attempts.get(), u64::from(JOBS) * 12 / 10 + RESERVE, "without a budget it were 5,000");
    let out_of_budget =
        outcomes.iter().filter(|outcome| outcome.as_ref().is_err_and(|gone| gone.stop() == StopReason::Budget)).count();
    assert!(out_of_budget >= 900, "{out_of_budget} jobs end for want of budget");
    assert_eq!(budget.refused(), out_of_budget as u64);

    // Recovery: a window later the storm is forgotten, and traffic that succeeds earns more retries.
    tokio::time::advance(secs(12)).await;
    let refused = budget.refused();
    fail_once_each(&policy, 100).await;
    assert_eq!(budget.refused(), refused, "100 jobs and the reserve pay for 100 retries");
    for _ in 0..500 {
        assert_eq!(policy.run(|_| async { Ok("served") }).await.ok(), Some("served"));
    }
    fail_once_each(&policy, 100).await;
    assert_eq!(budget.refused(), refused, "700 jobs and the reserve pay for 200");
}

/// Runs `jobs` jobs at once that fail at the first attempt and succeed at the second.
async fn fail_once_each(policy: &RetryPolicy<()>, jobs: usize) {
    let flaky = |_| policy.run(|info| async move { if info.attempt == 1 { Err(()) } else { Ok(()) } });
    assert!(join_all((0..jobs).map(flaky)).await.iter().all(Result::is_ok));
}
