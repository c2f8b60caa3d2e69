//! An idle pipeline adds no delay of its own.

use flowgate::{Batch, Par, Pipeline};
use futures::StreamExt as _;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::super::support::{ms, on_both_runtimes, secs, soon};
use super::*;

fn channel() -> (mpsc::Sender<u64>, impl Stream<Item = u64> + Send + 'static) {
    let (sender, mut receiver) = mpsc::channel(4);
    (sender, stream::poll_fn(move |cx| receiver.poll_recv(cx)))
}

/// Lone items, a second apart, through three stages with workers and two buffers; then a burst, and lone items again: what
/// the tasks between the stages have learnt of a fast input holds up nobody.
///
/// Seen to fail: a task between stages flushes only when its batch is full.
#[tokio::test(start_paused = true)]
async fn a_lone_item_passes_an_idle_pipeline_without_delay() {
    let (items, source) = channel();
    let stage = |n: u64| async move { n };
    let mut running = Pipeline::new()
        .map_async(Par::ordered(4), stage)
        .buffer(64)
        .map_async(Par::unordered(4), stage)
        .buffer(64)
        .map_async(Par::ordered(4), stage)
        .run(source)
        .unwrap();
    let lone = async |running: &mut Running<u64>, n: u64| {
        sleep(secs(1)).await;
        let sent = Instant::now();
        items.send(n).await.unwrap();
        assert_eq!(soon(running.next()).await, Some(n));
        assert_eq!(sent.elapsed(), ms(0), "item {n}");
    };
    for n in 0..20 {
        lone(&mut running, n).await;
    }
    let (burst, read) = tokio::join!(
        async {
            for n in 0..5_000 {
                items.send(n).await.unwrap();
            }
        },
        soon(running.by_ref().take(5_000).collect::<Vec<_>>())
    );
    assert_eq!((burst, read.len()), ((), 5_000));
    for n in 0..20 {
        lone(&mut running, n).await;
    }
}

/// The times are those of the stages, and of a batch's `within`: nothing else.
#[tokio::test(start_paused = true)]
async fn delays_are_those_that_were_asked_for() {
    let (items, source) = channel();
    let mut running = Pipeline::new()
        .max_in_flight(8)
        .map_async(Par::ordered(4), |n: u64| async move {
            sleep(ms(7)).await;
            n
        })
        .buffer(4)
        .batch(Batch::of(4).within(ms(20)))
        .map_async(Par::ordered(4), |batch: Vec<u64>| async move {
            sleep(ms(5)).await;
            batch
        })
        .run(source)
        .unwrap();
    for n in 0..10 {
        let sent = Instant::now();
        items.send(n).await.unwrap();
        assert_eq!(soon(running.next()).await, Some(vec![n]));
        assert_eq!(sent.elapsed(), ms(7 + 20 + 5));
        sleep(secs(1)).await;
    }
}

on_both_runtimes! {
    /// The next item is sent when the one before has come out: nothing may wait for a second one.
    async fn one_item_at_a_time_goes_round() {
        let (items, source) = channel();
        let stages = Pipeline::new().buffer(8).map(|n: u64| n).map_async(Par::ordered(2), |n| async move { n }).buffer(8);
        let mut running = stages.run(source).unwrap();
        for n in 0..500 {
            items.send(n).await.unwrap();
            assert_eq!(running.next().await, Some(n));
        }
    }
}
