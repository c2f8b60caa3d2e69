//! # What
//! [`Inbox`] collects the outcomes of many jobs for one reader, each under the key that the reader gave its job. Whoever
//! settles a job delivers to it; the reader takes everything that has arrived in one lock operation.
//!
//! # States
//! | state | holds | deliver | collect | close |
//! |---|---|---|---|---|
//! | `Open`, nothing arrived | maybe the reader's waker | keeps the outcome, gives the waker out | stores the waker | `Closed` |
//! | `Open`, some arrived | outcomes, no waker | keeps the outcome | takes all outcomes | `Closed`, outcomes given out |
//! | `Closed` | nothing | gives the outcome back | nothing arrives any more | - |
//!
//! # Invariants
//! 1. An outcome is in here once, from its delivery until it is collected or handed out by the close.
//! 2. While something has arrived, no waker is stored: the one who delivered the first has it, to be woken.
//! 3. Outcomes and wakers leave through return values: nothing of the user's is cloned, dropped or woken under the lock.
//! 4. It holds no more outcomes than its reader has jobs whose outcome it has not collected.
//!
//! # Why not the obvious
//! Polling each of `n` handles at each wake-up is O(n) for one outcome. A waker of its own for each job
//! (`FuturesUnordered`) is an allocation a job, and a list of the woken on top of the outcome's own lock. A channel has a bound of its
//! own, and with it something to wait for: here a delivery never waits, as the reader's jobs are its bound.
//!
//! # Cost
//! One uncontended lock operation an outcome, one more for each group that is collected, one wake-up a group. The two
//! lists that take turns, here and at the reader's, grow to the largest group and are kept.

use super::slab::Key;
use crate::shim::Mutex;
use std::collections::VecDeque;
use std::task::{Poll, Waker};

/// Outcomes under the keys of their jobs, in the order of their arrival.
pub(crate) type Arrivals<O> = VecDeque<(Key, O)>;

#[derive(Debug)]
enum State<O> {
    Open { arrived: Arrivals<O>, reader: Option<Waker> },
    Closed,
}

/// Outcomes on their way to one reader.
#[derive(Debug)]
pub(crate) struct Inbox<O> {
    state: Mutex<State<O>>,
}

impl<O> Inbox<O> {
    /// An open inbox with nothing in it.
    pub(crate) fn new() -> Self {
        Self { state: Mutex::new(State::Open { arrived: VecDeque::new(), reader: None }) }
    }

    /// Puts an outcome in. Returns the waker that is to be woken, or the outcome, to be dropped, if nobody will read it.
    #[inline]
    pub(crate) fn deliver(&self, key: Key, outcome: O) -> Result<Option<Waker>, O> {
        match &mut *self.state.lock() {
            State::Open { arrived, reader } => {
                arrived.push_back((key, outcome));
                Ok(reader.take())
            }
            State::Closed => Err(outcome),
        }
    }

    /// Exchanges what has arrived for `room`, which is empty, or leaves `waker` to be woken when something arrives.
    pub(crate) fn collect(&self, room: &mut Arrivals<O>, waker: &Waker) -> Poll<()> {
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
    pub(crate) fn close(&self) -> (Arrivals<O>, Option<Waker>) {
        match std::mem::replace(&mut *self.state.lock(), State::Closed) {
            State::Open { arrived, reader } => (arrived, reader),
            State::Closed => (VecDeque::new(), None),
        }
    }
}

impl<O> State<O> {
    /// Whether there was something to take.
    fn exchange(&mut self, room: &mut Arrivals<O>) -> bool {
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
