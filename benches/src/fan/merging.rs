//! Eight producers and one consumer; eight streams that are always ready, read as one.

use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt as _};
use futures_concurrency::stream::Merge as _;
use tokio_stream::StreamMap;
use tokio_stream::wrappers::ReceiverStream;

use super::{BUFFER, WAYS, on_workers};
use crate::setup::Setup;

/// What reads several streams as one.
pub(super) trait Merging: 'static {
    /// As one.
    fn merge<S: Stream<Item = u64> + Send + Unpin + 'static>(streams: Vec<S>) -> BoxStream<'static, u64>;
}

/// Ours.
#[derive(Debug)]
pub(super) struct FanIn;

impl Merging for FanIn {
    fn merge<S: Stream<Item = u64> + Send + Unpin + 'static>(streams: Vec<S>) -> BoxStream<'static, u64> {
        flowgate::fan_in(streams, flowgate::FanIn::AsReady).boxed()
    }
}

/// `futures::stream::select_all`.
#[derive(Debug)]
pub(super) struct SelectAll;

impl Merging for SelectAll {
    fn merge<S: Stream<Item = u64> + Send + Unpin + 'static>(streams: Vec<S>) -> BoxStream<'static, u64> {
        stream::select_all(streams).boxed()
    }
}

/// `futures_concurrency`'s `merge`.
#[derive(Debug)]
pub(super) struct Concurrency;

impl Merging for Concurrency {
    fn merge<S: Stream<Item = u64> + Send + Unpin + 'static>(streams: Vec<S>) -> BoxStream<'static, u64> {
        streams.merge().boxed()
    }
}

/// `tokio_stream::StreamMap`.
#[derive(Debug)]
pub(super) struct Map;

impl Merging for Map {
    fn merge<S: Stream<Item = u64> + Send + Unpin + 'static>(streams: Vec<S>) -> BoxStream<'static, u64> {
        let mut map = StreamMap::new();
        for (nth, stream) in streams.into_iter().enumerate() {
            map.insert(nth, stream);
        }
        map.map(|(_, item)| item).boxed()
    }
}

async fn sum(stream: impl Stream<Item = u64>) -> u64 {
    stream.fold(0, |sum, item| std::future::ready(sum + item)).await
}

/// Streams without tasks.
pub(super) fn in_place<M: Merging>(setup: &Setup) -> u64 {
    let streams: Vec<_> = setup.shares().map(|share| stream::iter(share.map(|job| job + 1))).collect();
    on_workers(setup, async move { sum(M::merge(streams)).await })
}

/// A task for each input, merged.
pub(super) fn ours(setup: &Setup) -> u64 {
    let shares: Vec<_> = setup.shares().collect();
    on_workers(setup, async move {
        let branch = |share: std::ops::Range<u64>| {
            flowgate::fan_out(stream::iter(share.map(|job| job + 1)), 1, BUFFER).expect("valid numbers")
        };
        sum(flowgate::fan_in(shares.into_iter().flat_map(branch), flowgate::FanIn::AsReady)).await
    })
}

/// A task for each input with a channel of its own, whose streams are merged.
pub(super) fn tasks<M: Merging>(setup: &Setup) -> u64 {
    let shares: Vec<_> = setup.shares().collect();
    on_workers(setup, async move {
        let streams = shares.into_iter().map(|share| {
            let (sender, receiver) = tokio::sync::mpsc::channel(BUFFER);
            tokio::spawn(async move {
                for job in share {
                    sender.send(job + 1).await.expect("it is read");
                }
            });
            ReceiverStream::new(receiver)
        });
        sum(M::merge(streams.collect())).await
    })
}

/// A task for each input, all sending to one channel.
pub(super) fn mpsc(setup: &Setup) -> u64 {
    let shares: Vec<_> = setup.shares().collect();
    on_workers(setup, async move {
        let (sender, mut receiver) = tokio::sync::mpsc::channel(WAYS * BUFFER);
        for share in shares {
            let sender = sender.clone();
            tokio::spawn(async move {
                for job in share {
                    sender.send(job + 1).await.expect("it is read");
                }
            });
        }
        drop(sender);
        let mut sum = 0;
        while let Some(item) = receiver.recv().await {
            sum += item;
        }
        sum
    })
}

/// The same over kanal.
pub(super) fn kanal(setup: &Setup) -> u64 {
    let shares: Vec<_> = setup.shares().collect();
    on_workers(setup, async move {
        let (sender, receiver) = kanal::bounded_async(WAYS * BUFFER);
        for share in shares {
            let sender = sender.clone();
            tokio::spawn(async move {
                for job in share {
                    sender.send(job + 1).await.expect("it is read");
                }
            });
        }
        drop(sender);
        let mut sum = 0;
        while let Ok(item) = receiver.recv().await {
            sum += item;
        }
        sum
    })
}

/// The same over flume.
pub(super) fn flume(setup: &Setup) -> u64 {
    let shares: Vec<_> = setup.shares().collect();
    on_workers(setup, async move {
        let (sender, receiver) = flume::bounded(WAYS * BUFFER);
        for share in shares {
            let sender = sender.clone();
            tokio::spawn(async move {
                for job in share {
                    sender.send_async(job + 1).await.expect("it is read");
                }
            });
        }
        drop(sender);
        let mut sum = 0;
        while let Ok(item) = receiver.recv_async().await {
            sum += item;
        }
        sum
    })
}
