//! # What
//! A *batch channel*: one [`Sender`], one or several [`Receiver`]s, and a bound that is exact. The sender collects items
//! and hands them over together; a receiver takes many at once and yields them one by one.
//!
//! # States
//! Each of the `capacity` places is always with one of these:
//!
//! | a place is | counted in | becomes |
//! |---|---|---|
//! | room: the sender may fill it | [`Sender::room`] | collected, by [`Sender::push`] |
//! | collected: its item has not been flushed | the sender's own list | queued, by [`Sender::flush`] |
//! | queued: nobody has taken its item | `items` | taken, by [`Receiver::poll_next`]; free, if the receiver that takes it yields it at once |
//! | taken: its item is a receiver's, or was, and the place has not been given back | `taken` | free; queued again, if that receiver leaves |
//! | free: nobody has told the sender yet | `free` | room, by [`Sender::flush`] |
//!
//! | the channel is | left by |
//! |---|---|
//! | open | the sender's drop, the last receiver's |
//! | ended: there is no sender, and what is queued may still be taken | the last receiver's drop |
//! | closed: there is no receiver; nothing is queued, and a flush keeps its items | - |
//!
//! # Invariants
//! 1. The places add up to the capacity: so no more items than that are inside, wherever they are.
//! 2. An item is yielded once, evicted once, or handed back once: to the sender if it was not flushed, else to the last
//!    receiver.
//! 3. A receiver that has yielded all that it took owes no place; one that has yielded half of it owes less than half.
//! 4. While the sender waits for room, there is either none, or less than half of the capacity and no receiver waits.
//! 5. A receiver that waits is listed; a flush takes as many off the list as there are items, the longest waiting first, and
//!    wakes them. One that leaves instead of coming for its item passes the wake-up on.
//! 6. Whoever waits looks again after its waker is known: no wake-up is lost.
//! 7. No item or waker is cloned, dropped or woken under the lock.
//!
//! # Why not the obvious
//! A channel that moves single items pays a lock, a permit and often a wake-up for each. A channel of `Vec`s counts
//! vectors: its bound in items is the product of two numbers, and a batch that is half read keeps its whole place. A
//! receiver that gave each place back as it yields would pay for the lock again; one that gave back only when it comes for
//! more would leave the sender idle meanwhile: hence at half, and at the end.
//!
//! # Cost
//! For a batch one lock operation of the sender and three of the receiver (one, if the batch is a single item), and at most
//! one wake-up each way. Lists that grow to the capacity at most and take turns: one of the sender, one in the middle, one
//! of each receiver.

mod receiver;
mod sender;

pub(crate) use receiver::Receiver;
pub(crate) use sender::Sender;

use super::slab::{Fifo, Key, Slab};
use crate::shim::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

/// A channel for `capacity` items, 1 or more, whose ends wake each other with `wake`, never under the lock;
/// it must not panic.
///
/// A receiver takes all of its share, unless [`Receiver::take_at_most`] says less.
pub(crate) fn channel<T>(capacity: usize, wake: fn(Waker)) -> (Sender<T>, Receiver<T>) {
    assert!(capacity > 0, "a channel without a place moves nothing");
    let mut places = Slab::new();
    let first = places.insert(None);
    let state = State {
        items: VecDeque::new(),
        free: 0,
        taken: 0,
        capacity,
        ended: false,
        sender: None,
        for_room: false,
        places,
        waiting: Fifo::new(),
        evicted: 0,
    };
    let shared = Arc::new(Shared { state: Mutex::new(state), wake });
    (Sender::new(shared.clone(), capacity), Receiver::new(shared, first))
}

/// No receiver is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed;

#[derive(Debug)]
struct Shared<T> {
    state: Mutex<State<T>>,
    wake: fn(Waker),
}

#[derive(Debug)]
struct State<T> {
    /// Queued items, the oldest first.
    items: VecDeque<T>,
    free: usize,
    /// The places of all receivers.
    taken: usize,
    capacity: usize,
    ended: bool,
    /// The sender's, while it waits.
    sender: Option<Waker>,
    /// Whether it waits for room, and not only for the end of the receivers.
    for_room: bool,
    /// The receivers; one that waits has a waker here and is listed in `waiting`.
    places: Slab<Option<Waker>>,
    waiting: Fifo,
    evicted: u64,
}

impl<T> State<T> {
    fn is_closed(&self) -> bool {
        self.places.len() == 0
    }

    /// Takes what the sender collected, and gives it what room there is.
    #[inline]
    fn receive(&mut self, collected: &mut VecDeque<T>, room: &mut usize) {
        append(collected, &mut self.items);
        *room += std::mem::take(&mut self.free);
        if *room > 0 {
            self.for_room = false;
        }
        debug_assert_eq!(*room + self.items.len() + self.taken, self.capacity, "invariant 1");
    }

    /// How many of the items are the share of one receiver: at least one, if there is one.
    #[inline]
    fn share(&self) -> usize {
        self.items.len().div_ceil(self.places.len().max(1))
    }

    /// Takes off the list those receivers for which there is an item.
    fn served(&mut self, woken: &mut Vec<Waker>) {
        for _ in 0..self.items.len().min(self.waiting.len()) {
            let first = self.waiting.pop_front(&mut self.places);
            woken.extend(first.and_then(|first| self.places.get_mut(first)?.take()));
        }
    }

    /// The sender's waker, if it is to learn of the room that there is (invariant 4).
    #[inline]
    fn sender_for_room(&mut self) -> Option<Waker> {
        let enough = self.free >= self.capacity.div_ceil(2) || (self.free > 0 && !self.waiting.is_empty());
        if !self.for_room || !enough {
            return None;
        }
        self.for_room = false;
        self.sender.take()
    }

    /// Lists a receiver that waits; what it was listed with before is returned, to be dropped.
    fn list(&mut self, receiver: Key, waker: Option<Waker>) -> Option<Waker> {
        let before = self.places.get_mut(receiver).and_then(|place| std::mem::replace(place, waker));
        if before.is_none() {
            self.waiting.push_back(&mut self.places, receiver);
        }
        before
    }

    /// Takes a receiver off the list, if it waits.
    fn unlist(&mut self, receiver: Key) -> Option<Waker> {
        let waker = self.places.get_mut(receiver)?.take()?;
        self.waiting.unlink(&mut self.places, receiver);
        Some(waker)
    }
}

/// Moves all of `from` to the end of `to`.
#[inline]
fn append<T>(from: &mut VecDeque<T>, to: &mut VecDeque<T>) {
    if to.is_empty() {
        std::mem::swap(from, to);
    } else {
        to.append(from);
    }
}

/// What a channel holds, as far as its lock knows: what the sender has collected since its last flush is not in here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// Items that nobody has taken.
    pub(crate) queued: usize,
    /// Places of items that receivers have taken; those yielded since they last gave places back are among them.
    pub(crate) taken: usize,
    pub(crate) capacity: usize,
    /// Whether the sender waits for room now.
    pub(crate) waits_for_room: bool,
    /// How many receivers wait for an item now.
    pub(crate) receivers_waiting: usize,
    /// How many items have been evicted.
    pub(crate) evicted: u64,
}

/// Looks into a channel from outside: neither end of it.
#[derive(Debug)]
pub(crate) struct Watch<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Clone for Watch<T> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<T> Watch<T> {
    /// What is inside at this moment.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let state = self.shared.state.lock();
        Snapshot {
            queued: state.items.len(),
            taken: state.taken,
            capacity: state.capacity,
            waits_for_room: state.for_room,
            receivers_waiting: state.waiting.len(),
            evicted: state.evicted,
        }
    }
}
