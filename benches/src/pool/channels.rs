//! Rivals that keep `slots` worker tasks on a channel and answer through a oneshot: the usual hand-made pool.

use std::fmt::Debug;
use std::future::Future;
use std::marker::PhantomData;

use tokio::sync::oneshot;

use crate::case::Shape;
use crate::pool::driver::Pool;
use crate::pool::load::Load;

/// A job and where its result goes.
#[derive(Debug)]
pub struct Message {
    job: u64,
    answer: oneshot::Sender<u64>,
}

/// A bounded channel with many receivers.
pub trait Channel: 'static {
    /// Its sending end.
    type Sender: Clone + Send + Sync + 'static;
    /// Its receiving end.
    type Receiver: Clone + Send + 'static;

    /// Both ends.
    fn bounded(capacity: usize) -> (Self::Sender, Self::Receiver);
    /// Sends, waiting for room.
    fn send(sender: &Self::Sender, message: Message) -> impl Future<Output = ()> + Send;
    /// Receives; `None` once all senders are gone and nothing is left.
    fn receive(receiver: &Self::Receiver) -> impl Future<Output = Option<Message>> + Send;
}

/// Worker tasks on channel `C`. Capacity beyond the slots is room in the channel.
#[derive(Debug)]
pub struct Workers<C: Channel, L> {
    sender: C::Sender,
    load: PhantomData<fn() -> L>,
}

impl<C: Channel, L> Clone for Workers<C, L> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), load: PhantomData }
    }
}

impl<C: Channel, L: Load> Pool<L> for Workers<C, L> {
    type Error = oneshot::error::RecvError;
    type Handle = oneshot::Receiver<u64>;

    fn start(shape: &Shape, load: L) -> Self {
        let (sender, receiver) = C::bounded(shape.capacity - shape.slots);
        for _ in 0..shape.slots {
            let (receiver, load) = (receiver.clone(), load.clone());
            tokio::spawn(async move {
                while let Some(Message { job, answer }) = C::receive(&receiver).await {
                    // A dropped receiver detached its job: the result is nobody's.
                    let _detached = answer.send(load.clone().run(job).await);
                }
            });
        }
        Self { sender, load: PhantomData }
    }

    async fn submit(&self, job: u64) -> oneshot::Receiver<u64> {
        let (answer, handle) = oneshot::channel();
        C::send(&self.sender, Message { job, answer }).await;
        handle
    }
}

fn sent<E: Debug>(outcome: Result<(), E>) {
    if let Err(error) = outcome {
        panic!("the workers are gone: {error:?}");
    }
}

/// async-channel.
#[derive(Debug)]
pub struct AsyncChannel;

impl Channel for AsyncChannel {
    type Sender = async_channel::Sender<Message>;
    type Receiver = async_channel::Receiver<Message>;

    fn bounded(capacity: usize) -> (Self::Sender, Self::Receiver) {
        async_channel::bounded(capacity)
    }

    async fn send(sender: &Self::Sender, message: Message) {
        sent(sender.send(message).await);
    }

    async fn receive(receiver: &Self::Receiver) -> Option<Message> {
        receiver.recv().await.ok()
    }
}

/// flume.
#[derive(Debug)]
pub struct Flume;

impl Channel for Flume {
    type Sender = flume::Sender<Message>;
    type Receiver = flume::Receiver<Message>;

    fn bounded(capacity: usize) -> (Self::Sender, Self::Receiver) {
        flume::bounded(capacity)
    }

    async fn send(sender: &Self::Sender, message: Message) {
        sent(sender.send_async(message).await);
    }

    async fn receive(receiver: &Self::Receiver) -> Option<Message> {
        receiver.recv_async().await.ok()
    }
}

/// kanal.
#[derive(Debug)]
pub struct Kanal;

impl Channel for Kanal {
    type Sender = kanal::AsyncSender<Message>;
    type Receiver = kanal::AsyncReceiver<Message>;

    fn bounded(capacity: usize) -> (Self::Sender, Self::Receiver) {
        kanal::bounded_async(capacity)
    }

    async fn send(sender: &Self::Sender, message: Message) {
        sent(sender.send(message).await);
    }

    async fn receive(receiver: &Self::Receiver) -> Option<Message> {
        receiver.recv().await.ok()
    }
}
