//! Between tasks: one task polls the stages before, another reads what they made.

use super::contained::Contained;
use super::envelope::Envelope;
use super::node::{Edge, Flow};
use super::plan::Plan;
use super::scope::Scope;
use super::stage::Stage;
use super::turn::TURN;
use crate::contain::{discard, wake};
use crate::kernel::channel::{Closed, Receiver, Sender, channel};
use crate::kernel::pacing::{Pacing, all_of};
use crate::rt::{self, Instant};
use futures_core::Stream;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Has a task poll `input`, at most `capacity` items ahead of whoever reads.
pub(super) fn pump<S, T>(input: S, capacity: usize, edge: Arc<Edge>, scope: &Scope) -> Receiver<Envelope<T>>
where
    S: Stream<Item = Envelope<T>> + Send + 'static,
    T: Send + 'static,
{
    let (sender, receiver) = channel(capacity, wake);
    edge.watch(sender.watch());
    let input = Contained::new(input, scope);
    scope.spawn(Pump { input, sender, edge, pacing: Pacing::new(all_of(capacity)) });
    receiver
}

/// The task between two runs of stages.
struct Pump<S, T> {
    input: Contained<S>,
    sender: Sender<Envelope<T>>,
    edge: Arc<Edge>,
    pacing: Pacing<Instant>,
}

// The input is boxed.
impl<S, T> Unpin for Pump<S, T> {}

impl<S, T> Pump<S, T> {
    /// A batch is collected, or as much of it as there is room for: that is handed over by the look for more.
    fn hand_over(&mut self) -> Result<(), Closed> {
        self.pacing.done(rt::now);
        if self.sender.room() == 0 { Ok(()) } else { self.sender.flush() }
    }
}

impl<S, T> Future for Pump<S, T>
where
    S: Stream<Item = Envelope<T>>,
{
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        this.pacing.resume(rt::now);
        let mut left = TURN;
        loop {
            match this.sender.poll_ready(cx.waker()) {
                Poll::Ready(Ok(())) => this.edge.free(),
                Poll::Ready(Err(Closed)) => return Poll::Ready(()),
                Poll::Pending => {
                    this.edge.blocked(rt::now);
                    this.pacing.held();
                    return Poll::Pending;
                }
            }
            let items =
                this.pacing.size().saturating_sub(this.sender.collected()).clamp(1, this.sender.room()).min(left);
            let before = this.sender.collected();
            match this.input.poll_several(items, cx, |envelope| this.sender.push(envelope)) {
                Poll::Ready(true) => {}
                Poll::Ready(false) => return Poll::Ready(()),
                Poll::Pending => {
                    this.pacing.waited();
                    return this.sender.poll_closed(cx.waker());
                }
            }
            left -= this.sender.collected() - before;
            let is_done = this.sender.collected() >= this.pacing.size() || this.sender.room() == 0;
            if is_done && this.hand_over().is_err() {
                return Poll::Ready(());
            }
            if left == 0 {
                this.pacing.held();
                cx.waker().wake_by_ref();
                return this.sender.poll_closed(cx.waker());
            }
        }
    }
}

impl<S, T> Drop for Pump<S, T> {
    fn drop(&mut self) {
        // Before the end is seen by whoever reads.
        self.input.end();
        if self.sender.is_closed() {
            discard(self.sender.unsent());
        }
    }
}

/// The stage of [`buffer`](super::Pipeline::buffer).
#[derive(Clone, Copy, Debug)]
pub struct Buffer(pub(super) usize);

/// The most items of a buffer.
pub(super) const MOST: usize = 1 << 30;

impl<In: Send + 'static> Stage<In> for Buffer {
    type Out = In;

    fn attach<S>(self, input: S, scope: Scope) -> impl Stream<Item = Envelope<In>> + Send + 'static
    where
        S: Stream<Item = Envelope<In>> + Send + 'static,
    {
        let node = scope.node("buffer", Flow::Through);
        let edge = node.edge.get_or_init(Arc::default).clone();
        Buffered { items: pump(input, self.0, edge, &scope) }
    }

    fn describe(&self, plan: &mut Plan) {
        if !(1..=MOST).contains(&self.0) {
            plan.refuse("buffer", "items", self.0, format!("1 to {MOST}"));
        }
        plan.stage("buffer", self.0);
    }

    fn reports(&self) -> bool {
        true
    }
}

/// What another task has made.
struct Buffered<T> {
    items: Receiver<Envelope<T>>,
}

// Items are never pinned.
impl<T> Unpin for Buffered<T> {}

impl<T> Stream for Buffered<T> {
    type Item = Envelope<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Envelope<T>>> {
        self.items.poll_next(cx.waker())
    }
}

impl<T> Drop for Buffered<T> {
    fn drop(&mut self) {
        discard(self.items.close());
    }
}
