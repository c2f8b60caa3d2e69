//! What cannot be honoured is refused before anything runs, by an error that names the stage.

use std::time::Duration;

use flowgate::pipeline::{BoxStage, InvalidPipeline};
use flowgate::retry::RetryPolicy;
use flowgate::{Attempt, Batch, Cx, OnError, Par, Pipeline, WorkerPool};
use futures::stream;

use crate::support::ms;

type Boxed = Pipeline<u64, BoxStage<u64, ()>>;

async fn same(n: u64) -> u64 {
    n
}

async fn lent(n: Attempt<u64>) -> Result<u64, String> {
    Ok(*n)
}

/// Refused by `check`, `run`, `try_run`, `run_envelopes` and `apply`, in the same words.
#[track_caller]
fn refused(pipeline: &dyn Fn() -> Boxed, text: &str) {
    let errors = [
        pipeline().check().unwrap_err(),
        pipeline().run(stream::pending()).map(drop).unwrap_err(),
        pipeline().try_run::<_, String>(stream::pending()).map(drop).unwrap_err(),
        pipeline().run_envelopes(stream::pending()).map(drop).unwrap_err(),
        pipeline().apply(stream::pending()).map(drop).unwrap_err(),
    ];
    assert_eq!(errors[0].to_string(), text);
    assert!(errors.iter().all(|error| *error == errors[0]), "{errors:?}");
}

/// The same for a pipeline whose last stage may be named: it is `stage "work"`.
macro_rules! refuses {
    ($pipeline:expr, $text:literal) => {
        refused(&|| $pipeline.named("work").map(|_| ()).boxed(), concat!("stage \"work\": ", $text))
    };
}

#[tokio::test]
async fn zero_parallelism_rejected_at_build() {
    let start = Pipeline::<u64>::new;
    let pool = WorkerPool::<u64, u64, String>::builder().concurrency(1).build(lent).unwrap();
    for par in [Par::ordered(0), Par::unordered(0), Par::ordered(0).window(4)] {
        refuses!(start().map_async(par, same), "parallelism is 0, allowed is 1 to 1048576");
        refuses!(start().try_map_async(par, lent), "parallelism is 0, allowed is 1 to 1048576");
        refuses!(start().map_keyed(par, |n| *n, same), "parallelism is 0, allowed is 1 to 1048576");
        refuses!(start().try_map_keyed(par, |n| *n, lent), "parallelism is 0, allowed is 1 to 1048576");
        refuses!(start().map_blocking(par, |n| n), "parallelism is 0, allowed is 1 to 1048576");
        refuses!(
            start().try_map_blocking(par, |n: &mut u64, _: &Cx| Ok::<_, String>(*n)),
            "parallelism is 0, allowed is 1 to 1048576"
        );
        refuses!(start().map_on(&pool, par), "parallelism is 0, allowed is 1 to 1048576");
    }
    refuses!(start().map_async(Par::ordered((1 << 20) + 1), same), "parallelism is 1048577, allowed is 1 to 1048576");
    refuses!(
        start().map_async(Par::ordered(usize::MAX), same),
        "parallelism is 18446744073709551615, allowed is 1 to 1048576"
    );
}

#[tokio::test]
async fn windows_that_cannot_be_filled_or_held_are_refused() {
    let start = Pipeline::<u64>::new;
    let pool = WorkerPool::<u64, u64, String>::builder().concurrency(1).build(lent).unwrap();
    refuses!(
        start().map_async(Par::ordered(4).window(0), same),
        "window is 0, allowed is 4, the parallelism, to 1073741824"
    );
    refuses!(
        start().map_async(Par::unordered(4).window(3), same),
        "window is 3, allowed is 4, the parallelism, to 1073741824"
    );
    refuses!(
        start().map_on(&pool, Par::ordered(4).window(3)),
        "window is 3, allowed is 4, the parallelism, to 1073741824"
    );
    refuses!(
        start().map_blocking(Par::ordered(1).window((1 << 30) + 1), |n| n),
        "window is 1073741825, allowed is 1, the parallelism, to 1073741824"
    );
    refuses!(
        start().map_keyed(Par::ordered(2).window(8).per_key(0), |n| *n, same),
        "per_key is 0, allowed is 1 to 8, the window"
    );
    refuses!(
        start().map_keyed(Par::ordered(2).window(8).per_key(9), |n| *n, same),
        "per_key is 9, allowed is 1 to 8, the window"
    );
    refuses!(
        start().map_async(Par::ordered(2).per_key(1), same),
        "per_key is set, allowed is set on a keyed stage only"
    );
}

#[tokio::test]
async fn a_batch_larger_than_the_bound_is_refused() {
    let start = Pipeline::<u64>::new;
    refuses!(start().batch(Batch::of(0)), "items is 0, allowed is 1 or more");
    refuses!(start().batch(Batch::of(4).within(Duration::ZERO)), "within is 0s, allowed is above zero");
    refuses!(start().batch(Batch::of(4).weight(0, |_| 1)), "weight is 0, allowed is 1 or more");
    refused(
        &|| start().batch(Batch::of(11)).named("work").map(|_| ()).max_in_flight(10).boxed(),
        "stage \"work\": items is 11, allowed is 1 to 10, the pipeline's max_in_flight",
    );
    let nested = || start().batch(Batch::of(11)).named("work").max_in_flight(20);
    refused(
        &|| start().then(nested()).named("inner").map(|_| ()).max_in_flight(10).boxed(),
        "stage \"inner/work\": items is 11, allowed is 1 to 10, the pipeline's max_in_flight",
    );
    assert_eq!(start().batch(Batch::of(10)).max_in_flight(10).check(), Ok(()), "as large as the bound will do");
}

