//! Bounded channels between two tasks, as rivals of a hand-off.

use std::fmt::Debug;
use std::future::Future;

/// A bounded channel.
pub trait Channel: 'static {
    /// Its sending end.
    type Sender<T: Send + 'static>: Send + Sync + 'static;
    /// Its receiving end.
    type Receiver<T: Send + 'static>: Send + 'static;

    /// Both ends.
    fn bounded<T: Send + 'static>(capacity: usize) -> (Self::Sender<T>, Self::Receiver<T>);
    /// Sends, waiting for room.
    fn send<T: Send + 'static>(sender: &Self::Sender<T>, item: T) -> impl Future<Output = ()> + Send;
    /// Receives; `None` once the sender is gone and nothing is left.
    fn receive<T: Send + 'static>(receiver: &mut Self::Receiver<T>) -> impl Future<Output = Option<T>> + Send;
}

fn sent<E: Debug>(outcome: Result<(), E>) {
    assert!(outcome.is_ok(), "the receiver is there until all was sent");
}

/// tokio's mpsc.
#[derive(Debug)]
pub struct Mpsc;

impl Channel for Mpsc {
    type Sender<T: Send + 'static> = tokio::sync::mpsc::Sender<T>;
    type Receiver<T: Send + 'static> = tokio::sync::mpsc::Receiver<T>;

    fn bounded<T: Send + 'static>(capacity: usize) -> (Self::Sender<T>, Self::Receiver<T>) {
        tokio::sync::mpsc::channel(capacity)
    }

    async fn send<T: Send + 'static>(sender: &Self::Sender<T>, item: T) {
        sent(sender.send(item).await);
    }

    async fn receive<T: Send + 'static>(receiver: &mut Self::Receiver<T>) -> Option<T> {
        receiver.recv().await
    }
}

/// async-channel.
#[derive(Debug)]
pub struct AsyncChannel;

impl Channel for AsyncChannel {
    type Sender<T: Send + 'static> = async_channel::Sender<T>;
    type Receiver<T: Send + 'static> = async_channel::Receiver<T>;

    fn bounded<T: Send + 'static>(capacity: usize) -> (Self::Sender<T>, Self::Receiver<T>) {
        async_channel::bounded(capacity)
    }

    async fn send<T: Send + 'static>(sender: &Self::Sender<T>, item: T) {
        sent(sender.send(item).await);
    }

    async fn receive<T: Send + 'static>(receiver: &mut Self::Receiver<T>) -> Option<T> {
        receiver.recv().await.ok()
    }
}

/// flume.
#[derive(Debug)]
pub struct Flume;

impl Channel for Flume {
    type Sender<T: Send + 'static> = flume::Sender<T>;
    type Receiver<T: Send + 'static> = flume::Receiver<T>;

    fn bounded<T: Send + 'static>(capacity: usize) -> (Self::Sender<T>, Self::Receiver<T>) {
        flume::bounded(capacity)
    }

    async fn send<T: Send + 'static>(sender: &Self::Sender<T>, item: T) {
        sent(sender.send_async(item).await);
    }

    async fn receive<T: Send + 'static>(receiver: &mut Self::Receiver<T>) -> Option<T> {
        receiver.recv_async().await.ok()
    }
}

/// kanal.
#[derive(Debug)]
pub struct Kanal;

impl Channel for Kanal {
    type Sender<T: Send + 'static> = kanal::AsyncSender<T>;
    type Receiver<T: Send + 'static> = kanal::AsyncReceiver<T>;

    fn bounded<T: Send + 'static>(capacity: usize) -> (Self::Sender<T>, Self::Receiver<T>) {
        kanal::bounded_async(capacity)
    }

    async fn send<T: Send + 'static>(sender: &Self::Sender<T>, item: T) {
        sent(sender.send(item).await);
    }

    async fn receive<T: Send + 'static>(receiver: &mut Self::Receiver<T>) -> Option<T> {
        receiver.recv().await.ok()
    }
}
