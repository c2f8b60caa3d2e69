//! An item on its way, with what is owed for it.

use super::ledger::{Fate, Origin};
use crate::contain::wake;
use crate::fan::{Role, Sealed, Share};
use crate::kernel::sequence::Sequence;
use crate::shim::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::fmt;
use std::sync::Arc;

/// An item and the ticket that it travels with.
///
/// Stages of your own see items in this form. Whatever they do with the value, the ticket goes on with what they made of
/// it; an envelope that is dropped counts as not processed.
///
/// ```
/// use flowgate::pipeline::{Envelope, Settled, Ticket};
/// use std::sync::mpsc;
///
/// let (seen, outcomes) = mpsc::channel();
/// let tell = move |outcome| seen.send(outcome).unwrap();
///
/// let envelope = Envelope::with(20, Ticket::new(tell.clone())).map(|n| n + 1);
/// assert_eq!(envelope.ack(), 21);
/// assert_eq!(outcomes.recv(), Ok(Settled::Acked));
///
/// drop(Envelope::with(20, Ticket::new(tell)));
/// assert_eq!(outcomes.recv(), Ok(Settled::Nacked), "never a silent success");
/// ```
pub struct Envelope<T> {
    /// The item.
    pub value: T,
    ticket: Ticket,
}

impl<T> Envelope<T> {
    /// An item for which nothing is owed.
    #[must_use]
    pub fn new(value: T) -> Self {
        Self { value, ticket: Ticket::NONE }
    }

    /// An item with its ticket.
    #[must_use]
    pub fn with(value: T, ticket: Ticket) -> Self {
        Self { value, ticket }
    }

    /// The item is done: acknowledges it, and gives the value out.
    pub fn ack(self) -> T {
        self.ticket.ack();
        self.value
    }

    /// The item was not processed: says so at once, and gives the value out.
    pub fn nack(self) -> T {
        drop(self.ticket);
        self.value
    }

    /// What `f` makes of the value, with the same ticket.
    #[must_use]
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Envelope<U> {
        Envelope { value: f(self.value), ticket: self.ticket }
    }

    /// The value and the ticket.
    pub fn into_parts(self) -> (T, Ticket) {
        (self.value, self.ticket)
    }
}

impl<T: Clone> Sealed for Envelope<T> {}

/// To the required legs of a broadcast goes a part of the ticket, to best-effort ones none: the item is acknowledged when it is
/// by all required legs.
impl<T: Clone> Share for Envelope<T> {
    fn share(&self, leg: Role) -> Self {
        let ticket = match leg {
            Role::Required => self.ticket.split(),
            Role::BestEffort => Ticket::NONE,
        };
        Self { value: self.value.clone(), ticket }
    }

    fn let_go(self) {
        self.ticket.settle(Fate::Filtered);
    }
}

impl<T> From<T> for Envelope<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: fmt::Debug> fmt::Debug for Envelope<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope").field("value", &self.value).field("ticket", &self.ticket).finish()
    }
}

/// What is owed for an item: an acknowledgement to where it came from, and its place in a bounded pipeline.
///
/// One word; [`NONE`](Self::NONE) owes nothing and costs nothing. Dropping a ticket that was not acknowledged is a
/// *nack*: the item counts as not processed.
#[must_use = "dropping a ticket is a nack"]
#[derive(Default)]
pub struct Ticket(Option<Arc<Slip>>);

/// What became of an item, as its source sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Settled {
    /// Everything that was made of it was acknowledged, or filtered out on purpose.
    Acked,
    /// Something that was made of it failed, was cancelled, or was dropped.
    Nacked,
}

/// What the parts of one item share.
struct Slip {
    /// The worst that has become of any part.
    worst: AtomicU8,
    /// Its place in a sequence, unless it has none or has come to its end.
    position: Option<Arc<Position>>,
    origin: Origin,
}

/// The place of an item in a sequence.
pub(super) struct Position {
    number: u64,
    sequence: Arc<Sequence>,
    /// The tickets of its parts that have not come to the end of the sequence.
    under_way: AtomicUsize,
}

impl Position {
    pub(super) fn new(number: u64, sequence: Arc<Sequence>) -> Arc<Self> {
        Arc::new(Self { number, sequence, under_way: AtomicUsize::new(1) })
    }

    /// A part has come to the end, or to nothing.
    fn leave(&self) {
        // Ordering: Relaxed. The sequence's lock orders what follows; only the last one goes on to it.
        if self.under_way.fetch_sub(1, Ordering::Relaxed) == 1 {
            let advanced = self.sequence.finish(self.number);
            advanced.issuer.into_iter().chain(advanced.reader).for_each(wake);
        }
    }
}

