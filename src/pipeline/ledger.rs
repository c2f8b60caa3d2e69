//! What became of every item that a pipeline took from its source.
//!
//! An item is counted once when it is taken and once when its fate is known. Where nothing can be made of an item but one
//! other item, stages count fates directly and no ticket is made. Where an item may become several or several one, where a
//! bound is kept over the whole pipeline, or where a stage is not ours, each item has a ticket, and the last part of it to be
//! settled counts.

use super::envelope::{Settled, Ticket};
use crate::contain::{contain, discard};
use crate::kernel::gate::Gate;
use crate::shim::Mutex;
use crate::shim::atomic::{AtomicBool, AtomicU64, Ordering};
use std::ops::Deref;
use std::sync::Arc;

/// What became of an item, from the best to the worst: the fate of an item of several parts is that of its worst part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Fate {
    /// Dropped on purpose, by a filter or by an expansion to nothing.
    Filtered,
    /// Handed on at the end of the pipeline.
    Settled,
    /// In the pipeline when it was cancelled or failed.
    Cancelled,
    /// Dropped without a word, by a stage of the user's.
    Requeued,
    /// Given to a dead-letter sink.
    Dead,
    /// Failed, and skipped or the end of the pipeline.
    Failed,
}

const FATES: [Fate; 6] = [Fate::Filtered, Fate::Settled, Fate::Cancelled, Fate::Requeued, Fate::Dead, Fate::Failed];

impl Fate {
    pub(super) fn of_rank(rank: u8) -> Self {
        FATES[usize::from(rank).min(FATES.len() - 1)]
    }

    fn settled(self) -> Settled {
        match self {
            Self::Filtered | Self::Settled => Settled::Acked,
            Self::Cancelled | Self::Requeued | Self::Dead | Self::Failed => Settled::Nacked,
        }
    }
}

/// A function of the user's that is told what became of an item.
type Then = Box<dyn FnOnce(Settled) + Send>;

/// Who wants to know what became of an item.
pub(super) enum Origin {
    Nobody,
    /// A function of the user's. In a mutex only because such a function need not be `Sync`.
    Own(Mutex<Option<Then>>),
    /// Several items, of which one was made.
    Joined(Vec<Ticket>),
    /// An item that has come to the end of its sequence.
    Arrived(Ticket),
    /// A pipeline that took the item from a source, which may want to know too.
    Source {
        ledger: Arc<Ledger>,
        upstream: Ticket,
    },
    /// The bound of a pipeline, in which the item weighs so much.
    Bound {
        gate: Arc<Gate>,
        weight: usize,
        upstream: Ticket,
    },
}

impl Origin {
    pub(super) fn own(then: impl FnOnce(Settled) + Send + 'static) -> Self {
        Self::Own(Mutex::new(Some(Box::new(then))))
    }

    /// The one ticket inside.
    pub(super) fn upstream(&self) -> Option<&Ticket> {
        match self {
            Self::Source { upstream, .. } | Self::Bound { upstream, .. } => Some(upstream),
            Self::Nobody | Self::Own(_) | Self::Joined(_) | Self::Arrived(_) => None,
        }
    }

    pub(super) fn settle(self, fate: Fate) {
        match self {
            Self::Nobody => {}
            Self::Own(then) => {
                if let Some(then) = then.into_inner() {
                    if let Err(payload) = contain(|| then(fate.settled())) {
                        discard(payload);
                    }
                }
            }
            Self::Arrived(ticket) => ticket.settle_inside(fate),
            Self::Joined(tickets) => tickets.into_iter().for_each(|ticket| ticket.settle(fate)),
            Self::Source { ledger, upstream } => {
                ledger.count(fate);
                upstream.settle_inside(fate);
            }
            Self::Bound { gate, weight, upstream } => {
                // The item first: who is woken by the room may look at the ledger.
                upstream.settle_inside(fate);
                gate.release(weight).into_iter().for_each(crate::contain::wake);
            }
        }
    }
}

/// A count that is read at any time.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn get(&self) -> u64 {
        // Ordering: Acquire, with the Release of whoever adds: who sees an item counted behind a stage, and looks before that
        // stage then, sees it counted there too.
        self.0.load(Ordering::Acquire)
    }

    /// Adds, for one of several who count.
    pub(super) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Release);
    }

    /// Adds, for the only one who counts: no locked instruction.
    #[inline]
    pub(super) fn add_alone(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed) + n, Ordering::Release);
    }
}

/// On a cache line of its own: what one side of a pipeline counts does not slow down the other.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Apart<T>(T);

impl<T> Deref for Apart<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// The account of a pipeline, by source item.
#[derive(Debug)]
pub(super) struct Ledger {
    /// Whether each item has a ticket.
    pub(super) tracked: bool,
    /// Whether the pipeline has been cancelled, or has failed: what is dropped from here on was cancelled.
    pub(super) torn_down: AtomicBool,
    pub(super) taken: Apart<Counter>,
    fates: [Counter; FATES.len()],
    /// Outputs that nobody read.
    pub(super) discarded: Counter,
}

impl Ledger {
    pub(super) fn new(tracked: bool) -> Self {
        Self {
            tracked,
            torn_down: AtomicBool::new(false),
            taken: Apart::default(),
            fates: Default::default(),
            discarded: Counter::default(),
        }
    }

    /// The ticket of an item that was just taken.
    #[inline]
    pub(super) fn ticket(self: &Arc<Self>, upstream: Ticket) -> Ticket {
        if self.tracked { self.owing(upstream) } else { upstream }
    }

    fn owing(self: &Arc<Self>, upstream: Ticket) -> Ticket {
        Ticket::of(Origin::Source { ledger: self.clone(), upstream })
    }

    fn count(&self, fate: Fate) {
        let fate = match fate {
            Fate::Requeued if self.torn_down.load(Ordering::Relaxed) => Fate::Cancelled,
            fate => fate,
        };
        self.fates[fate as usize].add(1);
    }

    pub(super) fn of(&self, fate: Fate) -> u64 {
        self.fates[fate as usize].get()
    }

    /// An item, or a part of one, has met its fate.
    pub(super) fn settle(&self, ticket: Ticket, fate: Fate) {
        if self.tracked { ticket.settle(fate) } else { self.count(fate) }
    }

    /// An item was yielded to the consumer, who is the only one to settle so. One with a ticket is counted by that.
    #[inline]
    pub(super) fn yielded(&self) {
        if !self.tracked {
            self.fates[Fate::Settled as usize].add_alone(1);
        }
    }
}
