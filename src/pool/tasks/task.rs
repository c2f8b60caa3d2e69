//! A future whose type has been forgotten, and its output.
//!
//! One allocation holds the future, and one its output, if that has a size; the job's cell is the third. The future is
//! polled where it was put, so it need not be `Unpin`, and given back as it was, if it was never started.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// What a task returned.
pub(crate) type Output = Box<dyn Any + Send>;

/// A future that was not started, its type forgotten; as a shutdown's [`TaskReport`](super::TaskReport) gives it back.
///
/// Its handle has ended [`Returned`](super::TaskError::Returned). It can be run elsewhere, and its output is dropped then.
#[must_use = "a task does nothing unless it is run"]
pub struct Task(Box<dyn Erased>);

/// Any future that is `Send` and whose output is.
trait Erased: Send {
    fn poll_erased(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Output>;
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
}

impl<F> Erased for F
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn poll_erased(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Output> {
        self.poll(cx).map(|output| Box::new(output) as Output)
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

impl Task {
    pub(super) fn new<F>(future: F) -> Self
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        Self(Box::new(future))
    }

    /// The future, as it was before it was started.
    pub(super) fn into_future<F: 'static>(self) -> F {
        match self.0.into_any().downcast() {
            Ok(future) => *future,
            Err(_) => unreachable!("a task comes back to whoever has made it"),
        }
    }

    pub(super) fn start(self) -> Started {
        Started(self.0.into())
    }

    /// Runs it here, and drops its output.
    ///
    /// # Cancel safety
    /// Dropping the future drops the task at its await.
    pub fn run(self) -> impl Future<Output = ()> + Send {
        let running = self.start();
        async move { drop(running.await) }
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").finish_non_exhaustive()
    }
}

/// A task that has been started.
pub(super) struct Started(Pin<Box<dyn Erased>>);

impl Future for Started {
    type Output = Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Output> {
        self.0.as_mut().poll_erased(cx)
    }
}

/// The output as its own type.
pub(super) fn typed<T: 'static>(output: Output) -> T {
    match output.downcast() {
        Ok(output) => *output,
        Err(_) => unreachable!("a task's output has the type that its handle names"),
    }
}
