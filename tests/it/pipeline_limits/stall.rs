//! What a running pipeline tells of itself while it is stuck, and what can be changed meanwhile.

use flowgate::pipeline::{Bottleneck, stage_fn};
use flowgate::{Batch, BuildError, Par, Pipeline};
use futures::{StreamExt as _, stream};
use tokio::time::{advance, sleep};

use super::super::support::{Gate, HOUR, ms, on_both_runtimes, secs, settle, soon, until};
use super::*;

fn stage(name: &str) -> Option<Bottleneck> {
    Some(Bottleneck::Stage(name.into()))
}

/// Outputs wait to be read: the wait grows while it lasts, and ends when there is room.
///
/// Seen to fail: a snapshot does not look since when the edge has waited; also when items are counted as taken 64 at a time, and
/// none for a source that is not asked again.
#[tokio::test(start_paused = true)]
async fn stall_report_names_blocked_edge_while_still_blocked() {
    let stages = Pipeline::new().output_buffer(2).map_async(Par::ordered(2), |n: u64| async move { n }).named("work");
    let mut running = stages.run(numbers()).unwrap();
    let monitor = running.monitor();
    settle().await;
    for blocked in [ms(0), secs(5), secs(65)] {
        let snapshot = monitor.snapshot().unwrap();
        assert_eq!(snapshot.output.unwrap().blocked_for, Some(blocked), "{snapshot}");
        assert_eq!((snapshot.output.unwrap().held, snapshot.output.unwrap().capacity), (2, 2));
        assert_eq!(snapshot.bottleneck, Some(Bottleneck::Consumer));
        advance(if blocked < secs(5) { secs(5) } else { secs(60) }).await;
    }
    assert_eq!(soon(running.by_ref().take(50).collect::<Vec<_>>()).await.len(), 50);
    settle().await;
    let since = running.snapshot().output.unwrap().blocked_for.unwrap();
    assert_eq!(since, ms(0), "it is another wait");
    running.cancel();
    drop(soon(running.join()).await);
    assert!(monitor.snapshot().is_none() && monitor.report().is_none(), "a monitor does not keep the pipeline");
}

/// The workers of a stage are busy: the edge before it is blocked, and the stage is named.
#[tokio::test(start_paused = true)]
async fn a_slow_stage_is_named_and_the_edge_before_it_is_blocked() {
    let slow = |n: u64| async move {
        sleep(HOUR).await;
        n
    };
    let stages = Pipeline::new()
        .map_async(Par::ordered(4), |n: u64| async move { n })
        .named("fetch")
        .buffer(3)
        .named("queue")
        .map_async(Par::ordered(2), slow)
        .named("work");
    let running = stages.run(numbers()).unwrap();
    settle().await;
    advance(secs(7)).await;
    let snapshot = running.snapshot();
    assert_eq!(snapshot.bottleneck, stage("work"), "{snapshot}");
    assert_eq!(snapshot.stage("queue").unwrap().queue.unwrap().blocked_for, Some(secs(7)), "{snapshot}");
    let workers = snapshot.stage("work").unwrap().workers.unwrap();
    assert_eq!((workers.running, workers.parallelism, workers.in_pool), (2, 2, 4));
    let fetch = snapshot.stage("fetch").unwrap().workers.unwrap();
    assert_eq!((fetch.running, fetch.in_pool), (0, 0), "its items are done, and wait");
    assert!(fetch.ready > 0, "{snapshot}");
}

/// A stage without workers, in the task behind a buffer.
#[tokio::test(start_paused = true)]
async fn a_slow_stage_without_workers_is_named() {
    let slow = stage_fn(|items: flowgate::pipeline::BoxStream<Envelope<u64>>| {
        items.then(|item| async move {
            sleep(HOUR).await;
            item
        })
    });
    let running = Pipeline::new().buffer(2).then(slow).named("slow").run(numbers()).unwrap();
    settle().await;
    advance(secs(3)).await;
    let snapshot = running.snapshot();
    assert_eq!(snapshot.bottleneck, stage("slow"), "{snapshot}");
    assert_eq!(snapshot.stages[0].queue.unwrap().blocked_for, Some(secs(3)));
}

#[tokio::test(start_paused = true)]
async fn a_slow_source_is_named() {
    let stages = || Pipeline::new().buffer(2).map_async(Par::ordered(2), |n: u64| async move { n });
    let silent = stages().run(numbers_then_silence(0)).unwrap();
    settle().await;
    assert_eq!(silent.snapshot().bottleneck, None, "nothing was taken yet");

    let mut running = stages().run(numbers_then_silence(5)).unwrap();
    assert_eq!(soon(running.by_ref().take(5).collect::<Vec<_>>()).await.len(), 5);
    settle().await;
    let snapshot = running.snapshot();
    assert_eq!(snapshot.bottleneck, Some(Bottleneck::Source), "{snapshot}");
    assert!(snapshot.stages.iter().all(|stage| stage.queue.is_none_or(|queue| queue.blocked_for.is_none())));
}

