//! One producer and eight consumers, each item to one of them.

use futures::{StreamExt as _, stream};

use super::{BUFFER, WAYS, on_workers, sum_of};
use crate::setup::Setup;

/// Competing branches, a task for each.
pub(super) fn ours(setup: &Setup) -> u64 {
    let ops = setup.ops;
    on_workers(setup, async move {
        let branches = flowgate::fan_out(stream::iter(1..=ops), WAYS, BUFFER).expect("valid numbers");
        let readers =
            branches.into_iter().map(|branch| tokio::spawn(branch.fold(0, |sum, item| std::future::ready(sum + item))));
        sum_of(readers.collect()).await
    })
}

/// A channel for each consumer, served in turn: tokio's has one consumer.
pub(super) fn mpsc(setup: &Setup) -> u64 {
    let ops = setup.ops;
    on_workers(setup, async move {
        let (senders, readers): (Vec<_>, Vec<_>) = (0..WAYS)
            .map(|_| {
                let (sender, mut receiver) = tokio::sync::mpsc::channel(BUFFER);
                let reader = tokio::spawn(async move {
                    let mut sum = 0;
                    while let Some(item) = receiver.recv().await {
                        sum += item;
                    }
                    sum
                });
                (sender, reader)
            })
            .unzip();
        for (item, sender) in (1..=ops).zip(senders.iter().cycle()) {
            sender.send(item).await.expect("it is read");
        }
        drop(senders);
        sum_of(readers).await
    })
}

/// One channel with eight receivers: kanal.
pub(super) fn kanal(setup: &Setup) -> u64 {
    let ops = setup.ops;
    on_workers(setup, async move {
        let (sender, receiver) = kanal::bounded_async(WAYS * BUFFER);
        let readers = (0..WAYS).map(|_| {
            let receiver = receiver.clone();
            tokio::spawn(async move {
                let mut sum = 0;
                while let Ok(item) = receiver.recv().await {
                    sum += item;
                }
                sum
            })
        });
        let readers = readers.collect();
        drop(receiver);
        for item in 1..=ops {
            sender.send(item).await.expect("it is read");
        }
        drop(sender);
        sum_of(readers).await
    })
}

/// One channel with eight receivers: flume.
pub(super) fn flume(setup: &Setup) -> u64 {
    let ops = setup.ops;
    on_workers(setup, async move {
        let (sender, receiver) = flume::bounded(WAYS * BUFFER);
        let readers = (0..WAYS).map(|_| {
            let receiver = receiver.clone();
            tokio::spawn(async move {
                let mut sum = 0;
                while let Ok(item) = receiver.recv_async().await {
                    sum += item;
                }
                sum
            })
        });
        let readers = readers.collect();
        drop(receiver);
        for item in 1..=ops {
            sender.send_async(item).await.expect("it is read");
        }
        drop(sender);
        sum_of(readers).await
    })
}

/// One channel with eight receivers: async-channel.
pub(super) fn async_channel(setup: &Setup) -> u64 {
    let ops = setup.ops;
    on_workers(setup, async move {
        let (sender, receiver) = async_channel::bounded(WAYS * BUFFER);
        let readers = (0..WAYS).map(|_| {
            let receiver = receiver.clone();
            tokio::spawn(async move {
                let mut sum = 0;
                while let Ok(item) = receiver.recv().await {
                    sum += item;
                }
                sum
            })
        });
        let readers = readers.collect();
        drop(receiver);
        for item in 1..=ops {
            sender.send(item).await.expect("it is read");
        }
        drop(sender);
        sum_of(readers).await
    })
}
