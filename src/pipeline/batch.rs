//! Several items as one.

use super::contained::Contained;
use super::envelope::{Envelope, Ticket};
use super::error::Cause;
use super::ledger::Fate;
use super::node::{Flow, Node};
use super::plan::Plan;
use super::scope::{Run, Scope};
use super::stage::Stage;
use super::turn::{FRUITLESS, give_way};
use crate::contain::{contain, discard};
use crate::kernel::gate::{Gate, Watcher};
use crate::rt::{self, Sleep};
use futures_core::Stream;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// When a batch is complete.
///
/// It is handed on when it has the number of items, when the next item would make it too heavy, when the time since its
/// *first* item is over, when the input ends, and when the pipeline's bound lets nothing more in. An item that is heavier
/// than a batch may be is a batch of its own.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use flowgate::{Batch, Pipeline};
/// use futures::{StreamExt as _, stream};
/// use std::time::Duration;
///
/// let batch = Batch::of(3).within(Duration::from_millis(50)).weight(10, |word: &&str| word.len());
/// let words = stream::iter(["a", "b", "c", "longest", "words"]);
/// let batches: Vec<_> = Pipeline::new().batch(batch).run(words).unwrap().collect().await;
/// assert_eq!(batches, [vec!["a", "b", "c"], vec!["longest"], vec!["words"]]);
/// # }
/// ```
#[must_use]
pub struct Batch<T> {
    items: usize,
    within: Option<Duration>,
    weight: Option<(usize, Weigh<T>)>,
}

type Weigh<T> = Arc<dyn Fn(&T) -> usize + Send + Sync>;

impl<T> Batch<T> {
    /// Of at most so many items, 1 or more.
    pub fn of(items: usize) -> Self {
        Self { items, within: None, weight: None }
    }

    /// No later than this after its first item came, above zero.
    pub fn within(mut self, time: Duration) -> Self {
        self.within = Some(time);
        self
    }

    /// Of at most this weight, 1 or more, in whatever unit `weigh` gives.
    pub fn weight(mut self, most: usize, weigh: impl Fn(&T) -> usize + Send + Sync + 'static) -> Self {
        self.weight = Some((most, Arc::new(weigh)));
        self
    }
}

impl<T> Clone for Batch<T> {
    fn clone(&self) -> Self {
        Self { items: self.items, within: self.within, weight: self.weight.clone() }
    }
}

impl<T> fmt::Debug for Batch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weight = self.weight.as_ref().map(|(most, _)| most);
        f.debug_struct("Batch")
            .field("items", &self.items)
            .field("within", &self.within)
            .field("weight", &weight)
            .finish()
    }
}

/// The stage of [`batch`](super::Pipeline::batch).
#[derive(Clone, Debug)]
pub struct Batching<T>(pub(super) Batch<T>);

impl<In: Send + 'static> Stage<In> for Batching<In> {
    type Out = Vec<In>;

    fn attach<S>(self, input: S, scope: Scope) -> impl Stream<Item = Envelope<Vec<In>>> + Send + 'static
    where
        S: Stream<Item = Envelope<In>> + Send + 'static,
    {
        let node = scope.node("batch", Flow::Counted);
        // Also those of pipelines nested before this stage: what it collects is inside of them until it is settled.
        let gates = scope.run.gates.lock().clone();
        Collecting {
            input: Contained::new(input, &scope),
            ended: false,
            gates: gates
                .into_iter()
                .map(|gate| {
                    let watcher = gate.watcher();
                    (gate, watcher)
                })
                .collect(),
            partial: Partial::default(),
            over: None,
            timer: None,
            options: self.0,
            node,
            run: scope.run.clone(),
        }
    }

    fn describe(&self, plan: &mut Plan) {
        let Batch { items, within, weight } = &self.0;
        match plan.in_flight() {
            _ if *items == 0 => plan.refuse("batch", "items", items, "1 or more"),
            Some(most) if *items > most => {
                plan.refuse("batch", "items", items, format!("1 to {most}, the pipeline's max_in_flight"));
            }
            _ => {}
        }
        if *within == Some(Duration::ZERO) {
            plan.refuse("batch", "within", "0s", "above zero");
        }
        if weight.as_ref().is_some_and(|(most, _)| *most == 0) {
            plan.refuse("batch", "weight", 0, "1 or more");
        }
        plan.tracked = true;
        plan.stage("batch", format_args!("of {items}"));
    }

    fn reports(&self) -> bool {
        true
    }
}

/// What has been collected.
struct Partial<T> {
    items: Vec<T>,
    tickets: Vec<Ticket>,
    weight: usize,
}

