//! The account balances by source item, at the end and at every look before.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use flowgate::pipeline::{BoxStage, Monitor, Report};
use flowgate::{Attempt, Batch, OnError, Par, Pipeline};
use futures::{StreamExt as _, stream};

use super::{all, balanced, completed, fates};
use crate::support::{Gate, on_both_runtimes, settle, spin_until, until};

type Boxed = Pipeline<u64, BoxStage<u64, u64>>;

/// What holds at every look: nothing is settled that was not taken, and what is not settled is in flight.
fn holds(report: &Report) {
    let known: u64 = fates(report).iter().sum();
    assert!(report.taken >= known, "{report}");
    assert_eq!(report.in_flight, report.taken - known, "{report}");
    for stage in &report.stages {
        // What makes several of one, or one of several, hands on another number than it was given.
        if !["flat_map", "batch", "unbatch"].iter().any(|kind| stage.name.starts_with(kind)) {
            assert!(stage.taken >= stage.out + stage.filtered + stage.failed + stage.dead, "{stage:?} of {report}");
        }
    }
}

/// Looks at a pipeline from a thread of its own, as often as it can, until it is dropped.
struct Watched {
    stop: Arc<AtomicBool>,
    looks: Arc<AtomicU64>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Watched {
    fn new(monitor: Monitor) -> Self {
        let (stop, looks) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, looked) = (stop.clone(), looks.clone());
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::SeqCst) {
                monitor.report().iter().for_each(holds);
                looked.fetch_add(1, Ordering::SeqCst);
                thread::yield_now();
            }
        });
        spin_until("it has looked", || looks.load(Ordering::SeqCst) > 0);
        Self { stop, looks, thread: Some(thread) }
    }

    /// Fails if a look did.
    fn end(mut self) -> u64 {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap();
        self.looks.load(Ordering::SeqCst)
    }
}

fn flaky(policy: OnError<u64, &'static str>) -> Pipeline<u64, impl flowgate::pipeline::Stage<u64, Out = u64>> {
    Pipeline::new()
        .try_map_async(Par::ordered(3), |n: Attempt<u64>| async move {
            tokio::task::yield_now().await;
            match *n % 11 {
                3 => Err("three"),
                7 => panic!("seven"),
                _ => Ok(*n),
            }
        })
        .on_error(policy)
}

/// Of 300 items: what each pipeline makes of them, as fates.
fn pipelines() -> Vec<(&'static str, Boxed, [u64; 6])> {
    let (threes, sevens) =
        ((0..300).filter(|n| n % 11 == 3).count() as u64, (0..300).filter(|n| n % 11 == 7).count() as u64);
    let bad = threes + sevens;
    vec![
        ("nothing", Pipeline::new().boxed(), [300, 0, 0, 0, 0, 0]),
        ("a filter", Pipeline::new().filter(|n: &u64| n % 3 == 0).boxed(), [100, 200, 0, 0, 0, 0]),
        ("a filter that keeps nothing", Pipeline::new().filter(|_: &u64| false).boxed(), [0, 300, 0, 0, 0, 0]),
        (
            "expansion",
            Pipeline::new().flat_map(|n: u64| vec![n; usize::try_from(n % 3).unwrap()]).boxed(),
            [200, 100, 0, 0, 0, 0],
        ),
        ("batches", Pipeline::new().batch(Batch::of(7)).map(|batch| batch.len() as u64).boxed(), [300, 0, 0, 0, 0, 0]),
        (
            "batches undone",
            Pipeline::new().batch(Batch::of(7)).unbatch().filter(|n| n % 2 == 0).boxed(),
            [300, 0, 0, 0, 0, 0],
        ),
        ("skipped errors and panics", flaky(OnError::skip()).boxed(), [300 - bad, 0, bad, 0, 0, 0]),
        ("dead letters", flaky(OnError::dead_letter_fn(drop)).boxed(), [300 - bad, 0, 0, bad, 0, 0]),
        (
            "a filter before workers and tasks",
            Pipeline::new()
                .filter(|n: &u64| n % 3 == 0)
                .map_async(Par::unordered(4), |n| async move { n })
                .buffer(4)
                .boxed(),
            [100, 200, 0, 0, 0, 0],
        ),
        (
            "a bound around all of it",
            Pipeline::new()
                .flat_map(|n: u64| vec![n; usize::try_from(n % 3).unwrap()])
                .then(flaky(OnError::skip()))
                .filter(|n| n % 2 == 0)
                .max_in_flight(5)
                .boxed(),
            {
                let (mut settled, mut filtered, mut failed) = (0, 0, 0);
                for n in 0..300_u64 {
                    match (n % 3, n % 11) {
                        (0, _) => filtered += 1,
                        (_, 3 | 7) => failed += 1,
                        _ if n % 2 == 0 => settled += 1,
                        _ => filtered += 1,
                    }
                }
                [settled, filtered, failed, 0, 0, 0]
            },
        ),
    ]
}

