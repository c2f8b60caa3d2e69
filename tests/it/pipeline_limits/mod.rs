//! Limits, time and ends of pipelines: what may be inside at once, when batches go, what waits for whom, and that nothing is
//! left when a pipeline ends, however it ends.

mod batching;
mod bound;
mod busy;
mod dropped;
mod ends;
mod frozen;
mod latency;
mod leaving;
mod soak;
mod stall;
mod starved;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use flowgate::Running;
use flowgate::pipeline::{Envelope, Report, Settled, Ticket};
use futures::{Stream, StreamExt as _, stream};

use super::support::{Gauge, Tally, alive_tasks, settle};

/// What became of the tickets of a source, and whether the source is still there.
#[derive(Clone, Debug, Default)]
struct Fates(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    issued: AtomicU64,
    acked: AtomicU64,
    nacked: AtomicU64,
    gone: AtomicBool,
}

impl Fates {
    fn issued(&self) -> u64 {
        self.0.issued.load(Ordering::SeqCst)
    }

    fn acked(&self) -> u64 {
        self.0.acked.load(Ordering::SeqCst)
    }

    fn nacked(&self) -> u64 {
        self.0.nacked.load(Ordering::SeqCst)
    }

    /// Whether the source was dropped.
    fn is_gone(&self) -> bool {
        self.0.gone.load(Ordering::SeqCst)
    }

    /// A ticket that says here what became of it.
    fn ticket(&self) -> Ticket {
        self.0.issued.fetch_add(1, Ordering::SeqCst);
        let fates = self.clone();
        Ticket::new(move |settled| {
            let count = match settled {
                Settled::Acked => &fates.0.acked,
                Settled::Nacked => &fates.0.nacked,
            };
            count.fetch_add(1, Ordering::SeqCst);
        })
    }

    /// The items of `input` with tickets.
    fn source<T>(&self, input: impl Stream<Item = T> + Send + 'static) -> Source<Envelope<T>>
    where
        T: Send + 'static,
    {
        let fates = self.clone();
        self.plain(input.map(move |item| Envelope::with(item, fates.ticket())))
    }

    /// The items of `input`; it is known here when they are dropped.
    fn plain<T>(&self, input: impl Stream<Item = T> + Send + 'static) -> Source<T> {
        Source { input: Box::pin(input), fates: self.clone() }
    }

    /// Nothing is owed to anybody, and the source is gone.
    #[track_caller]
    fn assert_settled(&self) {
        assert_eq!(self.acked() + self.nacked(), self.issued(), "{self:?}");
        assert!(self.is_gone(), "the source is still there");
    }
}

/// A source whose end is seen.
struct Source<T> {
    input: Pin<Box<dyn Stream<Item = T> + Send>>,
    fates: Fates,
}

impl<T> Stream for Source<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.input.as_mut().poll_next(cx)
    }
}

impl<T> Drop for Source<T> {
    fn drop(&mut self) {
        self.fates.0.gone.store(true, Ordering::SeqCst);
    }
}

/// Numbers without an end.
fn numbers() -> impl Stream<Item = u64> + Send + 'static {
    stream::iter(0..)
}

/// Numbers, and then nothing for ever.
fn numbers_then_silence(items: u64) -> impl Stream<Item = u64> + Send + 'static {
    stream::iter(0..items).chain(stream::pending())
}

/// Numbered items, each of which counts as inside from when it is yielded until it is settled. Fails if it is asked for one
/// while `most` are inside.
fn gauged(items: u64, most: usize, gauge: &Gauge) -> impl Stream<Item = Envelope<u64>> + Send + 'static {
    let gauge = gauge.clone();
    let mut next = 0;
    stream::poll_fn(move |_| {
        assert!(gauge.now() < most, "asked for an item while {most} are inside");
        if next == items {
            return Poll::Ready(None);
        }
        next += 1;
        let inside = gauge.enter();
        Poll::Ready(Some(Envelope::with(next - 1, Ticket::new(move |_| drop(inside)))))
    })
}

/// Every task has ended that is not the test's own.
async fn assert_no_task_left() {
    settle().await;
    assert_eq!(alive_tasks(), 0, "tasks are left");
}

#[track_caller]
fn assert_balanced(report: &Report) {
    assert!(report.is_balanced(), "{report}");
}

/// Reads everything, joins, and checks the account.
async fn read_all<T: Send + 'static>(mut running: Running<T>) -> (Vec<T>, Report) {
    let items = running.by_ref().collect().await;
    let report = running.join().await.unwrap();
    assert_balanced(&report);
    (items, report)
}
