//! A consuming end of a fan, and why it ended.

use super::pace::Pace;
use crate::contain::{Payload, discard};
use crate::kernel::channel::Receiver;
use crate::shim::Mutex;
use crate::shim::atomic::{AtomicBool, AtomicU64, Ordering};
use futures_core::stream::{FusedStream, Stream};
use std::fmt;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Why a branch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// The source ended, and what it yielded for this branch has been read.
    Complete,
    /// Another branch was dropped that cannot be done without: one of [`partition_by`](super::partition_by), or a required leg of
    /// [`broadcast`](super::broadcast()). What had been yielded before has been read.
    BranchDropped,
    /// This leg of a broadcast lagged, and was to be [disconnected](super::OnLag::Disconnect) then.
    Lagged,
    /// The code of the source, of a key or of a clone panicked; the panic went on in a poll of this branch.
    Panicked,
    /// The runtime shut down before the source ended.
    Shutdown,
}

/// Why a fan ended, for all its branches.
#[derive(Debug)]
pub(super) struct Fate(Mutex<State>);

#[derive(Debug)]
enum State {
    Running,
    Ended(Ended),
    /// The payload is there until the first branch takes it.
    Panicked(Option<Payload>, String),
}

impl Fate {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(State::Running)))
    }

    /// Decides it, unless it is decided.
    pub(super) fn decide(&self, end: Result<Ended, Payload>) {
        let state = match end {
            Ok(ended) => State::Ended(ended),
            Err(payload) => {
                let said = said(&payload);
                State::Panicked(Some(payload), said)
            }
        };
        let mut before = self.0.lock();
        if matches!(*before, State::Running) {
            *before = state;
        }
    }

    /// Why it ended; a panic with its payload for the first that asks, and with its message for the others.
    fn read(&self) -> Result<Ended, Payload> {
        match &mut *self.0.lock() {
            State::Running => Ok(Ended::Shutdown),
            State::Ended(ended) => Ok(*ended),
            State::Panicked(payload, said) => Err(payload.take().unwrap_or_else(|| Box::new(said.clone()))),
        }
    }
}

/// The text of a panic, for those branches that do not get its payload.
fn said(payload: &Payload) -> String {
    let text = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    format!("what feeds this branch has panicked: {}", text.unwrap_or("with a payload that is no text"))
}

/// What a leg of a broadcast tells its branch.
#[derive(Debug, Default)]
pub(super) struct Lag {
    pub(super) lost: AtomicU64,
    pub(super) cut: AtomicBool,
}

/// One of the outputs of [`fan_out`](super::fan_out), [`partition_by`](super::partition_by) and [`broadcast`](super::broadcast()).
///
/// It is a stream; its items are its own. Items that it was given before a panic or another end come first. It is fused: after
/// its end it yields `None`, and [`ended`](Self::ended) says why.
///
/// # Panics
/// Polling it panics, once, after its last item, if the code of the source, of a key function or of a `Clone` has panicked: in
/// the first branch that comes to it with the payload of that panic, in the others with its message.
///
/// # Cancel safety
/// Safe: an item is taken only when it is yielded. What dropping a branch does stands in the [table](super) of the fans.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use flowgate::fan::Ended;
/// use futures::{StreamExt as _, stream};
///
/// let mut branches = flowgate::fan_out(stream::iter(1..=10), 2, 4).unwrap();
/// let (mut a, mut b) = (branches.pop().unwrap(), branches.pop().unwrap());
/// let (some, others) = tokio::join!(a.by_ref().collect::<Vec<u32>>(), b.by_ref().collect::<Vec<u32>>());
/// assert_eq!(some.iter().chain(&others).sum::<u32>(), 55);
/// assert_eq!(a.ended(), Some(Ended::Complete));
/// # }
/// ```
#[must_use = "a branch that is dropped is not read"]
pub struct Branch<T> {
    receiver: Receiver<T>,
    pace: Pace,
    fate: Arc<Fate>,
    lag: Option<Arc<Lag>>,
    ended: Option<Ended>,
}

impl<T> Branch<T> {
    pub(super) fn new(receiver: Receiver<T>, pace: Pace, fate: &Arc<Fate>) -> Self {
        Self { receiver, pace, fate: fate.clone(), lag: None, ended: None }
    }

    pub(super) fn with_lag(mut self, lag: Arc<Lag>) -> Self {
        self.lag = Some(lag);
        self
    }

    /// Why it ended; `None` until its end has been yielded.
    #[must_use]
    pub fn ended(&self) -> Option<Ended> {
        self.ended
    }

    /// How many items this leg of a broadcast was not given, or lost again, because it lagged. 0 for every other branch.
    #[must_use]
    pub fn lagged(&self) -> u64 {
        // Ordering: a count that orders nothing.
        self.lag.as_ref().map_or(0, |lag| lag.lost.load(Ordering::Relaxed))
    }

    /// The channel has ended.
    fn end(&mut self) {
        // Ordering: Acquire pairs with the Release of the pump that cut the leg before it let go of its sender.
        if self.lag.as_ref().is_some_and(|lag| lag.cut.load(Ordering::Acquire)) {
            self.ended = Some(Ended::Lagged);
            return;
        }
        match self.fate.read() {
            Ok(ended) => self.ended = Some(ended),
            Err(payload) => {
                self.ended = Some(Ended::Panicked);
                resume_unwind(payload);
            }
        }
    }
}

// Items are never pinned.
impl<T> Unpin for Branch<T> {}

impl<T> Stream for Branch<T> {
    type Item = T;

    #[inline]
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let this = self.get_mut();
        if this.ended.is_some() {
            return Poll::Ready(None);
        }
        let comes_for_more = this.receiver.len() == 0;
        if comes_for_more {
            this.pace.before(&mut this.receiver);
        }
        let Poll::Ready(next) = this.receiver.poll_next(cx.waker()) else {
            this.pace.waits();
            return Poll::Pending;
        };
        if comes_for_more {
            this.pace.after();
        }
        if next.is_none() {
            this.end();
        }
        Poll::Ready(next)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.receiver.len(), self.ended.map(|_| 0))
    }
}

impl<T> FusedStream for Branch<T> {
    fn is_terminated(&self) -> bool {
        self.ended.is_some()
    }
}

impl<T> Drop for Branch<T> {
    fn drop(&mut self) {
        discard(self.receiver.close());
    }
}

impl<T> fmt::Debug for Branch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Branch");
        debug.field("ended", &self.ended);
        if self.lag.is_some() {
            debug.field("lagged", &self.lagged());
        }
        debug.finish_non_exhaustive()
    }
}
