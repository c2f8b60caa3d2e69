//! Branches by key.

use super::branch::{Branch, Ended, Fate};
use super::error::{InvalidFan, check_branches, check_places};
use super::pace::Pace;
use super::pump::{Outlet, pump};
use crate::contain::wake;
use crate::kernel::channel::{Sender, channel};
use crate::kernel::pacing::most_of;
use foldhash::fast::RandomState;
use futures_core::Stream;
use std::hash::{BuildHasher as _, Hash};
use std::task::{Context, Poll};

/// Deals a stream out to `n` branches by key: items whose keys are equal go to the same branch, in their order.
///
/// Each branch holds at most `buf` items that are not yielded, 1 or more; one item more may wait in the task for its branch to have
/// room. While it waits the others get nothing: a branch that is not read stops them all, once it is full.
///
/// Which keys share a branch is drawn anew at each call, so nobody outside can choose keys that all go to one. A branch that is
/// dropped takes its keys with it: the others yield what they have and end with [`Ended::BranchDropped`], and the stream is dropped.
///
/// # Errors
/// [`InvalidFan`] if `n` or `buf` is 0 or too large, or if there is no runtime for the task that polls the stream.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use futures::{StreamExt as _, future::join_all, stream};
///
/// let orders = [("ann", 1), ("bob", 1), ("ann", 2), ("cay", 1), ("bob", 2), ("ann", 3)];
/// let branches = flowgate::partition_by(stream::iter(orders), 3, 8, |(name, _)| *name).unwrap();
/// for seen in join_all(branches.into_iter().map(|branch| branch.collect::<Vec<_>>())).await {
///     let of_ann: Vec<_> = seen.iter().filter(|(name, _)| *name == "ann").map(|(_, nth)| *nth).collect();
///     assert!(of_ann.is_empty() || of_ann == [1, 2, 3]);
/// }
/// # }
/// ```
pub fn partition_by<S, K, F>(stream: S, n: usize, buf: usize, key: F) -> Result<Vec<Branch<S::Item>>, InvalidFan>
where
    S: Stream + Send + 'static,
    S::Item: Send + 'static,
    F: FnMut(&S::Item) -> K + Send + 'static,
    K: Hash,
{
    check_branches("n", n)?;
    check_places("buf", buf)?;
    let fate = Fate::new();
    let (senders, branches) = (0..n)
        .map(|_| {
            let (sender, receiver) = channel(buf, wake);
            (sender, Branch::new(receiver, Pace::All, &fate))
        })
        .unzip();
    let mut key = key;
    let hasher = RandomState::default();
    // The high bits of a hash times `n` are spread evenly over 0..n.
    let choose = move |item: &S::Item| {
        let hash = u128::from(hasher.hash_one(key(item)));
        usize::try_from((hash * n as u128) >> 64).unwrap_or(0)
    };
    pump(
        stream,
        Partition { senders, waiting: None, choose: Box::new(choose) },
        n.saturating_mul(most_of(buf, 1)),
        &fate,
    )?;
    Ok(branches)
}

struct Partition<T> {
    senders: Vec<Sender<T>>,
    /// An item whose branch is full.
    waiting: Option<(usize, T)>,
    choose: Box<dyn FnMut(&T) -> usize + Send>,
}

impl<T: Send + 'static> Outlet<T> for Partition<T> {
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Ended>> {
        let Some((to, _)) = &self.waiting else { return Poll::Ready(Ok(())) };
        match self.senders[*to].poll_ready(cx.waker()) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => return Poll::Ready(Err(Ended::BranchDropped)),
            Poll::Pending => return self.poll_idle(cx).map(Err),
        }
        if let Some((to, item)) = self.waiting.take() {
            self.senders[to].push(item);
        }
        Poll::Ready(Ok(()))
    }

    fn put(&mut self, item: T) {
        let to = (self.choose)(&item);
        if self.senders[to].room() > 0 {
            self.senders[to].push(item);
        } else {
            self.waiting = Some((to, item));
        }
    }

    fn flush(&mut self) {
        for sender in &mut self.senders {
            // That it is read no more is heard when the task waits.
            let _ = sender.flush();
        }
    }

    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        // Each of them is to wake the task.
        let mut dropped = false;
        for sender in &mut self.senders {
            dropped |= sender.poll_closed(cx.waker()).is_ready();
        }
        if dropped { Poll::Ready(Ended::BranchDropped) } else { Poll::Pending }
    }
}
