//! What becomes of a pipeline in which an item fails.

use std::error::Error as _;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use flowgate::pipeline::{BoxError, End};
use flowgate::retry::{Jitter, RetryPolicy};
use flowgate::{Attempt, OnError, Par, Pipeline};
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::{all, balanced, completed, failed, fates};
use crate::support::{Gate, Gauge, Tally, ms, on_both_runtimes, settle, until};

/// Which item failed.
#[derive(Debug, PartialEq)]
struct Bad(u64);

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is bad", self.0)
    }
}

impl std::error::Error for Bad {}

/// Fails for one item and is fine with the others.
async fn all_but(bad: u64, n: u64) -> Result<u64, Bad> {
    if n == bad { Err(Bad(n)) } else { Ok(n) }
}

fn three_attempts<E>() -> RetryPolicy<E> {
    RetryPolicy::fixed(ms(10)).jitter(Jitter::None).max_attempts(3).no_budget()
}

on_both_runtimes! {
    async fn first_error_cancels_and_is_returned() {
        for par in [Par::ordered(3), Par::unordered(3)] {
            let (gate, inside, taken) = (Gate::new(), Gauge::new(), Gauge::new());
            let (at, entered, counted) = (gate.clone(), inside.clone(), taken.clone());
            let pipeline = Pipeline::new()
                .inspect(move |_| drop(counted.enter()))
                .try_map_async(par, move |n: Attempt<u64>| {
                    let (gate, inside) = (at.clone(), entered.clone());
                    async move {
                        if *n == 0 {
                            gate.pass().await;
                            return Err(Bad(0));
                        }
                        let _inside = inside.enter();
                        std::future::pending::<Result<u64, Bad>>().await
                    }
                })
                .named("check");
            let running = pipeline.run(stream::iter(0..)).unwrap();
            until("the others run", || inside.now() == 2 && gate.waiting() == 1).await;
            gate.open();
            let (items, error) = failed(running).await;
            assert_eq!((items, error.stage(), error.is_panic(), error.is_timeout()), (vec![], "check", false, false));
            assert_eq!(error.source().unwrap().downcast_ref::<Bad>(), Some(&Bad(0)));
            assert_eq!(inside.now(), 0, "those that ran were dropped before it was reported");
            let before = taken.entered();
            settle().await;
            assert_eq!(taken.entered(), before, "and nothing is taken any more");
            assert_eq!(error.report().taken, before as u64);
            assert_eq!(fates(error.report()), [0, 0, 1, 0, before as u64 - 1, 0]);
            assert!(error.to_string().starts_with("stage \"check\": 0 is bad; failed after"), "{error}");
            assert_eq!(error.into_source().unwrap().downcast::<Bad>().unwrap(), Box::new(Bad(0)));
        }
    }

    async fn errors_after_first_are_counted() {
        let (first, second) = (Gate::new(), Gate::new());
        let (at_first, at_second) = (first.clone(), second.clone());
        let pipeline = Pipeline::new()
            .try_map_async(Par::ordered(4), move |n: Attempt<u64>| {
                let gate = at_first.clone();
                async move {
                    if *n == 3 {
                        gate.pass().await;
                    }
                    all_but(3, *n).await
                }
            })
            .named("early")
            .try_map_async(Par::ordered(4), move |n: Attempt<u64>| {
                let gate = at_second.clone();
                async move {
                    gate.pass().await;
                    all_but(1, *n).await
                }
            })
            .named("late");
        let running = pipeline.run(stream::iter(0..10)).unwrap();
        until("three are in the second stage", || second.waiting() == 3 && first.waiting() == 1).await;
        first.open();
        until("the first stage has failed", || running.report().failed == 1).await;
        second.open();
        let (items, error) = failed(running).await;
        assert_eq!((items, error.stage()), (vec![0], "early"), "what came before is handed on as far as it went");
        assert_eq!((error.report().failed, error.report().later_failures), (2, 1));
        assert_eq!(error.report().stages.iter().map(|stage| stage.failed).collect::<Vec<_>>(), [1, 1]);
    }

    // Seen to fail: with what is left of a failed stage handed on instead of dropped.
    async fn no_item_after_the_faulty_one_when_ordered_fail_fast() {
        for (parallelism, window) in [(1, 1), (4, 4), (4, 64)] {
            let pipeline = Pipeline::new()
                .try_map_async(Par::ordered(parallelism).window(window), |n: Attempt<u64>| async move {
                    // Later ones are done long before.
                    for _ in 0..(40 - (*n).min(40)) * 3 {
                        tokio::task::yield_now().await;
                    }
                    all_but(17, *n).await
                })
                .map_async(Par::ordered(2), |n| async move { n })
                .buffer(3)
                .map(|n| n);
            let (items, error) = failed(pipeline.run(stream::iter(0..100)).unwrap()).await;
            assert_eq!(items, (0..17).collect::<Vec<_>>(), "{parallelism} at once, window {window}: exactly the prefix");
            assert_eq!(fates(error.report())[..3], [17, 0, 1]);
        }
    }

    async fn what_was_made_before_the_failure_is_there_for_a_late_reader() {
        let pipeline = Pipeline::new().try_map_async(Par::ordered(1), |n: Attempt<u64>| all_but(5, *n));
        let running = pipeline.run(stream::iter(0..100)).unwrap();
        until("it has failed", || running.report().end == End::Failed).await;
        settle().await;
        let (items, error) = failed(running).await;
        assert_eq!((items, error.report().discarded), (vec![0, 1, 2, 3, 4], 0));
    }

    async fn a_join_without_a_reader_returns_the_failure() {
        let pipeline = Pipeline::new().try_map_async(Par::ordered(2), |n: Attempt<u64>| all_but(7, *n)).output_buffer(1);
        let error = pipeline.run(stream::iter(0..100)).unwrap().join().await.unwrap_err();
        assert_eq!((error.report().settled, error.report().discarded), (7, 7));
        balanced(error.report());
    }

    async fn skip_drops_and_counts_the_item() {
        for par in [Par::ordered(3), Par::unordered(3)] {
            let pipeline = Pipeline::new()
                .try_map_async(par, |n: Attempt<u64>| async move { if *n % 3 == 0 { Err(Bad(*n)) } else { Ok(*n) } })
                .on_error(OnError::skip())
                .named("check");
            let (mut items, report) = completed(pipeline.run(stream::iter(0..10)).unwrap()).await;
            items.sort_unstable();
            assert_eq!((items, report.later_failures), (vec![1, 2, 4, 5, 7, 8], 0));
            assert_eq!(fates(&report), [6, 0, 4, 0, 0, 0]);
            let stage = report.stage("check").unwrap();
            assert_eq!((stage.taken, stage.out, stage.failed, stage.dead), (10, 6, 4, 0));
        }
    }

    async fn dead_letter_gets_original_item() {
        let (tally, (letters, received)) = (Tally::new(), futures::channel::mpsc::channel(1));
        let source = stream::iter((0..6).map(|id| tally.make(id)).collect::<Vec<_>>());
        let pipeline = Pipeline::new()
            .try_map_async(Par::ordered(2), |item: Attempt<crate::support::Counted>| async move {
                if item.id % 2 == 0 { Err(Bad(item.id)) } else { Ok(item.id) }
            })
            .on_error(OnError::dead_letter(letters))
            .named("check");
        let reading = tokio::spawn(received.collect::<Vec<_>>());
        let (items, report) = completed(pipeline.run(source).unwrap()).await;
        let letters = reading.await.unwrap();
        assert_eq!(items, [1, 3, 5]);
        assert_eq!(fates(&report), [3, 0, 0, 3, 0, 0]);
        assert_eq!(report.stage("check").map(|stage| (stage.dead, stage.failed)), Some((3, 0)));
        for (letter, id) in letters.into_iter().zip([0, 2, 4]) {
            assert_eq!((&*letter.stage, letter.error.failure().unwrap().last_error.as_ref()), ("check", Some(&Bad(id))));
            assert_eq!(letter.into_item().map(|item| item.id), Some(id), "neither copied nor cloned");
        }
        assert_eq!((tally.made(), tally.alive()), (6, 0));
    }

    async fn an_error_of_any_type_will_do() {
        let pipeline = Pipeline::new().try_map_async(Par::ordered(1), |_: Attempt<u64>| async { Err::<u64, _>("a text") });
        let (_, error) = failed(pipeline.run(stream::iter([1])).unwrap()).await;
        assert_eq!(error.into_source().unwrap().to_string(), "a text");
        let boxed = Pipeline::new()
            .try_map_async(Par::ordered(1), |n: Attempt<u64>| async move { Err::<u64, BoxError>(Box::new(Bad(*n))) });
        let (_, error) = failed(boxed.run(stream::iter([1])).unwrap()).await;
        assert!(error.source().unwrap().is::<Bad>());
        assert!(error.try_into_panic().is_err());
    }

    async fn an_applied_pipeline_ends_with_the_failure() {
        let pipeline = Pipeline::new().try_map_async(Par::ordered(4), |n: Attempt<u64>| all_but(5, *n)).named("check");
        let mut applied = pipeline.apply(stream::iter(0..20)).unwrap();
        let mut items = Vec::new();
        let error = loop {
            match applied.try_next().await {
                Ok(item) => items.push(item.expect("it fails before it ends")),
                Err(error) => break error,
            }
        };
        assert_eq!((items, error.stage()), (vec![0, 1, 2, 3, 4], "check"));
        balanced(error.report());
        assert!(applied.next().await.is_none(), "the failure is the last item");
    }
}

