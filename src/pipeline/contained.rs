//! Where a panic of a run of fused stages ends.

use super::scope::{Run, Scope};
use super::turn::{FRUITLESS, give_way};
use crate::contain::{contain, discard};
use futures_core::Stream;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

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

impl<S: Stream> Contained<S> {
    /// Gives items to `take` while they come without a wait, at most so many: ready once it had them all, or at the end, and
    /// then `false`.
    pub(super) fn poll_several(
        &mut self,
        items: usize,
        cx: &mut Context<'_>,
        mut take: impl FnMut(S::Item),
    ) -> Poll<bool> {
        let mut left = items;
        for _ in 0..FRUITLESS {
            let Some(input) = &mut self.input else { return Poll::Ready(false) };
            let polled = contain(|| {
                while left > 0 {
                    let Some(item) = ready!(input.as_mut().poll_next(cx)) else { return Poll::Ready(false) };
                    left -= 1;
                    take(item);
                }
                Poll::Ready(true)
            });
            match polled {
                Ok(Poll::Ready(false)) => {
                    self.end();
                    return Poll::Ready(false);
                }
                Ok(polled) => return polled,
                Err(payload) => {
                    if !self.run.panicked(payload) {
                        self.end();
                    }
                }
            }
        }
        give_way(cx)
    }
}

// The input is boxed.
impl<S> Unpin for Contained<S> {}

impl<S: Stream> Stream for Contained<S> {
    type Item = S::Item;

    #[inline]
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        for _ in 0..FRUITLESS {
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
        give_way(cx)
    }
}

impl<S> Drop for Contained<S> {
    fn drop(&mut self) {
        self.end();
    }
}
