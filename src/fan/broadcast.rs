//! Each item to every leg.

use super::branch::{Branch, Ended, Fate, Lag};
use super::error::{InvalidFan, check_branches, check_places};
use super::pace::Pace;
use super::pump::{Outlet, TURN, pump};
use super::share::{Role, Share};
use crate::contain::{discard, wake};
use crate::kernel::channel::{Sender, channel};
use crate::kernel::pacing::most_of;
use crate::shim::atomic::Ordering;
use futures_core::Stream;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// What becomes of an item for which a best-effort leg has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLag {
    /// The leg loses the oldest item that it has not yielded, and gets this one.
    DropOldest,
    /// The leg does not get this one.
    DropNewest,
    /// The leg ends: it yields what it has, then [`Ended::Lagged`].
    Disconnect,
}

/// One of the outputs that a [`broadcast()`] is to have.
///
/// ```
/// use flowgate::{Leg, OnLag};
///
/// let legs = [Leg::required(16), Leg::best_effort(64, OnLag::DropOldest)];
/// # let _ = legs;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leg {
    places: usize,
    on_lag: Option<OnLag>,
}

impl Leg {
    /// A leg that gets every item: while it holds `places` items that are not yielded, 1 or more, the others wait for it.
    #[must_use]
    pub const fn required(places: usize) -> Self {
        Self { places, on_lag: None }
    }

    /// A leg that nothing waits for: it holds at most `places` items, 1 or more, and what it lacks room for is
    /// [counted](Branch::lagged).
    #[must_use]
    pub const fn best_effort(places: usize, on_lag: OnLag) -> Self {
        Self { places, on_lag: Some(on_lag) }
    }
}

/// Gives each item of a stream to every leg, as clones; the branches come in the order of `legs`.
///
/// The stream is asked for an item when each required leg has room for it. So a required leg that is not read stops the others
/// once it is full; a best-effort leg stops nobody, and counts what it [lost](Branch::lagged). With best-effort legs alone the
/// stream is read as fast as it goes.
///
/// A best-effort leg whose branch is dropped is forgotten. A required one that is dropped ends the others, which yield what
/// they have and then [`Ended::BranchDropped`]. With the last branch, or a required one, the stream is dropped.
///
/// # Errors
/// [`InvalidFan`] if there is no leg, if one has no places or too many, or if there is no runtime for the task that polls the
/// stream.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use flowgate::{Leg, OnLag, broadcast};
/// use futures::{StreamExt as _, stream};
///
/// let legs = [Leg::required(4), Leg::best_effort(2, OnLag::DropOldest)];
/// let mut branches = broadcast(stream::iter(1..=10), legs).unwrap();
/// let (preview, all) = (branches.pop().unwrap(), branches.pop().unwrap());
/// assert_eq!(all.collect::<Vec<_>>().await, (1..=10).collect::<Vec<_>>());
/// assert_eq!(preview.collect::<Vec<_>>().await, [9, 10]);
/// # }
/// ```
pub fn broadcast<S>(stream: S, legs: impl IntoIterator<Item = Leg>) -> Result<Vec<Branch<S::Item>>, InvalidFan>
where
    S: Stream + Send + 'static,
    S::Item: Share + Send + 'static,
{
    let legs: Vec<Leg> = legs.into_iter().collect();
    check_branches("legs", legs.len())?;
    legs.iter().try_for_each(|leg| check_places("places", leg.places))?;
    let fate = Fate::new();
    let (outs, branches): (Vec<_>, _) = legs.iter().map(|leg| open(leg, &fate)).unzip();
    let last_required = outs.iter().rposition(|out| out.on_lag.is_none());
    let outlet = Broadcast { outs, last_required, room: 0, copies: Vec::new() };
    let most = legs.iter().map(|leg| most_of(leg.places, 1)).min().unwrap_or(1);
    pump(stream, outlet, most, &fate)?;
    Ok(branches)
}

fn open<T>(leg: &Leg, fate: &Arc<Fate>) -> (Out<T>, Branch<T>) {
    let (sender, receiver) = channel(leg.places, wake);
    let lag = Arc::new(Lag::default());
    // What a best-effort leg has no room for is lost: it gives every place back at once.
    let pace = if leg.on_lag.is_some() { Pace::One } else { Pace::All };
    let branch = Branch::new(receiver, pace, fate).with_lag(lag.clone());
    (Out { sender: Some(sender), on_lag: leg.on_lag, lag }, branch)
}

