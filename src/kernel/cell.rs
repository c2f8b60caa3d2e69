//! # What
//! [`Cell`] holds one job: first its value, then its outcome, and the waker of whoever waits for the outcome, or the
//! [`Inbox`] that it goes to. It is the only allocation of a job that succeeds at its first attempt.
//!
//! It has an *owner*, whoever the engine granted the job to, and maybe a *reader*, each with a reference.
//!
//! # States
//! | slot | holds | left by |
//! |---|---|---|
//! | `Held` | the value: the job waits (for room, for a slot, for a backoff) | [`Cell::lend`] |
//! | `Lent` | nothing: the owner has the value | [`Cell::give_back`], [`Cell::settle`] |
//! | `Done` | the outcome, unread | [`Cell::poll`], [`Cell::take`], [`Cell::detach`], [`Cell::open`] |
//! | `Read` | nothing | [`Cell::refill`] |
//!
//! | reader | the outcome, when it comes |
//! |---|---|
//! | `Nobody`, `Task` | is kept; a task is woken |
//! | `Inbox` | goes there, inside the cell |
//! | `Left` | is handed back to the settler |
//!
//! # Invariants
//! 1. Only the owner lends, gives back or settles: the engine's lock, and that of a runner's tray, are where rivals are told
//!    apart.
//! 2. A job is settled once. Its outcome is read once, or handed back to the settler if the reader has left.
//! 3. Values and wakers leave through return values: nothing of the user's is cloned, dropped or woken under the lock.
//! 4. A cell whose outcome goes to an inbox has no reader with a reference, but one that is just letting go of it.
//! 5. Whoever holds the only reference looks at the state without the lock.
//!
//! # Why not the obvious
//! A `oneshot` channel beside the job would be a second allocation and a second lock, and the job could not
//! come back through it. Telling the phase from which `Option` is empty let a cancel race with the end of an
//! attempt for the same job; hence one enum, and one referee (the engine).
//!
//! # Cost
//! 40 bytes beside the larger of value and outcome, and their tag. Two uncontended lock operations a job while its reader
//! holds on to it, none if it has let go or reads from an inbox.

use super::inbox::{Inbox, Letter};
use super::slab::Key;
use crate::shim::{Mutex, MutexGuard, Shared};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::task::{Poll, Waker};

/// What the cells of one reader are collected in.
pub(crate) type CellInbox<V, O> = Inbox<Shared<Cell<V, O>>>;

#[derive(Debug)]
enum Slot<V, O> {
    Held(V),
    Lent,
    Done(O),
    Read,
}

#[derive(Debug)]
enum Reader<V, O> {
    Nobody,
    Task(Waker),
    Inbox(Arc<CellInbox<V, O>>, Key),
    Left,
}

#[derive(Debug)]
struct State<V, O> {
    slot: Slot<V, O>,
    reader: Reader<V, O>,
}

/// One job's value, then its outcome.
#[derive(Debug)]
pub(crate) struct Cell<V, O> {
    state: Mutex<State<V, O>>,
}

/// What is left to do, outside the lock, when a job has been settled.
#[derive(Debug)]
#[must_use = "the reader waits for it"]
pub(crate) enum Settled<V, O> {
    /// The outcome is in its cell. Wake its reader, if it waits.
    Kept(Option<Waker>),
    /// Drop it: nobody will read it.
    Unread(O),
    /// It is in the cell, which goes to the reader's inbox, under this key.
    Addressed(Shared<Cell<V, O>>, Key),
}

impl<V, O> Cell<V, O> {
    /// A cell that holds `value`.
    pub(crate) fn new(value: V) -> Self {
        Self::read_by(Reader::Nobody, value)
    }

    /// A cell that holds `value` and will go to `inbox` with its outcome, under `key`.
    pub(crate) fn addressed(value: V, inbox: Arc<CellInbox<V, O>>, key: Key) -> Self {
        Self::read_by(Reader::Inbox(inbox, key), value)
    }

    fn read_by(reader: Reader<V, O>, value: V) -> Self {
        Self { state: Mutex::new(State { slot: Slot::Held(value), reader }) }
    }

