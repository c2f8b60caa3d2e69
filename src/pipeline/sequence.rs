//! Items that are dealt out and come together again in the order that they had.

use super::envelope::{Envelope, Position, Ticket};
use super::plan::InvalidPipeline;
use crate::fan::{FanIn, Merged, fan_in};
use crate::kernel::sequence::Sequence;
use futures_core::Stream;
use futures_core::stream::FusedStream;
use pin_project_lite::pin_project;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// The most items between the two places.
const MOST: usize = 1 << 30;

/// Numbers the items of a stream, so that what becomes of them can be put into their order again: between the two may be a
/// [`fan_out`](crate::fan_out), pipelines with filters, failures, retries and expansions, and any order.
///
/// At most `window` items are out at once: taken from the stream here, and neither handed on by
/// [`restore`](Restore::restore) nor settled. An item that was filtered out, failed or dropped is not waited for, and parts of an item
/// that became several stay together.
///
/// # Errors
/// [`InvalidPipeline::Option`], if the window is 0.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use flowgate::pipeline::{Envelope, sequence};
/// use flowgate::{Par, Pipeline, fan_out};
/// use futures::{StreamExt as _, stream};
///
/// let (numbered, order) = sequence(stream::iter(0..10_u64), 16).unwrap();
/// let squares = Pipeline::new().filter(|n: &u64| n % 3 != 0).map_async(Par::unordered(2), |n| async move { n * n });
/// let branches = fan_out(numbered, 2, 4).unwrap();
/// let squared = branches.into_iter().map(|branch| squares.clone().run_envelopes(branch).unwrap().envelopes());
/// let restored: Vec<_> = order.restore(squared).map(Envelope::ack).collect().await;
/// assert_eq!(restored, [1, 4, 16, 25, 49, 64]);
/// # }
/// ```
pub fn sequence<S>(stream: S, window: usize) -> Result<(Sequenced<S>, Restore), InvalidPipeline>
where
    S: Stream,
{
    if !(1..=MOST).contains(&window) {
        return Err(InvalidPipeline::Option {
            stage: String::from("sequence"),
            option: "window",
            value: window.to_string(),
            allowed: format!("1 to {MOST}"),
        });
    }
    let sequence = Arc::new(Sequence::new(window as u64));
    Ok((Sequenced { stream, sequence: sequence.clone() }, Restore { sequence }))
}

pin_project! {
    /// Items with numbers. Made by [`sequence`].
    ///
    /// # Cancel safety
    /// Safe: an item is taken only when it is yielded.
    #[must_use = "a stream does nothing unless it is polled"]
    pub struct Sequenced<S> {
        #[pin]
        stream: S,
        sequence: Arc<Sequence>,
    }
}

impl<S: Stream> Stream for Sequenced<S> {
    type Item = Envelope<S::Item>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.project();
        ready!(this.sequence.poll_room(cx.waker()));
        let Some(value) = ready!(this.stream.poll_next(cx)) else { return Poll::Ready(None) };
        let position = Position::new(this.sequence.issue(), this.sequence.clone());
        Poll::Ready(Some(Envelope::with(value, Ticket::at(position))))
    }
}

impl<S> fmt::Debug for Sequenced<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sequenced").finish_non_exhaustive()
    }
}

/// The order of the items of one stream. Made by [`sequence`].
#[derive(Debug)]
pub struct Restore {
    sequence: Arc<Sequence>,
}

impl Restore {
    /// Reads all these streams as one, in the order of the numbered stream.
    ///
    /// Every stream on which numbered items may be has to be among them. What comes without a number, a batch of several items for
    /// example, is handed on as it comes.
    pub fn restore<I, T>(self, streams: I) -> Restored<I::Item, T>
    where
        I: IntoIterator,
        I::Item: Stream<Item = Envelope<T>>,
    {
        Restored {
            input: fan_in(streams, FanIn::AsReady),
            sequence: self.sequence,
            next: 0,
            early: BTreeMap::new(),
            unnumbered: VecDeque::new(),
        }
    }
}

/// Streams of numbered items read as one, in order. Made by [`Restore::restore`].
///
/// # Cancel safety
/// Safe: what came early is kept between polls. Dropping it nacks that, and drops the streams.
#[must_use = "a stream does nothing unless it is polled"]
pub struct Restored<S, T> {
    input: Merged<S>,
    sequence: Arc<Sequence>,
    /// All numbers below are done.
    next: u64,
    /// What has come and waits for its turn, no more than the window has numbers and what they have become.
    early: BTreeMap<u64, VecDeque<Envelope<T>>>,
    unnumbered: VecDeque<Envelope<T>>,
}

impl<S, T> Restored<S, T> {
    /// What may go now: everything of the lowest number, unless something may come before it.
    fn pop(&mut self, all: bool) -> Option<Envelope<T>> {
        if let Some(envelope) = self.unnumbered.pop_front() {
            return Some(envelope);
        }
        let mut lowest = self.early.first_entry().filter(|entry| all || *entry.key() <= self.next)?;
        let envelope = lowest.get_mut().pop_front();
        if lowest.get().is_empty() {
            lowest.remove();
        }
        envelope
    }

    fn arrive(&mut self, envelope: Envelope<T>) {
        let (value, ticket) = envelope.into_parts();
        let (number, ticket) = ticket.arrive();
        let envelope = Envelope::with(value, ticket);
        match number {
            Some(number) => self.early.entry(number).or_default().push_back(envelope),
            None => self.unnumbered.push_back(envelope),
        }
    }
}

// The streams are boxed, and items are never pinned.
impl<S, T> Unpin for Restored<S, T> {}

impl<S, T> Stream for Restored<S, T>
where
    S: Stream<Item = Envelope<T>>,
{
    type Item = Envelope<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Envelope<T>>> {
        let this = &mut *self;
        loop {
            if let Some(envelope) = this.pop(false) {
                return Poll::Ready(Some(envelope));
            }
            match Pin::new(&mut this.input).poll_next(cx) {
                Poll::Ready(Some(envelope)) => this.arrive(envelope),
                // Nothing can come any more before what is here.
                Poll::Ready(None) => return Poll::Ready(this.pop(true)),
                Poll::Pending => this.next = ready!(this.sequence.poll_turn(this.next, cx.waker())),
            }
        }
    }
}

impl<S, T> FusedStream for Restored<S, T>
where
    S: Stream<Item = Envelope<T>>,
{
    fn is_terminated(&self) -> bool {
        self.input.is_empty() && self.early.is_empty() && self.unnumbered.is_empty()
    }
}

impl<S, T> fmt::Debug for Restored<S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Restored").field("next", &self.next).field("early", &self.early.len()).finish_non_exhaustive()
    }
}
