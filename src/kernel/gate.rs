//! # What
//! [`Gate`] bounds how many items are inside a pipeline, and how much they weigh together. The one who lets items in asks for
//! room before it looks for an item; whoever settles an item gives the room back.
//!
//! # States
//! | state of the entrance | holds | entered by | left by |
//! |---|---|---|---|
//! | outside | nothing | [`Gate::leave`], a settled entrance | [`Gate::poll_enter`] |
//! | a place held | one of the items, no weight | [`Gate::poll_enter`] | [`Gate::poll_weigh`], [`Gate::leave`] |
//! | starved: waits for room | what it held before, and its waker | [`Gate::poll_enter`], [`Gate::poll_weigh`] | the next of these that finds room, [`Gate::leave`] |
//!
//! # Invariants
//! 1. `items <= most.items`.
//! 2. `weight <= most.weight`, or one item alone is heavier than that.
//! 3. While the entrance is starved its waker is here, or on its way to be woken.
//! 4. Who watches for starvation is woken when it begins.
//! 5. Wakers leave through return values: none is cloned, dropped or woken under the lock.
//!
//! # Why not the obvious
//! A semaphore counts one thing, and an item's weight is known only once the item is there: a place must be held before the
//! source is asked, or what it yields has nowhere to be. And a stage that collects items must learn that nothing more can come
//! in until it lets go of some; a semaphore does not tell.
//!
//! # Cost
//! One lock operation to enter, one more where items are weighed, one to leave. 100 bytes a pipeline.

use crate::shim::Mutex;
use std::task::{Poll, Waker};

/// How much may be inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Most {
    pub(crate) items: usize,
    pub(crate) weight: usize,
}

/// The entrance of a bounded pipeline.
#[derive(Debug)]
pub(crate) struct Gate {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    most: Most,
    items: usize,
    weight: usize,
    starved: Option<Waker>,
    watchers: Vec<Waker>,
}

/// What is inside, and whether the entrance waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Inside {
    pub(crate) items: usize,
    pub(crate) weight: usize,
    pub(crate) starved: bool,
}

impl Gate {
    /// With nothing inside. At least one item may be inside, of any weight.
    pub(crate) fn new(most: Most) -> Self {
        let state = State { most, items: 0, weight: 0, starved: None, watchers: Vec::new() };
        Self { state: Mutex::new(state) }
    }

    /// Takes a place for an item that is not there yet. Pending, the entrance is starved: the waker is woken when there may be
    /// room, and those in `wake` are to be woken.
    pub(crate) fn poll_enter(&self, waker: &Waker, wake: &mut Vec<Waker>) -> Poll<()> {
        self.poll(waker, wake, |state| {
            let room = state.items < state.most.items && (state.weight < state.most.weight || state.items == 0);
            state.items += usize::from(room);
            room
        })
    }

    /// Adds the weight of the item for which a place is held. An item that is heavier than everything that may be inside
    /// enters when nothing else has a weight.
    pub(crate) fn poll_weigh(&self, weight: usize, waker: &Waker, wake: &mut Vec<Waker>) -> Poll<()> {
        self.poll(waker, wake, |state| {
            let fits = state.weight == 0 || weight <= state.most.weight.saturating_sub(state.weight);
            state.weight += if fits { weight } else { 0 };
            fits
        })
    }

    fn poll(&self, waker: &Waker, wake: &mut Vec<Waker>, enter: impl Fn(&mut State) -> bool) -> Poll<()> {
        let mut state = self.state.lock();
        if enter(&mut state) {
            return Poll::Ready(());
        }
        if state.starved.as_ref().is_some_and(|starved| starved.will_wake(waker)) {
            return Poll::Pending;
        }
        drop(state);
        let waker = waker.clone();
        let mut state = self.state.lock();
        if enter(&mut state) {
            drop(state);
            drop(waker);
            return Poll::Ready(());
        }
        let replaced = state.starved.replace(waker);
        wake.append(&mut state.watchers);
        drop(state);
        drop(replaced);
        Poll::Pending
    }

    /// Gives back a place for which no item came.
    pub(crate) fn leave(&self) -> Option<Waker> {
        self.release(0)
    }

    /// An item of this weight is inside no more. Returns who is to be woken.
    pub(crate) fn release(&self, weight: usize) -> Option<Waker> {
        let mut state = self.state.lock();
        state.items -= 1;
        state.weight -= weight;
        state.starved.take()
    }

    /// Ready if the entrance is starved; else the waker is woken when it is.
    pub(crate) fn poll_starved(&self, waker: &Waker) -> Poll<()> {
        let watches = |state: &State| state.watchers.iter().any(|watcher| watcher.will_wake(waker));
        let state = self.state.lock();
        if state.starved.is_some() {
            return Poll::Ready(());
        }
        if watches(&state) {
            return Poll::Pending;
        }
        drop(state);
        let mut unused = Some(waker.clone());
        let mut state = self.state.lock();
        let starved = state.starved.is_some();
        if !starved && !watches(&state) {
            state.watchers.extend(unused.take());
        }
        drop(state);
        drop(unused);
        if starved { Poll::Ready(()) } else { Poll::Pending }
    }

    pub(crate) fn inside(&self) -> Inside {
        let state = self.state.lock();
        Inside { items: state.items, weight: state.weight, starved: state.starved.is_some() }
    }
}