    /// Invariant 5.
    #[inline]
    fn state(this: &mut Shared<Self>) -> Access<'_, V, O> {
        if Shared::strong_count(this) == 1 {
            Access::Sole(Shared::get_mut(this).expect("nobody else is there to make another reference").state.get_mut())
        } else {
            Access::Locked(this.state.lock())
        }
    }

    /// Takes the value out, for an attempt or for good.
    ///
    /// # Panics
    /// If the value is not there: the caller was not the one that the engine chose.
    #[inline(always)]
    pub(crate) fn lend(this: &mut Shared<Self>) -> V {
        match std::mem::replace(&mut Self::state(this).slot, Slot::Lent) {
            Slot::Held(value) => value,
            _ => unreachable!("a job is lent only to the one that the engine chose"),
        }
    }

    /// Puts the value back, for another attempt.
    pub(crate) fn give_back(this: &mut Shared<Self>, value: V) {
        let mut state = Self::state(this);
        debug_assert!(matches!(state.slot, Slot::Lent), "only a lent value comes back");
        state.slot = Slot::Held(value);
    }

    /// Stores the outcome of a lent job.
    #[inline]
    pub(crate) fn settle(mut this: Shared<Self>, outcome: O) -> Settled<V, O> {
        let mut state = Self::state(&mut this);
        debug_assert!(matches!(state.slot, Slot::Lent), "a job is settled once, by whoever holds it");
        match &state.reader {
            Reader::Nobody => {
                state.put(outcome);
                Settled::Kept(None)
            }
            Reader::Task(_) => {
                state.put(outcome);
                let Reader::Task(reader) = std::mem::replace(&mut state.reader, Reader::Nobody) else { unreachable!() };
                Settled::Kept(Some(reader))
            }
            Reader::Inbox(_, key) => {
                let key = *key;
                state.put(outcome);
                drop(state);
                Settled::Addressed(this, key)
            }
            Reader::Left => {
                state.slot = Slot::Read;
                Settled::Unread(outcome)
            }
        }
    }

    /// The outcome of a cell that has come out of an inbox.
    #[inline]
    pub(crate) fn open(this: &mut Shared<Self>) -> O {
        Self::state(this).unread().expect("a cell in an inbox has its outcome")
    }

    /// Puts the next value into a cell that has been opened, and that goes to the same inbox, under `key`. Gives the value
    /// back if somebody else still has a reference.
    #[inline]
    pub(crate) fn refill(this: &mut Shared<Self>, value: V, next: Key) -> Result<(), V> {
        let Some(cell) = Shared::get_mut(this) else { return Err(value) };
        let state = cell.state.get_mut();
        match (&mut state.reader, &state.slot) {
            (Reader::Inbox(_, key), Slot::Read) => {
                *key = next;
                state.slot = Slot::Held(value);
                Ok(())
            }
            _ => Err(value),
        }
    }

    /// Takes the outcome without a lock, if the reader is the only one left that holds the cell: whoever has settled the job
    /// lets go of it after that. Gives the cell back if not.
    #[inline]
    pub(crate) fn into_outcome(this: Shared<Self>) -> Result<O, Shared<Self>> {
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

    /// Has the outcome go to `inbox`, under `key`, and no longer to a task that waits for it. The caller lets go of the cell.
    /// Returns the outcome if it is there, and that task's waker, to be dropped outside the lock.
    pub(crate) fn address(&self, inbox: Arc<CellInbox<V, O>>, key: Key) -> (Option<O>, Option<Waker>) {
        self.exchange_reader(Reader::Inbox(inbox, key))
    }

    /// The reader leaves. Returns what it no longer wants, to be dropped outside the lock.
    pub(crate) fn detach(&self) -> (Option<O>, Option<Waker>) {
        self.exchange_reader(Reader::Left)
    }

    fn exchange_reader(&self, reader: Reader<V, O>) -> (Option<O>, Option<Waker>) {
        let mut state = self.state.lock();
        let unread = state.unread();
        let before = std::mem::replace(&mut state.reader, reader);
        drop(state);
        (unread, if let Reader::Task(waker) = before { Some(waker) } else { None })
    }
}

/// The state of a cell, for its owner.
enum Access<'a, V, O> {
    Sole(&'a mut State<V, O>),
    Locked(MutexGuard<'a, State<V, O>>),
}

impl<V, O> Deref for Access<'_, V, O> {
    type Target = State<V, O>;

    #[inline]
    fn deref(&self) -> &State<V, O> {
        match self {
            Self::Sole(state) => state,
            Self::Locked(state) => state,
        }
    }
}

impl<V, O> DerefMut for Access<'_, V, O> {
    #[inline]
    fn deref_mut(&mut self) -> &mut State<V, O> {
        match self {
            Self::Sole(state) => state,
            Self::Locked(state) => state,
        }
    }
}

impl<V, O> State<V, O> {
    /// The outcome of a job that is lent: there is nothing to drop in its place.
    #[inline]
    fn put(&mut self, outcome: O) {
        if matches!(self.slot, Slot::Lent) {
            self.slot = Slot::Done(outcome);
        }
    }

    #[inline]
    fn read(&mut self) -> Option<Poll<O>> {
        match self.slot {
            Slot::Held(_) | Slot::Lent => None,
            Slot::Read => panic!("a JobHandle was polled after it had given its outcome"),
            Slot::Done(_) => self.unread().map(Poll::Ready),
        }
    }

    /// Takes the outcome, if it is there.
    #[inline]
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

impl<V, O> Letter for Shared<Cell<V, O>> {
    #[inline]
    fn is_for(&mut self, inbox: &Arc<Inbox<Self>>) -> bool {
        matches!(&Cell::state(self).reader, Reader::Inbox(known, _) if Arc::ptr_eq(known, inbox))
    }

    fn inbox(&mut self) -> Option<Arc<Inbox<Self>>> {
        if let Reader::Inbox(inbox, _) = &Cell::state(self).reader { Some(inbox.clone()) } else { None }
    }
}
