//! What is taken, when, and in which order it is handed on.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::Context;
use std::time::Duration;

use flowgate::retry::{Jitter, RetryPolicy};
use flowgate::{Attempt, JobError, Map, Order, RunError, SubmitError, WorkerPool};
use futures::{Stream as _, StreamExt as _, stream};
use tokio::time::Instant;

use super::{BOTH, Pool, counted, gated, job, open};
use crate::support::{Gate, ledger, ms, on_both_runtimes, quiet, secs, settle, soon, until, wakers};

on_both_runtimes! {
    async fn ordered_outcomes_come_in_the_order_of_the_jobs_failed_ones_in_their_place() {
        let pool = gated(4, 12, &open());
        let outcomes: Vec<_> = pool.map(stream::iter(1..500), Order::Ordered).collect().await;
        for (job, outcome) in (1..500).zip(&outcomes) {
            match outcome {
                Ok(result) => assert_eq!(*result, job * 2),
                Err(RunError::Job(JobError::Failed(failure))) => {
                    assert_eq!((failure.job, failure.last_error.clone()), (Some(job), Some(job.to_string())));
                }
                Err(RunError::Job(JobError::Panicked(failure))) => {
                    assert_eq!((failure.job, failure.panic_message()), (Some(job), Some(job.to_string())));
                }
                Err(other) => panic!("{other:?}"),
            }
        }
        assert_eq!(outcomes.len(), 499);
        quiet(&pool).await;
    }

    async fn unordered_outcomes_come_once_each() {
        let pool = gated(4, 12, &open());
        let seen: Vec<_> = pool.map(stream::iter(1..2_000), Order::Unordered).map(job).take(999).collect().await;
        assert_eq!((seen.len(), seen.iter().collect::<BTreeSet<_>>().len()), (999, 999));
        quiet(&pool).await;
    }

    async fn maps_and_submitters_share_a_pool() {
        let pool = gated(2, 2, &open());
        let tasks: Vec<_> = (0..6)
            .map(|nth| {
                let pool = pool.clone();
                tokio::spawn(async move {
                    if nth > 3 {
                        for job in 1..100 {
                            let _one_may_fail = pool.run(job).await;
                        }
                        return 99;
                    }
                    let jobs = stream::iter(1..300);
                    pool.map(jobs, BOTH[nth % 2]).window(1 + nth * 2).map(job).collect::<BTreeSet<_>>().await.len()
                })
            })
            .collect();
        for (task, expected) in tasks.into_iter().zip([299, 299, 299, 299, 99, 99]) {
            assert_eq!(task.await.unwrap(), expected);
        }
        quiet(&pool).await;
        ledger::check_without_lending(&pool.stats());
    }
}

/// Taken and not handed on, buffered outcomes included: never more than the window, and nothing while nobody polls.
///
/// Seen to fail: one job more is taken.
#[tokio::test(start_paused = true)]
async fn no_more_than_the_window_is_taken() {
    for (order, window, expected) in
        [(Order::Ordered, 5, 5), (Order::Unordered, 5, 5), (Order::Unordered, 0, 1), (Order::Ordered, 50, 50)]
    {
        let gate = Gate::new();
        let pool = gated(2, 6, &gate);
        let (jobs, taken) = counted(1..1_000);
        let mut mapped = pool.map(jobs, order).window(window);
        settle().await;
        assert_eq!(taken.load(SeqCst), 0, "it takes nothing before it is polled");
        assert!(futures::poll!(mapped.next()).is_pending());
        gate.open();
        quiet_or_waiting(&pool).await;
        assert_eq!(taken.load(SeqCst), expected, "{order:?}, a window of {window}");
        for handed_on in 1..200 {
            assert!(soon(mapped.next()).await.is_some());
            settle().await;
            let unread = taken.load(SeqCst) - handed_on;
            assert!(unread <= expected && pool.len() <= expected, "{unread} unread in a window of {window}");
        }
    }
}

/// All that can run without the consumer has run.
async fn quiet_or_waiting(pool: &Pool) {
    settle().await;
    until("nothing runs", || pool.stats().running == 0).await;
}

/// The window that is asked for by default is the capacity.
#[tokio::test(start_paused = true)]
async fn the_default_window_is_the_capacity() {
    let gate = Gate::new();
    let pool = gated(2, 6, &gate);
    let (jobs, taken) = counted(1..100);
    let mut mapped = pool.map(jobs, Order::Unordered);
    assert!(futures::poll!(mapped.next()).is_pending());
    assert_eq!((taken.load(SeqCst), pool.len(), pool.stats().waiting), (8, 8, 0));
}

