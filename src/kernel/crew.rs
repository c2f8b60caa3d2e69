//! # What
//! [`Crew`] counts the threads of one pool against the *shifts* that its engine asks for, a runner or the timer each: it
//! decides when a thread is started and when an idle one may leave. The shifts themselves travel through a queue beside
//! it, which any free thread takes from.
//!
//! # States
//! | a thread is | counted in | left by |
//! |---|---|---|
//! | free: it waits at the queue, or is on its way there | `threads` | [`Crew::take`], [`Crew::retire`], [`Crew::depart`] |
//! | busy: it serves a shift | `threads` and `busy` | [`Crew::rest`], [`Crew::lose`] |
//! | gone | - | - |
//!
//! | a shift is | counted in | left by |
//! |---|---|---|
//! | open: about to be put into the queue, or in it | `open` | [`Crew::take`] |
//! | served | `busy` | [`Crew::rest`], [`Crew::lose`] |
//!
//! # Invariants
//! 1. `threads <= limit`, except for threads that were started under a higher limit: those leave at their next rest that
//!    no open shift keeps them from. The limit is the pool's slots, and one for each lender and for the timer.
//! 2. There are as many free threads as open shifts, or `threads >= limit`, or the system refused a thread. In the second
//!    case a busy one will come free: the engine starts no runner without a slot for it.
//! 3. A free thread leaves only if the others are enough for the open shifts, so no shift waits at a queue that nobody
//!    looks at.
//!
//! # Why not the obvious
//! A hand-off to one idle thread by name must decide a race with that thread's leaving; here either may win, because a
//! shift is anybody's and the count is taken under the lock. Counting idle threads only, a runner that is about to be idle
//! looks busy, and a burst would start a thread more than there are slots. Resident threads would have no race, and an
//! idle pool would keep them all.
//!
//! # Cost
//! Two lock operations a shift, which is as many jobs as come in one busy spell. 80 bytes a pool.

use super::slab::{Key, Slab};
use crate::shim::Mutex;
use std::task::{Poll, Waker};

/// How many threads the caller is to start; they are counted already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "shifts wait for threads"]
pub(crate) struct Need(pub(crate) usize);

/// What a thread does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a thread that has been counted out ends"]
pub(crate) enum Next {
    /// Look at the queue.
    Wait,
    /// End; it is counted out already.
    Leave,
}

/// The threads of one pool.
#[derive(Debug)]
pub(crate) struct Crew {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The pool's slots.
    slots: usize,
    /// The lenders, and the timer.
    extra: usize,
    threads: usize,
    busy: usize,
    open: usize,
    closed: bool,
    /// Those who wait until no thread is left.
    waiting: Slab<Option<Waker>>,
}

impl Crew {
    /// No thread, and at most `slots` of them.
    pub(crate) fn new(slots: usize) -> Self {
        let state = State { slots, extra: 0, threads: 0, busy: 0, open: 0, closed: false, waiting: Slab::new() };
        Self { state: Mutex::new(state) }
    }

    /// A shift is about to be put into the queue.
    pub(crate) fn open(&self) -> Need {
        let mut state = self.state.lock();
        state.open += 1;
        state.need()
    }

    /// One more thread may exist: a busy one waits for the others, or is the timer's.
    pub(crate) fn widen(&self) -> Need {
        let mut state = self.state.lock();
        state.extra += 1;
        state.need()
    }

    /// The reason for that one is gone.
    pub(crate) fn narrow(&self) {
        self.state.lock().extra -= 1;
    }

    /// The slots may have changed; `slots` reads them under the lock of this, so that the last to read is right.
    pub(crate) fn resize(&self, slots: impl FnOnce() -> usize) -> Need {
        let mut state = self.state.lock();
        state.slots = slots();
        state.need()
    }

    /// A free thread has got a shift from the queue.
    pub(crate) fn take(&self) {
        let mut state = self.state.lock();
        state.open -= 1;
        state.busy += 1;
    }

    /// A thread has served its shift. Those to wake learn that no thread is left.
    pub(crate) fn rest(&self, wake: &mut Vec<Waker>) -> Next {
        let mut state = self.state.lock();
        state.busy -= 1;
        let surplus = state.closed || state.threads > state.limit();
        if surplus { state.leave(wake) } else { Next::Wait }
    }

    /// A free thread has waited long enough.
    pub(crate) fn retire(&self, wake: &mut Vec<Waker>) -> Next {
        self.state.lock().leave(wake)
    }

    /// A free thread ends: no shift will ever come.
    pub(crate) fn depart(&self, wake: &mut Vec<Waker>) {
        let mut state = self.state.lock();
        state.threads -= 1;
        state.note_gone(wake);
    }

    /// A thread ends in the middle of its shift.
    pub(crate) fn lose(&self, wake: &mut Vec<Waker>) {
        let mut state = self.state.lock();
        state.busy -= 1;
        state.threads -= 1;
        state.note_gone(wake);
    }

    /// Lets threads leave as soon as they are free.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
    }

    /// How many threads there are.
    pub(crate) fn threads(&self) -> usize {
        self.state.lock().threads
    }

    /// Ready when there is no thread; `key` keeps the caller's place between polls.
    pub(crate) fn poll_gone(&self, key: &mut Option<Key>, waker: &Waker) -> Poll<()> {
        let waker = waker.clone();
        let mut state = self.state.lock();
        let replaced = key.take().map(|known| state.waiting.take(known));
        if state.threads > 0 {
            *key = Some(state.waiting.insert(Some(waker)));
            drop(state);
            drop(replaced);
            return Poll::Pending;
        }
        drop(state);
        drop((replaced, waker));
        Poll::Ready(())
    }

    /// That wait is given up.
    pub(crate) fn forget(&self, key: Key) {
        let waker = self.state.lock().waiting.take(key);
        drop(waker);
    }
}

impl State {
    fn free(&self) -> usize {
        self.threads - self.busy
    }

    fn limit(&self) -> usize {
        self.slots + self.extra
    }

    /// Restores invariant 2.
    fn need(&mut self) -> Need {
        let missing = self.open.saturating_sub(self.free());
        let start = missing.min(self.limit().saturating_sub(self.threads));
        self.threads += start;
        Need(start)
    }

    /// Lets a free thread go, if invariant 3 allows it.
    fn leave(&mut self, wake: &mut Vec<Waker>) -> Next {
        if self.free() <= self.open {
            return Next::Wait;
        }
        self.threads -= 1;
        self.note_gone(wake);
        Next::Leave
    }

    fn note_gone(&mut self, wake: &mut Vec<Waker>) {
        if self.threads == 0 {
            for key in self.waiting.keys() {
                wake.extend(self.waiting.get_mut(key).and_then(Option::take));
            }
        }
    }
}
