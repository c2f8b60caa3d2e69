//! The one task of a fan: it polls the source and puts what comes into the branches.

use super::branch::{Ended, Fate};
use super::error::InvalidFan;
use crate::contain::{contain, discard};
use crate::rt::{Instant, Runtime, now};
use futures_core::Stream;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// After so many items in a row the task lets others run.
pub(super) const TURN: usize = 512;

/// The most items that are collected before they are handed over, for each branch that shares them.
const BATCH: usize = 64;

/// Items that take longer than this to come are not collected: each is handed over at once.
const SLOW: Duration = Duration::from_micros(100);

/// The most items to collect for a channel of so many places that so many branches share: not more than half of the places, so that
/// they read while the rest is collected.
pub(super) fn batch_of(places: usize, branches: usize) -> usize {
    (places / 2).clamp(1, BATCH.saturating_mul(branches))
}

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

/// Starts the task that polls `source` and collects at most `batch` items before it hands them over. It ends with the source, or
/// when the outlet wants nothing more.
pub(super) fn pump<S, O>(source: S, outlet: O, batch: usize, fate: &Arc<Fate>) -> Result<(), InvalidFan>
where
    S: Stream + Send + 'static,
    O: Outlet<S::Item>,
{
    let runtime = Runtime::current().ok_or(InvalidFan::NoRuntime)?;
    // The fate is the task's account: whatever ends it is written there.
    let batch = Batch { size: 1, most: batch, collected: 0, began: now() };
    runtime.spawn(Pump { work: Some((Box::pin(source), outlet)), batch, fate: fate.clone() });
    Ok(())
}

/// How many items are collected before they are handed over: more and more, while they come fast.
struct Batch {
    size: usize,
    most: usize,
    collected: usize,
    began: Instant,
}

impl Batch {
    /// Counts an item. Whether the batch is to be handed over.
    #[inline]
    fn is_full(&mut self) -> bool {
        self.collected += 1;
        if self.collected < self.size {
            return false;
        }
        let now = now();
        let fast = now.saturating_duration_since(self.began) <= SLOW;
        *self = Self { size: if fast { (self.size * 2).min(self.most) } else { 1 }, collected: 0, began: now, ..*self };
        true
    }

    /// There is no room: the batch was handed over as it is. The time until there is some is not the source's.
    fn pause(&mut self) {
        (self.collected, self.began) = (0, now());
    }

    /// The source has nothing: the batch was handed over as it is, and nobody knows how fast the next items come.
    fn begin_anew(&mut self) {
        self.size = 1;
        self.pause();
    }
}

struct Pump<S, O> {
    /// `None` once it has ended.
    work: Option<(Pin<Box<S>>, O)>,
    batch: Batch,
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
        let batch = &mut this.batch;
        let end = match contain(|| carry(source, outlet, batch, cx)) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(ended)) => Ok(ended),
            Err(payload) => Err(payload),
        };
        this.fate.decide(end);
        this.let_go();
        Poll::Ready(())
    }
}

/// Moves items until there are none, or no room for them.
fn carry<S, O>(source: &mut Pin<Box<S>>, outlet: &mut O, batch: &mut Batch, cx: &mut Context<'_>) -> Poll<Ended>
where
    S: Stream,
    O: Outlet<S::Item>,
{
    for _ in 0..TURN {
        match outlet.poll_room(cx) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(ended)) => return Poll::Ready(ended),
            Poll::Pending => {
                batch.pause();
                return Poll::Pending;
            }
        }
        match source.as_mut().poll_next(cx) {
            Poll::Ready(Some(item)) => outlet.put(item),
            Poll::Ready(None) => return Poll::Ready(Ended::Complete),
            Poll::Pending => {
                batch.begin_anew();
                return outlet.poll_idle(cx);
            }
        }
        if batch.is_full() {
            outlet.flush();
        }
    }
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
