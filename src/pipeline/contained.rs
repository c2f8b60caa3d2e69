//! Where a panic of a run of fused stages ends.

use super::scope::{Run, Scope};
use crate::contain::{contain, discard};
use futures_core::Stream;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A run of fused stages: their panics become failures, and what they hold is let go at their end.
pub(super) struct Contained<S> {
    /// `None` once it has ended.
    input: Option<Pin<Box<S>>>,
    run: Arc<Run>,
}

impl<S> Contained<S> {
    pub(super) fn new(input: S, scope: &Scope) -> Self {
        Self { input: Some(Box::pin(input)), run: scope.run.clone() }
    }

    /// Lets everything go that is inside.
    pub(super) fn end(&mut self) {
        discard(self.input.take());
    }
}

// The input is boxed.
impl<S> Unpin for Contained<S> {}

impl<S: Stream> Stream for Contained<S> {
    type Item = S::Item;

    #[inline]
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        loop {
            let Some(input) = &mut self.input else { return Poll::Ready(None) };
            match contain(|| input.as_mut().poll_next(cx)) {
                Ok(Poll::Ready(None)) => {
                    self.end();
                    return Poll::Ready(None);
                }
                Ok(polled) => return polled,
                Err(payload) => {
                    if !self.run.panicked(payload) {
                        self.end();
                    }
                }
            }
        }
    }
}

impl<S> Drop for Contained<S> {
    fn drop(&mut self) {
        self.end();
    }
}