impl Ticket {
    /// Nothing is owed.
    pub const NONE: Self = Self(None);

    /// A ticket of your own: `then` is called once, when the last part of the item is settled.
    ///
    /// It is called where that happens, in a task of the pipeline for example, so it should be short. A panic in it is
    /// contained.
    pub fn new(then: impl FnOnce(Settled) + Send + 'static) -> Self {
        Self::of(Origin::own(then))
    }

    pub(super) fn of(origin: Origin) -> Self {
        let position = origin.upstream().and_then(|upstream| upstream.0.as_ref()?.position.clone());
        Self::made(position, origin)
    }

    /// The ticket of an item at a place in a sequence.
    pub(super) fn at(position: Arc<Position>) -> Self {
        Self::made(Some(position), Origin::Nobody)
    }

    fn made(position: Option<Arc<Position>>, origin: Origin) -> Self {
        Self(Some(Arc::new(Slip { worst: AtomicU8::new(Fate::Filtered as u8), position, origin })))
    }

    /// The item, or this part of it, has come to the end of its sequence: its number, and the ticket that it goes on with.
    pub(super) fn arrive(self) -> (Option<u64>, Self) {
        let Some(position) = self.0.as_ref().and_then(|slip| slip.position.clone()) else { return (None, self) };
        let ticket = Self::made(None, Origin::Arrived(self));
        position.leave();
        (Some(position.number), ticket)
    }

    /// One ticket for several: each of them is settled as this one is.
    pub fn join(tickets: impl IntoIterator<Item = Self>) -> Self {
        let mut owing = Vec::new();
        tickets.into_iter().filter(|ticket| !ticket.is_none()).for_each(|ticket| ticket.join_into(&mut owing));
        match owing.len() {
            0 => Self::NONE,
            1 => owing.pop().unwrap_or(Self::NONE),
            _ => Self::of(Origin::Joined(owing)),
        }
    }

    /// Adds it to others that are settled together; one that was joined itself adds what it was joined of, so that joining
    /// again and again is no deeper than joining once.
    fn join_into(mut self, owing: &mut Vec<Self>) {
        let alone = self.0.as_mut().and_then(Arc::get_mut);
        match alone.map(|slip| (slip.worst.get_mut(), &mut slip.origin)) {
            // No part of it was settled before.
            Some((worst, Origin::Joined(parts))) if *worst == Fate::Filtered as u8 => {
                if parts.len() > owing.len() {
                    std::mem::swap(parts, owing);
                }
                owing.append(parts);
            }
            _ => owing.push(self),
        }
    }

    /// A ticket for one more part of the item: it is acknowledged once all its parts are, and nacked if one is.
    pub fn split(&self) -> Self {
        if let Some(position) = self.0.as_ref().and_then(|slip| slip.position.as_ref()) {
            // Ordering: Relaxed. This ticket is under way, so the count is above zero.
            position.under_way.fetch_add(1, Ordering::Relaxed);
        }
        Self(self.0.clone())
    }

    /// Acknowledges the item, or this part of it.
    #[inline]
    pub fn ack(self) {
        self.settle(Fate::Settled);
    }

    /// Whether nothing is owed.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// Says what became of the item, or of this part of it.
    #[inline]
    pub(super) fn settle(mut self, fate: Fate) {
        if let Some(slip) = self.0.take() {
            Slip::close(slip, fate);
        }
    }

    /// The same for a ticket inside another: that one has the place in the sequence.
    pub(super) fn settle_inside(mut self, fate: Fate) {
        if let Some(slip) = self.0.take() {
            slip.note(fate);
        }
    }
}

impl Drop for Ticket {
    #[inline]
    fn drop(&mut self) {
        if let Some(slip) = self.0.take() {
            Slip::close(slip, Fate::Requeued);
        }
    }
}

impl Slip {
    /// What has become of one part. Not inlined, so that a ticket for which nothing is owed costs one comparison.
    #[inline(never)]
    fn close(slip: Arc<Self>, fate: Fate) {
        slip.note(fate);
        if let Some(position) = &slip.position {
            position.leave();
        }
    }

    fn note(&self, fate: Fate) {
        // Ordering: Relaxed. Whoever drops the last part reads it after every other part was dropped, which `Arc` orders.
        if self.worst.load(Ordering::Relaxed) < fate as u8 {
            self.worst.fetch_max(fate as u8, Ordering::Relaxed);
        }
    }
}

impl Drop for Slip {
    fn drop(&mut self) {
        let fate = Fate::of_rank(self.worst.load(Ordering::Relaxed));
        std::mem::replace(&mut self.origin, Origin::Nobody).settle(fate);
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_none() { "Ticket::NONE" } else { "Ticket" })
    }
}