#[tokio::test]
async fn numbers_of_the_whole_pipeline_are_looked_at() {
    let start = || Pipeline::<u64>::new().map(|_| ());
    refused(&|| start().boxed().max_in_flight(0), "stage \"pipeline\": max_in_flight is 0, allowed is 1 or more");
    refused(&|| start().boxed().max_weight(0, |_| 1), "stage \"pipeline\": max_weight is 0, allowed is 1 or more");
    refused(&|| start().boxed().output_buffer(0), "stage \"pipeline\": output_buffer is 0, allowed is 1 to 1073741824");
    refused(
        &|| start().boxed().output_buffer(usize::MAX),
        "stage \"pipeline\": output_buffer is 18446744073709551615, allowed is 1 to 1073741824",
    );
    refuses!(
        Pipeline::<u64>::new().then(Pipeline::new().map(|n: u64| n).max_in_flight(0)),
        "max_in_flight is 0, allowed is 1 or more"
    );
}

#[tokio::test]
async fn zero_buffers_are_refused() {
    let start = Pipeline::<u64>::new;
    refuses!(start().buffer(0), "items is 0, allowed is 1 to 1073741824");
    refuses!(start().buffer(usize::MAX), "items is 18446744073709551615, allowed is 1 to 1073741824");
    refused(
        &|| start().map(|n| n).buffer(0).map(|_| ()).boxed(),
        "stage \"buffer#2\": items is 0, allowed is 1 to 1073741824",
    );
}

#[tokio::test]
async fn duplicate_stage_names_are_refused() {
    let text = |name| format!("two stages are named \"{name}\"; name them apart, or `stage(..)` could mean either");
    let start = Pipeline::<u64>::new;
    refused(&|| start().map(|n| n).named("a").filter(|_| true).map(|_| ()).named("a").boxed(), &text("a"));
    refused(&|| start().map(|n| n).named("map#2").map(|_| ()).boxed(), &text("map#2"));
    let inner = || start().map(|n| n).named("a");
    refused(&|| start().then(inner()).then(inner()).map(|_| ()).boxed(), &text("a"));
    refused(&|| start().then(inner()).named("x").then(inner()).named("x").map(|_| ()).boxed(), &text("x/a"));
    assert_eq!(start().then(inner()).named("x").then(inner()).named("y").check(), Ok(()));
}

#[tokio::test]
async fn options_that_a_stage_cannot_have_are_refused() {
    let start = Pipeline::<u64>::new;
    let pool = WorkerPool::<u64, u64, String>::builder().concurrency(1).build(lent).unwrap();
    refuses!(
        start().map_blocking(Par::ordered(1), |n| n).timeout(ms(5)),
        "timeout is set, allowed is set on async stages only: a thread cannot be stopped"
    );
    refuses!(
        start().try_map_blocking(Par::ordered(1), |n: &mut u64, _: &Cx| Ok::<_, String>(*n)).timeout(ms(5)),
        "timeout is set, allowed is set on async stages only: a thread cannot be stopped"
    );
    refuses!(start().map_async(Par::ordered(1), same).timeout(Duration::ZERO), "timeout is 0s, allowed is above zero");
    refuses!(
        start().map_on(&pool, Par::ordered(1)).on_error(OnError::retry(RetryPolicy::fixed(ms(1)))),
        "retry is set, allowed is set on the pool itself: its jobs are retried as it says"
    );
    let none = || OnError::retry(RetryPolicy::fixed(ms(1)).max_attempts(0));
    let error = start().try_map_async(Par::ordered(1), lent).on_error(none()).named("work").check().unwrap_err();
    assert!(error.to_string().starts_with("stage \"work\": retry is "), "{error}");
}

#[tokio::test]
async fn the_first_of_several_faults_is_named() {
    let pipeline = Pipeline::<u64>::new().buffer(0).named("first").buffer(0).named("second");
    assert!(pipeline.check().unwrap_err().to_string().starts_with("stage \"first\": "));
}

#[test]
fn a_pipeline_outside_of_a_runtime_is_refused() {
    let pipeline = || Pipeline::<u64>::new().map_async(Par::ordered(1), same);
    assert_eq!(pipeline().check(), Ok(()), "nothing is wrong with the pipeline itself");
    let errors = [
        pipeline().run(stream::pending()).map(drop).unwrap_err(),
        pipeline().apply(stream::pending()).map(drop).unwrap_err(),
        Pipeline::<u64>::new().apply(stream::pending()).map(drop).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error, InvalidPipeline::NoRuntime);
        assert!(error.to_string().starts_with("a pipeline needs a tokio runtime with a timer"), "{error}");
    }
}

#[test]
fn a_runtime_without_a_timer_is_refused() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let refused = runtime.block_on(async {
        let pipeline = Pipeline::<u64>::new().map_async(Par::ordered(1), same);
        (pipeline.clone().run(stream::pending()).map(drop), pipeline.apply(stream::pending()).map(drop))
    });
    assert_eq!(refused, (Err(InvalidPipeline::NoRuntime), Err(InvalidPipeline::NoRuntime)));
}

#[test]
fn what_is_refused_drops_the_source_and_starts_nothing() {
    let runtime = crate::support::one_thread();
    runtime.block_on(async {
        let tally = crate::support::Tally::new();
        let held = tally.make(1);
        let source = stream::poll_fn(move |_| -> std::task::Poll<Option<u64>> {
            let held = &held;
            panic!("{} is polled", held.id);
        });
        assert!(Pipeline::new().buffer(0).run(source).is_err());
        crate::support::settle().await;
        assert_eq!((tally.alive(), crate::support::alive_tasks()), (0, 0));
    });
}
