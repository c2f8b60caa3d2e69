//! What becomes of an item that a stage fails for.

use super::envelope::Ticket;
use super::error::{BoxError, Cause};
use super::ledger::Fate;
use super::node::Node;
use super::scope::Run;
use crate::contain::{contain, discard};
use crate::pool::{JobError, RunError};
use crate::retry::RetryPolicy;
use futures_sink::Sink;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// What becomes of an item that a stage fails for: by an error, a panic of its function, or a timeout.
///
/// | | the item | the pipeline |
/// |---|---|---|
/// | [`fail_fast`](Self::fail_fast) | counted failed | ends with the error; in order, what came before is handed on and nothing later |
/// | [`skip`](Self::skip) | counted failed | goes on |
/// | [`dead_letter`](Self::dead_letter) | goes to a sink as it was, counted dead | goes on, as fast as the sink does |
/// | [`retry`](Self::retry) | is tried again first | goes on beside it; what comes after the last attempt is said by [`then`](Self::then) |
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use flowgate::{Attempt, OnError, Par, Pipeline, RetryPolicy};
/// use futures::{StreamExt as _, stream};
/// use std::time::Duration;
///
/// let lengths = Pipeline::new()
///     .try_map_async(Par::ordered(4), |word: Attempt<&str>| async move {
///         if word.len() > 3 { Err("too long") } else { Ok(word.len()) }
///     })
///     .on_error(OnError::retry(RetryPolicy::fixed(Duration::from_millis(5)).max_attempts(2)).then(OnError::skip()));
///
/// let mut running = lengths.run(stream::iter(["one", "three", "two"])).unwrap();
/// assert_eq!(running.by_ref().collect::<Vec<_>>().await, [3, 3]);
/// assert_eq!(running.join().await.unwrap().failed, 1);
/// # }
/// ```
#[must_use]
pub struct OnError<T, E> {
    pub(super) retry: Option<RetryPolicy<E>>,
    last: Last<T, E>,
}

/// What comes after the last attempt.
enum Last<T, E> {
    FailFast,
    Skip,
    DeadLetter(Letters<T, E>),
}

type Letters<T, E> = Pin<Box<dyn LetterSink<T, E>>>;

/// A sink of which each run has a clone.
trait LetterSink<T, E>: Sink<DeadLetter<T, E>, Error = BoxError> + Send {
    fn again(&self) -> Letters<T, E>;
}

impl<T, E, S> LetterSink<T, E> for S
where
    S: Sink<DeadLetter<T, E>, Error = BoxError> + Clone + Send + 'static,
{
    fn again(&self) -> Letters<T, E> {
        Box::pin(self.clone())
    }
}

impl<T, E> Clone for OnError<T, E> {
    fn clone(&self) -> Self {
        let last = match &self.last {
            Last::FailFast => Last::FailFast,
            Last::Skip => Last::Skip,
            Last::DeadLetter(sink) => Last::DeadLetter(sink.again()),
        };
        Self { retry: self.retry.clone(), last }
    }
}

/// An item that a stage failed for, as it was, and why.
#[derive(Debug)]
#[non_exhaustive]
pub struct DeadLetter<T, E> {
    /// The stage.
    pub stage: Arc<str>,
    /// Why, after how many attempts, and the item itself, as the last attempt left it:
    /// [`into_job`](JobError::into_job).
    pub error: JobError<T, E>,
}

impl<T, E> DeadLetter<T, E> {
    /// The item; `None` if the stage's function kept it.
    #[must_use]
    pub fn into_item(self) -> Option<T> {
        self.error.into_job()
    }
}

impl<T, E> OnError<T, E> {
    /// The first failure ends the pipeline. This is what a stage does that is told nothing.
    pub fn fail_fast() -> Self {
        Self { retry: None, last: Last::FailFast }
    }

    /// The item is dropped and counted.
    pub fn skip() -> Self {
        Self { retry: None, last: Last::Skip }
    }

