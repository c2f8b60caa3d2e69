//! # What
//! [`Cell`] holds one job: first its value, then its outcome, and the waker of whoever waits for the outcome.
//! It is the only allocation of a job that succeeds at its first attempt.
//!
//! # States
//! | slot | holds | left by |
//! |---|---|---|
//! | `Held` | the value: the job waits (for room, for a slot, for a backoff) | [`Cell::start`], [`Cell::lend`] |
//! | `Lent` | nothing: somebody the engine chose has the value | [`Cell::give_back`], [`Cell::settle`] |
//! | `Back` | the value: its runner is about to park it, and nobody else may have it yet | [`Cell::restore`], [`Cell::lend`] |
//! | `Done` | the outcome, unread | [`Cell::poll`], [`Cell::detach`] |
//! | `Read` | nothing, for good | - |
//!
//! # Invariants
//! 1. Only the one that the engine granted the job to (a claim, a withdrawal, a refusal) lends, gives back or
//!    settles: the engine's lock is where rivals are told apart. One race is decided here, between the runner that starts
//!    a job which it took along in a batch and the one that recalls it: whoever comes first under this lock has it.
//! 2. A job is settled once. Its outcome is read once, or handed back to the settler if the reader has left.
//! 3. Values and wakers leave through return values: nothing of the user's is cloned, dropped or woken under the lock.
//!
//! # Why not the obvious
//! A `oneshot` channel beside the job would be a second allocation and a second lock, and the job could not
//! come back through it. Telling the phase from which `Option` is empty let a cancel race with the end of an
//! attempt for the same job; hence one enum, and one referee (the engine).
//!
//! # Cost
//! 24 bytes beside the larger of value and outcome, and their tag. Four uncontended lock operations a job.

use crate::shim::Mutex;
use std::task::{Poll, Waker};

#[derive(Debug)]
enum Slot<V, O> {
    Held(V),
    Lent,
    Back(V),
    Done(O),
    Read,
}

#[derive(Debug)]
struct State<V, O> {
    slot: Slot<V, O>,
    reader: Option<Waker>,
    detached: bool,
    /// How often the job has been taken back from a runner that had claimed it and not started it: a claim that was made
    /// before the last time is void.
    recalls: u32,
}

/// One job's value, then its outcome.
#[derive(Debug)]
pub(crate) struct Cell<V, O> {
    state: Mutex<State<V, O>>,
}

/// What is left to do, outside the lock, when a job has been settled.
#[derive(Debug)]
#[must_use = "the reader waits for its wake-up"]
pub(crate) struct Settled<O> {
    /// Wake it.
    pub(crate) reader: Option<Waker>,
    /// Drop it: nobody will read it.
    pub(crate) unread: Option<O>,
}

impl<V, O> Cell<V, O> {
    /// A cell that holds `value`.
    pub(crate) fn new(value: V) -> Self {
        Self { state: Mutex::new(State { slot: Slot::Held(value), reader: None, detached: false, recalls: 0 }) }
    }

    /// Takes the value out, for an attempt or for good.
    ///
    /// # Panics
    /// If the value is not there: the caller was not the one that the engine chose.
    #[inline]
    pub(crate) fn lend(&self) -> V {
        let mut state = self.state.lock();
        match std::mem::replace(&mut state.slot, Slot::Lent) {
            Slot::Held(value) | Slot::Back(value) => value,
            _ => unreachable!("a job is lent only to the one that the engine chose"),
        }
    }

    /// Takes the value out for the runner that claimed the job after so many `recalls`, unless there have been more since.
    #[inline]
    pub(crate) fn start(&self, recalls: u32) -> Option<V> {
        let mut state = self.state.lock();
        if state.recalls != recalls {
            return None;
        }
        match std::mem::replace(&mut state.slot, Slot::Lent) {
            Slot::Held(value) => Some(value),
            _ => unreachable!("a job is lent only to the one that the engine chose"),
        }
    }

    /// Takes the job back from the runner that claimed it, unless it has started it.
    pub(crate) fn recall(&self) -> bool {
        let mut state = self.state.lock();
        let held = matches!(state.slot, Slot::Held(_));
        state.recalls += u32::from(held);
        held
    }

    /// Puts the value back for another attempt; it waits for that once it is [restored](Self::restore).
    pub(crate) fn give_back(&self, value: V) {
        let mut state = self.state.lock();
        debug_assert!(matches!(state.slot, Slot::Lent), "only a lent value comes back");
        state.slot = Slot::Back(value);
    }

    /// The engine has the job again: from here on whoever it chooses may have the value.
    pub(crate) fn restore(&self) {
        let mut state = self.state.lock();
        if let Slot::Back(value) = std::mem::replace(&mut state.slot, Slot::Lent) {
            state.slot = Slot::Held(value);
        }
    }

    /// Stores the outcome of a lent job.
    #[inline]
    pub(crate) fn settle(&self, outcome: O) -> Settled<O> {
        let mut state = self.state.lock();
        debug_assert!(matches!(state.slot, Slot::Lent), "a job is settled once, by whoever holds it");
        let reader = state.reader.take();
        if state.detached {
            state.slot = Slot::Read;
            return Settled { reader, unread: Some(outcome) };
        }
        state.slot = Slot::Done(outcome);
        Settled { reader, unread: None }
    }

    /// Takes the outcome, or leaves `waker` to be woken when there is one.
    ///
    /// # Panics
    /// If the outcome was taken before.
    #[inline]
    pub(crate) fn poll(&self, waker: &Waker) -> Poll<O> {
        let mut state = self.state.lock();
        if let Some(ready) = state.read() {
            return ready;
        }
        if state.reader.as_ref().is_some_and(|reader| reader.will_wake(waker)) {
            return Poll::Pending;
        }
        drop(state);
        let waker = waker.clone();
        let mut state = self.state.lock();
        if let Some(ready) = state.read() {
            return ready;
        }
        let replaced = state.reader.replace(waker);
        drop(state);
        drop(replaced);
        Poll::Pending
    }

    /// Whether there is an outcome, read or not.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.state.lock().slot, Slot::Done(_) | Slot::Read)
    }

    /// The reader leaves. Returns what it no longer wants, to be dropped outside the lock.
    pub(crate) fn detach(&self) -> (Option<O>, Option<Waker>) {
        let mut state = self.state.lock();
        state.detached = true;
        let unread = if matches!(state.slot, Slot::Done(_)) {
            match std::mem::replace(&mut state.slot, Slot::Read) {
                Slot::Done(outcome) => Some(outcome),
                _ => None,
            }
        } else {
            None
        };
        (unread, state.reader.take())
    }
}

impl<V, O> State<V, O> {
    #[inline]
    fn read(&mut self) -> Option<Poll<O>> {
        match self.slot {
            Slot::Held(_) | Slot::Back(_) | Slot::Lent => None,
            Slot::Read => panic!("a JobHandle was polled after it had given its outcome"),
            Slot::Done(_) => match std::mem::replace(&mut self.slot, Slot::Read) {
                Slot::Done(outcome) => Some(Poll::Ready(outcome)),
                _ => None,
            },
        }
    }
}
