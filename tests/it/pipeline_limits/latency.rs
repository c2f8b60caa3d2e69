//! An idle pipeline adds no delay of its own.

use flowgate::{Batch, Par, Pipeline};
use futures::StreamExt as _;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::super::support::{compute_for, ms, on_both_runtimes, secs, soon, threads};
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

/// An input that is always ready, and computes for long after it was fast: what had been collected then goes, and from there on each
/// item is read before the next is begun.
///
/// Seen to fail: a task between stages that is judged only by batches which are smaller than its room.
#[test]
fn an_item_does_not_wait_for_those_behind_it_once_they_take_long() {
    const FAST: u64 = 500;
    const LONG: u64 = 40;
    let runtime = threads(1);
    let inside = runtime.enter();
    let (read, is_read) = std::sync::mpsc::channel();
    let late = Arc::new(AtomicU64::new(0));
    let unread = late.clone();
    let mut next = 0;
    let items = stream::iter(0..FAST + LONG).map(move |n| {
        if n > FAST {
            compute_for(ms(1));
            // The reader has nothing else to do: an item that does not come in this time is not on its way.
            while next < n {
                match is_read.recv_timeout(ms(100)) {
                    Ok(item) => next = item + 1,
                    Err(_) => {
                        unread.fetch_add(1, Ordering::SeqCst);
                        break;
                    }
                }
            }
        }
        n
    });
    let mut running = Pipeline::new().output_buffer(8).run(items).unwrap();
    drop(inside);
    futures::executor::block_on(async {
        while let Some(item) = running.next().await {
            read.send(item).unwrap();
        }
    });
    let late = late.load(Ordering::SeqCst);
    assert!(late <= 8, "{late} of {LONG} items were not handed over before the next was made");
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