    /// The item goes to `sink`, with the stage and the reason. The stage waits while the sink is not ready; it is flushed when
    /// the stage has nothing else to do, and closed at its end. If the sink fails, so does the pipeline. Each run has a clone
    /// of it: a sender of a bounded channel for example.
    pub fn dead_letter<S>(sink: S) -> Self
    where
        S: Sink<DeadLetter<T, E>, Error: Into<BoxError>> + Clone + Send + 'static,
        T: 'static,
        E: 'static,
    {
        Self { retry: None, last: Last::DeadLetter(Box::pin(Erased { sink })) }
    }

    /// The item goes to a function, with the stage and the reason. It is called in the pipeline's own task, so it should be
    /// short.
    pub fn dead_letter_fn(f: impl FnMut(DeadLetter<T, E>) + Clone + Send + 'static) -> Self
    where
        T: 'static,
        E: 'static,
    {
        Self { retry: None, last: Last::DeadLetter(Box::pin(Called(f))) }
    }

    /// The item is tried again as the policy says. It keeps its place, its key and its order meanwhile; others go on. If no
    /// attempt succeeds, the pipeline ends with the last error, unless [`then`](Self::then) says otherwise.
    pub fn retry(policy: RetryPolicy<E>) -> Self {
        Self { retry: Some(policy), last: Last::FailFast }
    }

    /// What becomes of an item after its last attempt. A second policy for retries takes the place of the first.
    pub fn then(self, last: Self) -> Self {
        Self { retry: last.retry.or(self.retry), last: last.last }
    }
}

impl<T, E> Default for OnError<T, E> {
    fn default() -> Self {
        Self::fail_fast()
    }
}

impl<T, E> fmt::Debug for OnError<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = match self.last {
            Last::FailFast => "fail_fast",
            Last::Skip => "skip",
            Last::DeadLetter(_) => "dead_letter",
        };
        f.debug_struct("OnError").field("retry", &self.retry).field("last", &last).finish()
    }
}

pin_project_lite::pin_project! {
    /// A sink whose error type is forgotten.
    #[derive(Clone)]
    struct Erased<S> {
        #[pin]
        sink: S,
    }
}

impl<L, S: Sink<L, Error: Into<BoxError>>> Sink<L> for Erased<S> {
    type Error = BoxError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.project().sink.poll_ready(cx).map_err(Into::into)
    }

    fn start_send(self: Pin<&mut Self>, letter: L) -> Result<(), BoxError> {
        self.project().sink.start_send(letter).map_err(Into::into)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.project().sink.poll_flush(cx).map_err(Into::into)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.project().sink.poll_close(cx).map_err(Into::into)
    }
}

/// A function as a sink.
#[derive(Clone)]
struct Called<F>(F);

// The function is never pinned.
impl<F> Unpin for Called<F> {}

impl<L, F: FnMut(L)> Sink<L> for Called<F> {
    type Error = BoxError;

    fn poll_ready(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn start_send(mut self: Pin<&mut Self>, letter: L) -> Result<(), BoxError> {
        (self.0)(letter);
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }
}

/// The failures of a running stage.
pub(super) struct Failures<T, E> {
    last: Last<T, E>,
    node: Arc<Node>,
    run: Arc<Run>,
    /// A letter that waits for the sink.
    waiting: Option<DeadLetter<T, E>>,
    /// What is owed for the letter that waits or is being sent.
    owed: Option<Ticket>,
    /// Something was sent since the last flush.
    unflushed: bool,
}

/// The stage has failed, and ends.
pub(super) struct Fails;

impl<T, E: Into<BoxError>> Failures<T, E> {
    pub(super) fn new(policy: OnError<T, E>, node: Arc<Node>, run: Arc<Run>) -> Self {
        Self { last: policy.last, node, run, waiting: None, owed: None, unflushed: false }
    }

