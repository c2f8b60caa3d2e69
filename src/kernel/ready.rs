//! # What
//! [`Ready`] is the set of those inputs of one consumer that have been woken since it last looked. Each input has a place
//! in it for as long as it is read, and a waker that marks the place.
//!
//! # States
//! | a place is | by | then |
//! |---|---|---|
//! | quiet | [`Ready::enter`], [`Ready::poll_marked`] | the consumer does not poll the input |
//! | marked: listed, once, in the order of the marks | [`Ready::mark`] | the consumer is woken, if it waits |
//! | gone | [`Ready::leave`], [`Ready::close`] | a mark that comes late does nothing |
//!
//! # Invariants
//! 1. A place is listed once at most: the list is no longer than there are inputs.
//! 2. While a place is marked, no waker is stored: whoever marked the first has it, to be woken.
//! 3. The consumer takes a mark off before it polls the input. So an input that is woken while it is polled, or after, is
//!    marked again.
//! 4. No waker is cloned, dropped or woken under the lock.
//!
//! # Why not the obvious
//! With one waker for all inputs each wake-up polls all of them: O(n) for one item. A list that a removed input stays in
//! grows with every input that is added and removed between two polls; hence a list threaded through the places.
//!
//! # Cost
//! A wake-up is one lock operation, and so is a look of the consumer, however many are marked. Twelve bytes an input.

use super::slab::{Fifo, Key, Slab};
use crate::shim::Mutex;
use std::collections::VecDeque;
use std::task::{Poll, Waker};

#[derive(Debug)]
struct State {
    /// Whether each is marked.
    places: Slab<bool>,
    marked: Fifo,
    consumer: Option<Waker>,
}

/// The inputs that have been woken.
#[derive(Debug)]
pub(crate) struct Ready {
    state: Mutex<State>,
}

impl Ready {
    /// The set of a consumer without inputs.
    pub(crate) fn new() -> Self {
        Self { state: Mutex::new(State { places: Slab::new(), marked: Fifo::new(), consumer: None }) }
    }

    /// A place for an input, not marked.
    pub(crate) fn enter(&self) -> Key {
        self.state.lock().places.insert(false)
    }

    /// Marks a place, unless its input has left. Returns the consumer's waker, to be woken.
    pub(crate) fn mark(&self, input: Key) -> Option<Waker> {
        let State { places, marked, consumer } = &mut *self.state.lock();
        let is_marked = places.get_mut(input)?;
        if std::mem::replace(is_marked, true) {
            return None;
        }
        marked.push_back(places, input);
        consumer.take()
    }

    /// Gives up the place of an input that is read no more. The key may be given to another input: a mark that comes late is
    /// one poll more for that one.
    pub(crate) fn leave(&self, input: Key) {
        let State { places, marked, .. } = &mut *self.state.lock();
        if places.get(input) == Some(&true) {
            marked.unlink(places, input);
        }
        places.remove(input);
    }

    /// Moves all marks to the end of `to`, or leaves `waker` to be woken at the next one.
    pub(crate) fn poll_marked(&self, to: &mut VecDeque<Key>, waker: &Waker) -> Poll<()> {
        let mut clone = None;
        let mut state = self.state.lock();
        let replaced = loop {
            if state.take_marks(to) {
                drop(state);
                return Poll::Ready(());
            }
            if state.consumer.as_ref().is_some_and(|known| known.will_wake(waker)) {
                break clone;
            }
            if clone.is_some() {
                break std::mem::replace(&mut state.consumer, clone);
            }
            drop(state);
            clone = Some(waker.clone());
            // Invariant 2: one may have been marked while the waker was cloned.
            state = self.state.lock();
        };
        drop(state);
        drop(replaced);
        Poll::Pending
    }

    /// Moves all marks to the end of `to`, if there are any.
    pub(crate) fn marked(&self, to: &mut VecDeque<Key>) {
        self.state.lock().take_marks(to);
    }

    /// The consumer leaves: marks do nothing from now on. Returns its waker, to be dropped.
    pub(crate) fn close(&self) -> Option<Waker> {
        let mut state = self.state.lock();
        state.places = Slab::new();
        state.marked = Fifo::new();
        state.consumer.take()
    }
}

impl State {
    /// Whether there was a mark.
    fn take_marks(&mut self, to: &mut VecDeque<Key>) -> bool {
        let Self { places, marked, .. } = self;
        let any = !marked.is_empty();
        while let Some(input) = marked.pop_front(places) {
            if let Some(is_marked) = places.get_mut(input) {
                *is_marked = false;
            }
            to.push_back(input);
        }
        any
    }
}
