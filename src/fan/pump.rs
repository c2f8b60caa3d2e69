//! The one task of a fan: it polls the source and puts what comes into the branches.

use super::branch::{Ended, Fate};
use super::error::InvalidFan;
use crate::contain::{contain, discard};
use crate::kernel::pacing::Pacing;
use crate::rt::{Instant, Runtime, now};
use futures_core::Stream;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// After so many items in a row the task lets others run. Half of what a pipeline's tasks take: an item is dealt out here, and of a
/// broadcast there is a copy for each leg.
pub(super) const TURN: usize = 512;

/// Where items go.
pub(super) trait Outlet<T>: Send + 'static {
    /// Whether one more item may be taken from the source.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Ended>>;

    /// Puts an item in, after [`poll_room`](Self::poll_room) was ready. May run code of the user.
    fn put(&mut self, item: T);

    /// Hands over what was put in.
    fn flush(&mut self);

    /// Hands everything over, and is ready once nothing more is wanted.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<Ended>;
}

/// Starts the task that polls `source` and collects at most `most` items before it hands them over. It ends with the source, or
/// when the outlet wants nothing more.
pub(super) fn pump<S, O>(source: S, outlet: O, most: usize, fate: &Arc<Fate>) -> Result<(), InvalidFan>
where
    S: Stream + Send + 'static,
    O: Outlet<S::Item>,
{
    let runtime = Runtime::current().ok_or(InvalidFan::NoRuntime)?;
    // The fate is the task's account: whatever ends it is written there.
    let pacing = Pacing::new(most);
    runtime.spawn(Pump { work: Some((Box::pin(source), outlet)), pacing, fate: fate.clone() });
    Ok(())
}

struct Pump<S, O> {
    /// `None` once it has ended.
    work: Option<(Pin<Box<S>>, O)>,
    pacing: Pacing<Instant>,
    fate: Arc<Fate>,
}

impl<S, O> Future for Pump<S, O>
where
    S: Stream + Send + 'static,
    O: Outlet<S::Item>,
{
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let Some((source, outlet)) = &mut this.work else { return Poll::Ready(()) };
        let pacing = &mut this.pacing;
        let end = match contain(|| carry(source, outlet, pacing, cx)) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(ended)) => Ok(ended),
            Err(payload) => Err(payload),
        };
        this.fate.decide(end);
        this.let_go();
        Poll::Ready(())
    }
}

/// Moves items until there are none, or no room for them. Whenever it returns, what was collected has been handed over.
fn carry<S, O>(
    source: &mut Pin<Box<S>>,
    outlet: &mut O,
    pacing: &mut Pacing<Instant>,
    cx: &mut Context<'_>,
) -> Poll<Ended>
where
    S: Stream,
    O: Outlet<S::Item>,
{
    pacing.resume(now);
    let mut collected = 0;
    for _ in 0..TURN {
        match outlet.poll_room(cx) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(ended)) => return Poll::Ready(ended),
            Poll::Pending => {
                pacing.held();
                return Poll::Pending;
            }
        }
        match source.as_mut().poll_next(cx) {
            Poll::Ready(Some(item)) => outlet.put(item),
            Poll::Ready(None) => return Poll::Ready(Ended::Complete),
            Poll::Pending => {
                pacing.waited();
                return outlet.poll_idle(cx);
            }
        }
        collected += 1;
        if collected >= pacing.size() {
            collected = 0;
            pacing.done(now);
            outlet.flush();
        }
    }
    pacing.held();
    let idle = outlet.poll_idle(cx);
    if idle.is_pending() {
        cx.waker().wake_by_ref();
    }
    idle
}

impl<S, O> Pump<S, O> {
    /// The branches end first: their end waits for no `Drop` of the source's.
    fn let_go(&mut self) {
        if let Some((source, outlet)) = self.work.take() {
            discard(outlet);
            discard(source);
        }
    }
}

// The source is boxed, and nothing else is ever pinned.
impl<S, O> Unpin for Pump<S, O> {}

impl<S, O> Drop for Pump<S, O> {
    fn drop(&mut self) {
        // Only a runtime that shuts down drops it before it has ended.
        self.fate.decide(Ok(Ended::Shutdown));
        self.let_go();
    }
}