/// futures-rs#2387: `buffered` polls its futures only while its consumer polls it, so a slow consumer freezes them, and
/// their timeouts fire. Here jobs run in tasks of their own.
#[tokio::test(start_paused = true)]
async fn futures_rs_2387_a_slow_consumer_freezes_no_running_job() {
    for order in BOTH {
        let began = Instant::now();
        let ended = Arc::new(Mutex::new(Vec::<Duration>::new()));
        let log = ended.clone();
        let pool = WorkerPool::<u32, (), ()>::builder()
            .concurrency(8)
            .attempt_timeout(secs(2))
            .build(move |job: Attempt<u32>| {
                let log = log.clone();
                async move {
                    for _ in 0..10 {
                        tokio::time::sleep(ms(100)).await;
                    }
                    log.lock().unwrap().push(began.elapsed());
                    drop(job);
                    Ok(())
                }
            })
            .unwrap();
        let mut mapped = pool.map(stream::iter(0..8), order);
        let mut handed_on = 0;
        while let Some(outcome) = soon(mapped.next()).await {
            outcome.expect("no attempt has timed out");
            handed_on += 1;
            // A consumer that takes far longer than a job, and does not poll meanwhile.
            tokio::time::sleep(secs(60)).await;
        }
        assert_eq!(handed_on, 8);
        assert!(ended.lock().unwrap().iter().all(|ended| *ended == secs(1)), "{order:?}: {ended:?}");
    }
}

/// restatedev/sdk-rust#89: the consumer's loop body waits for something that only another job in flight brings about. With
/// `buffer_unordered` nobody polls that job meanwhile: a deadlock.
#[tokio::test(start_paused = true)]
async fn sdk_rust_89_the_consumer_may_wait_for_what_another_job_does() {
    for order in BOTH {
        let done = Arc::new(AtomicUsize::new(0));
        let count = done.clone();
        let pool = WorkerPool::<u64, u64, ()>::builder()
            .concurrency(4)
            .build(move |job: Attempt<u64>| {
                let count = count.clone();
                async move {
                    tokio::time::sleep(ms(100 * *job)).await;
                    count.fetch_add(1, SeqCst);
                    Ok(*job)
                }
            })
            .unwrap();
        let mut mapped = pool.map(stream::iter(0..4), order);
        while let Some(outcome) = soon(mapped.next()).await {
            let nth = usize::try_from(outcome.unwrap()).unwrap();
            soon(until_then("the next job is done too", || done.load(SeqCst) > (nth + 1).min(3))).await;
        }
    }
}

async fn until_then(what: &str, done: impl Fn() -> bool) {
    for _ in 0..1_000 {
        if done() {
            return;
        }
        tokio::time::sleep(ms(10)).await;
    }
    panic!("it never happens that {what}");
}

/// One waker for all, used once for all outcomes that come together, and not at all for what nobody waits for.
///
/// Seen to fail: the inbox is closed only after the jobs have been cancelled.
#[tokio::test(start_paused = true)]
async fn many_outcomes_are_one_wake_up() {
    let gate = Gate::new();
    let pool = gated(100, 0, &gate);
    let mut mapped = pool.map(stream::iter((1..600).filter(|job| job % 7 != 0 && job % 13 != 0)), Order::Unordered);
    let (count, waker) = wakers::Count::new();
    let mut cx = Context::from_waker(&waker);
    assert!(mapped.poll_next_unpin(&mut cx).is_pending());
    for nth in 1..=10 {
        gate.let_through(10);
        settle().await;
        assert_eq!(count.woken(), nth, "ten outcomes, one wake-up");
        for _ in 0..10 {
            assert!(mapped.poll_next_unpin(&mut cx).is_ready());
        }
        assert!(mapped.poll_next_unpin(&mut cx).is_pending());
    }
    drop(mapped);
    gate.open();
    quiet(&pool).await;
    assert_eq!(count.woken(), 10, "nobody is woken who has gone");
}

#[tokio::test(start_paused = true)]
async fn retried_jobs_hold_up_nobody_who_need_not_wait() {
    let pool = WorkerPool::<u32, u32, ()>::builder()
        .concurrency(1)
        .queue(9)
        .retry(RetryPolicy::fixed(secs(10)).jitter(Jitter::None).max_attempts(3).no_budget())
        .build(|job: Attempt<u32>| async move { if *job == 2 && job.attempt() < 3 { Err(()) } else { Ok(*job) } })
        .unwrap();
    let began = Instant::now();
    let unordered: Vec<_> = soon(pool.map(stream::iter(0..6), Order::Unordered).map(Result::unwrap).collect()).await;
    assert_eq!((unordered, began.elapsed()), (vec![0, 1, 3, 4, 5, 2], secs(20)));
    let ordered: Vec<_> = soon(pool.map(stream::iter(0..6), Order::Ordered).map(Result::unwrap).collect()).await;
    assert_eq!((ordered, began.elapsed()), ((0..6).collect(), secs(40)));
}

