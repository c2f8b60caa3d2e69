//! Models of the batch channel: each item ends in one place, the bound is exact, and nobody sleeps through what it waits for.

use crate::kernel::channel::{Receiver, Sender, channel};
use crate::support::{Model, Parker, Plain};
use loom::sync::atomic::{AtomicUsize, Ordering};
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Poll, Waker};

type Thread<T> = loom::thread::JoinHandle<T>;

fn opened(capacity: usize) -> (Sender<u32>, Receiver<u32>) {
    channel(capacity, Waker::wake)
}

/// The next item of a thread that sleeps until there is one, or the end.
fn next(receiver: &mut Receiver<u32>, parker: &Parker) -> Option<u32> {
    loop {
        match receiver.poll_next(parker.waker()) {
            Poll::Ready(next) => return next,
            Poll::Pending => parker.park(),
        }
    }
}

/// Everything up to the end.
fn read(mut receiver: Receiver<u32>) -> Vec<u32> {
    let parker = Parker::new();
    std::iter::from_fn(|| next(&mut receiver, &parker)).collect()
}

/// Waits for room. Whether there is some: otherwise nobody is left to read.
fn wait_for_room(sender: &mut Sender<u32>, parker: &Parker) -> bool {
    loop {
        match sender.poll_ready(parker.waker()) {
            Poll::Ready(ready) => return ready.is_ok(),
            Poll::Pending => parker.park(),
        }
    }
}

/// A thread that pushes these items, flushing each, and returns those that nobody will read.
fn feed(mut sender: Sender<u32>, items: std::ops::Range<u32>) -> Thread<VecDeque<u32>> {
    loom::thread::spawn(move || {
        let parker = Parker::new();
        for item in items.clone() {
            if !wait_for_room(&mut sender, &parker) {
                return sender.unsent().into_iter().chain(item..items.end).collect();
            }
            sender.push(item);
            let _ = sender.flush();
        }
        sender.unsent()
    })
}

/// The receiver goes to sleep while an item is flushed, and while the sender ends: it reads all, in order.
///
/// Seen to fail: a receiver that has its waker known does not look again for an item.
#[test]
fn flush_and_park() {
    Model::small("flush_and_park", 95).check(|| {
        let (sender, receiver) = opened(2);
        let feeder = feed(sender, 0..2);
        assert_eq!(read(receiver), [0, 1]);
        assert!(feeder.join().expect("the sender has not panicked").is_empty());
    });
}

/// The sender waits for room at capacity 1 while the receiver takes an item and comes for no other: it is told of the place.
///
/// Seen to fail: a receiver that takes an item does not tell the sender of its place.
#[test]
fn full_and_take() {
    Model::small("full_and_take", 42).check(|| {
        let (sender, mut receiver) = opened(1);
        let feeder = feed(sender, 0..2);
        assert_eq!(next(&mut receiver, &Parker::new()), Some(0));
        assert!(feeder.join().expect("the sender has not panicked").is_empty());
        assert_eq!(read(receiver), [1]);
    });
}

/// The sender waits for room and for the receiver to leave at once, as one that has several channels does: it is told of room.
///
/// Seen to fail: a look whether anybody is left to read takes the room, and says nothing of it.
#[test]
fn full_and_watch() {
    Model::small("full_and_watch", 143).check(|| {
        let (mut sender, receiver) = opened(4);
        let reader = loom::thread::spawn(move || read(receiver));
        let parker = Parker::new();
        for item in 0..5 {
            while sender.poll_ready(parker.waker()).is_pending() {
                assert!(sender.poll_closed(parker.waker()).is_pending(), "the receiver stays");
                parker.park();
            }
            sender.push(item);
        }
        drop(sender);
        assert_eq!(reader.join().expect("the receiver has not panicked"), [0, 1, 2, 3, 4]);
    });
}

