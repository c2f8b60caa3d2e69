//! Where items come in.

use super::envelope::Envelope;
use super::error::{BoxError, Cause};
use super::scope::{Run, SOURCE, Scope};
use crate::contain::discard;
use crate::shim::atomic::Ordering;
use futures_core::Stream;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// What a source yields, as a pipeline takes it.
pub(super) trait Entry<T>: Send + 'static {
    type Item;

    fn enter(item: Self::Item) -> Result<Envelope<T>, BoxError>;
}

/// Plain items.
pub(super) struct Plain;

impl<T> Entry<T> for Plain {
    type Item = T;

    fn enter(item: T) -> Result<Envelope<T>, BoxError> {
        Ok(Envelope::new(item))
    }
}

/// Results: the first error ends the pipeline.
pub(super) struct Fallible<E>(PhantomData<fn(E)>);

impl<T, E: Into<BoxError> + 'static> Entry<T> for Fallible<E> {
    type Item = Result<T, E>;

    fn enter(item: Result<T, E>) -> Result<Envelope<T>, BoxError> {
        item.map(Envelope::new).map_err(Into::into)
    }
}

/// Items with tickets of their own.
pub(super) struct Owing;

impl<T> Entry<T> for Owing {
    type Item = Envelope<T>;

    fn enter(item: Envelope<T>) -> Result<Envelope<T>, BoxError> {
        Ok(item)
    }
}

/// Counts items in, and stops when the run is closed.
pub(super) struct Source<T, S, N> {
    /// `None` once nothing more is taken.
    input: Option<Pin<Box<S>>>,
    run: Arc<Run>,
    /// Ready when the run takes nothing more.
    closing: Pin<Box<dyn Future<Output = ()> + Send>>,
    of: PhantomData<fn() -> (T, N)>,
}

impl<T, S, N> Source<T, S, N> {
    pub(super) fn new(input: S, scope: &Scope) -> Self {
        let run = scope.run.clone();
        let closing = Box::pin(run.closing.clone().cancelled_owned());
        Self { input: Some(Box::pin(input)), run, closing, of: PhantomData }
    }

    #[cold]
    fn end<I>(&mut self) -> Poll<Option<I>> {
        discard(self.input.take());
        Poll::Ready(None)
    }
}

// The input is boxed, and nothing else in here is ever pinned.
impl<T, S, N> Unpin for Source<T, S, N> {}

impl<T, S, N> Stream for Source<T, S, N>
where
    N: Entry<T>,
    S: Stream<Item = N::Item>,
{
    type Item = Envelope<T>;

    #[inline]
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Envelope<T>>> {
        let this = &mut *self;
        // Ordering: Relaxed. Who closes and must know that nothing is taken afterwards waits for the end of the run.
        if this.run.closed.load(Ordering::Relaxed) {
            return this.end();
        }
        let Some(input) = &mut this.input else { return Poll::Ready(None) };
        let Poll::Ready(next) = input.as_mut().poll_next(cx) else {
            return if this.closing.as_mut().poll(cx).is_ready() { this.end() } else { Poll::Pending };
        };
        match next.map(N::enter) {
            None => this.end(),
            Some(Err(error)) => {
                this.run.fail(&SOURCE.into(), Cause::Error(error));
                this.end()
            }
            Some(Ok(envelope)) => {
                this.run.ledger.taken.add_alone(1);
                let (value, upstream) = envelope.into_parts();
                Poll::Ready(Some(Envelope::with(value, this.run.ledger.ticket(upstream))))
            }
        }
    }
}

impl<T, S, N> Drop for Source<T, S, N> {
    fn drop(&mut self) {
        discard(self.input.take());
    }
}
