//! Several streams read as one, in place.

use crate::contain::{discard, wake};
use crate::kernel::ready::Ready;
use crate::kernel::slab::Key;
use futures_core::stream::{FusedStream, Stream};
use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

/// After so many items in a row the next input has its turn.
const QUOTA: usize = 32;

/// In which order the inputs of [`fan_in`] are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum FanIn {
    /// Whichever has something; up to 32 items of one in a row, then the next that has something.
    #[default]
    AsReady,
    /// One item of each in turn; one that has nothing is passed over. Of inputs that always have something, none is ever more than one
    /// item ahead of another.
    RoundRobin,
}

/// Reads several streams as one, in place: nothing is spawned, nothing is buffered.
///
/// It ends when all inputs have ended; without inputs it has ended at once. A wake-up of one input polls that one and not the
/// others. No input starves: one that has something has its turn after at most 32 items of each of the others.
///
/// # Panics
/// A panic of an input goes on in the poll that meets it. That input is dropped; the others may be read on.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use flowgate::{FanIn, fan_in};
/// use futures::{StreamExt as _, stream};
///
/// let letters = stream::iter(["a", "b", "c"]).boxed();
/// let words = stream::iter(["one", "two", "three"]).boxed();
/// let merged: Vec<_> = fan_in([letters, words], FanIn::RoundRobin).collect().await;
/// assert_eq!(merged, ["a", "one", "b", "two", "c", "three"]);
/// # }
/// ```
pub fn fan_in<I>(streams: I, order: FanIn) -> Merged<I::Item>
where
    I: IntoIterator,
    I::Item: Stream,
{
    let quota = match order {
        FanIn::AsReady => QUOTA,
        FanIn::RoundRobin => 1,
    };
    let mut merged = Merged {
        ready: Arc::new(Ready::new()),
        inputs: Vec::new(),
        open: 0,
        turn: VecDeque::new(),
        marked: VecDeque::new(),
        until_look: 0,
        quota,
        left: quota,
        polled: None,
        serial: 0,
    };
    for stream in streams {
        merged.add(stream);
    }
    merged
}

/// Which input of a [`Merged`] is meant. Made by [`Merged::add`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputId {
    key: Key,
    serial: u64,
}

/// Several streams read as one. Made by [`fan_in`].
///
/// Inputs may be [added](Self::add) and [removed](Self::remove) at any time; one that is added after the end makes it go on.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use flowgate::{FanIn, fan_in};
/// use futures::{StreamExt as _, stream};
///
/// let mut merged = fan_in([stream::iter(0..2)], FanIn::AsReady);
/// assert_eq!(merged.next().await, Some(0));
/// let late = merged.add(stream::iter(10..20));
/// assert_eq!((merged.next().await, merged.next().await), (Some(1), Some(10)));
/// let mut rest = merged.remove(late).unwrap();
/// assert_eq!((merged.next().await, rest.next().await), (None, Some(11)));
/// # }
/// ```
///
/// # Cancel safety
/// Safe: an item is taken from its input only when it is yielded. Dropping it drops the inputs.
#[must_use = "a stream does nothing unless it is polled"]
pub struct Merged<S> {
    ready: Arc<Ready>,
    /// By the index of their keys.
    inputs: Vec<Option<Input<S>>>,
    open: usize,
    /// Those to poll, the first of them now.
    turn: VecDeque<Key>,
    /// Empty between polls.
    marked: VecDeque<Key>,
    /// How many turns are left until those that were woken meanwhile are looked for.
    until_look: usize,
    quota: usize,
    /// How many items the first has left in this turn.
    left: usize,
    /// The one that is being polled: still here at the next poll, it has panicked.
    polled: Option<Key>,
    serial: u64,
}

struct Input<S> {
    stream: Pin<Box<S>>,
    waker: Waker,
    /// Whether it is in `turn`.
    listed: bool,
    serial: u64,
}

/// Marks an input.
struct Mark {
    ready: Arc<Ready>,
    key: Key,
}

impl Wake for Mark {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Some(consumer) = self.ready.mark(self.key) {
            wake(consumer);
        }
    }
}