/// The sender waits while one receiver sits on most of the places and another goes to sleep: it is told of the one free place,
/// though that is less than half of the capacity.
///
/// Seen to fail: a receiver that goes to sleep does not tell the sender of the room that there is.
#[test]
fn full_and_sleep() {
    Model::small("full_and_sleep", 8).check(|| {
        let (mut sender, mut first) = opened(4);
        for item in 0..4 {
            sender.push(item);
        }
        let parker = Parker::new();
        assert!(sender.poll_ready(parker.waker()).is_pending());
        assert_eq!(first.try_next(), Poll::Ready(Some(0)));
        let mut second = first.another();
        let reader = loom::thread::spawn(move || (next(&mut second, &Parker::new()), second));
        parker.park();
        assert!(wait_for_room(&mut sender, &parker), "the receivers stay");
        sender.push(4);
        sender.flush().expect("somebody reads");
        let (item, second) = reader.join().expect("a receiver has not panicked");
        assert_eq!(item, Some(4));
        drop((first, second));
    });
}

/// The sender is full when the receiver leaves, with an item read or with none: it is told, and no item is missing.
///
/// Seen to fail: the last receiver leaves without a word to the sender.
#[test]
fn full_and_leave() {
    Model::small("full_and_leave", 23).check(|| {
        let (sender, mut receiver) = opened(1);
        let feeder = feed(sender, 0..3);
        let mut here = Vec::new();
        if let Poll::Ready(Some(item)) = receiver.try_next() {
            here.push(item);
        }
        here.extend(receiver.close());
        here.extend(feeder.join().expect("the sender has not panicked"));
        assert_eq!(here, [0, 1, 2]);
    });
}

/// The last receiver leaves during a flush: the items are handed back, to it or to the sender.
///
/// Seen to fail: a flush does not look whether anybody is left to read.
#[test]
fn flush_and_close() {
    Model::small("flush_and_close", 4).check(|| {
        let (mut sender, mut receiver) = opened(2);
        let closer = loom::thread::spawn(move || receiver.close());
        sender.push(0);
        sender.push(1);
        let flushed = sender.flush();
        let unsent = sender.unsent();
        assert_eq!(flushed.is_ok(), unsent.is_empty());
        let mut here = closer.join().expect("the receiver has not panicked");
        here.extend(unsent);
        assert_eq!(here, [0, 1]);
        assert!(sender.is_closed());
    });
}

/// The sender waits for the receiver to leave, and for nothing else: it is told.
///
/// Seen to fail: a sender that has its waker known does not look again whether anybody is left to read.
#[test]
fn idle_and_leave() {
    Model::small("idle_and_leave", 17).check(|| {
        let (mut sender, receiver) = opened(1);
        let leaver = loom::thread::spawn(move || drop(receiver));
        let parker = Parker::new();
        while sender.poll_closed(parker.waker()).is_pending() {
            parker.park();
        }
        leaver.join().expect("the receiver has not panicked");
    });
}

/// Two receivers sleep and are flushed two items at once: each is woken and has one, as neither takes more than its share.
///
/// Seen to fail: a flush wakes one receiver, however many items it brings.
#[test]
fn one_flush_for_two() {
    Model::new("one_flush_for_two", 274).check(|| {
        let (mut sender, first) = opened(2);
        let second = first.another();
        let readers = [first, second].map(|mut receiver| {
            loom::thread::spawn(move || {
                let item = next(&mut receiver, &Parker::new());
                (item, receiver)
            })
        });
        sender.push(0);
        sender.push(1);
        sender.flush().expect("somebody reads");
        let mut here = readers.map(|reader| reader.join().expect("a receiver has not panicked"));
        here.sort_by_key(|(item, _)| *item);
        assert_eq!([here[0].0, here[1].0], [Some(0), Some(1)]);
    });
}

