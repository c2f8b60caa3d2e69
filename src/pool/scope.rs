//! Jobs that belong together, and end together.
//!
//! | | what a [`Scope`] promises |
//! |---|---|
//! | bound | its jobs are bounded by the pool like all others; it keeps each outcome until it is read |
//! | order | [`next`](Scope::next): as they come; [`join`](Scope::join): results in the order of submission |
//! | value back | a refusal returns the job, an error returns it if the handler did not keep it |
//! | cancel | [`cancel`](Scope::cancel); the first error that `join` sees cancels the rest |
//! | panic | of a handler: that job's error |
//! | drop | cancels every job; [`join`](Scope::join) is how to wait for them |

use super::WorkerPool;
use super::error::{JobError, RunError, SubmitError};
use super::handle::JobId;
use super::member::{Delivery, Order};
use super::shared::Outcome;
use super::window::Window;
use crate::contain::discard;
use crate::kernel::slab::Key;
use futures_core::stream::Stream;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The number of a job in the order of submission, its number in the pool, and its outcome.
type Ended<J, T, E> = (usize, JobId, Outcome<J, T, E>);

impl<J, T, E> WorkerPool<J, T, E> {
    /// A scope for jobs that belong together: they are read, joined and cancelled as one.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use flowgate::{Attempt, JobError, WorkerPool};
    ///
    /// let pool = WorkerPool::<u32, u32, String>::builder()
    ///     .concurrency(4)
    ///     .queue(20)
    ///     .build(|job: Attempt<u32>| async move {
    ///         if *job == 0 { return Err("zero".into()) }
    ///         tokio::task::yield_now().await;
    ///         Ok(1000 / *job)
    ///     })
    ///     .unwrap();
    ///
    /// let mut scope = pool.scope();
    /// for job in [1, 2, 4] {
    ///     scope.submit(job).await.unwrap();
    /// }
    /// assert_eq!(scope.join().await.unwrap(), [1000, 500, 250]);
    ///
    /// let mut scope = pool.scope();
    /// for job in [5, 0, 7] {
    ///     scope.submit(job).await.unwrap();
    /// }
    /// let error = scope.join().await.unwrap_err(); // the others were cancelled, and have ended
    /// assert!(matches!(error, JobError::Failed(failure) if failure.job == Some(0)));
    /// assert!(pool.is_empty());
    /// # }
    /// ```
    #[must_use = "dropping a scope cancels its jobs"]
    pub fn scope(&self) -> Scope<J, T, E> {
        Scope { window: Window::new(&self.shared, Order::Unordered), submitted: 0 }
    }
}

/// Jobs that belong together. Made by [`WorkerPool::scope`].
///
/// It keeps the outcome of each of its jobs until it is read: with [`next`](Self::next), one by one, or all at once with
/// [`join`](Self::join). Dropping it cancels them all, and waits for none.
#[must_use = "dropping a scope cancels its jobs"]
pub struct Scope<J, T, E> {
    /// The tag of a job is its number in the order of submission.
    window: Window<J, T, E, usize>,
    submitted: usize,
}

impl<J, T, E> Scope<J, T, E> {
    /// Submits a job into the scope; waits for room, first come first served, as [`WorkerPool::submit`] does.
    ///
    /// # Errors
    /// Each gives the job back, as those of [`WorkerPool::submit`].
    ///
    /// # Cancel safety
    /// Safe for the scope, not for the job: dropping the future drops the job if it was still waiting for room. If it had
    /// been accepted by then, it is one of the scope's.
    pub async fn submit(&mut self, job: J) -> Result<JobId, SubmitError<J>> {
        let key = self.push(job);
        let entering = Entering { scope: self };
        poll_fn(|cx| entering.scope.window.poll_admit(cx)).await;
        drop(entering);
        self.entered(key)
    }

