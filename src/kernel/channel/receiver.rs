//! The end that takes items out.

use super::{Key, Shared, State, Watch};
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Poll, Waker};

/// A consuming end of a channel. Dropping it passes what it has taken and not yielded to the other receivers.
#[derive(Debug)]
pub(crate) struct Receiver<T> {
    shared: Arc<Shared<T>>,
    /// Its place among the receivers; `None` once it has left.
    place: Option<Key>,
    /// Taken and not yielded.
    local: VecDeque<T>,
    /// The places that it has not given back, those of `local` included.
    held: usize,
    /// At how many items left it gives places back.
    mark: usize,
    /// The most that it takes at once.
    chunk: usize,
}

/// What taking came to.
enum Taken<T> {
    Item(T, Wakers),
    Ended,
    Nothing,
}

/// What leaves the lock beside an item.
struct Wakers {
    sender: Option<Waker>,
    /// The receiver's own, if it was polled without having been woken; only to be dropped.
    _own: Option<Waker>,
}

impl<T> Receiver<T> {
    pub(super) fn new(shared: Arc<Shared<T>>, place: Key) -> Self {
        Self { shared, place: Some(place), local: VecDeque::new(), held: 0, mark: 0, chunk: usize::MAX }
    }

    /// One receiver more: each item goes to one of them.
    pub(crate) fn another(&self) -> Self {
        Self::new(self.shared.clone(), self.shared.state.lock().places.insert(None))
    }

    /// Lets it take no more than so many items at once, 1 or more.
    #[inline]
    pub(crate) fn take_at_most(&mut self, items: usize) {
        self.chunk = items.max(1);
    }

    /// How many items it has taken and not yielded.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.local.len()
    }

    /// The next item, `None` at the end. Items that another receiver has taken do not delay the end; should it leave without
    /// having yielded them, they go to the receivers that have not seen the end.
    #[inline]
    pub(crate) fn poll_next(&mut self, waker: &Waker) -> Poll<Option<T>> {
        if let Some(item) = self.pop() {
            return Poll::Ready(Some(item));
        }
        self.poll_take(waker)
    }

    /// The same without waiting: pending if there is nothing now.
    #[allow(dead_code, reason = "the models read without a task")]
    #[inline]
    pub(crate) fn try_next(&mut self) -> Poll<Option<T>> {
        if let Some(item) = self.pop() {
            return Poll::Ready(Some(item));
        }
        let Some(place) = self.place else { return Poll::Ready(None) };
        let mut state = self.shared.state.lock();
        let taken = take(&mut self.local, &mut self.held, self.chunk, &mut state, place);
        drop(state);
        match taken {
            Taken::Item(item, wakers) => Poll::Ready(Some(self.yielding(item, wakers))),
            Taken::Ended => Poll::Ready(None),
            Taken::Nothing => Poll::Pending,
        }
    }

    /// Looks into the channel from outside.
    #[allow(dead_code, reason = "the models compare both ends")]
    pub(crate) fn watch(&self) -> Watch<T> {
        Watch { shared: self.shared.clone() }
    }

    /// Leaves the channel. What nobody will read is returned, to be dropped: everything, if this was the last receiver, and
    /// else nothing, as the others get what this one has taken.
    pub(crate) fn close(&mut self) -> VecDeque<T> {
        let Some(place) = self.place.take() else { return VecDeque::new() };
        let mut unread = std::mem::take(&mut self.local);
        let mut woken = Vec::new();
        let mut state = self.shared.state.lock();
        let own = state.unlist(place);
        state.places.remove(place);
        state.taken -= self.held;
        state.free += self.held - unread.len();
        // What this one has taken is older than what is queued.
        unread.append(&mut state.items);
        let sender = if state.is_closed() {
            state.for_room = false;
            state.sender.take()
        } else {
            std::mem::swap(&mut unread, &mut state.items);
            state.served(&mut woken);
            state.sender_for_room()
        };
        drop(state);
        drop(own);
        woken.into_iter().chain(sender).for_each(self.shared.wake);
        unread
    }

    #[inline]
    fn pop(&mut self) -> Option<T> {
        let item = self.local.pop_front()?;
        if self.local.len() == self.mark {
            self.give_back();
        }
        Some(item)
    }

    /// Gives the places of yielded items back.
    #[inline(never)]
    fn give_back(&mut self) {
        let owed = self.held - self.local.len();
        self.held = self.local.len();
        self.mark = 0;
        let mut state = self.shared.state.lock();
        state.taken -= owed;
        state.free += owed;
        let sender = state.sender_for_room();
        drop(state);
        sender.into_iter().for_each(self.shared.wake);
    }

    fn poll_take(&mut self, waker: &Waker) -> Poll<Option<T>> {
        let Some(place) = self.place else { return Poll::Ready(None) };
        let mut clone = None;
        let mut state = self.shared.state.lock();
        let replaced = loop {
            match take(&mut self.local, &mut self.held, self.chunk, &mut state, place) {
                Taken::Item(item, wakers) => {
                    drop(state);
                    return Poll::Ready(Some(self.yielding(item, wakers)));
                }
                Taken::Ended => {
                    drop(state);
                    return Poll::Ready(None);
                }
                Taken::Nothing => {}
            }
            let known = state.places.get(place).and_then(Option::as_ref);
            if known.is_some_and(|known| known.will_wake(waker)) {
                break clone;
            }
            if clone.is_some() {
                break state.list(place, clone);
            }
            drop(state);
            clone = Some(waker.clone());
            // Invariant 6: an item may have come while the waker was cloned.
            state = self.shared.state.lock();
        };
        let sender = state.sender_for_room();
        drop(state);
        drop(replaced);
        sender.into_iter().for_each(self.shared.wake);
        Poll::Pending
    }

    /// What there is to do, outside the lock, before an item that was just taken is yielded.
    #[inline]
    fn yielding(&mut self, item: T, wakers: Wakers) -> T {
        let share = self.held + 1;
        self.mark = (share / 2).min(share.saturating_sub(2));
        wakers.sender.into_iter().for_each(self.shared.wake);
        item
    }
}

/// Takes a receiver's share of the items, and the first of them, whose place is free at once.
fn take<T>(local: &mut VecDeque<T>, held: &mut usize, chunk: usize, state: &mut State<T>, place: Key) -> Taken<T> {
    debug_assert!(*held == 0 && local.is_empty(), "invariant 3");
    let share = state.share().min(chunk);
    if share == state.items.len() {
        std::mem::swap(local, &mut state.items);
    } else {
        local.extend(state.items.drain(..share));
    }
    let Some(item) = local.pop_front() else {
        return if state.ended { Taken::Ended } else { Taken::Nothing };
    };
    *held = share - 1;
    state.taken += share - 1;
    state.free += 1;
    let own = state.unlist(place);
    Taken::Item(item, Wakers { sender: state.sender_for_room(), _own: own })
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        drop(self.close());
    }
}
