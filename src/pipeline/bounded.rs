//! One bound over a whole pipeline: by items, and by what they weigh.

use super::envelope::{Envelope, Ticket};
use super::error::Cause;
use super::ledger::{Fate, Origin};
use super::scope::{Closing, Run, Scope};
use crate::contain::{contain, discard, wake};
use crate::kernel::gate::Gate;
use futures_core::Stream;
use pin_project_lite::pin_project;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

/// Weighs an item, in units of the user's.
pub(super) type Weigh<T> = Arc<dyn Fn(&T) -> usize + Send + Sync>;

/// The name under which the failure of a weight is reported.
const WEIGHT: &str = "max_weight";

pin_project! {
    /// Lets items in while there is room, and looks for one only then.
    pub(super) struct Bounded<S, T> {
        #[pin]
        input: S,
        // `None`: there is no bound.
        entrance: Option<Entrance<T>>,
        weigh: Option<Weigh<T>>,
        // Where the input is the source itself: whoever waits for room need not wait once nothing more is taken.
        closing: Option<Closing>,
        run: Arc<Run>,
    }
}

/// Where items come in. Dropping it gives back the place that is held.
struct Entrance<T> {
    gate: Arc<Gate>,
    /// A place is held for the next item.
    held: bool,
    /// An item that waits until its weight fits.
    weighed: Option<(Envelope<T>, usize)>,
}

impl<S, T> Bounded<S, T> {
    pub(super) fn new(input: S, gate: Option<Arc<Gate>>, weigh: Option<Weigh<T>>, scope: &Scope) -> Self {
        let entrance = gate.map(|gate| Entrance { gate, held: false, weighed: None });
        let closing = entrance.as_ref().and_then(|_| scope.closing());
        Self { input, entrance, weigh, closing, run: scope.run.clone() }
    }
}

impl<T> Entrance<T> {
    /// Takes a place for the next item.
    fn poll_enter(&mut self, waker: &Waker) -> Poll<()> {
        if !self.held {
            let mut wakers = Vec::new();
            let entered = self.gate.poll_enter(waker, &mut wakers);
            wakers.into_iter().for_each(wake);
            ready!(entered);
            self.held = true;
            self.gate.expect(true);
        }
        Poll::Ready(())
    }

    /// Lets in the item that waits, once its weight fits.
    fn poll_admit(&mut self, waker: &Waker) -> Poll<Option<Envelope<T>>> {
        let Some((_, weight)) = &self.weighed else { return Poll::Ready(None) };
        let mut wakers = Vec::new();
        let fits = self.gate.poll_weigh(*weight, waker, &mut wakers);
        wakers.into_iter().for_each(wake);
        ready!(fits);
        Poll::Ready(self.weighed.take().map(|(envelope, weight)| self.admit(envelope, weight)))
    }

    /// The item takes over the place.
    fn admit(&mut self, envelope: Envelope<T>, weight: usize) -> Envelope<T> {
        self.held = false;
        self.gate.expect(false);
        let (value, upstream) = envelope.into_parts();
        Envelope::with(value, Ticket::of(Origin::Bound { gate: self.gate.clone(), weight, upstream }))
    }
}

impl<T> Drop for Entrance<T> {
    fn drop(&mut self) {
        if self.held {
            self.gate.expect(false);
            self.gate.leave().into_iter().for_each(wake);
        }
        discard(self.gate.gone());
    }
}

impl<S, T> Stream for Bounded<S, T>
where
    S: Stream<Item = Envelope<T>>,
{
    type Item = Envelope<T>;

    // Always: of a pipeline without bounds nothing of this is left, and the stages fuse with their source.
    #[inline(always)]
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Envelope<T>>> {
        if self.entrance.is_none() {
            return self.project().input.poll_next(cx);
        }
        self.poll_bounded(cx)
    }
}

impl<S, T> Bounded<S, T>
where
    S: Stream<Item = Envelope<T>>,
{
    fn poll_bounded(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Envelope<T>>> {
        let this = self.project();
        let Some(entrance) = this.entrance else { return this.input.poll_next(cx) };
        if let Some(envelope) = ready!(entrance.poll_admit(cx.waker())) {
            return Poll::Ready(Some(envelope));
        }
        if entrance.poll_enter(cx.waker()).is_pending() {
            let closed = this.closing.as_mut().is_some_and(|closing| closing.as_mut().poll(cx).is_ready());
            return if closed { Poll::Ready(None) } else { Poll::Pending };
        }
        let Some(envelope) = ready!(this.input.poll_next(cx)) else { return Poll::Ready(None) };
        let Some(weigh) = this.weigh else { return Poll::Ready(Some(entrance.admit(envelope, 0))) };
        let weight = match contain(|| weigh(&envelope.value)) {
            Ok(weight) => weight,
            Err(payload) => {
                let (value, ticket) = envelope.into_parts();
                this.run.settle(ticket, Fate::Failed);
                this.run.fail(&WEIGHT.into(), Cause::panicked(payload));
                discard(value);
                return Poll::Ready(None);
            }
        };
        entrance.weighed = Some((envelope, weight));
        entrance.poll_admit(cx.waker())
    }
}