impl<T> Default for Partial<T> {
    fn default() -> Self {
        Self { items: Vec::new(), tickets: Vec::new(), weight: 0 }
    }
}

impl<T> Partial<T> {
    fn push(&mut self, envelope: Envelope<T>, weight: usize) {
        let (value, ticket) = envelope.into_parts();
        self.items.push(value);
        self.tickets.push(ticket);
        self.weight = self.weight.saturating_add(weight);
    }
}

struct Collecting<S, T> {
    input: Contained<S>,
    ended: bool,
    /// The bounds that may let nothing more in until the batch is handed on.
    gates: Vec<(Arc<Gate>, Watcher)>,
    partial: Partial<T>,
    /// An item that was too heavy for the batch before it.
    over: Option<(Envelope<T>, usize)>,
    /// For the batch that is collected; set by its first item.
    timer: Option<Pin<Box<Sleep>>>,
    options: Batch<T>,
    node: Arc<Node>,
    run: Arc<Run>,
}

// The input is boxed, and items are never pinned.
impl<S, T> Unpin for Collecting<S, T> {}

impl<S, T> Collecting<S, T> {
    fn weigh(&self, item: &T) -> Result<usize, crate::contain::Payload> {
        match &self.options.weight {
            Some((_, weigh)) => contain(|| weigh(item)),
            None => Ok(0),
        }
    }

    /// Puts an item in; the batch before it, if it does not fit into that one.
    fn take(&mut self, envelope: Envelope<T>, weight: usize) -> Option<Envelope<Vec<T>>> {
        let most = self.options.weight.as_ref().map_or(usize::MAX, |(most, _)| *most);
        let fits = self.partial.items.is_empty() || weight <= most.saturating_sub(self.partial.weight);
        if !fits {
            self.over = Some((envelope, weight));
            return self.flush();
        }
        if self.partial.items.is_empty() {
            self.timer = self.options.within.map(|time| Box::pin(rt::sleep(time)));
        }
        self.partial.push(envelope, weight);
        let full = self.partial.items.len() >= self.options.items || self.partial.weight >= most;
        // The timer itself is looked at when the input is pending, which it may never be.
        let late = || self.timer.as_ref().is_some_and(|timer| timer.deadline() <= rt::now());
        if full || late() { self.flush() } else { None }
    }

    /// Hands on what there is.
    fn flush(&mut self) -> Option<Envelope<Vec<T>>> {
        self.timer = None;
        let Partial { items, tickets, .. } = std::mem::take(&mut self.partial);
        if items.is_empty() {
            return None;
        }
        self.node.out.add_alone(1);
        Some(Envelope::with(items, Ticket::join(tickets)))
    }

    /// The weight of an item panicked: it is that item's failure. Whether the stage goes on.
    fn fails(&mut self, envelope: Envelope<T>, payload: crate::contain::Payload) -> bool {
        let (value, ticket) = envelope.into_parts();
        discard(value);
        self.node.failed.add(1);
        self.run.settle(ticket, Fate::Failed);
        if self.node.skips_panics {
            discard(payload);
            return true;
        }
        self.run.fail(&self.node.name, Cause::panicked(payload));
        false
    }

    /// Whether a batch has to go although it is not complete.
    fn is_due(&mut self, cx: &mut Context<'_>) -> bool {
        if self.partial.items.is_empty() {
            return false;
        }
        let late = self.timer.as_mut().is_some_and(|timer| timer.as_mut().poll(cx).is_ready());
        late || self.gates.iter().any(|(gate, watcher)| gate.poll_starved(*watcher, cx.waker()).is_ready())
    }
}

impl<S, T> Stream for Collecting<S, T>
where
    S: Stream<Item = Envelope<T>>,
{
    type Item = Envelope<Vec<T>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        for _ in 0..FRUITLESS {
            let (envelope, weight) = if let Some(over) = this.over.take() {
                over
            } else if this.ended {
                return Poll::Ready(this.flush());
            } else {
                match Pin::new(&mut this.input).poll_next(cx) {
                    Poll::Ready(None) => {
                        this.ended = true;
                        continue;
                    }
                    Poll::Pending if this.is_due(cx) => return Poll::Ready(this.flush()),
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Some(envelope)) => match this.weigh(&envelope.value) {
                        Ok(weight) => (envelope, weight),
                        Err(payload) => {
                            if !this.fails(envelope, payload) {
                                this.ended = true;
                                this.input.end();
                            }
                            continue;
                        }
                    },
                }
            };
            if let Some(batch) = this.take(envelope, weight) {
                return Poll::Ready(Some(batch));
            }
        }
        give_way(cx)
    }
}
