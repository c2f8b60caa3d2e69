//! `run` alone: order, time, cancellation, panics and fairness to other tasks.

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use flowgate::retry::{AttemptInfo, Jitter, RetryBudget, RetryPolicy, StopReason, Verdict};
use futures::FutureExt as _;
use tokio::time::Instant;

use super::{ms, secs};

fn exact(delay: Duration) -> RetryPolicy<&'static str> {
    RetryPolicy::fixed(delay).jitter(Jitter::None)
}

#[tokio::test(start_paused = true)]
async fn success_ends_it_at_once() {
    let started = Instant::now();
    assert_eq!(exact(secs(1)).run(|info| async move { Ok(info.attempt) }).await, Ok(1));
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn each_attempt_is_told_its_number_time_and_wait() {
    let infos = RefCell::new(Vec::new());
    let result = exact(secs(2))
        .run(|info| {
            infos.borrow_mut().push(info);
            async move { if info.attempt == 3 { Ok("done") } else { Err("not yet") } }
        })
        .await;
    assert_eq!(result, Ok("done"));
    let infos = infos.into_inner();
    assert_eq!(infos[0], AttemptInfo::new(1, Duration::ZERO));
    assert_eq!(infos.iter().map(|info| info.attempt).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(infos.iter().map(|info| info.elapsed.as_secs()).collect::<Vec<_>>(), [0, 2, 4]);
    assert_eq!(infos.iter().map(|info| info.previous_delay).collect::<Vec<_>>(), [None, Some(secs(2)), Some(secs(2))]);
}

#[tokio::test(start_paused = true)]
async fn the_delay_counts_from_the_end_of_the_attempt() {
    let starts = RefCell::new(Vec::new());
    let began = Instant::now();
    let result = exact(secs(1))
        .run(|_| {
            starts.borrow_mut().push(began.elapsed().as_secs());
            tokio::time::advance(secs(10)).map(|()| Err::<(), _>("slow"))
        })
        .await;
    assert_eq!(result.map_err(|gone| gone.elapsed().as_secs()), Err(32));
    assert_eq!(starts.into_inner(), [0, 11, 22]);
}

#[tokio::test(start_paused = true)]
async fn a_hint_is_waited_out() {
    let policy = exact(ms(1)).max_delay(ms(1)).classify(|_, info| Verdict::RetryAfter(secs(60) * info.attempt));
    let gone = policy.run(|_| async { Err::<(), _>("busy") }).await.expect_err("three attempts");
    assert_eq!((gone.attempts(), gone.elapsed().as_secs()), (3, 180));
}

#[tokio::test(start_paused = true)]
async fn an_endless_hint_waits_until_it_is_cancelled() {
    let policy = exact(ms(1)).classify(|_, _| Verdict::RetryAfter(Duration::MAX));
    let run = policy.run(|_| async { Err::<(), _>("later") });
    assert!(tokio::time::timeout(secs(86_400 * 365), run).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn jitter_draws_a_new_number_for_each_wait() {
    let policy = RetryPolicy::<&str>::fixed(secs(1_000)).max_attempts(20).no_budget();
    let waits = RefCell::new(Vec::new());
    let result = policy
        .run(|info| {
            waits.borrow_mut().extend(info.previous_delay);
            async { Err::<(), _>("again") }
        })
        .await;
    assert_eq!(result.map_err(|gone| gone.attempts()), Err(20));
    let mut waits = waits.into_inner();
    assert!(waits.iter().all(|wait| *wait <= secs(1_000)));
    waits.sort_unstable();
    waits.dedup();
    assert_eq!(waits.len(), 19, "19 equal draws out of 10¹² would be a broken generator");
}

#[tokio::test(start_paused = true)]
async fn one_first_attempt_is_deposited_and_each_retry_pays() {
    let budget = RetryBudget::new().ratio(1.0).min_per_sec(0);
    let policy = exact(ms(1)).budget(budget.clone());
    let gone = policy.run(|_| async { Err::<(), _>("down") }).await.expect_err("down");
    assert_eq!((gone.attempts(), gone.stop()), (2, StopReason::Budget), "its own deposit pays for one retry");
    assert_eq!((budget.withdrawn(), budget.refused()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_instant_failure_without_delay_leaves_other_tasks_their_turn() {
    let policy = exact(Duration::ZERO).max_attempts(u32::MAX).no_budget();
    let attempts = Cell::new(0_u64);
    let endless = policy.run(|_| {
        attempts.set(attempts.get() + 1);
        async { Err::<(), _>("hot") }
    });
    // `select!` polls `endless` first; the other branch can only win if that one goes back to the runtime.
    tokio::select! {
        biased;
        gone = endless => panic!("it never ends: {gone:?}"),
        () = tokio::task::yield_now() => {}
    }
    assert!((1..10_000).contains(&attempts.get()), "{}", attempts.get());
}

#[tokio::test(start_paused = true)]
async fn dropping_it_drops_the_running_attempt_and_starts_no_other() {
    let alive = Rc::new(());
    let policy = exact(secs(1));
    {
        let mut run = pin!(policy.run(|_| {
            let held = Rc::clone(&alive);
            async move {
                pending::<()>().await;
                drop(held);
                Ok(())
            }
        }));
        assert!(futures::poll!(run.as_mut()).is_pending());
        assert_eq!(Rc::strong_count(&alive), 2);
    }
    assert_eq!(Rc::strong_count(&alive), 1);
}

/// Two polls an attempt and one wait between two: dropped after every poll, the work done is what was polled.
#[tokio::test(start_paused = true)]
async fn dropping_it_after_any_poll_stops_it_there() {
    for polls in 0..8 {
        let (started, ended) = (Cell::new(0), Cell::new(0));
        let policy = exact(secs(1));
        {
            let mut run = pin!(policy.run(|_| {
                started.set(started.get() + 1);
                let ended = &ended;
                async move {
                    tokio::task::yield_now().await;
                    ended.set(ended.get() + 1);
                    Err::<(), _>("again")
                }
            }));
            let mut done = false;
            for _ in 0..polls {
                if !done {
                    done = futures::poll!(run.as_mut()).is_ready();
                    tokio::time::advance(ms(1_001)).await;
                }
            }
        }
        let at_drop = (started.get(), ended.get());
        tokio::time::advance(secs(60)).await;
        tokio::task::yield_now().await;
        assert_eq!((started.get(), ended.get()), at_drop, "after {polls} polls");
        assert!(started.get() <= 3 && ended.get() <= started.get());
        assert_eq!(policy.retry_budget().map(RetryBudget::withdrawn), Some(ended.get().min(2)), "after {polls} polls");
    }
}

#[tokio::test(start_paused = true)]
async fn the_previous_attempt_is_gone_before_the_wait() {
    let alive = Rc::new(());
    let policy = exact(secs(1));
    let mut run = pin!(policy.run(|_| {
        let held = Rc::clone(&alive);
        poll_fn(move |_| Poll::Ready(Err::<(), _>(if Rc::strong_count(&held) > 1 { "busy" } else { "?" })))
    }));
    assert!(futures::poll!(run.as_mut()).is_pending());
    assert_eq!(Rc::strong_count(&alive), 1);
}

#[tokio::test(start_paused = true)]
async fn panics_propagate() {
    let policy = exact(ms(1)).classify(|_, _| panic!("classifier"));
    let run = std::panic::AssertUnwindSafe(policy.run(|_| async { Err::<(), _>("e") }));
    assert!(run.catch_unwind().await.is_err());
    let policy = exact(ms(1));
    let run = std::panic::AssertUnwindSafe(policy.run(|_| async { panic!("op") as Result<(), _> }));
    assert!(run.catch_unwind().await.is_err());
    assert_eq!(policy.retry_budget().map(RetryBudget::withdrawn), Some(0));
}
