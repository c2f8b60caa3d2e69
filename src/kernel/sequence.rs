//! # What
//! [`Sequence`] numbers items where they are dealt out, and says whose turn it is where they come together again: the lowest number of
//! which anything may still come. It bounds how far the others may be ahead of that.
//!
//! # States
//! | a number is | counted in | left by |
//! |---|---|---|
//! | not issued | - | [`Sequence::issue`] |
//! | out | `issued`, its mark not set | [`Sequence::finish`] |
//! | done | its mark set, until all before it are done too | - |
//!
//! # Invariants
//! 1. `next <= issued <= next + window`: numbers below `next` are done, `next` itself is out or not issued.
//! 2. There is a mark for each number from `next` on up to the highest that is done.
//! 3. While `next` stands still the waker of whoever waits for its turn is here, and that of the issuer, if it waits for room.
//! 4. Wakers leave through return values: none is cloned, dropped or woken under the lock.
//!
//! # Why not the obvious
//! A merge by number of the heads of all branches waits for a branch that has nothing, although the next number is there. A
//! heap alone cannot tell a number that is late from one that was filtered out; and with nothing to say how late it may be, it
//! has no bound.
//!
//! # Cost
//! One lock operation a number where it is issued, one where it is done, one a look of the reader; a byte a number of the window.

use crate::shim::Mutex;
use std::collections::VecDeque;
use std::task::{Poll, Waker};

/// The numbers of the items between two places.
#[derive(Debug)]
pub(crate) struct Sequence {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    window: u64,
    issued: u64,
    next: u64,
    /// Of the numbers from `next` on, whether they are done.
    done: VecDeque<bool>,
    issuer: Option<Waker>,
    reader: Option<Waker>,
}

/// Who is to be woken.
#[derive(Debug, Default)]
#[must_use = "they wait"]
pub(crate) struct Advanced {
    pub(crate) issuer: Option<Waker>,
    pub(crate) reader: Option<Waker>,
}

#[derive(Clone, Copy)]
enum For {
    Room,
    Turn { seen: u64 },
}

impl Sequence {
    /// With so many numbers out at once, 1 or more.
    pub(crate) fn new(window: u64) -> Self {
        let state = State { window, issued: 0, next: 0, done: VecDeque::new(), issuer: None, reader: None };
        Self { state: Mutex::new(state) }
    }

    /// Ready once a number may be issued; there is one issuer.
    pub(crate) fn poll_room(&self, waker: &Waker) -> Poll<()> {
        self.poll(For::Room, waker).map(drop)
    }

    /// The next number. There was room.
    pub(crate) fn issue(&self) -> u64 {
        let mut state = self.state.lock();
        debug_assert!(state.has_room(), "invariant 1");
        state.issued += 1;
        state.issued - 1
    }

    /// The lowest number that is not done, once it is another than `seen`; there is one reader.
    pub(crate) fn poll_turn(&self, seen: u64, waker: &Waker) -> Poll<u64> {
        self.poll(For::Turn { seen }, waker)
    }

    /// Nothing comes of a number any more.
    pub(crate) fn finish(&self, number: u64) -> Advanced {
        let mut state = self.state.lock();
        let Some(at) = number.checked_sub(state.next).and_then(|ahead| usize::try_from(ahead).ok()) else {
            return Advanced::default();
        };
        if state.done.len() <= at {
            state.done.resize(at + 1, false);
        }
        state.done[at] = true;
        if at > 0 {
            return Advanced::default();
        }
        while state.done.front() == Some(&true) {
            state.done.pop_front();
            state.next += 1;
        }
        Advanced { issuer: state.issuer.take(), reader: state.reader.take() }
    }

    fn poll(&self, what: For, waker: &Waker) -> Poll<u64> {
        let mut clone = None;
        let mut state = self.state.lock();
        let replaced = loop {
            let ready = match what {
                For::Room => state.has_room(),
                For::Turn { seen } => state.next != seen,
            };
            if ready {
                let next = state.next;
                drop(state);
                drop(clone);
                return Poll::Ready(next);
            }
            let place = match what {
                For::Room => &mut state.issuer,
                For::Turn { .. } => &mut state.reader,
            };
            if place.as_ref().is_some_and(|known| known.will_wake(waker)) {
                break clone;
            }
            if clone.is_some() {
                break std::mem::replace(place, clone);
            }
            drop(state);
            clone = Some(waker.clone());
            // Invariant 3: it may have advanced while the waker was cloned.
            state = self.state.lock();
        };
        drop(state);
        drop(replaced);
        Poll::Pending
    }
}

impl State {
    fn has_room(&self) -> bool {
        self.issued - self.next < self.window
    }
}
