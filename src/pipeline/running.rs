//! A pipeline while it runs.

use super::control::StageControl;
use super::envelope::Envelope;
use super::error::{BoxError, Cause, PipelineError};
use super::node::Edge;
use super::report::Report;
use super::scope::{Run, Scope};
use super::snapshot::Snapshot;
use crate::contain::discard;
use crate::kernel::channel::Receiver;
use crate::rt;
use futures_core::Stream;
use futures_core::stream::FusedStream;
use futures_sink::Sink;
use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// A pipeline that runs: the stream of what comes out of it, and its owner.
///
/// It goes on while nobody reads, up to its bounds. An item is acknowledged when it is yielded. When the pipeline ends
/// early, by a failure or by a cancellation, the stream ends too: [`join`](Self::join) says how it was.
///
/// Dropping it cancels the pipeline: tasks are dropped at their next await, and nothing outlives it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use flowgate::{Par, Pipeline};
/// use futures::{StreamExt as _, stream};
///
/// let squares = Pipeline::new().map_async(Par::ordered(4), |n: u64| async move { n * n }).named("square");
/// let mut running = squares.run(stream::iter(1..=100)).unwrap();
/// assert_eq!(running.next().await, Some(1));
/// running.stage("square").unwrap().set_parallelism(2).unwrap();
///
/// let report = running.join().await.unwrap(); // the rest is worked off, unread
/// assert_eq!((report.settled, report.discarded), (100, 99));
/// assert!(report.is_balanced());
/// # }
/// ```
#[must_use = "dropping it cancels the pipeline"]
pub struct Running<Out> {
    items: Receiver<Envelope<Out>>,
    pub(super) scope: Scope,
    pub(super) output: Arc<Edge>,
    ended: bool,
}

impl<Out> Running<Out> {
    pub(super) fn new(items: Receiver<Envelope<Out>>, output: Arc<Edge>, scope: Scope) -> Self {
        Self { items, scope, output, ended: false }
    }

    fn run(&self) -> &Arc<Run> {
        &self.scope.run
    }

    /// The next item with its ticket.
    fn poll_envelope(&mut self, cx: &mut Context<'_>) -> Poll<Option<Envelope<Out>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let polled = self.items.poll_next(cx.waker());
        match &polled {
            Poll::Ready(Some(_)) => self.run().ledger.yielded(),
            Poll::Ready(None) => self.ended = true,
            Poll::Pending => {}
        }
        polled
    }

    /// Takes nothing more from the source. What is inside goes on, and is yielded.
    pub fn close(&self) {
        self.run().close();
    }

    /// Ends everything: what is inside is dropped and counted cancelled, and nothing more is yielded.
    pub fn cancel(&mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        if !self.ended {
            self.ended = true;
            self.run().cancel();
        }
        discard(self.items.close());
    }

    /// Waits until everything is done. Outputs that nobody has read are acknowledged, dropped, and counted discarded: it never
    /// waits for a reader.
    ///
    /// # Errors
    /// [`PipelineError`]: the first failure of a stage, with the report.
    ///
    /// # Cancel safety
    /// Not safe: dropping the future cancels the pipeline. To be able to go on, read the stream to its end first.
    pub async fn join(mut self) -> Result<Report, PipelineError> {
        self.discard_rest().await;
        self.finish().await
    }

