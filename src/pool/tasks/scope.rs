//! Fallible tasks that belong together, and end together.

use super::Tasks;
use super::error::{ScopeError, TaskError};
use super::task::{Output, Task, typed};
use crate::contain::discard;
use crate::pool::error::{RunError, SubmitError};
use crate::pool::member::{Delivery, Order};
use crate::pool::window::Window;
use std::convert::Infallible;
use std::fmt;
use std::future::{Future, poll_fn};
use std::task::{Context, Poll, ready};

/// Tasks that belong together: the first that fails cancels the rest. Made by [`TaskPool::scope`](super::TaskPool::scope).
///
/// A task fails by returning an error, by panicking, or by being cancelled or aborted from outside. Of a task that has ended
/// only its result is kept; a scope whose tasks return `()` keeps nothing. Dropping it cancels all tasks, and waits for none.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use flowgate::{ScopeError, TaskPool};
///
/// let tasks = TaskPool::builder().concurrency(2).build().unwrap();
/// let mut scope = tasks.scope::<u32, String>();
/// for n in 1..=20 {
///     scope.spawn(async move { Ok(n) }).await.unwrap(); // waits while the pool is full
/// }
/// assert_eq!(scope.join().await.unwrap().into_iter().sum::<u32>(), 210);
///
/// let mut scope = tasks.scope();
/// scope.spawn(std::future::pending::<Result<(), String>>()).await.unwrap();
/// scope.spawn(async { Err("disk full".into()) }).await.unwrap();
/// let error = scope.join().await.unwrap_err(); // the other was cancelled, and has ended
/// assert!(matches!(error, ScopeError::Failed(reason) if reason == "disk full"));
/// assert!(tasks.is_empty());
/// # }
/// ```
#[must_use = "dropping a scope cancels its tasks"]
pub struct TaskScope<T, E> {
    window: Window<Task, Output, Infallible, ()>,
    results: Vec<T>,
    failed: Option<ScopeError<E>>,
}

impl<T, E> TaskScope<T, E> {
    pub(super) fn new(pool: &Tasks) -> Self {
        Self { window: Window::new(&pool.shared, Order::Unordered), results: Vec::new(), failed: None }
    }

    /// The tasks that have not ended, as far as this scope has seen.
    #[must_use]
    pub fn len(&self) -> usize {
        self.window.len()
    }

    /// Whether every task has ended.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a task has failed, as far as this scope has seen: then the others have been cancelled.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// Cancels every task of the scope.
    pub fn cancel(&mut self) {
        self.window.cancel_all();
    }
}

impl<T: Send + 'static, E: Send + 'static> TaskScope<T, E> {
    /// Runs a fallible future in the scope; waits for room, first come first served.
    ///
    /// # Errors
    /// Each gives the future back: [`Closed`](SubmitError::Closed) if the pool is closed, or the scope has
    /// [failed](Self::has_failed): then [`join`](Self::join) has the reason. [`WouldDeadlock`](SubmitError::WouldDeadlock), at
    /// once, in a task of this very pool while it is full.
    ///
    /// # Cancel safety
    /// Safe for the scope: dropping the future drops the task if it was still waiting for room. If it had been accepted by
    /// then, it is one of the scope's.
    pub async fn spawn<F>(&mut self, future: F) -> Result<(), SubmitError<F>>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        poll_fn(|cx| {
            self.look(cx);
            Poll::Ready(())
        })
        .await;
        if self.has_failed() {
            return Err(SubmitError::Closed(future));
        }
        let key = self.window.push((), Task::new(future));
        let entering = Entering(self);
        let may_enter = poll_fn(|cx| entering.0.poll_enter(cx)).await;
        let unsent = if may_enter { None } else { entering.0.window.take_back() };
        drop(entering);
        if let Some(((), task)) = unsent {
            return Err(SubmitError::Closed(task.into_future()));
        }
        if self.has_failed() {
            // It was accepted before that was seen.
            self.window.cancel_accepted();
        }
        match self.window.take_refused(key) {
            Some(((), refused)) => Err(refused.map(Task::into_future)),
            None => Ok(()),
        }
    }

    /// Ready once no task waits for room, `true`, or the scope has failed, `false`.
    fn poll_enter(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        if self.window.poll_admit(cx).is_ready() {
            return Poll::Ready(true);
        }
        self.look(cx);
        if self.has_failed() { Poll::Ready(false) } else { Poll::Pending }
    }

    /// Reads what has ended by now, and has the caller woken by what ends next.
    fn look(&mut self, cx: &mut Context<'_>) {
        let _all_ended = self.reap(cx);
        self.window.go_on();
    }

    /// Waits for all tasks and returns their results, in the order in which they ended.
    ///
    /// # Errors
    /// The first that went wrong. All other tasks have then been cancelled, and they have ended: nothing of the scope runs
    /// when this returns.
    ///
    /// # Cancel safety
    /// Dropping the future drops the scope: its tasks are cancelled, and nobody waits for their end.
    pub async fn join(mut self) -> Result<Vec<T>, ScopeError<E>> {
        poll_fn(|cx| self.reap(cx)).await;
        match self.failed.take() {
            Some(error) => Err(error),
            None => Ok(std::mem::take(&mut self.results)),
        }
    }

    /// Reads what has ended. Ready once all have.
    fn reap(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(Delivery { outcome, .. }) = ready!(self.window.poll_next(cx)) {
            let result = match outcome {
                Ok(output) => typed::<Result<T, E>>(output).map_err(ScopeError::Failed),
                Err(RunError::Job(error)) => Err(ScopeError::Task(TaskError::new(error))),
                Err(RunError::Submit(_)) => unreachable!("whoever was refused has been told"),
            };
            match result {
                Ok(result) if self.failed.is_none() => self.results.push(result),
                Err(error) if self.failed.is_none() => {
                    self.failed = Some(error);
                    self.window.cancel_accepted();
                    self.results.drain(..).for_each(discard);
                }
                unwanted => discard(unwanted),
            }
        }
        Poll::Ready(())
    }
}

impl<T, E> Drop for TaskScope<T, E> {
    fn drop(&mut self) {
        self.results.drain(..).for_each(discard);
        discard(self.failed.take());
    }
}

impl<T, E> fmt::Debug for TaskScope<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskScope")
            .field("len", &self.len())
            .field("failed", &self.has_failed())
            .finish_non_exhaustive()
    }
}

/// A task on its way in. Dropped before its end, it leaves the scope again unless it has been accepted.
struct Entering<'a, T, E>(&'a mut TaskScope<T, E>);

impl<T, E> Drop for Entering<'_, T, E> {
    fn drop(&mut self) {
        discard(self.0.window.take_back());
    }
}
