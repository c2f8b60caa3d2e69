//! Structured use: scopes, and joins of handles.

use flowgate::{
    Attempt, JobError, JobHandle, SubmitError, WorkerPool, blocking_join, blocking_try_join, join, try_join,
};

use crate::support::{Counted, Gate, Gauge, Tally, alive_tasks, on_both_runtimes, quiet, settle, soon, until};

type Pool = WorkerPool<u32, u32, String>;

/// Job 0 fails, 99 panics, 50 and above never end; the others wait at the gate. Each is seen in the gauge while it runs.
fn gated(concurrency: usize, queue: usize, gate: &Gate, inside: &Gauge) -> Pool {
    let (gate, inside) = (gate.clone(), inside.clone());
    Pool::builder()
        .concurrency(concurrency)
        .queue(queue)
        .build(move |job: Attempt<u32>| {
            let (gate, inside) = (gate.clone(), inside.clone());
            async move {
                let _inside = inside.enter();
                match *job {
                    0 => return Err("zero".into()),
                    99 => panic!("ninety-nine"),
                    50.. => std::future::pending().await,
                    _ => gate.pass().await,
                }
                Ok(*job * 10)
            }
        })
        .unwrap()
}

fn open() -> Gate {
    let gate = Gate::new();
    gate.open();
    gate
}

async fn handles(pool: &Pool, jobs: impl IntoIterator<Item = u32>) -> Vec<JobHandle<u32, u32, String>> {
    pool.submit_batch(&mut jobs.into_iter()).await.unwrap()
}

