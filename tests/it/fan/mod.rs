mod broadcast;
mod config;
mod correct;
mod early_exit;
mod inputs;
mod leak;
mod panics;
mod sorted;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::Stream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::support::{Counted, Gauge, Tally};

/// A source that the test feeds by hand, and that tells whether it is alive and how much was taken from it.
pub(crate) struct Source<T> {
    items: UnboundedReceiver<T>,
    taken: Gauge,
    _alive: Arc<()>,
}

/// The test's end of a [`Source`]. Dropping it ends the source.
pub(crate) struct Feed<T> {
    items: UnboundedSender<T>,
    taken: Gauge,
    alive: Arc<()>,
}

pub(crate) fn source<T>() -> (Feed<T>, Source<T>) {
    let (sender, items) = unbounded_channel();
    let (taken, alive) = (Gauge::new(), Arc::new(()));
    (Feed { items: sender, taken: taken.clone(), alive: alive.clone() }, Source { items, taken, _alive: alive })
}

impl<T> Feed<T> {
    pub(crate) fn give(&self, item: T) {
        drop(self.items.send(item));
    }

    /// How many items have been taken from the source.
    pub(crate) fn taken(&self) -> usize {
        self.taken.entered()
    }

    /// Whether the source has not been dropped.
    pub(crate) fn is_alive(&self) -> bool {
        Arc::strong_count(&self.alive) > 1
    }
}

impl<T> Stream for Source<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let next = self.items.poll_recv(cx);
        if matches!(next, Poll::Ready(Some(_))) {
            drop(self.taken.enter());
        }
        next
    }
}

/// A source of `n` values that count their lives, all there at once; its end stays open if `open`.
pub(crate) fn counted(tally: &Tally, n: u64) -> (Feed<Counted>, Source<Counted>) {
    let (feed, source) = source();
    (0..n).for_each(|id| feed.give(tally.make(id)));
    (feed, source)
}
