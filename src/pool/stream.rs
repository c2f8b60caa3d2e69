//! A stream of jobs in, a stream of outcomes out.
//!
//! | | what [`map`](WorkerPool::map) promises |
//! |---|---|
//! | bound | at most `window` jobs taken from the input and not handed on: waiting for room, in the pool, or done and unread |
//! | order | [`Order::Ordered`]: of the input, failed ones in their place; [`Order::Unordered`]: as they come |
//! | value back | each error has its job, as of [`run`](WorkerPool::run); what is refused comes back as an item |
//! | cancel | dropping the stream cancels its jobs; with [`first_error`](Map::first_error), so does the first error |
//! | panic | in the handler: that job's outcome. In the input: the poll's; the stream can still be dropped, or polled on |
//! | drop | as cancel; jobs are not waited for, the pool accounts for them |
//!
//! A job runs in the pool's own tasks: it goes on while nobody polls the stream, however slow its consumer is.

use super::WorkerPool;
use super::error::RunError;
use super::member::{Delivery, Order, Ran};
use super::shared::Shared;
use super::submit::Terms;
use super::window::Window;
use crate::contain::discard;
use crate::kernel::engine::LaneId;
use futures_core::stream::{FusedStream, Stream};
use std::fmt;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

impl<J, T, E> WorkerPool<J, T, E> {
    /// Runs every job of a stream and streams the outcomes.
    ///
    /// Jobs are taken from the input only while this stream is polled and fewer than [`window`](Map::window) of them are
    /// unread; each then waits for room in the pool like any submitter's, in line, one at a time. Other submitters may use
    /// the pool at the same time.
    ///
    /// An item is an error where [`run`](Self::run) of that job would be one: the handler failed for good, or the job was
    /// refused and comes back ([`RunError::Submit`]). Once the pool is closed nothing more is taken
    /// from the input, and the stream ends when all its jobs have been handed on. In a handler of this very pool it lends
    /// that handler's slot while it waits. There, and where waiting is not the pool's [overflow rule](super::Overflow), it
    /// waits for its own jobs to make room, and items are refused only if the pool is full and none of those are inside.
    ///
    /// # Cancel safety
    /// Safe: the stream keeps its jobs between polls. Dropping it cancels them.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use flowgate::{Attempt, Order, WorkerPool};
    /// use futures::{StreamExt as _, stream};
    ///
    /// let pool = WorkerPool::<u64, u64, String>::builder()
    ///     .concurrency(4)
    ///     .build(|job: Attempt<u64>| async move {
    ///         if *job == 3 { Err("three".into()) } else { Ok(*job * 10) }
    ///     })
    ///     .unwrap();
    /// let outcomes: Vec<_> = pool.map(stream::iter(1..6), Order::Ordered).collect().await;
    /// assert_eq!(outcomes[4].as_ref().unwrap(), &50);
    /// assert!(outcomes[2].is_err(), "in its place; the others are not held up");
    ///
    /// let whole: Result<Vec<_>, _> =
    ///     pool.map(stream::iter([1, 2, 5]), Order::Unordered).first_error().collect::<Vec<_>>().await.into_iter().collect();
    /// assert_eq!(whole.unwrap().iter().sum::<u64>(), 80);
    /// # }
    /// ```
    pub fn map<S>(&self, jobs: S, order: Order) -> Map<S, J, T, E>
    where
        S: Stream<Item = J>,
    {
        Map { jobs: self.map_tagged(Untagged(Some(Box::pin(jobs))), order) }
    }

    /// The same for jobs with tags, which come back with their outcomes. What dropping it does is the same too.
    pub(crate) fn map_tagged<I, X>(&self, input: I, order: Order) -> Tagged<I, J, T, E, X>
    where
        I: Input<X, J, E>,
    {
        Tagged::new(&self.shared, input, order)
    }

    /// The lane of a key.
    pub(crate) fn lane<Q: Hash + ?Sized>(&self, key: &Q) -> LaneId {
        self.shared.lane(key)
    }
}

/// The outcomes of a stream of jobs. Made by [`WorkerPool::map`].
///
/// # Cancel safety
/// Safe: the stream keeps its jobs between polls. Dropping it cancels them: those that wait end at once, those that run at
/// their next await.
#[must_use = "a stream does nothing unless it is polled"]
pub struct Map<S, J, T, E> {
    jobs: Tagged<Untagged<S>, J, T, E, ()>,
}

impl<S, J, T, E> Map<S, J, T, E> {
    /// How many jobs may be taken from the input and not handed on, 1 or more; 0 counts as 1. The pool's capacity, if this
    /// is not called.
    pub fn window(mut self, jobs: usize) -> Self {
        self.jobs.limit = jobs.max(1);
        self
    }

    /// Ends the stream after the first error that it hands on, and cancels the jobs that are left. In an ordered stream
    /// that is the first in the input's order.
    pub fn first_error(mut self) -> Self {
        self.jobs.first_error = true;
        self
    }
}

// The input is boxed, and nothing else in here is ever pinned.
impl<S, J, T, E> Unpin for Map<S, J, T, E> {}