/// The bound is full: its items are at work, and more could be; or they all wait for the consumer.
///
/// Seen to fail: bounds are not looked at, and the source is named.
#[tokio::test(start_paused = true)]
async fn a_full_bound_is_named() {
    let gate = Gate::new();
    let stop = gate.clone();
    let stages = Pipeline::new().max_in_flight(3).map_async(Par::ordered(8), move |n: u64| {
        let gate = stop.clone();
        async move {
            gate.pass().await;
            n
        }
    });
    let mut outputs = stages.run(numbers()).unwrap().envelopes();
    assert!(futures::poll!(outputs.next()).is_pending());
    settle().await;
    let running = outputs.into_running();
    let snapshot = running.snapshot();
    assert!(snapshot.bounds[0].is_full && snapshot.bounds[0].items == 3);
    assert_eq!(snapshot.bottleneck, Some(Bottleneck::Bound), "{snapshot}");

    gate.let_through(3);
    settle().await;
    assert_eq!(running.snapshot().bottleneck, Some(Bottleneck::Consumer), "unread\n{}", running.snapshot());
    let mut outputs = running.envelopes();
    let held: Vec<_> = soon(outputs.by_ref().take(3).collect()).await;
    settle().await;
    let running = outputs.into_running();
    let snapshot = running.snapshot();
    assert_eq!(snapshot.bottleneck, Some(Bottleneck::Consumer), "read, and not acknowledged\n{snapshot}");
    drop(held);
}

/// The exact text, once.
#[tokio::test(start_paused = true)]
async fn a_snapshot_is_a_table_and_a_flowchart() {
    let stages = Pipeline::new()
        .max_weight(100, |n: &u64| *n as usize)
        .filter(|n| n % 2 == 0)
        .named("even")
        .buffer(4)
        .map_async(Par::ordered(2), |n: u64| async move {
            sleep(if n < 4 { secs(1) } else { HOUR }).await;
            n
        })
        .named("say \"hi\"")
        .batch(Batch::of(2));
    let running = stages.run(numbers_then_silence(12)).unwrap();
    settle().await;
    advance(secs(1)).await;
    settle().await;
    advance(secs(3)).await;
    let snapshot = running.snapshot();
    assert_eq!(format!("{snapshot}\n"), TABLE, "\n{snapshot}");
    assert_eq!(snapshot.to_mermaid(), CHART);
    let empty = Pipeline::new().run(stream::pending::<u64>()).unwrap();
    settle().await;
    assert!(empty.snapshot().to_string().ends_with("nothing taken yet"));
    assert_eq!(empty.snapshot().to_mermaid(), "flowchart LR\n    source([source])\n    source -->|0| out([output])\n");
}

const TABLE: &str = "\
stage                            in        out filtered failed   running   busy       run      wait  waits
even                             12          6        6      0                                     
buffer#2                          6          6        0      0                                       0/4 held
say \"hi\"                          6          2        0      0       2/2    25%      1.0s     0.0ns
batch#4                           2          1        0      0                                     
output                   1/64 held
in flight                6 items, weight 30
bottleneck               say \"hi\"
";

const CHART: &str = "\
flowchart LR
    source([source])
    s1[\"even\"]
    source -->|12| s1
    s2[\"buffer#2\"]
    s1 -->|6| s2
    s3[\"say #quot;hi#quot;<br/>2/2 running\"]
    s2 -->|6| s3
    s4[\"batch#4\"]
    s3 -->|2| s4
    s4 -->|1| out([output])
    style s3 stroke:#d33,stroke-width:3px
";

on_both_runtimes! {
    /// Seen to fail: the new number is not given to the pool.
    async fn parallelism_can_be_changed_while_running() {
        let gate = Gate::new();
        let stop = gate.clone();
        let stages = Pipeline::new().buffer(2).named("queue").map_async(Par::ordered(1).window(4), move |n: u64| {
            let gate = stop.clone();
            async move {
                gate.pass().await;
                n
            }
        });
        let mut running = stages.named("work").run(numbers()).unwrap();
        let control = running.stage("work").unwrap();
        assert_eq!((control.name(), control.parallelism()), ("work", Some(1)));
        until("one is at work", || gate.waiting() == 1).await;
        control.set_parallelism(3).unwrap();
        until("three are at work", || gate.waiting() == 3).await;
        assert_eq!(control.parallelism(), Some(3));
        assert_eq!(running.snapshot().stage("work").unwrap().workers.unwrap().parallelism, 3);

        control.set_parallelism(1).unwrap();
        settle().await;
        assert_eq!(gate.waiting(), 3, "those that run go on");
        gate.let_through(2);
        assert_eq!(running.next().await, Some(0));
        assert_eq!(running.next().await, Some(1));
        until("one is at work", || gate.waiting() == 1).await;
        settle().await;
        assert_eq!(gate.waiting(), 1);

        for refused in [0, 5, usize::MAX] {
            let error = control.set_parallelism(refused).unwrap_err();
            assert!(matches!(error, BuildError::Option { .. }), "{error}");
            assert!(error.to_string().contains("1 to 4"), "{error}");
            assert_eq!(control.parallelism(), Some(1), "nothing has changed");
        }
        let queue = running.stage("queue").unwrap();
        assert_eq!(queue.parallelism(), None);
        let error = queue.set_parallelism(2).unwrap_err().to_string();
        assert!(error.contains("\"queue\" has no workers"), "{error}");
        assert!(running.stage("nobody").is_none());
        gate.open();
        running.cancel();
        drop(running);
        control.set_parallelism(2).unwrap();
    }
}
