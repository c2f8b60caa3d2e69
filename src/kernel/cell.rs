//! # What
//! [`Cell`] holds one job: first its value, then its outcome, and the waker of whoever waits for the outcome, or the
//! [`Inbox`] that it goes to. It is the only allocation of a job that succeeds at its first attempt.
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
//! | reader | the outcome, when it comes |
//! |---|---|
//! | `Nobody`, `Task` | is kept; a task is woken |
//! | `Inbox` | goes there |
//! | `Left` | is handed back to the settler |
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
//! 32 bytes beside the larger of value and outcome, and their tag. Four uncontended lock operations a job; with an inbox
//! three, and one of the inbox.

use super::inbox::Inbox;
use super::slab::Key;
use crate::shim::{Mutex, Shared};
use std::sync::Arc;
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
enum Reader<O> {
    Nobody,
    Task(Waker),
    Inbox(Arc<Inbox<O>>, Key),
    Left,
}

#[derive(Debug)]
struct State<V, O> {
    slot: Slot<V, O>,
    reader: Reader<O>,
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
        Self::read_by(Reader::Nobody, value)
    }

    /// A cell that holds `value` and whose outcome will go to `inbox`, under `key`.
    pub(crate) fn addressed(value: V, inbox: Arc<Inbox<O>>, key: Key) -> Self {
        Self::read_by(Reader::Inbox(inbox, key), value)
    }

    fn read_by(reader: Reader<O>, value: V) -> Self {
        Self { state: Mutex::new(State { slot: Slot::Held(value), reader, recalls: 0 }) }
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

    /// Stores the outcome of a lent job, or sends it on.
    #[inline]
    pub(crate) fn settle(&self, outcome: O) -> Settled<O> {
        let mut state = self.state.lock();
        debug_assert!(matches!(state.slot, Slot::Lent), "a job is settled once, by whoever holds it");
        let reader = std::mem::replace(&mut state.reader, Reader::Nobody);
        let kept = matches!(reader, Reader::Nobody | Reader::Task(_));
        if kept {
            state.slot = Slot::Done(outcome);
            let reader = if let Reader::Task(reader) = reader { Some(reader) } else { None };
            return Settled { reader, unread: None };
        }
        state.slot = Slot::Read;
        drop(state);
        let Reader::Inbox(inbox, key) = reader else { return Settled { reader: None, unread: Some(outcome) } };
        match inbox.deliver(key, outcome) {
            Ok(reader) => Settled { reader, unread: None },
            Err(unread) => Settled { reader: None, unread: Some(unread) },
        }
    }

    /// Takes the outcome without a lock, if the reader is the only one left that holds the cell: whoever has settled the job
    /// lets go of it after that. Gives the cell back if not.
    #[inline]
    pub(crate) fn into_outcome(this: Shared<Self>) -> Result<O, Shared<Self>> {
        // Most often it is not: a look costs less than a failed exchange.
        if Shared::strong_count(&this) > 1 {
            return Err(this);
        }
        match Shared::try_unwrap(this)?.state.into_inner().slot {
            Slot::Done(outcome) => Ok(outcome),
            _ => unreachable!("whoever lets go of a job has settled it"),
        }
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
        if matches!(&state.reader, Reader::Task(reader) if reader.will_wake(waker)) {
            return Poll::Pending;
        }
        drop(state);
        let waker = waker.clone();
        let mut state = self.state.lock();
        if let Some(ready) = state.read() {
            return ready;
        }
        let replaced = std::mem::replace(&mut state.reader, Reader::Task(waker));
        drop(state);
        drop(replaced);
        Poll::Pending
    }

    /// Takes the outcome, if it is there and has not been taken.
    #[inline]
    pub(crate) fn take(&self) -> Option<O> {
        self.state.lock().unread()
    }

    /// Whether there is an outcome, read or not.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.state.lock().slot, Slot::Done(_) | Slot::Read)
    }

    /// Has the outcome go to `inbox`, under `key`, and no longer to a task that waits for it. Returns it if it is there,
    /// and that task's waker, to be dropped outside the lock.
    pub(crate) fn address(&self, inbox: Arc<Inbox<O>>, key: Key) -> (Option<O>, Option<Waker>) {
        self.exchange_reader(Reader::Inbox(inbox, key))
    }

    /// The reader leaves. Returns what it no longer wants, to be dropped outside the lock.
    pub(crate) fn detach(&self) -> (Option<O>, Option<Waker>) {
        self.exchange_reader(Reader::Left)
    }

    fn exchange_reader(&self, reader: Reader<O>) -> (Option<O>, Option<Waker>) {
        let mut state = self.state.lock();
        let unread = state.unread();
        let before = std::mem::replace(&mut state.reader, reader);
        drop(state);
        (unread, if let Reader::Task(waker) = before { Some(waker) } else { None })
    }
}

impl<V, O> State<V, O> {
    #[inline]
    fn read(&mut self) -> Option<Poll<O>> {
        match self.slot {
            Slot::Held(_) | Slot::Back(_) | Slot::Lent => None,
            Slot::Read => panic!("a JobHandle was polled after it had given its outcome"),
            Slot::Done(_) => self.unread().map(Poll::Ready),
        }
    }

    /// Takes the outcome, if it is there.
    fn unread(&mut self) -> Option<O> {
        if !matches!(self.slot, Slot::Done(_)) {
            return None;
        }
        match std::mem::replace(&mut self.slot, Slot::Read) {
            Slot::Done(outcome) => Some(outcome),
            _ => None,
        }
    }
}