    /// An item has failed. After this, nothing is to be done before [`poll_clear`](Self::poll_clear) is ready.
    pub(super) fn fail(&mut self, error: RunError<T, E>, ticket: Ticket) -> Result<(), Fails> {
        let error = match (error, &self.last) {
            (RunError::Job(error), Last::DeadLetter(_)) if !is_end_of_pool(&error) => {
                self.waiting = Some(DeadLetter { stage: self.node.name.clone(), error });
                self.owed = Some(ticket);
                return Ok(());
            }
            (RunError::Job(error), Last::Skip) if !is_end_of_pool(&error) => {
                self.node.failed.add(1);
                self.run.settle(ticket, Fate::Failed);
                discard(error);
                return Ok(());
            }
            (error, _) => error,
        };
        self.node.failed.add(1);
        self.run.settle(ticket, Fate::Failed);
        // What turns the error into one of its common type is the user's too.
        match contain(|| Cause::of_job(error)) {
            Ok(cause) => self.run.fail(&self.node.name, cause),
            Err(payload) => self.run.fail(&self.node.name, Cause::panicked(payload)),
        }
        Err(Fails)
    }

    /// Ready once no letter waits.
    pub(super) fn poll_clear(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fails>> {
        if self.waiting.is_none() {
            return Poll::Ready(Ok(()));
        }
        self.poll_sink(|failures, sink| {
            ready!(sink.as_mut().poll_ready(cx))?;
            if let Some(letter) = failures.waiting.take() {
                sink.as_mut().start_send(letter)?;
                failures.unflushed = true;
                failures.node.dead.add(1);
                failures.settle_letter(Fate::Dead);
            }
            Poll::Ready(Ok(()))
        })
    }

    /// Says what became of the item of the letter.
    fn settle_letter(&mut self, fate: Fate) {
        if let Some(ticket) = self.owed.take() {
            self.run.settle(ticket, fate);
        }
    }

    /// Has the sink pass on what it was given; for whoever is about to wait.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fails>> {
        if !self.unflushed {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_sink(|_, sink| sink.as_mut().poll_flush(cx)))?;
        self.unflushed = false;
        Poll::Ready(Ok(()))
    }

    /// Ready once the sink has closed; for the end of the stage.
    pub(super) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fails>> {
        ready!(self.poll_sink(|_, sink| sink.as_mut().poll_close(cx)))?;
        discard(std::mem::replace(&mut self.last, Last::Skip));
        Poll::Ready(Ok(()))
    }

    /// Calls the sink, if there is one; its errors and panics end the pipeline.
    fn poll_sink(
        &mut self,
        poll: impl FnOnce(&mut Self, &mut Letters<T, E>) -> Poll<Result<(), BoxError>>,
    ) -> Poll<Result<(), Fails>> {
        let mut sink = match std::mem::replace(&mut self.last, Last::FailFast) {
            Last::DeadLetter(sink) => sink,
            other => {
                self.last = other;
                return Poll::Ready(Ok(()));
            }
        };
        let polled = contain(|| poll(self, &mut sink));
        self.last = Last::DeadLetter(sink);
        let cause = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(Ok(()))) => return Poll::Ready(Ok(())),
            Ok(Poll::Ready(Err(error))) => Cause::Error(error),
            Err(payload) => Cause::panicked(payload),
        };
        // The letter that was not sent: its item has failed.
        self.node.failed.add(u64::from(self.owed.is_some()));
        self.settle_letter(Fate::Failed);
        discard(self.waiting.take());
        self.run.fail(&self.node.name, cause);
        discard(std::mem::replace(&mut self.last, Last::FailFast));
        Poll::Ready(Err(Fails))
    }
}

/// Whether it says nothing about the item: the pool was shut down by somebody else.
fn is_end_of_pool<T, E>(error: &JobError<T, E>) -> bool {
    matches!(error, JobError::Aborted(_) | JobError::Returned)
}