impl<S, J, T, E> Stream for Map<S, J, T, E>
where
    S: Stream<Item = J>,
{
    type Item = Ran<J, T, E>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.jobs.poll_next(cx).map(|next| next.map(|delivery| delivery.outcome))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let Some(window) = &self.jobs.window else { return (0, Some(0)) };
        let left = if self.jobs.exhausted { None } else { self.jobs.input.0.as_ref() };
        let most = left.map_or(Some(0), |input| input.size_hint().1).and_then(|most| most.checked_add(window.len()));
        // An error, or a pool that is closed, may end it before the input does.
        (if self.jobs.first_error { window.len().min(1) } else { window.len() }, most)
    }
}

impl<S, J, T, E> FusedStream for Map<S, J, T, E>
where
    S: Stream<Item = J>,
{
    fn is_terminated(&self) -> bool {
        self.jobs.window.is_none()
    }
}

impl<S, J, T, E> fmt::Debug for Map<S, J, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map")
            .field("window", &self.jobs.limit)
            .field("unread", &self.jobs.window.as_ref().map_or(0, Window::len))
            .field("first_error", &self.jobs.first_error)
            .finish_non_exhaustive()
    }
}

/// Where tagged jobs come from.
pub(crate) trait Input<X, J, E> {
    /// The next job; `None` for good.
    fn poll_job(&mut self, cx: &mut Context<'_>) -> Poll<Option<Incoming<X, J, E>>>;
}

/// What an input yields.
pub(crate) enum Incoming<X, J, E> {
    /// A job, maybe of a lane.
    Job(X, J, Option<LaneId>),
    /// One that is over before it was submitted.
    Over(X, RunError<J, E>),
}

/// A stream of jobs without tags; let go at its end.
struct Untagged<S>(Option<Pin<Box<S>>>);

impl<S: Stream<Item = J>, J, E> Input<(), J, E> for Untagged<S> {
    fn poll_job(&mut self, cx: &mut Context<'_>) -> Poll<Option<Incoming<(), J, E>>> {
        let Some(input) = &mut self.0 else { return Poll::Ready(None) };
        let next = ready!(input.as_mut().poll_next(cx));
        if next.is_none() {
            self.0 = None;
        }
        Poll::Ready(next.map(|job| Incoming::Job((), job, None)))
    }
}

/// Runs tagged jobs and hands their outcomes on with their tags: `map`, and a parallel stage of a pipeline.
pub(crate) struct Tagged<I, J, T, E, X> {
    input: I,
    /// `None` once the stream has ended.
    window: Option<Window<J, T, E, X>>,
    /// The input has ended, or nothing more is taken from it.
    exhausted: bool,
    /// How many jobs may be taken and not handed on, 1 or more.
    pub(crate) limit: usize,
    /// The first error that is handed on ends the stream and cancels the rest.
    pub(crate) first_error: bool,
    /// Outcomes handed on since the last time that the caller had to wait.
    served: u32,
}

/// After so many outcomes in a row the consumer lets other tasks run, and after so many jobs that are taken in a row.
const TURN: u32 = 1024;

/// Room for so many more jobs is not left unused although outcomes are there to be handed on.
const REFILL: usize = 32;

impl<I, J, T, E, X> Tagged<I, J, T, E, X> {
    fn new(shared: &Arc<Shared<J, T, E>>, input: I, order: Order) -> Self {
        let limit = shared.engine.snapshot().capacity;
        Self { input, window: Some(Window::new(shared, order)), exhausted: false, limit, first_error: false, served: 0 }
    }

    /// The next outcome with its tag; `None` for good.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Delivery<J, T, E, X>>>
    where
        I: Input<X, J, E>,
    {
        let Some(window) = &self.window else { return Poll::Ready(None) };
        if self.served == TURN {
            self.served = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        // While outcomes are here, a batch of them is handed on before the next batch of jobs is admitted.
        let free = self.limit.saturating_sub(window.len());
        if !window.has_arrivals() || free >= REFILL.min(self.limit.div_ceil(2)) {
            self.refill(cx);
        }
        let Poll::Ready(next) = self.window.as_mut().map_or(Poll::Ready(None), |window| window.poll_next(cx)) else {
            self.served = 0;
            return Poll::Pending;
        };
        match next {
            Some(delivery) => {
                self.served += 1;
                if self.first_error && delivery.outcome.is_err() {
                    discard(self.window.take());
                }
                Poll::Ready(Some(delivery))
            }
            None if self.exhausted => {
                self.window = None;
                Poll::Ready(None)
            }
            None => Poll::Pending,
        }
    }

    /// Takes jobs from the input as far as the window goes, and has them admitted as far as there is room.
    fn refill(&mut self, cx: &mut Context<'_>)
    where
        I: Input<X, J, E>,
    {
        let Some(window) = &mut self.window else { return };
        for taken in 0.. {
            if self.exhausted || window.len() >= self.limit {
                break;
            }
            if taken == TURN {
                cx.waker().wake_by_ref();
                break;
            }
            match self.input.poll_job(cx) {
                Poll::Ready(Some(Incoming::Job(tag, job, lane))) => _ = window.push_on(tag, job, Terms::of_lane(lane)),
                Poll::Ready(Some(Incoming::Over(tag, error))) => window.push_over(tag, error),
                Poll::Ready(None) => self.exhausted = true,
                Poll::Pending => break,
            }
        }
        window.admit_beside(cx);
        self.exhausted |= window.refuses();
    }
}
