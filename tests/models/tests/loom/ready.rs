//! Models of the set of woken inputs: the end is seen once, after the last item, and the consumer sleeps through nothing.

use crate::kernel::ready::Ready;
use crate::kernel::slab::Key;
use crate::shim::Mutex;
use crate::support::{Model, Parker};
use std::collections::VecDeque;
use std::sync::Arc;

/// An input: items, then its end.
#[derive(Debug, Default)]
struct Input {
    items: VecDeque<u32>,
    ended: bool,
}

/// An input's two sides.
#[derive(Clone, Debug)]
struct Side {
    key: Key,
    input: Arc<Mutex<Input>>,
    ready: Arc<Ready>,
}

impl Side {
    fn enter(ready: &Arc<Ready>) -> Self {
        Self { key: ready.enter(), input: Arc::new(Mutex::new(Input::default())), ready: ready.clone() }
    }

    fn change(&self, change: impl FnOnce(&mut Input)) {
        change(&mut self.input.lock());
        if let Some(consumer) = self.ready.mark(self.key) {
            consumer.wake();
        }
    }

    /// A thread that brings these items and then the end.
    fn feed(&self, items: std::ops::Range<u32>) -> loom::thread::JoinHandle<()> {
        let side = self.clone();
        loom::thread::spawn(move || {
            for item in items {
                side.change(|input| input.items.push_back(item));
            }
            side.change(|input| input.ended = true);
        })
    }
}

/// Polls what has been woken until all have ended. The items in their order.
fn consume(ready: &Ready, sides: &[Side], parker: &Parker) -> Vec<u32> {
    let mut here = Vec::new();
    let mut open: Vec<&Side> = sides.iter().collect();
    let mut marked = VecDeque::new();
    while !open.is_empty() {
        if ready.poll_marked(&mut marked, parker.waker()).is_pending() {
            parker.park();
        }
        for key in marked.drain(..) {
            let Some(at) = open.iter().position(|side| side.key == key) else { continue };
            let mut input = open[at].input.lock();
            here.extend(input.items.drain(..));
            if input.ended {
                drop(input);
                open.remove(at);
                ready.leave(key);
            }
        }
    }
    here
}

/// Two inputs bring an item and end while the consumer polls and sleeps: it has both items, and then both ends.
///
/// Seen to fail: a consumer that has its waker known does not look again for a mark.
#[test]
fn two_end_one_polls() {
    Model::new("two_end_one_polls", 4418).check(|| {
        let ready = Arc::new(Ready::new());
        let sides = [Side::enter(&ready), Side::enter(&ready)];
        let feeders = [sides[0].feed(0..1), sides[1].feed(1..2)];
        let mut here = consume(&ready, &sides, &Parker::new());
        here.sort_unstable();
        assert_eq!(here, [0, 1]);
        for feeder in feeders {
            feeder.join().expect("an input has not panicked");
        }
        assert!(ready.close().is_none(), "nobody waits any more");
    });
}

/// An input is woken while it is polled, again and again: no item stays behind.
///
/// Seen to fail: the mark of an input that is polled is left on it.
#[test]
fn mark_while_polled() {
    Model::small("mark_while_polled", 391).check(|| {
        let ready = Arc::new(Ready::new());
        let sides = [Side::enter(&ready)];
        let feeder = sides[0].feed(0..3);
        assert_eq!(consume(&ready, &sides, &Parker::new()), [0, 1, 2]);
        feeder.join().expect("the input has not panicked");
    });
}

/// The consumer lets an input go while that is woken, and another gets its place: the late mark harms nobody.
///
/// Seen to fail: an input that leaves stays on the list.
#[test]
fn mark_and_leave() {
    Model::small("mark_and_leave", 3362).check(|| {
        let ready = Arc::new(Ready::new());
        let left = Side::enter(&ready);
        let feeder = left.feed(7..8);
        ready.leave(left.key);
        let stays = [Side::enter(&ready)];
        let other = stays[0].feed(0..1);
        assert_eq!(consume(&ready, &stays, &Parker::new()), [0]);
        feeder.join().expect("an input has not panicked");
        other.join().expect("an input has not panicked");
    });
}