    /// Submits a job into the scope if there is room now.
    ///
    /// # Errors
    /// Each gives the job back: [`Full`](SubmitError::Full) and [`Closed`](SubmitError::Closed).
    pub fn try_submit(&mut self, job: J) -> Result<JobId, SubmitError<J>> {
        let key = self.push(job);
        self.window.try_admit();
        match self.window.take_back() {
            Some((_, job)) => Err(SubmitError::Full(job)),
            None => self.entered(key),
        }
    }

    fn push(&mut self, job: J) -> Key {
        self.submitted += 1;
        self.window.push(self.submitted - 1, job)
    }

    fn entered(&mut self, key: Key) -> Result<JobId, SubmitError<J>> {
        match (self.window.id(key), self.window.take_refused(key)) {
            (Some(id), None) => Ok(id),
            (_, Some((_, refused))) => Err(refused),
            (None, None) => unreachable!("a job that does not wait was accepted or refused"),
        }
    }

    /// The next outcome, as they come, with the number of its job; `None` once every outcome has been read.
    ///
    /// # Cancel safety
    /// Safe: an outcome is taken only when it is returned.
    pub async fn next(&mut self) -> Option<(JobId, Result<T, JobError<J, E>>)> {
        poll_fn(|cx| self.poll(cx)).await.map(|(_, id, outcome)| (id, outcome))
    }

    /// Waits for all jobs and returns the results that have not been read, in the order of submission.
    ///
    /// # Errors
    /// The first error that is seen, in the order of time. All other jobs have then been cancelled, and they have ended:
    /// nothing of the scope runs when this returns. What they return is dropped.
    ///
    /// # Cancel safety
    /// Dropping the future drops the scope: its jobs are cancelled, and nobody waits for their end.
    pub async fn join(mut self) -> Result<Vec<T>, JobError<J, E>> {
        let mut results: Vec<(usize, T)> = Vec::with_capacity(self.window.len());
        let mut first = None;
        while let Some((nth, _, outcome)) = poll_fn(|cx| self.poll(cx)).await {
            match outcome {
                Ok(result) if first.is_none() => results.push((nth, result)),
                Err(error) if first.is_none() => {
                    self.window.cancel_all();
                    first = Some(error);
                }
                unwanted => discard(unwanted),
            }
        }
        match first {
            Some(error) => {
                results.into_iter().for_each(discard);
                Err(error)
            }
            None => {
                results.sort_unstable_by_key(|(nth, _)| *nth);
                Ok(results.into_iter().map(|(_, result)| result).collect())
            }
        }
    }

    /// Cancels every job of the scope. Their outcomes come as all others.
    pub fn cancel(&mut self) {
        self.window.cancel_all();
    }

    /// The jobs whose outcome has not been read.
    #[must_use]
    pub fn len(&self) -> usize {
        self.window.len()
    }

    /// Whether every outcome has been read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Ended<J, T, E>>> {
        self.window.poll_next(cx).map(|next| {
            next.map(|Delivery { tag, id, outcome }| match (id, outcome) {
                (Some(id), Ok(result)) => (tag, id, Ok(result)),
                (Some(id), Err(RunError::Job(error))) => (tag, id, Err(error)),
                _ => unreachable!("a job of a scope was accepted"),
            })
        })
    }
}

// Jobs and results are never pinned.
impl<J, T, E> Unpin for Scope<J, T, E> {}

impl<J, T, E> Stream for Scope<J, T, E> {
    type Item = (JobId, Outcome<J, T, E>);

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll(cx).map(|next| next.map(|(_, id, outcome)| (id, outcome)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len(), Some(self.len()))
    }
}

impl<J, T, E> fmt::Debug for Scope<J, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// A submission on its way. Dropped before its end, the job leaves the scope again unless it has been accepted.
struct Entering<'a, J, T, E> {
    scope: &'a mut Scope<J, T, E>,
}

impl<J, T, E> Drop for Entering<'_, J, T, E> {
    fn drop(&mut self) {
        discard(self.scope.window.take_back());
    }
}
