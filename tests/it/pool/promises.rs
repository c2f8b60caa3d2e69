//! Sentences of the pool's documentation that an implementation can easily break, each with a test.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flowgate::retry::{Jitter, RetryPolicy, Verdict};
use flowgate::{Attempt, Cx, JobError, JobHandle, ReserveError, Shutdown, StopReason, SubmitError, WorkerPool};
use futures::FutureExt as _;

use crate::support::{HOUR, ledger, ms, one_thread, promptly, quiet, secs, settle, soon, threads};

/// "`attempts`: how many attempts were made." None, if the deadline passed before the first.
#[tokio::test(start_paused = true)]
async fn a_job_that_was_late_when_its_turn_came_has_made_no_attempt() {
    let pool = WorkerPool::<u64, (), ()>::builder()
        .concurrency(1)
        .queue(1)
        .deadline(secs(1))
        .build(|job: Attempt<u64>| async move {
            // Time passes without a chance for the timer: as in a handler that does not await.
            let _ = futures::poll!(std::pin::pin!(tokio::time::advance(secs(*job))));
            Ok(())
        })
        .unwrap();
    let (first, late) = (pool.try_submit(2).unwrap(), pool.try_submit(0).unwrap());
    drop(soon(first).await);
    let error = soon(late).await.unwrap_err();
    assert!(matches!(error, JobError::TimedOut(_)), "{error:?}");
    let failure = error.failure().unwrap();
    assert_eq!((failure.attempts, failure.stop, failure.job), (0, StopReason::Deadline, Some(0)), "{failure:?}");
}