on_both_runtimes! {
    async fn a_scope_hands_on_each_outcome_once_with_its_number() {
        let pool = gated(3, 5, &open(), &Gauge::new());
        let mut scope = pool.scope();
        let mut expected = Vec::new();
        for job in (1..40).chain([0, 99]) {
            expected.push((scope.submit(job).await.unwrap(), job));
        }
        assert_eq!(scope.len(), expected.len());
        let mut seen = Vec::new();
        while let Some((id, outcome)) = scope.next().await {
            let job = outcome.map_or_else(|error| error.into_job().unwrap(), |result| result / 10);
            seen.push((id, job));
        }
        seen.sort_unstable();
        assert_eq!(seen, expected);
        assert!(scope.is_empty() && scope.next().await.is_none());
    }

    async fn a_join_returns_results_in_the_order_of_submission() {
        let pool = gated(3, 5, &open(), &Gauge::new());
        let mut scope = pool.scope();
        for job in 1..50 {
            scope.submit(job).await.unwrap();
        }
        assert_eq!(scope.join().await.unwrap(), (1..50).map(|job| job * 10).collect::<Vec<_>>());
        assert!(pool.scope().join().await.unwrap().is_empty());
    }

    /// Seen to fail: the rest is not cancelled.
    async fn the_first_error_cancels_the_rest_and_all_have_ended_when_it_is_returned() {
        let (gate, inside) = (Gate::new(), Gauge::new());
        let pool = gated(3, 9, &gate, &inside);
        let mut scope = pool.scope();
        for job in [60, 61, 1, 2, 0, 62] {
            scope.submit(job).await.unwrap();
        }
        let stranger = pool.submit(3).await.unwrap();
        until("the slots are taken", || inside.now() == 3).await;
        gate.let_through(2);
        let error = scope.join().await.unwrap_err();
        assert_eq!(error.failure().and_then(|failure| failure.last_error.as_deref()), Some("zero"));
        assert_eq!(pool.len(), 1, "only the job outside the scope is left");
        gate.open();
        assert_eq!(stranger.await.unwrap(), 30);
        assert_eq!(inside.now(), 0);
        let totals = pool.stats().totals;
        assert_eq!((totals.succeeded, totals.failed, totals.cancelled), (3, 1, 3));
    }

    async fn a_panic_ends_a_scope_like_an_error() {
        let pool = gated(2, 9, &open(), &Gauge::new());
        let mut scope = pool.scope();
        for job in [60, 99] {
            scope.submit(job).await.unwrap();
        }
        let error = scope.join().await.unwrap_err();
        assert_eq!(error.failure().and_then(flowgate::Failure::panic_message).as_deref(), Some("ninety-nine"));
        assert!(pool.is_empty());
    }

    /// Seen to fail: a dropped window lets its jobs go on.
    async fn a_dropped_scope_leaves_no_job() {
        let inside = Gauge::new();
        let pool = gated(2, 9, &open(), &inside);
        let mut scope = pool.scope();
        for job in [60, 61, 62, 63] {
            scope.submit(job).await.unwrap();
        }
        until("the slots are taken", || inside.now() == 2).await;
        drop(scope);
        quiet(&pool).await;
        assert_eq!((inside.now(), pool.stats().totals.cancelled), (0, 4));
    }

    async fn joined_handles_give_their_outcomes_in_order() {
        let pool = gated(3, 5, &open(), &Gauge::new());
        let outcomes = join(handles(&pool, [1, 0, 2, 99, 3]).await).await;
        let results: Vec<_> = outcomes.iter().map(|outcome| outcome.as_ref().ok().copied()).collect();
        assert_eq!(results, [Some(10), None, Some(20), None, Some(30)]);
        assert_eq!(try_join(handles(&pool, 1..20).await).await.unwrap(), (1..20).map(|job| job * 10).collect::<Vec<_>>());
        assert!(join(Vec::<JobHandle<u32, u32, String>>::new()).await.is_empty());
        assert!(try_join(Vec::<JobHandle<u32, u32, String>>::new()).await.unwrap().is_empty());
    }

    /// Seen to fail: the rest is not cancelled.
    async fn a_failed_join_of_handles_has_ended_all_jobs() {
        let inside = Gauge::new();
        let pool = gated(2, 9, &open(), &inside);
        let others = gated(1, 9, &open(), &inside);
        let mut all = handles(&pool, [60, 1, 2]).await;
        all.extend(handles(&others, [61, 62]).await);
        until("those of both pools that never end run", || inside.now() == 2 && pool.len() == 1).await;
        all.extend(handles(&pool, [0]).await);
        let error = try_join(all).await.unwrap_err();
        assert_eq!(error.into_job(), Some(0));
        assert_eq!((pool.len(), others.len()), (0, 0));
        quiet(&others).await;
        assert_eq!(inside.now(), 0);
    }

    async fn threads_can_join_too() {
        let pool = gated(3, 50, &open(), &Gauge::new());
        let (some, failing) = (handles(&pool, 1..20).await, handles(&pool, [60, 1, 0]).await);
        let joined = std::thread::spawn(move || (blocking_join(some), blocking_try_join(failing)));
        until("the thread is done", || joined.is_finished()).await;
        let (outcomes, failed) = joined.join().unwrap();
        assert!(outcomes.into_iter().map(Result::unwrap).eq((1..20).map(|job| job * 10)));
        assert_eq!(failed.unwrap_err().into_job(), Some(0));
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_read_before_is_not_joined() {
    let gate = Gate::new();
    let pool = gated(1, 9, &gate, &Gauge::new());
    let mut scope = pool.scope();
    for job in [1, 2, 3] {
        scope.try_submit(job).unwrap();
    }
    gate.let_through(1);
    assert_eq!(soon(scope.next()).await.unwrap().1.unwrap(), 10);
    gate.open();
    assert_eq!(soon(scope.join()).await.unwrap(), [20, 30]);
}

#[tokio::test(start_paused = true)]
async fn a_scope_refuses_as_the_pool_does() {
    let gate = Gate::new();
    let pool = gated(1, 1, &gate, &Gauge::new());
    let mut scope = pool.scope();
    scope.try_submit(1).unwrap();
    soon(scope.submit(2)).await.unwrap();
    assert!(matches!(scope.try_submit(3), Err(SubmitError::Full(3))));
    {
        let mut waiting = Box::pin(scope.submit(4));
        assert!(futures::poll!(&mut waiting).is_pending());
        assert_eq!(pool.stats().waiting, 1);
    }
    assert_eq!((pool.stats().waiting, scope.len()), (0, 2), "dropped, it leaves the line and the scope");
    {
        let mut waiting = Box::pin(scope.submit(5));
        assert!(futures::poll!(&mut waiting).is_pending());
        gate.let_through(1);
        settle().await;
    }
    assert_eq!(scope.len(), 3, "accepted unseen, it is one of the scope's");
    let mut waiting = Box::pin(scope.submit(6));
    assert!(futures::poll!(&mut waiting).is_pending());
    pool.close();
    assert!(matches!(soon(waiting).await, Err(SubmitError::Closed(6))));
    assert!(matches!(soon(scope.submit(7)).await, Err(SubmitError::Closed(7))));
    assert!(matches!(scope.try_submit(8), Err(SubmitError::Closed(8))));
    gate.open();
    assert_eq!(soon(scope.join()).await.unwrap(), [10, 20, 50]);
}

#[tokio::test(start_paused = true)]
async fn cancelled_jobs_of_a_scope_come_as_all_others() {
    let pool = gated(1, 9, &open(), &Gauge::new());
    let mut scope = pool.scope();
    for job in [60, 61] {
        scope.try_submit(job).unwrap();
    }
    settle().await;
    scope.cancel();
    for _ in 0..2 {
        let (_, outcome) = soon(scope.next()).await.unwrap();
        assert!(matches!(outcome, Err(JobError::Cancelled(Some(60 | 61)))));
    }
    assert!(soon(scope.next()).await.is_none());
}

/// A handler that waits for a scope, or for handles, of its own pool lends its slot.
///
/// Seen to fail: a window lends no slot.
#[tokio::test(start_paused = true)]
async fn a_handler_may_wait_for_its_own_pool() {
    type Own = WorkerPool<u32, u32, ()>;
    let pool = Own::builder()
        .concurrency(1)
        .queue(20)
        .build(|job: Attempt<u32>| async move {
            if *job > 1 {
                tokio::task::yield_now().await;
                return Ok(*job);
            }
            let own: Own = job.cx().pool().unwrap().upgrade().unwrap();
            let results = if *job == 0 {
                let mut scope = own.scope();
                for child in 2..6 {
                    scope.submit(child).await.unwrap();
                }
                scope.join().await
            } else {
                try_join(own.submit_batch(&mut (2..6)).await.unwrap()).await
            };
            Ok(results.unwrap_or_default().into_iter().sum())
        })
        .unwrap();
    assert_eq!(soon(pool.run(0)).await.unwrap(), 14);
    assert_eq!(soon(pool.run(1)).await.unwrap(), 14);
    quiet(&pool).await;
    assert_eq!(pool.stats().lent, 0);
}

/// Whatever ends it, nothing is left: results that nobody reads, errors, jobs.
#[tokio::test(start_paused = true)]
async fn joins_and_scopes_leave_nothing() {
    type Values = WorkerPool<Counted, Counted, Counted>;
    let before = alive_tasks();
    for let_go in 0..8 {
        let (tally, gate) = (Tally::new(), Gate::new());
        let (make, pass) = (tally.clone(), gate.clone());
        let pool = Values::builder()
            .concurrency(1)
            .queue(30)
            .build(move |job: Attempt<Counted>| {
                let (make, pass) = (make.clone(), pass.clone());
                async move {
                    pass.pass().await;
                    if job.id == 3 { Err(make.make(3)) } else { Ok(make.make(job.id)) }
                }
            })
            .unwrap();
        let mut scope = pool.scope();
        for id in 0..6 {
            scope.submit(tally.make(id)).await.unwrap();
        }
        let joined = pool.submit_batch(&mut (0..6).map(|id| tally.make(id))).await.unwrap();
        let all = pool.submit_batch(&mut (0..6).map(|id| tally.make(id))).await.unwrap();
        let (mut scope, mut joined, mut all) = (Box::pin(scope.join()), try_join(joined), join(all));
        gate.let_through(let_go);
        settle().await;
        // Its fourth job fails, and then the two behind that are cancelled.
        let mut scope_has_ended = futures::poll!(&mut scope).is_ready();
        settle().await;
        scope_has_ended |= !scope_has_ended && futures::poll!(&mut scope).is_ready();
        assert_eq!(scope_has_ended, let_go > 3, "{let_go} were let through");
        drop((futures::poll!(&mut joined), futures::poll!(&mut all)));
        drop((scope, joined, all));
        gate.open();
        quiet(&pool).await;
        assert_eq!(tally.alive(), 0, "{let_go} were let through");
    }
    settle().await;
    assert_eq!(alive_tasks(), before);
}
