//! One producer and eight consumers, each item to all of them, none lost.

use flowgate::Leg;
use futures::{StreamExt as _, stream};

use super::{BUFFER, WAYS, on_workers, sum_of};
use crate::setup::Setup;

/// Required legs.
pub(super) fn ours(setup: &Setup) -> u64 {
    let ops = setup.ops;
    on_workers(setup, async move {
        let branches =
            flowgate::broadcast(stream::iter(1..=ops), [Leg::required(BUFFER); WAYS]).expect("valid numbers");
        let readers =
            branches.into_iter().map(|branch| tokio::spawn(branch.fold(0, |sum, item| std::future::ready(sum + item))));
        sum_of(readers.collect()).await
    })
}

/// tokio's broadcast. It overwrites what is not read, so the sender holds back while the slowest receiver is a whole
/// buffer behind.
pub(super) fn tokio_broadcast(setup: &Setup) -> u64 {
    let ops = setup.ops;
    on_workers(setup, async move {
        let (sender, receiver) = tokio::sync::broadcast::channel(BUFFER);
        let readers = (0..WAYS).map(|_| {
            let mut receiver = receiver.resubscribe();
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
            while sender.len() == BUFFER {
                tokio::task::yield_now().await;
            }
            assert!(sender.send(item).is_ok_and(|readers| readers == WAYS), "each of them reads");
        }
        drop(sender);
        sum_of(readers).await
    })
}

/// A channel for each consumer.
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
        for item in 1..=ops {
            for sender in &senders {
                sender.send(item).await.expect("it is read");
            }
        }
        drop(senders);
        sum_of(readers).await
    })
}
