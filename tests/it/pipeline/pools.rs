//! Stages on a pool that others use too, stages on threads, and attempts that take too long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use flowgate::pipeline::End;
use flowgate::retry::{Jitter, RetryPolicy};
use flowgate::{Attempt, Cx, OnError, Par, Pipeline, Shutdown, WorkerPool};
use futures::{StreamExt as _, stream};

use super::{all, balanced, completed, failed, fates, on_real_clocks};
use crate::support::{Gate, Gauge, ms, on_both_runtimes, quiet, secs, settle, spin_until, until};

type Shared = WorkerPool<u64, u64, String>;

/// Two at once; each waits at the gate.
fn gated(gate: &Gate, inside: &Gauge) -> Shared {
    let (gate, gauge) = (gate.clone(), inside.clone());
    let built = Shared::builder().concurrency(2).queue(2).build(move |n: Attempt<u64>| {
        let (gate, gauge) = (gate.clone(), gauge.clone());
        async move {
            let _inside = gauge.enter();
            gate.pass().await;
            if *n == 13 { Err(String::from("unlucky")) } else { Ok(*n) }
        }
    });
    built.unwrap()
}

on_both_runtimes! {
    async fn one_limit_holds_for_every_pipeline_on_a_pool() {
        let (gate, inside) = (Gate::new(), Gauge::new());
        let pool = gated(&gate, &inside);
        let pipeline = || Pipeline::new().map_on(&pool, Par::ordered(8));
        // Before the pipelines: they fill the pool, and the gate is shut.
        let alone = pool.submit(99).await.unwrap();
        let (first, second) = (pipeline().run(stream::iter(20..50)).unwrap(), pipeline().run(stream::iter(50..80)).unwrap());
        until("the pool works", || gate.waiting() == 2).await;
        gate.open();
        let ((one, _), (two, _), three) = futures::join!(completed(first), completed(second), alone);
        assert_eq!((one, two), ((20..50).collect::<Vec<_>>(), (50..80).collect::<Vec<_>>()));
        assert_eq!((three.unwrap(), inside.max(), inside.entered()), (99, 2, 61), "both together, and who else is there");
        quiet(&pool).await;
        assert!(!pool.is_closed(), "the pool is its owner's");
    }

    async fn failures_of_a_shared_pool_are_under_the_stages_policy() {
        let gate = Gate::new();
        gate.open();
        let pool = gated(&gate, &Gauge::new());
        let pipeline = || Pipeline::new().map_on(&pool, Par::ordered(4)).named("shared");
        let (items, error) = failed(pipeline().run(stream::iter(11..20)).unwrap()).await;
        assert_eq!((items, error.stage()), (vec![11, 12], "shared"));
        assert_eq!(error.into_source().unwrap().to_string(), "unlucky");
        let (items, report) = completed(pipeline().on_error(OnError::skip()).run(stream::iter(12..15)).unwrap()).await;
        assert_eq!((items, fates(&report)), (vec![12, 14], [2, 0, 1, 0, 0, 0]));
        quiet(&pool).await;
    }

    async fn cancelling_a_pipeline_cancels_its_jobs_and_nobody_elses() {
        let (gate, inside) = (Gate::new(), Gauge::new());
        let pool = gated(&gate, &inside);
        let mut running = Pipeline::new().map_on(&pool, Par::ordered(4)).run(stream::iter(0..)).unwrap();
        until("both slots are taken", || gate.waiting() == 2).await;
        let mine = pool.submit(5);
        settle().await;
        running.cancel();
        let report = running.join().await.unwrap();
        balanced(&report);
        let mine = mine.await.unwrap();
        until("only mine is left", || pool.stats().in_system == 1).await;
        gate.open();
        assert_eq!(mine.await.unwrap(), 5);
        quiet(&pool).await;
    }

    async fn a_pool_that_was_closed_ends_the_pipeline() {
        for policy in [OnError::fail_fast(), OnError::skip(), OnError::dead_letter_fn(drop)] {
            let gate = Gate::new();
            let pool = gated(&gate, &Gauge::new());
            let pipeline = Pipeline::new().map_on(&pool, Par::ordered(4)).on_error(policy).named("shared");
            let running = pipeline.run(stream::iter(0..100)).unwrap();
            until("two run", || gate.waiting() == 2).await;
            pool.close();
            gate.open();
            let (items, report) = all(running).await;
            assert!(items.iter().copied().eq(0..items.len() as u64), "what it had taken in is handed on: {items:?}");
            assert!(items.len() >= 2);
            let error = report.expect_err("items are left that cannot be worked on");
            assert_eq!(error.stage(), "shared");
            assert!(error.to_string().contains("its pool was closed or ended before the item did"), "{error}");
            balanced(error.report());
            assert_eq!(error.report().dead, 0, "it says nothing about the item: {error}");
        }
    }

    async fn a_pool_that_is_shut_down_under_a_pipeline_ends_it() {
        for policy in [OnError::fail_fast(), OnError::skip(), OnError::dead_letter_fn(drop)] {
            let gate = Gate::new();
            let pool = gated(&gate, &Gauge::new());
            let pipeline = Pipeline::new().map_on(&pool, Par::ordered(4)).on_error(policy).named("shared");
            let running = pipeline.run(stream::iter(0..100)).unwrap();
            until("two run", || gate.waiting() == 2).await;
            let _report = pool.shutdown(Shutdown::Now).await.unwrap();
            let (items, error) = failed(running).await;
            assert_eq!((items, error.stage()), (vec![], "shared"));
            assert!(error.to_string().contains("its pool was closed or ended before the item did"), "{error}");
            assert_eq!(error.report().dead, 0, "{error}");
        }
    }

    async fn a_pool_that_was_closed_before_refuses_the_first_item() {
        let gate = Gate::new();
        let pool = gated(&gate, &Gauge::new());
        pool.close();
        let running = Pipeline::new().map_on(&pool, Par::unordered(2)).named("shared").run(stream::iter(0..9)).unwrap();
        let (items, error) = failed(running).await;
        assert_eq!((items, error.stage()), (vec![], "shared"));
    }

    async fn a_pipeline_inside_a_handler_of_its_own_pool_does_not_wait_for_itself() {
        let pool = Shared::builder().concurrency(1).queue(4).build(|n: Attempt<u64>| async move {
            let Some(pool) = n.cx().pool::<u64, u64, String>().and_then(|pool| pool.upgrade()) else {
                return Err(String::from("no pool"));
            };
            if *n < 100 {
                return Ok(*n);
            }
            let inner = Pipeline::new().map_on(&pool, Par::ordered(2)).apply(stream::iter(0..3)).unwrap();
            let items: Vec<_> = inner.collect().await;
            items.into_iter().map(|item| item.map_err(|error| error.to_string())).sum()
        });
        let pool = pool.unwrap();
        let (items, _) = completed(Pipeline::new().map_on(&pool, Par::ordered(1)).run(stream::iter([100])).unwrap()).await;
        assert_eq!(items, [3]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_takes_too_long_is_the_items_failure() {
    async fn slow(n: Attempt<u64>) -> Result<u64, String> {
        tokio::time::sleep(if *n == 2 && n.attempt() < 3 { secs(60) } else { ms(1) }).await;
        Ok(*n)
    }
    let pipeline = || Pipeline::new().try_map_async(Par::ordered(2), slow).timeout(ms(50)).named("slow");
    let (items, error) = failed(pipeline().run(stream::iter(0..5)).unwrap()).await;
    assert_eq!((items, error.stage(), error.is_timeout(), error.is_panic()), (vec![0, 1], "slow", true, false));
    assert!(error.to_string().starts_with("stage \"slow\": timed out; failed after"), "{error}");
    assert!(error.into_source().is_none());

    let (items, report) = completed(pipeline().on_error(OnError::skip()).run(stream::iter(0..5)).unwrap()).await;
    assert_eq!((items, fates(&report)), (vec![0, 1, 3, 4], [4, 0, 1, 0, 0, 0]));

    let retry = RetryPolicy::fixed(ms(10)).jitter(Jitter::None).max_attempts(3).no_budget();
    let started = tokio::time::Instant::now();
    let (items, _) = completed(pipeline().on_error(OnError::retry(retry)).run(stream::iter(0..5)).unwrap()).await;
    assert_eq!(items, [0, 1, 2, 3, 4]);
    let took = started.elapsed();
    assert!(took >= ms(2 * 60 + 1) && took <= ms(2 * 60 + 10), "two attempts of 50 ms, two waits of 10 ms: {took:?}");
}

#[tokio::test(start_paused = true)]
async fn an_infallible_stage_can_time_out_too() {
    let pipeline = Pipeline::new()
        .map_keyed(
            Par::unordered(2),
            |n| *n,
            |n: u64| async move {
                tokio::time::sleep(secs(n)).await;
                n
            },
        )
        .timeout(ms(1_500))
        .named("slow");
    let (items, error) = failed(pipeline.run(stream::iter([0, 1, 2])).unwrap()).await;
    assert_eq!((items, error.stage(), error.is_timeout()), (vec![0, 1], "slow", true));
}

#[tokio::test(start_paused = true)]
async fn the_error_before_a_timeout_is_told() {
    let retry = RetryPolicy::fixed(ms(10)).jitter(Jitter::None).max_attempts(2).no_budget();
    let pipeline = Pipeline::new()
        .try_map_async(Par::ordered(1), |n: Attempt<u64>| async move {
            if n.attempt() > 1 {
                tokio::time::sleep(secs(60)).await;
            }
            Err::<(), _>("refused")
        })
        .timeout(ms(50))
        .on_error(OnError::retry(retry));
    let (_, error) = failed(pipeline.run(stream::iter([1])).unwrap()).await;
    assert!(error.is_timeout() && error.to_string().contains("timed out; the error before: refused"), "{error}");
    assert_eq!(error.into_source().unwrap().to_string(), "refused");
}

on_real_clocks! {
    async fn blocking_stages_run_on_so_many_threads_of_their_own() {
        let inside = Gauge::new();
        let gauge = inside.clone();
        let here = thread::current().id();
        let pipeline = Pipeline::new().map_blocking(Par::ordered(3), move |n: u64| {
            let _inside = gauge.enter();
            spin_until("three are inside", || gauge.max() == 3);
            (n, thread::current().id())
        });
        let (items, _) = completed(pipeline.run(stream::iter(0..40)).unwrap()).await;
        assert!(items.iter().map(|(n, _)| *n).eq(0..40), "in order");
        assert_eq!(inside.max(), 3);
        assert!(items.iter().all(|(_, thread)| *thread != here));
    }

    async fn a_blocking_stage_does_not_hold_up_the_runtime() {
        let (free, at) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let (until_free, reached) = (free.clone(), at.clone());
        let pipeline = Pipeline::new().map_blocking(Par::unordered(2), move |n: u64| {
            reached.fetch_add(1, Ordering::SeqCst);
            spin_until("it is let go", || until_free.load(Ordering::SeqCst));
            n
        });
        let running = pipeline.run(stream::iter(0..4)).unwrap();
        until("two block", || at.load(Ordering::SeqCst) == 2).await;
        let (items, _) = completed(Pipeline::new().map(|n: u64| n).run(stream::iter(0..9)).unwrap()).await;
        assert_eq!(items.len(), 9, "others work meanwhile");
        free.store(true, Ordering::SeqCst);
        assert_eq!(completed(running).await.0.len(), 4);
    }

    async fn an_item_is_lent_to_each_attempt_on_a_thread() {
        let retry = RetryPolicy::fixed(ms(1)).jitter(Jitter::None).max_attempts(3).no_budget();
        let pipeline = Pipeline::new()
            .try_map_blocking(Par::ordered(2), |item: &mut (u64, u32), cx: &Cx| {
                item.1 += 1;
                if item.1 < 3 { Err("again") } else { Ok((item.0, item.1, cx.attempt())) }
            })
            .on_error(OnError::retry(retry));
        let (items, _) = completed(pipeline.run(stream::iter((0..4).map(|n| (n, 0)))).unwrap()).await;
        assert_eq!(items, [(0, 3, 3), (1, 3, 3), (2, 3, 3), (3, 3, 3)], "what an attempt changed the next one sees");
    }

    async fn a_dead_letter_of_a_thread_is_the_item_as_it_was_left() {
        let (seen, letters) = std::sync::mpsc::channel();
        let pipeline = Pipeline::new()
            .try_map_blocking(Par::ordered(1), |item: &mut Vec<u64>, _: &Cx| {
                item.push(9);
                Err::<u64, _>("never")
            })
            .on_error(OnError::dead_letter_fn(move |letter| seen.send(letter).unwrap()));
        let (_, report) = completed(pipeline.run(stream::iter([vec![1]])).unwrap()).await;
        assert_eq!((report.dead, letters.try_recv().unwrap().into_item()), (1, Some(vec![1, 9])));
    }

    async fn cancelling_tells_the_call_and_what_it_returns_is_dropped() {
        let (told, begun) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (tell, begin) = (told.clone(), begun.clone());
        let pipeline = Pipeline::new().try_map_blocking(Par::ordered(1), move |n: &mut u64, cx: &Cx| {
            begin.store(true, Ordering::SeqCst);
            spin_until("it is told", || cx.is_cancelled());
            tell.store(true, Ordering::SeqCst);
            Ok::<_, String>(*n)
        });
        let mut running = pipeline.run(stream::iter(0..9)).unwrap();
        until("a call runs", || begun.load(Ordering::SeqCst)).await;
        running.cancel();
        let report = running.join().await.unwrap();
        assert!(told.load(Ordering::SeqCst), "the end waits for the call");
        assert_eq!((report.end, report.settled, report.unresponsive), (End::Cancelled, 0, 0));
        balanced(&report);
    }
}
