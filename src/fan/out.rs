//! Competing branches.

use super::branch::{Branch, Ended, Fate};
use super::error::{InvalidFan, check_branches, check_places};
use super::pace::Pace;
use super::pump::{Outlet, pump};
use crate::contain::wake;
use crate::kernel::channel::{Sender, channel};
use crate::kernel::pacing::most_of;
use futures_core::Stream;
use std::task::{Context, Poll, ready};

/// Deals a stream out to `n` branches that compete for its items: each item goes to one of them, to whichever comes for it.
///
/// At most `n * buf` items are taken from the stream and not yielded, over all branches together: 1 or more each. Within a
/// branch the items have the order of the stream. A branch that reads slowly takes one item at a time; one that reads a batch
/// within 100 µs takes up to twice as many at the next time, up to 64 and never more than its share of what is there. So an idle branch
/// gets the next item, and nothing waits behind a slow one except what that took while it was fast.
///
/// A branch that was woken for an item and is not polled keeps that one waiting until it is polled or dropped, or the next
/// item comes.
///
/// A branch that is dropped leaves what it has taken to the others, which may then come out of order there. When the last one
/// is dropped, so is the stream.
///
/// # Errors
/// [`InvalidFan`] if `n` or `buf` is 0 or too large, or if there is no runtime for the task that polls the stream.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use futures::{StreamExt as _, future::join_all, stream};
///
/// let branches = flowgate::fan_out(stream::iter(1..=100_u64), 4, 8).unwrap();
/// let sums = join_all(branches.into_iter().map(|branch| branch.fold(0, |sum, n| async move { sum + n * n }))).await;
/// assert_eq!(sums.iter().sum::<u64>(), 338_350);
/// # }
/// ```
pub fn fan_out<S>(stream: S, n: usize, buf: usize) -> Result<Vec<Branch<S::Item>>, InvalidFan>
where
    S: Stream + Send + 'static,
    S::Item: Send + 'static,
{
    check_branches("n", n)?;
    check_places("buf", buf)?;
    let places = n.saturating_mul(buf);
    let (sender, first) = channel(places, wake);
    let fate = Fate::new();
    let pace = || if n == 1 { Pace::All } else { Pace::short() };
    let mut branches: Vec<_> = (1..n).map(|_| Branch::new(first.another(), pace(), &fate)).collect();
    branches.push(Branch::new(first, pace(), &fate));
    pump(stream, Competing { sender }, most_of(places, n), &fate)?;
    Ok(branches)
}

struct Competing<T> {
    sender: Sender<T>,
}

impl<T: Send + 'static> Outlet<T> for Competing<T> {
    #[inline]
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Ended>> {
        let ready = ready!(self.sender.poll_ready(cx.waker()));
        Poll::Ready(ready.map_err(|_| Ended::BranchDropped))
    }

    #[inline]
    fn put(&mut self, item: T) {
        self.sender.push(item);
    }

    fn flush(&mut self) {
        // That nobody is left to read is heard at the end of the turn, or when there is no room.
        let _ = self.sender.flush();
    }

    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        self.sender.poll_closed(cx.waker()).map(|()| Ended::BranchDropped)
    }
}
