//! A pipeline inside ordinary code of streams.

use super::contained::Contained;
use super::envelope::Envelope;
use super::error::PipelineError;
use super::report::Report;
use super::scope::Scope;
use super::snapshot::Snapshot;
use futures_core::Stream;
use futures_core::stream::FusedStream;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// What comes out of a pipeline that was [applied](super::Pipeline::apply) to a stream. The first failure is the last item.
///
/// # Cancel safety
/// Safe between polls: what was taken is kept. Dropping it cancels what is inside.
#[must_use = "a stream does nothing unless it is polled"]
pub struct Applied<S> {
    stages: Contained<S>,
    scope: Scope,
    state: State,
}

enum State {
    Open,
    /// Nothing more comes; what the stages have started is waited for.
    Ending(Pin<Box<dyn Future<Output = ()> + Send>>),
    Ended,
}

impl<S> Applied<S> {
    pub(super) fn new(stages: S, scope: Scope) -> Self {
        Self { stages: Contained::new(stages, &scope), scope, state: State::Open }
    }

    /// What has become of the items so far.
    #[must_use]
    pub fn report(&self) -> Report {
        Report::of(&self.scope.run)
    }

    /// Every stage at this moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::of(&self.scope.run, None)
    }

    #[cold]
    fn end(&mut self) {
        let run = self.scope.run.clone();
        self.state = State::Ending(Box::pin(async move { run.ended().await }));
    }

    /// The failure, if there was one, once everything has ended.
    #[cold]
    fn poll_end<T>(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, PipelineError>>> {
        let State::Ending(ending) = &mut self.state else { return Poll::Ready(None) };
        ready!(ending.as_mut().poll(cx));
        self.state = State::Ended;
        let report = self.report();
        let failure = self.scope.run.life.lock().failure.take();
        Poll::Ready(failure.map(|failure| Err(PipelineError::new(failure, report))))
    }
}

// The stages are boxed.
impl<S> Unpin for Applied<S> {}

impl<S, Out> Stream for Applied<S>
where
    S: Stream<Item = Envelope<Out>>,
{
    type Item = Result<Out, PipelineError>;

    #[inline]
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if matches!(this.state, State::Open) {
            match Pin::new(&mut this.stages).poll_next(cx) {
                Poll::Ready(Some(envelope)) => {
                    this.scope.run.ledger.yielded();
                    return Poll::Ready(Some(Ok(envelope.ack())));
                }
                Poll::Ready(None) => this.end(),
                Poll::Pending => return Poll::Pending,
            }
        }
        this.poll_end(cx)
    }
}

impl<S, Out> FusedStream for Applied<S>
where
    S: Stream<Item = Envelope<Out>>,
{
    fn is_terminated(&self) -> bool {
        matches!(self.state, State::Ended)
    }
}

impl<S> Drop for Applied<S> {
    fn drop(&mut self) {
        if !matches!(self.state, State::Ended) {
            self.scope.run.cancel();
        }
        self.stages.end();
        self.scope.run.abandon();
    }
}

impl<S> fmt::Debug for Applied<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Applied").field("report", &format_args!("{}", self.report())).finish_non_exhaustive()
    }
}
