//! # What
//! [`Gate`] bounds how many items are inside a pipeline, and how much they weigh together. The one who lets items in asks for
//! room before it looks for an item; whoever settles an item gives the room back.
//!
//! # States
//! | state of the entrance | holds | entered by | left by |
//! |---|---|---|---|
//! | outside | nothing | [`Gate::leave`], a settled entrance | [`Gate::poll_enter`] |
//! | a place held | one of the items, no weight | [`Gate::poll_enter`] | [`Gate::poll_weigh`], [`Gate::leave`] |
//! | starved: waits for room | what it held before, and its waker | [`Gate::poll_enter`], [`Gate::poll_weigh`] | the room that somebody gives back, [`Gate::gone`] |
//! | gone | nothing | [`Gate::gone`] | - |
//!
//! # Invariants
//! 1. `items <= most.items`.
//! 2. `weight <= most.weight`, or one item alone is heavier than that.
//! 3. While the entrance is starved its waker is here, or on its way to be woken.
//! 4. Who watches for starvation is woken when it begins. Each of them has one waker here at most, the last that it came with.
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
use crate::shim::atomic::{AtomicBool, Ordering};
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
    /// A place is held for an item that has not come; for showing.
    expects: AtomicBool,
}

#[derive(Debug)]
struct State {
    most: Most,
    items: usize,
    weight: usize,
    starved: Option<Waker>,
    /// The wakers of those who watch for starvation, by number.
    watchers: Vec<Option<Waker>>,
}

/// The number of one who watches for starvation, at one gate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watcher(usize);

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
        Self { state: Mutex::new(state), expects: AtomicBool::new(false) }
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
        wake.extend(state.watchers.iter_mut().filter_map(Option::take));
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

    /// The entrance is no more: nobody waits for room. Returns its waker, to be dropped.
    pub(crate) fn gone(&self) -> Option<Waker> {
        self.state.lock().starved.take()
    }

    /// One more who watches for starvation.
    pub(crate) fn watcher(&self) -> Watcher {
        let mut state = self.state.lock();
        state.watchers.push(None);
        Watcher(state.watchers.len() - 1)
    }

    /// Ready if the entrance is starved; else the waker is woken when it is.
    pub(crate) fn poll_starved(&self, watcher: Watcher, waker: &Waker) -> Poll<()> {
        let state = self.state.lock();
        if state.starved.is_some() {
            return Poll::Ready(());
        }
        if state.watchers[watcher.0].as_ref().is_some_and(|known| known.will_wake(waker)) {
            return Poll::Pending;
        }
        drop(state);
        let mut waker = Some(waker.clone());
        let mut state = self.state.lock();
        let starved = state.starved.is_some();
        if !starved {
            std::mem::swap(&mut state.watchers[watcher.0], &mut waker);
        }
        drop(state);
        drop(waker);
        if starved { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Whether one of the places is held for an item that has not come, so that it is not shown as one.
    pub(crate) fn expect(&self, expects: bool) {
        // Ordering: Relaxed. A statistic.
        self.expects.store(expects, Ordering::Relaxed);
    }

    /// What is inside at this moment.
    pub(crate) fn inside(&self) -> Inside {
        let state = self.state.lock();
        let expected = usize::from(self.expects.load(Ordering::Relaxed));
        Inside { items: state.items.saturating_sub(expected), weight: state.weight, starved: state.starved.is_some() }
    }
}