on_both_runtimes! {
    async fn metrics_conserve() {
        for (name, pipeline, expected) in pipelines() {
            // An item of a batch that was undone has several parts: its fate is that of the worst of them.
            let mut running = pipeline.run(stream::iter(0..300)).unwrap();
            let watched = Watched::new(running.monitor());
            while running.next().await.is_some() {
                holds(&running.report());
            }
            let (_, report) = completed(running).await;
            assert!(watched.end() > 0);
            assert_eq!((report.taken, fates(&report)), (300, expected), "{name}: {report}");
            holds(&report);
        }
    }

    // Seen to fail: what was taken was counted by the 64, and what is filtered one by one.
    async fn metrics_conserve_when_a_stage_looks_itself() {
        let slot = Arc::new(std::sync::OnceLock::<Monitor>::new());
        let (seen, looks) = (slot.clone(), Arc::new(AtomicU64::new(0)));
        let counted = looks.clone();
        let pipeline = Pipeline::new()
            .filter(move |n: &u64| {
                if let Some(report) = seen.get().and_then(Monitor::report) {
                    holds(&report);
                    assert!(report.in_flight >= 1, "this very item is: {report}");
                    counted.fetch_add(1, Ordering::SeqCst);
                }
                n % 2 == 0
            })
            .map(|n| n);
        let gate = Gate::new();
        let begins = gate.clone();
        let source = stream::once(async move { begins.pass().await }).flat_map(|()| stream::iter(0..500));
        let running = pipeline.run(source).unwrap();
        slot.set(running.monitor()).unwrap();
        gate.open();
        let (_, report) = completed(running).await;
        assert_eq!(fates(&report), [250, 250, 0, 0, 0, 0]);
        assert!(looks.load(Ordering::SeqCst) > 400, "{looks:?} looks");
    }

    async fn metrics_conserve_however_it_ends() {
        for (name, pipeline, _) in pipelines() {
            let mut running = pipeline.output_buffer(3).run(stream::iter(0..300)).unwrap();
            let watched = Watched::new(running.monitor());
            let read = running.by_ref().take(20).count().await;
            settle().await;
            running.cancel();
            let report = running.join().await.unwrap();
            watched.end();
            balanced(&report);
            assert!(report.settled <= read as u64 * 7, "{name}: {report}");
        }
        for (name, pipeline, _) in pipelines() {
            let running = pipeline.output_buffer(3).run(stream::iter(0..300)).unwrap();
            let watched = Watched::new(running.monitor());
            running.close();
            let (_, report) = all(running).await;
            watched.end();
            let report = report.unwrap();
            balanced(&report);
            assert_eq!(report.cancelled, 0, "{name}: {report}");
        }
        for (name, pipeline, _) in pipelines() {
            let running = pipeline.take(9).run(stream::iter(0..300)).unwrap();
            let watched = Watched::new(running.monitor());
            let (items, report) = all(running).await;
            watched.end();
            let report = report.unwrap();
            balanced(&report);
            assert!(items.len() <= 9, "{name}: {report}");
        }
    }

    // Seen to fail: up to 63 items were taken and not counted while the next stage was full.
    async fn a_look_while_everything_stands_still_is_exact() {
        let gate = Gate::new();
        let at = gate.clone();
        let pipeline = Pipeline::new().filter(|n: &u64| n % 2 == 0).map_async(Par::ordered(2).window(5), move |n| {
            let gate = at.clone();
            async move {
                gate.pass().await;
                n
            }
        });
        let mut running = pipeline.output_buffer(2).run(stream::iter(0..100)).unwrap();
        until("two run", || gate.waiting() == 2).await;
        settle().await;
        let report = running.report();
        assert_eq!((report.taken, report.filtered, report.in_flight), (9, 4, 5), "{report}");
        let stages: Vec<_> = report.stages.iter().map(|stage| (stage.taken, stage.out)).collect();
        assert_eq!(stages, [(9, 5), (5, 0)]);
        gate.let_through(3);
        assert_eq!((running.next().await, running.next().await), (Some(0), Some(2)));
        until("two run again", || gate.waiting() == 2).await;
        settle().await;
        let report = running.report();
        assert_eq!((report.settled, report.taken - report.filtered - report.settled), (2, report.in_flight), "{report}");
        gate.open();
        balanced(&completed(running).await.1);
    }

    async fn what_was_read_is_settled_at_once() {
        let mut running = Pipeline::new().map(|n: u64| n).run(stream::iter(0..100)).unwrap();
        let monitor = running.monitor();
        for n in 1..=10 {
            running.next().await.unwrap();
            assert_eq!((running.report().settled, monitor.report().unwrap().settled), (n, n));
        }
        let mut applied = Pipeline::new().map(|n: u64| n).filter(|n| n % 2 == 0).apply(stream::iter(0..100)).unwrap();
        for n in 1..=10 {
            applied.next().await.unwrap().unwrap();
            let report = applied.report();
            assert_eq!((report.taken, report.settled, report.filtered, report.in_flight), (2 * n - 1, n, n - 1, 0));
        }
    }

    async fn a_blocked_pipeline_shows_what_it_has_taken() {
        let running = Pipeline::new().map(|n: u64| n).output_buffer(4).run(stream::iter(0..100)).unwrap();
        until("it waits for a reader", || running.snapshot().output.unwrap().blocked_for.is_some()).await;
        let snapshot = running.snapshot();
        assert!(snapshot.taken >= 4 && snapshot.bottleneck.is_some(), "{snapshot}");
        assert_eq!(running.report().in_flight, snapshot.taken);
    }

    async fn stages_count_what_they_were_given_and_what_they_made() {
        let pipeline = Pipeline::new()
            .filter(|n: &u64| n % 2 == 0)
            .map(|n| n)
            .flat_map(|n| [n, n])
            .then(flaky(OnError::skip()))
            .batch(Batch::of(10))
            .unbatch()
            .take(u64::MAX)
            .inspect(|_| {});
        let (_, report) = completed(pipeline.run(stream::iter(0..110)).unwrap()).await;
        let stages: Vec<_> =
            report.stages.iter().map(|stage| (&*stage.name, stage.taken, stage.out, stage.filtered, stage.failed)).collect();
        assert_eq!(
            stages,
            [
                ("filter#1", 110, 55, 55, 0),
                ("map#2", 55, 55, 0, 0),
                ("flat_map#3", 55, 110, 0, 0),
                ("try_map_async#4", 110, 90, 0, 20),
                ("batch#5", 90, 9, 0, 0),
                ("unbatch#6", 9, 90, 0, 0),
                ("take#7", 90, 90, 0, 0),
                ("inspect#8", 90, 90, 0, 0),
            ]
        );
        assert_eq!(fates(&report), [45, 55, 10, 0, 0, 0]);
        assert!(report.stage("none").is_none());
    }
}
