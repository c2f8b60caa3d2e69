//! The end that puts items in.

use super::{Closed, Shared, Watch, append};
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Poll, Waker};

/// The producing end of a channel. Dropping it flushes, and ends the channel.
#[derive(Debug)]
pub(crate) struct Sender<T> {
    shared: Arc<Shared<T>>,
    /// Collected items.
    local: VecDeque<T>,
    room: usize,
    /// Kept for its memory; empty between calls.
    woken: Vec<Waker>,
}

/// What the sender waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum For {
    Room,
    Close,
}

impl<T> Sender<T> {
    pub(super) fn new(shared: Arc<Shared<T>>, room: usize) -> Self {
        Self { shared, local: VecDeque::new(), room, woken: Vec::new() }
    }

    /// How many items may be pushed now. Takes no lock; each flush may raise it.
    #[inline]
    pub(crate) fn room(&self) -> usize {
        self.room
    }

    /// How many items are collected and not flushed.
    #[inline]
    pub(crate) fn collected(&self) -> usize {
        self.local.len()
    }

    /// Collects an item, for the next flush.
    ///
    /// # Panics
    /// If there is no room.
    #[inline]
    pub(crate) fn push(&mut self, item: T) {
        assert!(self.room > 0, "whoever pushes has seen room");
        self.room -= 1;
        self.local.push_back(item);
    }

    /// Hands over what was collected, and learns of new room. Never waits. If no receiver is left, the items stay here:
    /// [`unsent`](Self::unsent) has them.
    pub(crate) fn flush(&mut self) -> Result<(), Closed> {
        if self.local.is_empty() && self.room > 0 {
            return Ok(());
        }
        let mut state = self.shared.state.lock();
        if state.is_closed() {
            return Err(Closed);
        }
        state.receive(&mut self.local, &mut self.room);
        state.served(&mut self.woken);
        drop(state);
        self.wake_all();
        Ok(())
    }

    /// Flushes if there is no room, and waits for some.
    pub(crate) fn poll_ready(&mut self, waker: &Waker) -> Poll<Result<(), Closed>> {
        if self.room > 0 {
            return Poll::Ready(Ok(()));
        }
        self.poll_wait(For::Room, waker)
    }

    /// Flushes, and is ready once no receiver is left. A wait for room goes on beside it.
    pub(crate) fn poll_closed(&mut self, waker: &Waker) -> Poll<()> {
        self.poll_wait(For::Close, waker).map(|_| ())
    }

    /// Whether no receiver is left: nothing that is pushed will be read.
    pub(crate) fn is_closed(&self) -> bool {
        self.shared.state.lock().is_closed()
    }

    /// Collects an item if there is room for it. Else flushes, and queues it in the place that this brings or in that of the oldest
    /// item that nobody has taken, which is evicted and returned; `item` itself, if receivers have taken all or have left.
    pub(crate) fn push_evicting(&mut self, item: T) -> Option<T> {
        if self.room > 0 {
            self.push(item);
            return None;
        }
        let mut item = Some(item);
        let mut state = self.shared.state.lock();
        if !state.is_closed() {
            state.receive(&mut self.local, &mut self.room);
            if self.room > 0 {
                self.room -= 1;
                state.items.extend(item.take());
            } else {
                state.evicted += 1;
                if let Some(oldest) = state.items.pop_front() {
                    state.items.extend(item.replace(oldest));
                }
            }
            state.served(&mut self.woken);
        }
        drop(state);
        self.wake_all();
        item
    }

    /// What was collected and not flushed.
    pub(crate) fn unsent(&mut self) -> VecDeque<T> {
        let unsent = std::mem::take(&mut self.local);
        self.room += unsent.len();
        unsent
    }

    /// Looks into the channel from outside.
    pub(crate) fn watch(&self) -> Watch<T> {
        Watch { shared: self.shared.clone() }
    }

    fn poll_wait(&mut self, what: For, waker: &Waker) -> Poll<Result<(), Closed>> {
        let mut clone = None;
        let mut state = self.shared.state.lock();
        let replaced = loop {
            if state.is_closed() {
                drop(state);
                return Poll::Ready(Err(Closed));
            }
            match what {
                For::Room => state.receive(&mut self.local, &mut self.room),
                // Invariant 4: who waits for room too is to be woken for it; it is not taken in silence.
                For::Close => append(&mut self.local, &mut state.items),
            }
            state.served(&mut self.woken);
            if what == For::Room && self.room > 0 {
                drop(state);
                self.wake_all();
                return Poll::Ready(Ok(()));
            }
            if state.sender.as_ref().is_some_and(|known| known.will_wake(waker)) {
                break clone;
            }
            if clone.is_some() {
                break std::mem::replace(&mut state.sender, clone);
            }
            drop(state);
            clone = Some(waker.clone());
            // Invariant 6: room may have come, or the last receiver gone, while the waker was cloned.
            state = self.shared.state.lock();
        };
        state.for_room |= what == For::Room;
        drop(state);
        drop(replaced);
        self.wake_all();
        Poll::Pending
    }

    fn wake_all(&mut self) {
        for waker in self.woken.drain(..) {
            (self.shared.wake)(waker);
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.ended = true;
        state.for_room = false;
        let own = state.sender.take();
        if !state.is_closed() {
            append(&mut self.local, &mut state.items);
            state.served(&mut self.woken);
            while let Some(waiting) = state.waiting.front() {
                let waker = state.unlist(waiting);
                self.woken.extend(waker);
            }
        }
        drop(state);
        drop(own);
        self.wake_all();
    }
}
