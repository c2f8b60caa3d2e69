//! # What
//! [`Flight`] is one load of one key, shared by whoever waits for it: the leader, whose loader it runs, and the
//! followers that came while it was under way. A task of its own makes the load and brings the outcome in.
//!
//! # States
//! | phase | means | waiters | left by |
//! |---|---|---|---|
//! | `Loading` | the task is making the load | one or more | [`Flight::land`], the last [`Flight::leave`] |
//! | `Landed` | the outcome is there: a value, an error, a panic; which of them is the caller's affair | each reads it once | - |
//! | `Abandoned` | nobody waits, and nobody will: the task is to drop the load | none | - |
//!
//! Whether a flight is *overtaken*, so that what it brings must not be stored, is not its own affair: a write takes it out
//! of its key's place in the [`shard`](super::shard). Its waiters are answered all the same.
//!
//! # Invariants
//! 1. While `Loading` there is a waiter. Who comes to an abandoned or landed flight does not get a seat.
//! 2. A flight lands once or is abandoned once, never both.
//! 3. It is looked up and joined under one lock of its shard; it has left its key's place before it lands. So whoever
//!    has seen its outcome finds the value or begins another load.
//! 4. The task and every waiter look at the phase after they left their waker: no wake-up is lost.
//! 5. Wakers and outcomes leave through return values: nothing of the user's is cloned, dropped or woken under the lock.
//!
//! # Why not the obvious
//! A load that the first caller polls itself stands still when that caller is not polled, while others wait for it
//! (a `select!` is enough). One that passes to the next waiter when the first leaves begins anew, and a waiter that is not
//! polled inherits it. Aborting through the runtime's own handle would put the race of the last waiter with the end of
//! the load where no model can see it.
//!
//! # Cost
//! One allocation a flight, one for its waiters and one for its outcome. Three lock operations a waiter that stays to the
//! end, and one each time the load is polled; the lock is held for a few moves. 16 bytes and a waker each waiter.

use super::slab::{Key, Slab};
use crate::shim::Mutex;
use std::sync::Arc;
use std::task::{Poll, Waker};

#[derive(Debug)]
enum Phase<O> {
    Loading,
    Landed(Arc<O>),
    Abandoned,
}

#[derive(Debug)]
struct State<O> {
    phase: Phase<O>,
    /// Whoever waits, with its waker once it was polled. Of no meaning once the flight has landed.
    waiters: Slab<Option<Waker>>,
    /// The task that makes the load.
    task: Option<Waker>,
}

/// One load of one key.
#[derive(Debug)]
pub(crate) struct Flight<O> {
    state: Mutex<State<O>>,
}

/// A waiter's place in a flight; whoever has one gives it up with [`Flight::leave`].
#[derive(Debug)]
#[must_use = "a load without waiters is to be abandoned"]
pub(crate) struct Seat {
    place: Key,
    /// Whether a waker was left there.
    is_known: bool,
}

impl Seat {
    fn new(place: Key) -> Self {
        Self { place, is_known: false }
    }
}

/// What is left to do, outside the lock, when a waiter has left.
#[derive(Debug)]
#[must_use = "the task waits for its wake-up"]
pub(crate) struct Left {
    /// Wake it: it was the last waiter, and the task is to drop the load.
    pub(crate) task: Option<Waker>,
    /// Drop it.
    pub(crate) waiter: Option<Waker>,
}

/// What is left to do, outside the lock, when a flight has landed.
#[derive(Debug)]
#[must_use = "the waiters wait for their wake-up"]
pub(crate) struct Landed<O> {
    waiters: Slab<Option<Waker>>,
    /// Drop it.
    pub(crate) task: Option<Waker>,
    /// Drop it: the flight was abandoned before, so nobody will read it.
    pub(crate) unread: Option<Arc<O>>,
}

impl<O> Landed<O> {
    /// The waiters to wake, in the order of their seats.
    pub(crate) fn into_waiters(self) -> impl Iterator<Item = Waker> {
        self.waiters.into_values().flatten()
    }
}

impl<O> Flight<O> {
    /// A load that begins, and the seat of its leader.
    pub(crate) fn new() -> (Self, Seat) {
        let mut waiters = Slab::new();
        let leader = Seat::new(waiters.insert(None));
        let state = State { phase: Phase::Loading, waiters, task: None };
        (Self { state: Mutex::new(state) }, leader)
    }

    /// Seats a follower, unless the flight has come to its end (invariant 1).
    pub(crate) fn join(&self) -> Option<Seat> {
        let mut state = self.state.lock();
        matches!(state.phase, Phase::Loading).then(|| Seat::new(state.waiters.insert(None)))
    }

    /// The outcome, or leaves `waker` to be woken when there is one. A seat has served its turn once there is an outcome;
    /// to leave it is allowed, and does nothing.
    pub(crate) fn poll(&self, seat: &mut Seat, waker: &Waker) -> Poll<Arc<O>> {
        if seat.is_known {
            let state = self.state.lock();
            if let Phase::Landed(outcome) = &state.phase {
                return Poll::Ready(outcome.clone());
            }
            let known = state.waiters.get(seat.place).and_then(Option::as_ref);
            if known.is_some_and(|known| known.will_wake(waker)) {
                return Poll::Pending;
            }
        }
        seat.is_known = true;
        let mut waker = Some(waker.clone());
        let mut state = self.state.lock();
        // Invariant 4: it may have landed while the waker was cloned.
        if let Phase::Landed(outcome) = &state.phase {
            let outcome = outcome.clone();
            drop(state);
            return Poll::Ready(outcome);
        }
        if let Some(known) = state.waiters.get_mut(seat.place) {
            std::mem::swap(known, &mut waker);
        }
        drop(state);
        drop(waker);
        Poll::Pending
    }

    /// A waiter leaves, with the outcome or without. The last one to leave a load under way abandons it.
    pub(crate) fn leave(&self, seat: Seat) -> Left {
        let mut state = self.state.lock();
        if !matches!(state.phase, Phase::Loading) {
            return Left { task: None, waiter: None };
        }
        let waiter = state.waiters.take(seat.place);
        if state.waiters.len() > 0 {
            return Left { task: None, waiter };
        }
        state.phase = Phase::Abandoned;
        Left { task: state.task.take(), waiter }
    }

    /// Whether anybody still wants the load; if so, leaves the task's `waker` to be woken when nobody does.
    pub(crate) fn is_wanted(&self, waker: &Waker) -> bool {
        let state = self.state.lock();
        if matches!(state.phase, Phase::Abandoned) {
            return false;
        }
        if state.task.as_ref().is_some_and(|task| task.will_wake(waker)) {
            return true;
        }
        drop(state);
        let waker = waker.clone();
        let mut state = self.state.lock();
        // Invariant 4: the last waiter may have left while the waker was cloned.
        if matches!(state.phase, Phase::Abandoned) {
            drop(state);
            return false;
        }
        let replaced = state.task.replace(waker);
        drop(state);
        drop(replaced);
        true
    }

    /// The load has ended, with `outcome`. The caller has taken the flight out of its key's place (invariant 3).
    pub(crate) fn land(&self, outcome: Arc<O>) -> Landed<O> {
        let mut state = self.state.lock();
        let waiters = std::mem::replace(&mut state.waiters, Slab::new());
        let task = state.task.take();
        if matches!(state.phase, Phase::Abandoned) {
            return Landed { waiters, task, unread: Some(outcome) };
        }
        debug_assert!(matches!(state.phase, Phase::Loading), "a flight lands once");
        state.phase = Phase::Landed(outcome);
        Landed { waiters, task, unread: None }
    }
}
