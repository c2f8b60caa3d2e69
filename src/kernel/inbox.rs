//! # What
//! [`Inbox`] collects what comes back of many jobs for one reader, each under the key that the reader gave its job. Whoever
//! settles jobs delivers to it, several at a time by way of a [`Post`]; the reader takes everything that has arrived in one
//! lock operation.
//!
//! # States
//! | state | holds | deliver | collect | close |
//! |---|---|---|---|---|
//! | `Open`, nothing arrived | maybe the reader's waker | keeps the letters, gives the waker out | stores the waker | `Closed` |
//! | `Open`, some arrived | letters, no waker | keeps the letters | takes all letters | `Closed`, letters given out |
//! | `Closed` | nothing | leaves the letters to the caller | nothing arrives any more | - |
//!
//! # Invariants
//! 1. A letter is in here once, from its delivery until it is collected or handed out by the close.
//! 2. While something has arrived, no waker is stored: the one who delivered the first has it, to be woken.
//! 3. Letters and wakers leave through return values: nothing of the user's is cloned, dropped or woken under the lock.
//! 4. It holds no more letters than its reader has jobs whose outcome it has not collected.
//!
//! # Why not the obvious
//! Polling each of `n` handles at each wake-up is O(n) for one outcome. A waker of its own for each job
//! (`FuturesUnordered`) is an allocation a job, and a list of the woken on top of the outcome's own lock. A channel has a bound of its
//! own, and with it something to wait for: here a delivery never waits, as the reader's jobs are its bound.
//!
//! # Cost
//! One lock operation for all letters to one reader that are delivered together, one more for each group that is collected,
//! one wake-up a group. The two lists that take turns, here and at the reader's, grow to the largest group and are kept.

use super::slab::Key;
use crate::shim::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Poll, Waker};

/// Letters under the keys of their jobs, in the order of their arrival.
pub(crate) type Arrivals<L> = VecDeque<(Key, L)>;

#[derive(Debug)]
enum State<L> {
    Open { arrived: Arrivals<L>, reader: Option<Waker> },
    Closed,
}

/// Letters on their way to one reader.
#[derive(Debug)]
pub(crate) struct Inbox<L> {
    state: Mutex<State<L>>,
}

/// What knows the inbox that it goes to.
pub(crate) trait Letter: Sized {
    /// Whether it goes to `inbox`.
    fn is_for(&mut self, inbox: &Arc<Inbox<Self>>) -> bool;
    /// The inbox that it goes to, if to any.
    fn inbox(&mut self) -> Option<Arc<Inbox<Self>>>;
}

/// Letters that are to be delivered, those to one inbox together.
#[derive(Debug)]
pub(crate) struct Post<L> {
    to: Option<Arc<Inbox<L>>>,
    letters: Vec<(Key, L)>,
}

impl<L> Inbox<L> {
    /// An open inbox with nothing in it.
    pub(crate) fn new() -> Self {
        Self { state: Mutex::new(State::Open { arrived: VecDeque::new(), reader: None }) }
    }

    /// Puts letters in. Returns the waker that is to be woken. What is left of the letters nobody will read.
    #[inline]
    pub(crate) fn deliver(&self, letters: &mut Vec<(Key, L)>) -> Option<Waker> {
        match &mut *self.state.lock() {
            State::Open { arrived, reader } => {
                arrived.extend(letters.drain(..));
                reader.take()
            }
            State::Closed => None,
        }
    }

    /// Exchanges what has arrived for `room`, which is empty, or leaves `waker` to be woken when something arrives.
    pub(crate) fn collect(&self, room: &mut Arrivals<L>, waker: &Waker) -> Poll<()> {
        debug_assert!(room.is_empty(), "what was collected before has been read");
        let mut state = self.state.lock();
        if state.exchange(room) {
            return Poll::Ready(());
        }
        if state.is_read_by(waker) {
            return Poll::Pending;
        }
        drop(state);
        let waker = waker.clone();
        let mut state = self.state.lock();
        if state.exchange(room) {
            return Poll::Ready(());
        }
        let replaced = match &mut *state {
            State::Open { reader, .. } => reader.replace(waker),
            State::Closed => Some(waker),
        };
        drop(state);
        drop(replaced);
        Poll::Pending
    }

    /// The reader leaves: what it no longer wants is to be dropped outside the lock.
    pub(crate) fn close(&self) -> (Arrivals<L>, Option<Waker>) {
        match std::mem::replace(&mut *self.state.lock(), State::Closed) {
            State::Open { arrived, reader } => (arrived, reader),
            State::Closed => (VecDeque::new(), None),
        }
    }
}

impl<L: Letter> Post<L> {
    /// With no letters.
    pub(crate) const fn new() -> Self {
        Self { to: None, letters: Vec::new() }
    }

    /// Adds a letter. If it goes to another inbox than those before it, these are delivered first.
    #[inline]
    pub(crate) fn add(&mut self, key: Key, mut letter: L) -> Option<Delivered<L>> {
        let mut delivered = None;
        if !self.to.as_ref().is_some_and(|to| letter.is_for(to)) {
            delivered = self.deliver();
            self.to = letter.inbox();
        }
        self.letters.push((key, letter));
        delivered
    }

    /// Delivers what is left, if there is anything.
    #[inline]
    pub(crate) fn deliver(&mut self) -> Option<Delivered<L>> {
        if self.to.is_some() { self.deliver_all() } else { None }
    }

    #[inline(never)]
    fn deliver_all(&mut self) -> Option<Delivered<L>> {
        let to = self.to.take()?;
        let reader = to.deliver(&mut self.letters);
        // The list is kept for the next ones, unless nobody has taken them.
        let unread = if self.letters.is_empty() { Vec::new() } else { std::mem::take(&mut self.letters) };
        Some(Delivered { reader, unread })
    }
}

/// What is left to do, outside the lock, when letters have been delivered.
#[derive(Debug)]
#[must_use = "the reader waits for its wake-up"]
pub(crate) struct Delivered<L> {
    /// Wake it.
    pub(crate) reader: Option<Waker>,
    /// Drop them: nobody will read them.
    pub(crate) unread: Vec<(Key, L)>,
}

impl<L> State<L> {
    /// Whether there was something to take.
    fn exchange(&mut self, room: &mut Arrivals<L>) -> bool {
        match self {
            Self::Open { arrived, .. } if !arrived.is_empty() => {
                std::mem::swap(arrived, room);
                true
            }
            _ => false,
        }
    }

    fn is_read_by(&self, waker: &Waker) -> bool {
        matches!(self, Self::Open { reader: Some(reader), .. } if reader.will_wake(waker))
    }
}
