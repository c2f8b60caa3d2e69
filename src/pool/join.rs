//! Waiting for many handles.
//!
//! | | what they promise |
//! |---|---|
//! | bound | as many outcomes as there are handles |
//! | order | outcomes in the order of the handles |
//! | value back | each error has its job, if the handler did not keep it |
//! | cancel | [`try_join`]: the first error cancels the rest, and they have ended when it returns; [`join`] cancels nothing |
//! | panic | of a handler: that job's error |
//! | drop | detaches the jobs, as dropping their handles does |

use super::directory::PoolId;
use super::error::JobError;
use super::handle::JobHandle;
use super::nested::{self, Wait};
use super::shared::{JobCell, JobInbox, Outcome};
use crate::contain::discard;
use crate::kernel::cell::Cell;
use crate::kernel::inbox::{Arrivals, Inbox};
use crate::kernel::slab::{Key, Slab};
use crate::rt;
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Waits for all outcomes, and returns them in the order of the handles. An error holds up no other.
///
/// The handles may be of different pools, if the types of those are the same. Wakes once for each outcome at most, and
/// looks at each once.
///
/// # Cancel safety
/// Dropping the future detaches the jobs, as dropping their handles does; outcomes that had come are dropped. It can be
/// polled again later through `&mut`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use flowgate::{Attempt, WorkerPool, join};
///
/// let pool = WorkerPool::<u32, u32, ()>::builder()
///     .concurrency(2)
///     .build(|job: Attempt<u32>| async move { 12_u32.checked_div(*job).ok_or(()) })
///     .unwrap();
/// let handles = [pool.submit(3).await.unwrap(), pool.submit(0).await.unwrap(), pool.submit(4).await.unwrap()];
/// let outcomes = join(handles).await;
/// assert_eq!((outcomes[0].as_ref().unwrap(), outcomes[2].as_ref().unwrap()), (&4, &3));
/// assert!(outcomes[1].is_err());
/// # }
/// ```
pub fn join<J, T, E>(handles: impl IntoIterator<Item = JobHandle<J, T, E>>) -> Join<J, T, E> {
    let waiting: VecDeque<_> = handles.into_iter().collect();
    Join { outcomes: Vec::with_capacity(waiting.len()), waiting }
}

/// The same, for a thread outside the runtime: blocks it until all outcomes are there.
pub fn blocking_join<J, T, E>(handles: impl IntoIterator<Item = JobHandle<J, T, E>>) -> Vec<Outcome<J, T, E>> {
    rt::block_on(join(handles))
}

/// The future of [`join`].
///
/// # Cancel safety
/// It can be polled again later, through `&mut`. Dropping it detaches the jobs, as dropping their handles does.
#[must_use = "dropping it detaches the jobs"]
pub struct Join<J, T, E> {
    waiting: VecDeque<JobHandle<J, T, E>>,
    outcomes: Vec<Outcome<J, T, E>>,
}

impl<J, T, E> Unpin for Join<J, T, E> {}

impl<J, T, E> Future for Join<J, T, E> {
    type Output = Vec<Outcome<J, T, E>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // All are needed, so one after the other is as good as all at once, and costs one poll each.
        while let Some(handle) = self.waiting.front_mut() {
            let outcome = ready!(Pin::new(handle).poll(cx));
            self.outcomes.push(outcome);
            self.waiting.pop_front();
        }
        Poll::Ready(std::mem::take(&mut self.outcomes))
    }
}

impl<J, T, E> fmt::Debug for Join<J, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Join").field("waiting", &self.waiting.len()).finish_non_exhaustive()
    }
}

/// Waits for all results, and returns them in the order of the handles, or for the first error, which cancels the rest.
///
/// When it returns an error, all other jobs have ended too; what they returned is dropped.
///
/// # Errors
/// The first error, in the order of time.
///
/// # Cancel safety
/// Dropping the future detaches the jobs, as dropping their handles does; a [`Scope`](super::Scope) cancels them. It can be
/// polled again later through `&mut`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use flowgate::{Attempt, WorkerPool, try_join};
///
/// let pool = WorkerPool::<u32, u32, ()>::builder()
///     .concurrency(3)
///     .build(|job: Attempt<u32>| async move {
///         match *job {
///             0 => Err(()),
///             9 => std::future::pending().await,
///             n => Ok(n * 2),
///         }
///     })
///     .unwrap();
/// let handles = [pool.submit(9).await.unwrap(), pool.submit(0).await.unwrap(), pool.submit(4).await.unwrap()];
/// let error = try_join(handles).await.unwrap_err();
/// assert_eq!(error.into_job(), Some(0));
/// assert!(pool.is_empty(), "the one that never ends was cancelled");
/// # }
/// ```
pub fn try_join<J, T, E>(handles: impl IntoIterator<Item = JobHandle<J, T, E>>) -> TryJoin<J, T, E> {
    let mut all = TryJoin {
        handles: Slab::new(),
        pools: Vec::new(),
        inbox: Arc::new(Inbox::new()),
        early: Vec::new(),
        arrived: VecDeque::new(),
        results: Vec::new(),
        error: None,
        wait: None,
        lender: None,
    };
    for handle in handles {
        if !all.pools.contains(&handle.pool()) {
            all.pools.push(handle.pool());
        }
        let key = all.handles.insert(handle);
        all.results.push(None);
        if let Some(handle) = all.handles.get_mut(key) {
            if let Some(outcome) = handle.address(&all.inbox, key) {
                all.early.push((key, outcome));
            }
        }
    }
    all
}