#[tokio::test(start_paused = true)]
async fn an_input_that_is_slow_wakes_the_stream() {
    for order in BOTH {
        let pool = gated(2, 2, &open());
        let ticks = stream::unfold(1, |job| async move {
            tokio::time::sleep(secs(1)).await;
            (job < 7).then_some((job, job + 1))
        });
        let began = Instant::now();
        let mut mapped = Box::pin(pool.map(ticks, order));
        for expected in 1..7 {
            assert_eq!(job(soon(mapped.next()).await.unwrap()), expected);
            assert_eq!(began.elapsed(), secs(u64::from(expected)), "an outcome does not wait for the next job");
        }
        assert!(soon(mapped.next()).await.is_none());
    }
}

/// Seen to fail: a window lends no slot.
#[tokio::test(start_paused = true)]
async fn a_handler_may_map_over_its_own_pool() {
    type Own = WorkerPool<u32, usize, ()>;
    for (queue, expected) in [(3, 9), (0, 0)] {
        let pool = Own::builder()
            .concurrency(1)
            .queue(queue)
            .build(move |job: Attempt<u32>| async move {
                if *job > 0 {
                    tokio::task::yield_now().await;
                    return Ok(1);
                }
                let own: Own = job.cx().pool().unwrap().upgrade().unwrap();
                let items: Vec<_> = own.map(stream::iter(1..10), Order::Ordered).collect().await;
                let refused =
                    |item: &Result<usize, _>| matches!(item, Err(RunError::Submit(SubmitError::WouldDeadlock(_))));
                assert_eq!(items.iter().any(refused), queue == 0, "only where its own job is all there is room for");
                Ok(items.into_iter().filter_map(Result::ok).sum())
            })
            .unwrap();
        assert_eq!(soon(pool.run(0)).await.unwrap(), expected);
        quiet(&pool).await;
        assert_eq!(pool.stats().lent, 0);
    }
}

/// A consumer that is always served lets others run.
///
/// Seen to fail: it does not count how many it has handed on.
#[tokio::test]
async fn a_long_stream_of_ready_outcomes_yields() {
    let pool = WorkerPool::<u32, u32, ()>::builder()
        .concurrency(1)
        .queue(4_999)
        .build(|job: Attempt<u32>| async move { Ok(*job) })
        .unwrap();
    let mut mapped = pool.map(stream::iter(0..), Order::Unordered);
    assert!(futures::poll!(mapped.next()).is_pending());
    until("all have run", || pool.is_empty()).await;
    let mut served = 0;
    while futures::poll!(mapped.next()).is_ready() {
        served += 1;
    }
    assert_eq!(served, 1_024);
    assert!(soon(mapped.next()).await.is_some());
}

/// A window beyond all bounds takes what there is, in turns; one that is made smaller midway takes nothing until there is
/// room in it again.
#[tokio::test(start_paused = true)]
async fn any_window_will_do() {
    let gate = Gate::new();
    let pool = gated(2, 2, &gate);
    let (jobs, taken) = counted(1..900);
    let mut mapped = pool.map(jobs.chain(stream::iter(1..900)), Order::Unordered).window(usize::MAX);
    assert!(futures::poll!(mapped.next()).is_pending());
    assert_eq!((taken.load(SeqCst), pool.stats().waiting), (899, 1));
    let mut mapped = mapped.window(10);
    gate.open();
    assert_eq!(soon(mapped.by_ref().count()).await, 2 * 899);
    let (jobs, taken) = counted(1..900);
    let mut mapped = pool.map(jobs, Order::Ordered).window(usize::MAX).window(7);
    assert!(soon(mapped.next()).await.is_some());
    assert_eq!(taken.load(SeqCst), 7);
}

/// The stream itself is `Send` and `Unpin`, whatever the input is.
#[tokio::test(start_paused = true)]
async fn it_is_unpin_and_can_be_spawned() {
    fn unpin<S: Unpin>(stream: S) -> S {
        stream
    }
    let pool = gated(2, 2, &open());
    let pinned = stream::once(async { 1 });
    let mut mapped: Map<_, u32, u32, String> = unpin(pool.map(pinned, Order::Ordered));
    assert_eq!(mapped.size_hint(), (0, Some(1)));
    assert!(!format!("{mapped:?}").is_empty());
    let seen = tokio::spawn(async move { Pin::new(&mut mapped).next().await.map(job) });
    assert_eq!(soon(seen).await.unwrap(), Some(1));
}