impl<S> Merged<S> {
    /// Adds an input.
    pub fn add(&mut self, stream: S) -> InputId {
        let key = self.ready.enter();
        self.serial += 1;
        let waker = Waker::from(Arc::new(Mark { ready: self.ready.clone(), key }));
        let input = Input { stream: Box::pin(stream), waker: waker.clone(), listed: false, serial: self.serial };
        if self.inputs.len() <= key.index() {
            self.inputs.resize_with(key.index() + 1, || None);
        }
        self.inputs[key.index()] = Some(input);
        self.open += 1;
        // Its first poll; the task may be asleep.
        waker.wake();
        InputId { key, serial: self.serial }
    }

    /// Takes an input out, with whatever it has not yielded; `None` if it has ended or was taken out before.
    pub fn remove(&mut self, input: InputId) -> Option<Pin<Box<S>>> {
        let found = self.inputs.get(input.key.index())?.as_ref()?;
        if found.serial != input.serial {
            return None;
        }
        self.take_out(input.key).map(|input| input.stream)
    }

    /// How many inputs have not ended.
    #[must_use]
    pub fn len(&self) -> usize {
        self.open
    }

    /// Whether all inputs have ended.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open == 0
    }

    fn take_out(&mut self, key: Key) -> Option<Input<S>> {
        let input = self.inputs.get_mut(key.index())?.take()?;
        if input.listed {
            if self.turn.front() == Some(&key) {
                self.left = self.quota;
            }
            self.turn.retain(|listed| *listed != key);
            self.until_look = self.until_look.min(self.turn.len());
        }
        self.ready.leave(key);
        self.open -= 1;
        Some(input)
    }

    /// Lists those that were woken behind those that are listed.
    fn list_marked(&mut self) {
        for key in self.marked.drain(..) {
            if let Some(Some(input)) = self.inputs.get_mut(key.index()) {
                if !std::mem::replace(&mut input.listed, true) {
                    self.turn.push_back(key);
                }
            }
        }
        self.until_look = self.turn.len();
    }

    /// The first has had its turn: it goes to the end, or off the list.
    fn pass_on(&mut self, stays: bool) {
        self.left = self.quota;
        self.until_look = self.until_look.saturating_sub(1);
        let Some(key) = self.turn.pop_front() else { return };
        if stays {
            self.turn.push_back(key);
        } else if let Some(Some(input)) = self.inputs.get_mut(key.index()) {
            input.listed = false;
        }
    }
}

// The inputs are boxed, and nothing else is ever pinned.
impl<S> Unpin for Merged<S> {}

impl<S: Stream> Stream for Merged<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let this = self.get_mut();
        if let Some(panicked) = this.polled.take() {
            discard(this.take_out(panicked));
        }
        // An input that wakes itself whenever it is polled does not keep others of the task from running.
        let mut polls = this.open;
        loop {
            if this.open == 0 {
                return Poll::Ready(None);
            }
            if this.until_look == 0 {
                if !this.turn.is_empty() {
                    this.ready.marked(&mut this.marked);
                } else if this.ready.poll_marked(&mut this.marked, cx.waker()).is_pending() {
                    return Poll::Pending;
                }
                this.list_marked();
            }
            // Without one, all marks were of inputs that have left, and the next look waits.
            let Some(key) = this.turn.front().copied() else { continue };
            let Some(Some(input)) = this.inputs.get_mut(key.index()) else {
                this.pass_on(false);
                continue;
            };
            if polls == 0 {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            this.polled = Some(key);
            let next = input.stream.as_mut().poll_next(&mut Context::from_waker(&input.waker));
            this.polled = None;
            match next {
                Poll::Ready(Some(item)) => {
                    this.left -= 1;
                    if this.left == 0 {
                        this.pass_on(true);
                    }
                    return Poll::Ready(Some(item));
                }
                Poll::Ready(None) => discard(this.take_out(key)),
                Poll::Pending => {
                    polls -= 1;
                    this.pass_on(false);
                }
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let mut least = 0_usize;
        let mut most = Some(0_usize);
        for input in self.inputs.iter().flatten() {
            let (low, high) = input.stream.size_hint();
            least = least.saturating_add(low);
            most = most.zip(high).and_then(|(most, high)| most.checked_add(high));
        }
        (least, most)
    }
}

impl<S: Stream> FusedStream for Merged<S> {
    fn is_terminated(&self) -> bool {
        self.open == 0
    }
}

impl<S> Drop for Merged<S> {
    fn drop(&mut self) {
        discard(self.ready.close());
    }
}

impl<S> fmt::Debug for Merged<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Merged").field("inputs", &self.open).finish_non_exhaustive()
    }
}