/// The same, for a thread outside the runtime: blocks it until all jobs have ended.
///
/// # Errors
/// As [`try_join`].
pub fn blocking_try_join<J, T, E>(
    handles: impl IntoIterator<Item = JobHandle<J, T, E>>,
) -> Result<Vec<T>, JobError<J, E>> {
    rt::block_on(try_join(handles))
}

/// The future of [`try_join`].
///
/// # Cancel safety
/// It can be polled again later, through `&mut`. Dropping it detaches the jobs, as dropping their handles does.
#[must_use = "dropping it detaches the jobs"]
pub struct TryJoin<J, T, E> {
    /// Those whose outcome is not here yet. The keys are the positions of the handles: none is used twice.
    handles: Slab<JobHandle<J, T, E>>,
    pools: Vec<PoolId>,
    inbox: Arc<JobInbox<J, T, E>>,
    /// Outcomes that were there from the start.
    early: Vec<(Key, Outcome<J, T, E>)>,
    arrived: Arrivals<JobCell<J, T, E>>,
    results: Vec<Option<T>>,
    error: Option<JobError<J, E>>,
    wait: Option<Wait>,
    /// The pool in whose handler that wait is.
    lender: Option<PoolId>,
}

impl<J, T, E> TryJoin<J, T, E> {
    fn sort_in(&mut self) {
        for (key, outcome) in std::mem::take(&mut self.early) {
            self.note(key, outcome);
        }
        while let Some((key, mut cell)) = self.arrived.pop_front() {
            self.note(key, Cell::open(&mut cell));
        }
    }

    fn note(&mut self, key: Key, outcome: Outcome<J, T, E>) {
        discard(self.handles.take(key));
        match outcome {
            Ok(result) if self.error.is_none() => self.results[key.index()] = Some(result),
            Err(error) if self.error.is_none() => {
                self.error = Some(error);
                for key in self.handles.keys() {
                    self.handles.get(key).into_iter().for_each(JobHandle::cancel);
                }
            }
            unwanted => discard(unwanted),
        }
    }

    /// The caller waits no longer.
    fn go_on(&mut self) {
        if let Some(pool) = self.lender.take() {
            nested::wait_over(&mut self.wait, pool);
        }
    }

    fn forget(&mut self) {
        self.go_on();
        self.early.drain(..).for_each(discard);
        self.arrived.drain(..).for_each(discard);
        self.results.drain(..).for_each(discard);
        discard(self.error.take());
    }
}

impl<J, T, E> Unpin for TryJoin<J, T, E> {}

impl<J, T, E> Future for TryJoin<J, T, E> {
    type Output = Result<Vec<T>, JobError<J, E>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let all = &mut *self;
        loop {
            all.sort_in();
            if all.handles.len() == 0 {
                break;
            }
            if all.inbox.collect(&mut all.arrived, cx.waker()).is_pending() {
                if let Some(pool) = all.pools.iter().copied().find(|pool| nested::is_inside(*pool)) {
                    nested::wait_here(&mut all.wait, pool);
                    all.lender = Some(pool);
                }
                return Poll::Pending;
            }
        }
        all.go_on();
        if let Some(error) = all.error.take() {
            all.forget();
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(all.results.drain(..).flatten().collect()))
    }
}

impl<J, T, E> Drop for TryJoin<J, T, E> {
    fn drop(&mut self) {
        let (unread, waker) = self.inbox.close();
        unread.into_iter().for_each(discard);
        discard(waker);
        self.forget();
    }
}

impl<J, T, E> fmt::Debug for TryJoin<J, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TryJoin").field("waiting", &self.handles.len()).finish_non_exhaustive()
    }
}