/// "Dropping any future restores capacity": a reservation that is refused inside a handler keeps no place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reservation_refused_inside_a_handler_keeps_no_place() {
    let (told, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let tell = told.clone();
    let pool = WorkerPool::<(), (), ()>::builder()
        .concurrency(1)
        .queue(1)
        .build(move |job: Attempt<()>| {
            let told = tell.clone();
            async move {
                let pool = job.cx().pool::<(), (), ()>().unwrap().upgrade().unwrap();
                for _ in 0..400_000 {
                    match pool.reserve().await {
                        Ok(permit) => drop(permit),
                        Err(refused) => {
                            assert!(matches!(refused, ReserveError::WouldDeadlock(_)));
                            told.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                }
                Ok(())
            }
        })
        .unwrap();
    let handle = pool.try_submit(()).unwrap();
    let (rival, end) = (pool.clone(), done.clone());
    // Takes the other place and gives it back, all the time, so that places come free while the handler asks.
    let thread = std::thread::spawn(move || {
        while !end.load(Ordering::SeqCst) {
            drop(rival.reserve().now_or_never());
        }
    });
    promptly(handle).await.unwrap();
    done.store(true, Ordering::SeqCst);
    thread.join().unwrap();
    quiet(&pool).await;
    let refused = told.load(Ordering::SeqCst);
    assert_eq!(pool.stats().reserved, 0, "after {refused} refusals a place is held by nobody");
}

/// "Its runtime is gone: handles resolve `Aborted`", also for the job that a runner had claimed and not begun.
#[test]
fn a_job_claimed_while_its_runner_yields_is_not_lost_with_the_runtime() {
    let (first, second) = (one_thread(), one_thread());
    let (pool, handles) = first.block_on(async {
        let pool = WorkerPool::<u32, u32, ()>::builder()
            .concurrency(1)
            .queue(2_000)
            .build(|job: Attempt<u32>| async move { Ok(*job) })
            .unwrap();
        let handles: Vec<_> = (0..2_000).map(|job| pool.try_submit(job).unwrap()).collect();
        // The runner uses up its share of one poll, and yields.
        tokio::task::yield_now().await;
        (pool, handles)
    });
    drop(first);
    let unresolved = handles.iter().filter(|handle| !handle.is_finished()).count();
    assert_eq!(unresolved, 0, "{:?}", pool.stats());
    let (mut done, mut aborted) = (0, 0);
    second.block_on(async {
        for handle in handles {
            match promptly(handle).await {
                Ok(_) => done += 1,
                Err(JobError::Aborted(Some(_))) => aborted += 1,
                Err(other) => panic!("{other:?}"),
            }
        }
        assert!(done > 0 && aborted > 0, "the runtime ended midway: {done} done, {aborted} aborted");
        ledger::check(&pool.stats());
        assert_eq!(pool.len(), 0);
    });
}

/// The same for a job whose runner was sent again after a rest, and never polled.
// Seen to fail: without the `if self.counts` block of `Spell::drop` the handle never resolves.
#[test]
fn a_job_whose_rested_runner_does_not_start_is_not_lost_with_the_runtime() {
    let (first, second) = (one_thread(), one_thread());
    let (pool, handle) = first.block_on(async {
        let pool = WorkerPool::<u32, u32, ()>::builder()
            .concurrency(1)
            .queue(1)
            .build(|job: Attempt<u32>| async move { Ok(*job) })
            .unwrap();
        assert_eq!(pool.run(1).await.unwrap(), 1);
        quiet(&pool).await;
        let handle = pool.try_submit(2).unwrap();
        (pool, handle)
    });
    drop(first);
    second.block_on(async {
        let outcome = promptly(handle).await;
        assert!(matches!(outcome, Err(JobError::Aborted(Some(2)))), "{outcome:?}");
        ledger::check(&pool.stats());
        assert_eq!((pool.len(), pool.stats().runners), (0, 0));
    });
}

/// "When the last one is dropped the pool is aborted": its handler goes with it, though a runner rests and somebody has a
/// handle.
// Seen to fail: without the `self.dismiss()` of `Shared::abandon`.
#[tokio::test]
async fn a_rested_runner_does_not_keep_the_handler_of_a_pool_that_has_gone() {
    let kept = Arc::new(());
    let captured = kept.clone();
    let pool = WorkerPool::<u32, u32, ()>::builder()
        .concurrency(1)
        .build(move |job: Attempt<u32>| {
            let _here = &captured;
            async move { Ok(*job) }
        })
        .unwrap();
    let handle = pool.try_submit(1).unwrap();
    quiet(&pool).await;
    drop(pool);
    assert_eq!(Arc::strong_count(&kept), 1, "the handler is gone");
    assert_eq!(promptly(handle).await.unwrap(), 1);
}

/// "An error gives the job back": that job, not the one that an earlier handler of the same runner had let escape.
#[tokio::test(start_paused = true)]
async fn an_attempt_that_comes_home_late_does_not_become_the_next_job() {
    let escaped = Arc::new(Mutex::new(None::<Attempt<u32>>));
    let (keeper, hook) = (escaped.clone(), escaped.clone());
    let pool = WorkerPool::<u32, (), &str>::builder()
        .concurrency(1)
        .queue(1)
        .on_dead_letter(move |_| drop(hook.lock().unwrap().take()))
        .build(move |job: Attempt<u32>| {
            let keeper = keeper.clone();
            async move {
                if *job == 1 {
                    *keeper.lock().unwrap() = Some(job);
                } else {
                    let _kept: u32 = job.into_inner();
                }
                Err("failed")
            }
        })
        .unwrap();
    let (first, second) = (pool.try_submit(1).unwrap(), pool.try_submit(2).unwrap());
    let first = soon(first).await.unwrap_err();
    assert_eq!(first.failure().map(|failure| (failure.stop, failure.job)), Some((StopReason::JobKept, None)));
    let second = soon(second).await.unwrap_err();
    assert_eq!(second.failure().map(|failure| (failure.stop, failure.job)), Some((StopReason::JobKept, None)));
}

/// "`unstarted`: in the order of acceptance", whichever places the jobs sit in.
#[tokio::test(start_paused = true)]
async fn unstarted_jobs_are_reported_in_the_order_of_acceptance() {
    let pool = WorkerPool::<u32, (), ()>::builder()
        .concurrency(1)
        .queue(6)
        .build(|job: Attempt<u32>| async move { if *job < 3 { Ok(()) } else { std::future::pending().await } })
        .unwrap();
    for job in 0..3 {
        drop(pool.try_submit(job).unwrap());
    }
    quiet(&pool).await;
    for job in 3..10 {
        drop(pool.try_submit(job).unwrap());
    }
    settle().await;
    let report = soon(pool.shutdown(Shutdown::Now)).await.unwrap();
    assert_eq!((report.unstarted, report.aborted), (vec![4, 5, 6, 7, 8, 9], vec![3]));
}

struct Parent {
    child: Option<JobHandle<Family, u32, ()>>,
}

enum Family {
    Parent(Parent),
    /// Whether it has been called before.
    Child(bool),
}

/// "Awaiting a handle inside a handler of the same pool lends the slot", also one that an earlier attempt has polled.
#[tokio::test(start_paused = true)]
async fn a_handle_kept_in_the_job_lends_the_slot_of_the_attempt_that_awaits_it() {
    let retry = RetryPolicy::fixed(secs(1)).jitter(Jitter::None).no_budget().max_attempts(5);
    let pool = WorkerPool::<Family, u32, ()>::builder()
        .concurrency(1)
        .queue(1)
        .retry(retry)
        .build(|mut job: Attempt<Family>| async move {
            let (attempt, cx) = (job.attempt(), job.cx());
            match &mut *job {
                // The child comes back when the parent's second attempt has the slot.
                Family::Child(called @ false) => {
                    *called = true;
                    cx.snooze(secs(10));
                    Err(())
                }
                Family::Child(true) => Ok(7),
                Family::Parent(parent) => {
                    if attempt > 1 {
                        return parent.child.take().unwrap().await.map_err(|_| ());
                    }
                    let pool = cx.pool::<Family, u32, ()>().unwrap().upgrade().unwrap();
                    let child = parent.child.insert(pool.try_submit(Family::Child(false)).unwrap());
                    assert!(futures::poll!(child).is_pending());
                    Err(())
                }
            }
        })
        .unwrap();
    let parent = pool.try_submit(Family::Parent(Parent { child: None })).unwrap();
    let child_back = tokio::time::timeout(HOUR, parent).await;
    assert!(matches!(child_back, Ok(Ok(7))), "the parent waits for its child, which waits for the parent's slot");
}

/// "Waits until the job is cancelled or the pool aborted": the end of its runtime aborts a pool.
#[test]
fn an_escaped_cx_sees_that_the_runtime_of_its_pool_is_gone() {
    let (first, second) = (one_thread(), one_thread());
    let escaped = Arc::new(Mutex::new(None::<Cx>));
    let keeper = escaped.clone();
    let pool = first.block_on(async {
        let pool = WorkerPool::<(), (), ()>::builder()
            .concurrency(1)
            .build(move |job: Attempt<()>| {
                *keeper.lock().unwrap() = Some(job.cx());
                std::future::pending()
            })
            .unwrap();
        drop(pool.try_submit(()).unwrap());
        settle().await;
        pool
    });
    let cx = escaped.lock().unwrap().take().unwrap();
    assert!(!cx.is_cancelled());
    drop(first);
    assert!(pool.is_closed() && pool.is_empty());
    assert!(cx.is_cancelled());
    second.block_on(promptly(cx.cancelled()));
}

/// "Every option checked at build, never a panic later": a runtime without a timer cannot keep time limits.
#[test]
fn a_runtime_without_a_timer_is_refused_if_an_option_needs_one() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let outcome = runtime.block_on(async {
        let built = WorkerPool::<u32, u32, ()>::builder().concurrency(1).attempt_timeout(HOUR).build(
            |job: Attempt<u32>| async move {
                tokio::task::yield_now().await;
                Ok(*job)
            },
        );
        let Ok(pool) = built else { return None };
        Some(pool.run(1).await)
    });
    assert!(matches!(outcome, None | Some(Ok(1))), "neither refused nor run: {outcome:?}");
}

/// `submit_timeout` is polled wherever its caller is; a place in line is lost or found, but nothing panics.
#[test]
fn submit_timeout_works_outside_the_runtime() {
    let runtime = threads(1);
    let pool = runtime.block_on(async {
        WorkerPool::<u32, u32, ()>::builder()
            .concurrency(1)
            .queue(0)
            .build(|job: Attempt<u32>| async move { if *job == 0 { std::future::pending().await } else { Ok(*job) } })
            .unwrap()
    });
    let blocker = pool.blocking_submit(0).unwrap();
    let waited =
        std::thread::scope(|scope| scope.spawn(|| futures::executor::block_on(pool.submit_timeout(1, ms(10)))).join());
    assert!(matches!(waited, Ok(Err(SubmitError::Timeout(1)))), "{:?}", waited.map_err(|_| "it panicked"));
    blocker.cancel();
}

/// Likewise a shutdown with a limit.
#[test]
fn shutdown_works_outside_the_runtime() {
    let runtime = threads(1);
    let pool = runtime.block_on(async {
        WorkerPool::<u32, u32, ()>::builder().concurrency(1).build(|_: Attempt<u32>| std::future::pending()).unwrap()
    });
    drop(pool.blocking_submit(0).unwrap());
    let report = std::thread::scope(|scope| {
        scope.spawn(|| futures::executor::block_on(pool.shutdown(Shutdown::DrainFor(ms(1))))).join()
    });
    assert_eq!(report.expect("it panicked").unwrap().totals.ended(), 1);
}

/// A hint of zero goes through the queue as any retry does, and "retry" stays what the classifier said.
#[tokio::test(start_paused = true)]
async fn a_retry_without_delay_goes_to_the_back_of_the_queue() {
    let order = Arc::new(Mutex::new(Vec::new()));
    let seen = order.clone();
    let retry = RetryPolicy::fixed(secs(1)).no_budget().classify(|_: &(), _| Verdict::RetryAfter(Duration::ZERO));
    let pool = WorkerPool::<u32, (), ()>::builder()
        .concurrency(1)
        .queue(3)
        .retry(retry)
        .build(move |job: Attempt<u32>| {
            seen.lock().unwrap().push((*job, job.attempt()));
            async move { if *job == 0 && job.attempt() == 1 { Err(()) } else { Ok(()) } }
        })
        .unwrap();
    let handles: Vec<_> = (0..3).map(|job| pool.try_submit(job).unwrap()).collect();
    for handle in handles {
        soon(handle).await.unwrap();
    }
    let order = order.lock().unwrap().clone();
    assert_eq!(order.iter().filter(|(job, _)| *job == 0).count(), 2);
    assert_eq!(order.last(), Some(&(0, 2)), "{order:?}");
}

/// Instantly ready handlers do not keep their thread from other tasks, however many runners there are.
#[tokio::test(start_paused = true)]
async fn a_long_queue_of_instant_jobs_leaves_other_tasks_their_turn() {
    for concurrency in [1, 2, 3, 16] {
        let ran = Arc::new(AtomicUsize::new(0));
        let count = ran.clone();
        let pool = WorkerPool::<(), (), ()>::builder()
            .concurrency(concurrency)
            .queue(100_000)
            .build(move |_: Attempt<()>| {
                count.fetch_add(1, Ordering::SeqCst);
                async { Ok(()) }
            })
            .unwrap();
        for _ in 0..100_000 {
            drop(pool.try_submit(()).unwrap());
        }
        let mut before = 0;
        while !pool.is_empty() {
            tokio::task::yield_now().await;
            let after = ran.load(Ordering::SeqCst);
            assert!(after - before < 10_000 * concurrency, "{} jobs in one turn of {concurrency}", after - before);
            before = after;
        }
        assert_eq!(ran.load(Ordering::SeqCst), 100_000);
    }
}
