//! Three stages in three tasks, behind a source in a task of its own.

use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;
use std::task::{Context, Poll};

use flowgate::Pipeline;
use futures::{Stream, StreamExt as _, stream};
use tokio::sync::mpsc;

use crate::pipeline::channels::Channel;
use crate::setup::Setup;

/// How many items of the batching rival travel together.
const TOGETHER: usize = 64;

fn stage(n: u64) -> u64 {
    black_box(n)
}

fn last(n: u64) -> u64 {
    black_box(n + 1)
}

/// A source that is not ready before each of its items: it gives its thread away, so nothing may be held back.
#[derive(Debug)]
struct Paced {
    next: u64,
    end: u64,
    waited: bool,
}

impl Stream for Paced {
    type Item = u64;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<u64>> {
        if self.next == self.end {
            return Poll::Ready(None);
        }
        self.waited = !self.waited;
        if self.waited {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.next += 1;
        Poll::Ready(Some(self.next - 1))
    }
}

fn paced(ops: u64) -> Paced {
    Paced { next: 0, end: ops, waited: false }
}

fn run(setup: &Setup, source: impl Stream<Item = u64> + Send + 'static) -> u64 {
    let most = setup.shape.capacity;
    let stages = Pipeline::new().buffer(most).map(stage).buffer(most).map(stage).buffer(most).map(last);
    setup.block_on(async {
        let mut running = stages.output_buffer(most).run(source).expect("a pipeline that can be run");
        let mut sum = 0;
        while let Some(item) = running.next().await {
            sum += item;
        }
        let report = running.join().await.expect("nothing fails");
        assert_eq!(report.settled, setup.ops);
        sum
    })
}

/// Buffers between the stages.
pub fn ours(setup: &Setup) -> u64 {
    run(setup, stream::iter(0..setup.ops))
}

/// The same behind a source that hands out its items one by one.
pub fn ours_paced(setup: &Setup) -> u64 {
    run(setup, paced(setup.ops))
}

fn channels<C: Channel>(setup: &Setup, source: impl Stream<Item = u64> + Send + 'static) -> u64 {
    let capacity = setup.shape.capacity;
    setup.block_on(async {
        let (sender, receiver) = C::bounded(capacity);
        tokio::spawn(async move {
            let mut source = std::pin::pin!(source);
            while let Some(item) = source.next().await {
                C::send(&sender, item).await;
            }
        });
        let mut receiver = step::<C>(step::<C>(step::<C>(receiver, capacity, stage), capacity, stage), capacity, last);
        let mut sum = 0;
        while let Some(item) = C::receive(&mut receiver).await {
            sum += item;
        }
        sum
    })
}

/// A task that calls `f` with each item.
pub(crate) fn step<C: Channel>(
    mut receiver: C::Receiver<u64>,
    capacity: usize,
    f: impl Fn(u64) -> u64 + Send + 'static,
) -> C::Receiver<u64> {
    let (sender, next) = C::bounded(capacity);
    tokio::spawn(async move {
        while let Some(item) = C::receive(&mut receiver).await {
            C::send(&sender, f(item)).await;
        }
    });
    next
}

/// A channel between each two tasks.
pub fn rival<C: Channel>(setup: &Setup) -> u64 {
    channels::<C>(setup, stream::iter(0..setup.ops))
}

/// The same behind a source that hands out its items one by one.
pub fn rival_paced<C: Channel>(setup: &Setup) -> u64 {
    channels::<C>(setup, paced(setup.ops))
}

/// tokio's mpsc of lists, of as many items together as the others let wait.
pub fn rival_batching(setup: &Setup) -> u64 {
    let capacity = setup.shape.capacity / TOGETHER;
    let batched = |mut receiver: mpsc::Receiver<Vec<u64>>, f: fn(u64) -> u64| {
        let (sender, next) = mpsc::channel(capacity);
        tokio::spawn(async move {
            while let Some(mut items) = receiver.recv().await {
                items.iter_mut().for_each(|item| *item = f(*item));
                sender.send(items).await.expect("the receiver is there until all was sent");
            }
        });
        next
    };
    let ops = setup.ops;
    setup.block_on(async {
        let (sender, receiver) = mpsc::channel(capacity);
        let source: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move {
            let mut items = std::pin::pin!(stream::iter(0..ops).chunks(TOGETHER));
            while let Some(items) = items.next().await {
                sender.send(items).await.expect("the receiver is there until all was sent");
            }
        });
        tokio::spawn(source);
        let mut receiver = batched(batched(batched(receiver, stage), stage), last);
        let mut sum = 0;
        while let Some(items) = receiver.recv().await {
            sum += items.into_iter().sum::<u64>();
        }
        sum
    })
}