    /// Closes the pipeline, and waits until what is inside is done, but no longer than `limit`: then the rest is cancelled.
    /// Outputs that nobody has read are discarded, as by [`join`](Self::join).
    ///
    /// # Errors
    /// As [`join`](Self::join).
    ///
    /// # Cancel safety
    /// As [`join`](Self::join).
    pub async fn drain(mut self, limit: Duration) -> Result<Report, PipelineError> {
        self.close();
        let within = {
            let mut rest = pin!(self.discard_rest());
            let mut sleep = pin!(rt::sleep(limit));
            poll_fn(|cx| {
                if rest.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(true);
                }
                sleep.as_mut().poll(cx).map(|()| false)
            })
            .await
        };
        if !within {
            self.stop();
        }
        self.finish().await
    }

    async fn discard_rest(&mut self) {
        while let Some(envelope) = poll_fn(|cx| self.poll_envelope(cx)).await {
            self.run().ledger.discarded.add(1);
            discard(envelope.ack());
        }
    }

    /// The end has been seen, or everything was cancelled.
    async fn finish(self) -> Result<Report, PipelineError> {
        let run = self.run().clone();
        run.ended().await;
        drop(self);
        let report = Report::of(&run);
        let failure = run.life.lock().failure.take();
        match failure {
            Some(failure) => Err(PipelineError::new(failure, report)),
            None => Ok(report),
        }
    }

    /// Sends everything that comes out into a sink, and acknowledges items once the sink has flushed them.
    ///
    /// # Errors
    /// As [`join`](Self::join). An error of the sink cancels the pipeline, and is that of the stage `sink`.
    ///
    /// # Cancel safety
    /// As [`join`](Self::join); items that were not flushed are not acknowledged.
    pub async fn forward<S>(mut self, sink: S) -> Result<Report, PipelineError>
    where
        S: Sink<Out, Error: Into<BoxError>>,
    {
        let mut sink = pin!(sink);
        let mut owed = Vec::new();
        let sent: Result<(), S::Error> = async {
            loop {
                poll_fn(|cx| sink.as_mut().poll_ready(cx)).await?;
                let next = poll_fn(|cx| match self.poll_envelope(cx) {
                    // Before it waits for more, what was sent is flushed.
                    Poll::Pending if !owed.is_empty() => {
                        ready!(sink.as_mut().poll_flush(cx))?;
                        owed.drain(..).for_each(super::Ticket::ack);
                        Poll::Pending
                    }
                    polled => polled.map(Ok),
                })
                .await?;
                let Some(envelope) = next else { break };
                let (value, ticket) = envelope.into_parts();
                owed.push(ticket);
                sink.as_mut().start_send(value)?;
                if owed.len() >= UNFLUSHED {
                    poll_fn(|cx| sink.as_mut().poll_flush(cx)).await?;
                    owed.drain(..).for_each(super::Ticket::ack);
                }
            }
            poll_fn(|cx| sink.as_mut().poll_close(cx)).await?;
            owed.drain(..).for_each(super::Ticket::ack);
            Ok(())
        }
        .await;
        if let Err(error) = sent {
            self.run().fail(&"sink".into(), Cause::Error(error.into()));
            self.stop();
            discard(owed);
        }
        self.finish().await
    }

    /// The outputs with their tickets: they are acknowledged by whoever reads them.
    pub fn envelopes(self) -> Envelopes<Out> {
        Envelopes { running: self }
    }

    /// What has become of the items so far.
    #[must_use]
    pub fn report(&self) -> Report {
        Report::of(self.run())
    }

    /// Every stage at this moment: what it holds, how busy it is, what it waits for.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::of(self.run(), Some(&self.output))
    }

    /// A stage, by its name.
    #[must_use]
    pub fn stage(&self, name: &str) -> Option<StageControl> {
        StageControl::of(self.run(), name)
    }

    /// Watches the pipeline from elsewhere, without keeping it.
    #[must_use]
    pub fn monitor(&self) -> Monitor {
        Monitor { run: Arc::downgrade(self.run()), output: self.output.clone() }
    }
}

/// So many items may be sent into a sink before it is flushed.
const UNFLUSHED: usize = 256;

// Items are never pinned.
impl<Out> Unpin for Running<Out> {}

impl<Out> Stream for Running<Out> {
    type Item = Out;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Out>> {
        self.poll_envelope(cx).map(|next| next.map(Envelope::ack))
    }
}

impl<Out> FusedStream for Running<Out> {
    fn is_terminated(&self) -> bool {
        self.ended
    }
}

impl<Out> Drop for Running<Out> {
    fn drop(&mut self) {
        self.stop();
        self.run().abandon();
    }
}

impl<Out> fmt::Debug for Running<Out> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("report", &format_args!("{}", self.report())).finish_non_exhaustive()
    }
}

/// The outputs of a pipeline with their tickets. Made by [`Running::envelopes`].
///
/// # Cancel safety
/// As [`Running`]: dropping it cancels the pipeline.
#[must_use = "dropping it cancels the pipeline"]
#[derive(Debug)]
pub struct Envelopes<Out> {
    running: Running<Out>,
}

impl<Out> Envelopes<Out> {
    /// The pipeline that runs.
    pub fn into_running(self) -> Running<Out> {
        self.running
    }
}

impl<Out> Stream for Envelopes<Out> {
    type Item = Envelope<Out>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Envelope<Out>>> {
        self.running.poll_envelope(cx)
    }
}

/// Watches a pipeline without keeping it. Made by [`Running::monitor`].
#[derive(Clone, Debug)]
pub struct Monitor {
    run: Weak<Run>,
    output: Arc<Edge>,
}

impl Monitor {
    /// Every stage at this moment, unless the pipeline is gone.
    #[must_use]
    pub fn snapshot(&self) -> Option<Snapshot> {
        self.run.upgrade().map(|run| Snapshot::of(&run, Some(&self.output)))
    }

    /// What has become of the items so far, unless the pipeline is gone.
    #[must_use]
    pub fn report(&self) -> Option<Report> {
        self.run.upgrade().map(|run| Report::of(&run))
    }
}