#[tokio::test(start_paused = true)]
async fn retry_then_ok() {
    let attempts = Arc::new(AtomicU32::new(0));
    let counted = attempts.clone();
    let pipeline = Pipeline::new()
        .try_map_async(Par::ordered(2), move |n: Attempt<u64>| {
            counted.fetch_add(1, Ordering::SeqCst);
            async move { if *n == 1 && n.attempt() < 3 { Err(Bad(*n)) } else { Ok((*n, n.attempt())) } }
        })
        .on_error(OnError::retry(three_attempts()));
    let started = tokio::time::Instant::now();
    let (items, report) = completed(pipeline.run(stream::iter(0..4)).unwrap()).await;
    assert_eq!(items, [(0, 1), (1, 3), (2, 1), (3, 1)], "in its place, after its third attempt");
    assert_eq!((attempts.load(Ordering::SeqCst), started.elapsed()), (6, ms(20)));
    assert_eq!(fates(&report), [4, 0, 0, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn retry_exhausted() {
    let run = |last: OnError<u64, Bad>| {
        let pipeline = Pipeline::new()
            .try_map_async(Par::ordered(2), |n: Attempt<u64>| all_but(2, *n))
            .on_error(OnError::retry(three_attempts()).then(last));
        pipeline.run(stream::iter(0..5)).unwrap()
    };
    let (items, error) = failed(run(OnError::fail_fast())).await;
    assert_eq!((items, error.into_source().unwrap().to_string().as_str()), (vec![0, 1], "2 is bad"));

    let (items, report) = completed(run(OnError::skip())).await;
    assert_eq!((items, fates(&report)), (vec![0, 1, 3, 4], [4, 0, 1, 0, 0, 0]));

    let (seen, letters) = std::sync::mpsc::channel();
    let (items, report) = completed(run(OnError::dead_letter_fn(move |letter| seen.send(letter).unwrap()))).await;
    assert_eq!((items, fates(&report)), (vec![0, 1, 3, 4], [4, 0, 0, 1, 0, 0]));
    let letter = letters.try_recv().unwrap();
    assert_eq!((letter.error.failure().unwrap().attempts, letter.into_item()), (3, Some(2)));
}

#[tokio::test(start_paused = true)]
async fn others_go_on_while_one_is_tried_again() {
    let pipeline = Pipeline::new()
        .try_map_async(Par::unordered(1).window(8), |n: Attempt<u64>| async move {
            if *n == 0 && n.attempt() == 1 { Err(Bad(0)) } else { Ok(*n) }
        })
        .on_error(OnError::retry(RetryPolicy::fixed(ms(500)).jitter(Jitter::None).max_attempts(2)));
    let (items, _) = completed(pipeline.run(stream::iter(0..6)).unwrap()).await;
    assert_eq!(items, [1, 2, 3, 4, 5, 0], "although one at once is worked on");
}

on_both_runtimes! {
    async fn a_failing_source_keeps_what_it_gave_before() {
        let pipeline = Pipeline::new().map_async(Par::ordered(2), |n: u64| async move {
            tokio::task::yield_now().await;
            n
        });
        let source = stream::iter((0..50).map(|n| if n == 20 { Err(Bad(20)) } else { Ok(n) }));
        let (items, error) = failed(pipeline.try_run(source).unwrap()).await;
        assert_eq!((items, error.stage()), ((0..20).collect::<Vec<_>>(), "source"));
        assert_eq!(fates(error.report()), [20, 0, 0, 0, 0, 0]);
    }

    async fn a_sink_that_fails_cancels_the_pipeline() {
        let sent = Gauge::new();
        let counted = sent.clone();
        let sink = Box::pin(futures::sink::unfold((), move |(), n: u64| {
            let inside = counted.enter();
            async move {
                drop(inside);
                all_but(3, n).await.map(drop)
            }
        }));
        let running = Pipeline::new().map_async(Par::ordered(2), |n: u64| async move { n }).run(stream::iter(0..)).unwrap();
        let error = running.forward(sink).await.unwrap_err();
        assert_eq!((error.stage(), sent.entered()), ("sink", 4));
        assert_eq!(error.source().unwrap().downcast_ref::<Bad>(), Some(&Bad(3)));
        balanced(error.report());
    }

    async fn completed_vs_cancelled_vs_failed_are_distinct() {
        let pipeline = || Pipeline::new().try_map_async(Par::ordered(2), |n: Attempt<u64>| all_but(4, *n));
        let end = |(_, ended): (Vec<u64>, Result<flowgate::pipeline::Report, flowgate::PipelineError>)| match ended {
            Ok(report) => (true, report.end),
            Err(error) => (false, error.report().end),
        };
        assert_eq!(end(all(pipeline().run(stream::iter(0..4)).unwrap()).await), (true, End::Completed));
        assert_eq!(end(all(pipeline().take(2).run(stream::iter(0..)).unwrap()).await), (true, End::Completed));
        assert_eq!(end(all(pipeline().run(stream::iter(0..9)).unwrap()).await), (false, End::Failed));

        let endless = || pipeline().run(stream::iter(0..3).chain(stream::pending())).unwrap();
        let mut running = endless();
        assert_eq!((running.next().await, running.report().end), (Some(0), End::Running));
        running.cancel();
        assert_eq!(running.next().await, None, "nothing more is yielded");
        assert_eq!(end(all(running).await), (true, End::Cancelled));

        let running = endless();
        running.close();
        assert_eq!(end(all(running).await), (true, End::Drained));
        assert_eq!(endless().drain(ms(5)).await.map(|report| report.end).unwrap(), End::Drained);

        let stuck = Pipeline::new().map_async(Par::ordered(1), |_: u64| std::future::pending::<()>());
        let stuck = stuck.run(stream::iter(0..3)).unwrap();
        until("an item is stuck", || stuck.report().in_flight > 0).await;
        let report = stuck.drain(ms(5)).await.unwrap();
        assert_eq!((report.end, report.cancelled), (End::Cancelled, report.taken));
        assert!(report.to_string().starts_with("cancelled after"), "{report}");
    }

    async fn a_failure_after_the_cancellation_does_not_hide_it() {
        let gate = Gate::new();
        let at = gate.clone();
        let pipeline = Pipeline::new().try_map_async(Par::ordered(1), move |n: Attempt<u64>| {
            let gate = at.clone();
            async move {
                gate.pass().await;
                Err::<(), _>(Bad(*n))
            }
        });
        let mut running = pipeline.run(stream::iter(0..3)).unwrap();
        until("it runs", || gate.waiting() == 1).await;
        running.cancel();
        gate.open();
        let report = running.join().await.unwrap();
        assert_eq!((report.end, report.failed), (End::Cancelled, 0));
        balanced(&report);
    }
}
