//! A sink for jobs: for code that speaks `Sink`, and for `forward`.
//!
//! | | what [`sink`](WorkerPool::sink) promises |
//! |---|---|
//! | bound | one job that waits for room; it is ready for the next once that is accepted, and reserves nothing before |
//! | order | jobs are accepted in the order in which they are sent |
//! | value back | each error has its job, one that was never accepted too; [`PoolSink::into_unsent`] has the one that waits |
//! | cancel | none: what was accepted goes on |
//! | panic | of a handler: that job's error |
//! | drop | detaches the jobs, as dropping a handle does; one that still waits for room is dropped |

use super::WorkerPool;
use super::error::RunError;
use super::member::{Delivery, Order};
use super::window::Window;
use futures_sink::Sink;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

impl<J, T, E> WorkerPool<J, T, E> {
    /// A sink that submits what is sent to it. Results are dropped, errors surface.
    ///
    /// Flushing waits until everything sent is accepted, closing waits for all outcomes. The pool stays open.
    ///
    /// An error of a job comes out of whatever is called next, each once, with the job, in the order in which they
    /// happen. The sink can be used after it: the other jobs are not touched.
    ///
    /// # Cancel safety
    /// Safe: the sink keeps its jobs between polls.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use flowgate::{Attempt, WorkerPool};
    /// use futures::{SinkExt as _, StreamExt as _, stream};
    ///
    /// let pool = WorkerPool::<u32, (), String>::builder()
    ///     .concurrency(4)
    ///     .build(|job: Attempt<u32>| async move { if *job < 90 { Ok(()) } else { Err(format!("{} is too much", *job)) } })
    ///     .unwrap();
    /// stream::iter(0..80).map(Ok).forward(pool.sink()).await.unwrap();
    /// assert_eq!(pool.stats().totals.succeeded, 80);
    ///
    /// let mut sink = pool.sink();
    /// sink.send(95).await.unwrap();
    /// let error = sink.close().await.unwrap_err();
    /// assert_eq!(error.into_job(), Some(95));
    /// # }
    /// ```
    #[must_use = "a sink takes jobs only if they are sent"]
    pub fn sink(&self) -> PoolSink<J, T, E> {
        PoolSink { window: Some(Window::new(&self.shared, Order::Unordered)) }
    }
}

/// A sink for the jobs of a pool. Made by [`WorkerPool::sink`].
pub struct PoolSink<J, T, E> {
    /// `None` only once it is dropped.
    window: Option<Window<J, T, E, ()>>,
}

type Polled<J, E> = Poll<Result<(), RunError<J, E>>>;

impl<J, T, E> PoolSink<J, T, E> {
    /// The job that was sent and has not been accepted, if there is one by now. Detaches the others.
    #[must_use]
    pub fn into_unsent(mut self) -> Option<J> {
        self.window().take_back().map(|((), job)| job)
    }

    /// The jobs that were sent and whose outcome this sink has not seen.
    #[must_use]
    pub fn len(&self) -> usize {
        self.window.as_ref().map_or(0, Window::len)
    }

    /// Whether it has seen the outcomes of all jobs that were sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn window(&mut self) -> &mut Window<J, T, E, ()> {
        self.window.as_mut().expect("a sink has its window until it is dropped")
    }

    /// Drops the results that have come, up to the first error. Ready once there is no job left.
    fn reap(&mut self, cx: &mut Context<'_>) -> Polled<J, E> {
        loop {
            match ready!(self.window().poll_next(cx)) {
                Some(Delivery { outcome: Err(error), .. }) => return Poll::Ready(Err(error)),
                Some(Delivery { outcome: Ok(result), .. }) => crate::contain::discard(result),
                None => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Ready once everything sent is accepted.
    fn admit(&mut self, cx: &mut Context<'_>) -> Polled<J, E> {
        // What has ended makes room for what waits, in here and in the pool.
        if let Poll::Ready(Err(error)) = self.reap(cx) {
            return Poll::Ready(Err(error));
        }
        ready!(self.window().poll_admit(cx));
        let reaped = self.reap(cx);
        self.window().go_on();
        match reaped {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(())),
        }
    }
}

// Jobs are never pinned.
impl<J, T, E> Unpin for PoolSink<J, T, E> {}

impl<J, T, E> Sink<J> for PoolSink<J, T, E> {
    type Error = RunError<J, E>;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled<J, E> {
        self.admit(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, job: J) -> Result<(), Self::Error> {
        let window = self.window();
        window.push((), job);
        window.admit_now();
        Ok(())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled<J, E> {
        self.admit(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled<J, E> {
        ready!(self.admit(cx))?;
        self.reap(cx)
    }
}

impl<J, T, E> Drop for PoolSink<J, T, E> {
    fn drop(&mut self) {
        if let Some(window) = self.window.take() {
            window.detach();
        }
    }
}

impl<J, T, E> fmt::Debug for PoolSink<J, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolSink").field("len", &self.len()).finish()
    }
}