/// One of two receivers leaves although it was woken for the one item: the other gets it, or it has been read.
///
/// Seen to fail: a receiver that leaves does not pass its wake-up on.
#[test]
fn woken_and_leave() {
    Model::new("woken_and_leave", 94).check(|| {
        let (mut sender, mut first) = opened(2);
        let mut second = first.another();
        let parker = Parker::new();
        let here = Arc::new(Plain::new(Vec::new()));
        assert!(first.poll_next(parker.waker()).is_pending());
        let leaver = loom::thread::spawn(move || drop(first));
        let reader = {
            let here = here.clone();
            loom::thread::spawn(move || {
                let item = next(&mut second, &Parker::new());
                here.lock().extend(item);
                second
            })
        };
        sender.push(7);
        sender.flush().expect("somebody reads");
        leaver.join().expect("a receiver has not panicked");
        drop(reader.join().expect("a receiver has not panicked"));
        assert_eq!(*here.lock(), [7]);
    });
}

/// One of two receivers leaves with an item that it has taken and not yielded: it goes to the other, before what is queued.
///
/// Seen to fail: a receiver that leaves takes along what it has not yielded.
#[test]
fn taken_and_leave() {
    Model::new("taken_and_leave", 318).check(|| {
        let (mut sender, mut first) = opened(4);
        let second = first.another();
        for item in 0..4 {
            sender.push(item);
        }
        sender.flush().expect("somebody reads");
        let Poll::Ready(Some(item)) = first.try_next() else { panic!("there are items") };
        let leaver = loom::thread::spawn(move || drop(first));
        let reader = loom::thread::spawn(move || read(second));
        leaver.join().expect("a receiver has not panicked");
        drop(sender);
        let mut here = reader.join().expect("a receiver has not panicked");
        here.push(item);
        here.sort_unstable();
        assert_eq!(here, [0, 1, 2, 3]);
    });
}

/// The sender pushes whenever it has room while the receiver reads batches: never more inside than the capacity.
///
/// Seen to fail: a receiver gives back the places of all that it takes.
#[test]
fn bound_and_read() {
    Model::small("bound_and_read", 837).check(|| {
        const CAPACITY: usize = 2;
        let (mut sender, mut receiver) = opened(CAPACITY);
        // How many items the receiver has asked for: at least as many as it has been given.
        let asked = Arc::new(AtomicUsize::new(0));
        let asking = asked.clone();
        sender.push(0);
        sender.push(1);
        sender.flush().expect("somebody reads");
        let reader = loom::thread::spawn(move || {
            let parker = Parker::new();
            let mut here = Vec::new();
            loop {
                asking.fetch_add(1, Ordering::AcqRel);
                match next(&mut receiver, &parker) {
                    Some(item) => here.push(item),
                    None => return here,
                }
            }
        });
        let parker = Parker::new();
        for item in 2..5 {
            assert!(wait_for_room(&mut sender, &parker), "the receiver stays");
            sender.push(item);
            let (pushed, asked) = (item as usize + 1, asked.fetch_add(0, Ordering::AcqRel));
            assert!(pushed - asked <= CAPACITY, "{pushed} pushed, and {asked} asked for");
        }
        drop(sender);
        assert_eq!(reader.join().expect("the receiver has not panicked"), [0, 1, 2, 3, 4]);
    });
}

/// A sender that evicts meets a receiver that reads: each item is read or evicted, and the latest are read.
///
/// Seen to fail: the newest is evicted.
#[test]
fn evict_and_read() {
    Model::small("evict_and_read", 154).check(|| {
        let (mut sender, mut receiver) = opened(2);
        receiver.take_at_most(1);
        let evictor = loom::thread::spawn(move || {
            let evicted: Vec<u32> = (0..4).filter_map(|item| sender.push_evicting(item)).collect();
            let counted = sender.watch().snapshot().evicted;
            assert_eq!(counted, evicted.len() as u64);
            evicted
        });
        let mut here = read(receiver);
        assert!(here.is_sorted() && here.ends_with(&[2, 3]), "{here:?}");
        here.extend(evictor.join().expect("the sender has not panicked"));
        here.sort_unstable();
        assert_eq!(here, [0, 1, 2, 3]);
    });
}