struct Out<T> {
    /// `None` once nobody reads it, or it was cut.
    sender: Option<Sender<T>>,
    /// `None` for a required leg.
    on_lag: Option<OnLag>,
    lag: Arc<Lag>,
}

impl<T> Out<T> {
    fn role(&self) -> Role {
        if self.on_lag.is_some() { Role::BestEffort } else { Role::Required }
    }

    /// Whether it is to get the next item. May cut it, or count the item as lost.
    fn takes(&mut self) -> bool {
        let Some(sender) = &mut self.sender else { return false };
        let Some(on_lag) = self.on_lag.filter(|_| sender.room() == 0) else { return true };
        if sender.flush().is_err() {
            self.forget();
            return false;
        }
        if sender.room() > 0 || on_lag == OnLag::DropOldest {
            return true;
        }
        self.lost();
        if on_lag == OnLag::Disconnect {
            // Ordering: Release pairs with the Acquire of the branch, which looks when the channel has ended.
            self.lag.cut.store(true, Ordering::Release);
            self.forget();
        }
        false
    }

    fn put(&mut self, item: T) {
        let Some(sender) = &mut self.sender else { return };
        if sender.room() == 0 {
            // Only a leg that drops its oldest comes here without room.
            if let Some(evicted) = sender.push_evicting(item) {
                self.lost();
                discard(evicted);
            }
            return;
        }
        sender.push(item);
    }

    /// A required leg that nobody reads is heard of when it has no room, or when the task waits.
    fn flush(&mut self) {
        let flushed = self.sender.as_mut().is_none_or(|sender| sender.flush().is_ok());
        if !flushed && self.on_lag.is_some() {
            self.forget();
        }
    }

    fn lost(&self) {
        // Ordering: a count that orders nothing.
        self.lag.lost.fetch_add(1, Ordering::Relaxed);
    }

    fn forget(&mut self) {
        discard(self.sender.take());
    }
}

struct Broadcast<T> {
    outs: Vec<Out<T>>,
    /// The leg that gets the original.
    last_required: Option<usize>,
    /// So many items fit into every required leg.
    room: usize,
    /// For which legs; empty between items.
    copies: Vec<(usize, T)>,
}

impl<T> Broadcast<T> {
    fn is_unread(&self) -> bool {
        self.outs.iter().all(|out| out.sender.is_none())
    }
}

impl<T: Share + Send + 'static> Outlet<T> for Broadcast<T> {
    #[inline]
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Ended>> {
        if self.room > 0 {
            return Poll::Ready(Ok(()));
        }
        self.poll_legs(cx)
    }

    fn put(&mut self, item: T) {
        self.room = self.room.saturating_sub(1);
        // All clones are made before a leg gets one: if one panics, none has it.
        for (nth, out) in self.outs.iter_mut().enumerate() {
            if self.last_required != Some(nth) && out.takes() {
                self.copies.push((nth, item.share(out.role())));
            }
        }
        for (nth, copy) in self.copies.drain(..) {
            self.outs[nth].put(copy);
        }
        match self.last_required {
            Some(last) => self.outs[last].put(item),
            None => item.let_go(),
        }
    }

    fn flush(&mut self) {
        self.outs.iter_mut().for_each(Out::flush);
    }

    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        let mut dropped = false;
        for out in &mut self.outs {
            if out.sender.as_mut().is_some_and(|sender| sender.poll_closed(cx.waker()).is_ready()) {
                dropped |= out.on_lag.is_none();
                out.forget();
            }
        }
        if dropped || self.is_unread() { Poll::Ready(Ended::BranchDropped) } else { Poll::Pending }
    }
}

impl<T: Share + Send + 'static> Broadcast<T> {
    /// Looks for room in each required leg.
    fn poll_legs(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Ended>> {
        let mut room = usize::MAX;
        for out in self.outs.iter_mut().filter(|out| out.on_lag.is_none()) {
            let Some(sender) = &mut out.sender else { return Poll::Ready(Err(Ended::BranchDropped)) };
            match sender.poll_ready(cx.waker()) {
                Poll::Ready(Ok(())) => room = room.min(sender.room()),
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Ended::BranchDropped)),
                // One is waited for at a time: by then the others have room too, more often than not.
                Poll::Pending => {
                    let ended = ready!(self.poll_idle(cx));
                    return Poll::Ready(Err(ended));
                }
            }
        }
        if self.is_unread() {
            return Poll::Ready(Err(Ended::BranchDropped));
        }
        // Without a required leg there is always room, and it is asked for at each turn whether anybody reads.
        self.room = room.min(TURN);
        Poll::Ready(Ok(()))
    }
}
