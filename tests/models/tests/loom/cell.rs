//! Models of the completion cell: an outcome is seen once, and whoever waits for it is woken.

use crate::kernel::cell::{Cell, Settled};
use crate::shim::Shared;
use crate::support::{Model, Parker, Plain};
use std::sync::Arc;
use std::task::{Poll, Waker};

/// The one outcome of a model; counts how often it was dropped.
#[derive(Debug)]
struct Outcome(Arc<Plain<usize>>);

impl Drop for Outcome {
    fn drop(&mut self) {
        *self.0.lock() += 1;
    }
}

type Completion = Shared<Cell<(), Outcome>>;

/// A lent job's cell, its outcome, and how often that has been dropped.
fn lent() -> (Completion, Outcome, Arc<Plain<usize>>) {
    let mut cell = Shared::new(Cell::new(()));
    Cell::lend(&mut cell);
    let dropped = Arc::<Plain<usize>>::default();
    (cell, Outcome(dropped.clone()), dropped)
}

/// `true`: its reader had left.
fn settle<O>(cell: Shared<Cell<(), O>>, outcome: O) -> bool {
    match Cell::settle(cell, outcome) {
        Settled::Kept(reader) => reader.into_iter().for_each(Waker::wake),
        Settled::Unread(_) => return true,
        Settled::Addressed(..) => unreachable!("the cell goes to no inbox"),
    }
    false
}

/// A reader polls, then moves to another task and sleeps there: it is woken and has the outcome once.
///
/// Seen to fail: a new waker is stored without looking whether the outcome has just come.
#[test]
fn settle_and_poll() {
    Model::small("settle_and_poll", 55).check(|| {
        let (cell, outcome, dropped) = lent();
        let settler = cell.clone();
        let settler = loom::thread::spawn(move || settle(settler, outcome));
        let reader = cell.clone();
        let reader = loom::thread::spawn(move || {
            let (before, parker) = (Parker::new(), Parker::new());
            if reader.poll(before.waker()).is_ready() {
                return;
            }
            while reader.poll(parker.waker()).is_pending() {
                parker.park();
            }
        });
        settler.join().expect("the settler has not panicked");
        reader.join().expect("the reader has not panicked");
        assert_eq!(*dropped.lock(), 1);
        assert!(cell.is_done());
    });
}

/// A reader polls and leaves: it drops the outcome, or the settler does, at once and not with the cell.
///
/// Seen to fail: a reader that leaves is not noted.
#[test]
fn settle_and_detach() {
    Model::small("settle_and_detach", 89).check(|| {
        let (cell, outcome, dropped) = lent();
        let settler = cell.clone();
        let settler = loom::thread::spawn(move || settle(settler, outcome));
        let reader = cell.clone();
        let reader = loom::thread::spawn(move || {
            let parker = Parker::new();
            let read = reader.poll(parker.waker());
            let pending = read.is_pending();
            drop(read);
            let (unread, waker) = reader.detach();
            assert!(pending || (unread.is_none() && waker.is_none()), "it was read");
        });
        settler.join().expect("the settler has not panicked");
        reader.join().expect("the reader has not panicked");
        assert_eq!(*dropped.lock(), 1);
    });
}

/// A reader sleeps while a second thread looks whether the outcome is there.
///
/// Seen to fail: an outcome wakes nobody.
#[test]
fn settle_and_look() {
    Model::new("settle_and_look", 4_200).check(|| {
        let (cell, outcome, dropped) = lent();
        let settler = cell.clone();
        let settler = loom::thread::spawn(move || _ = settle(settler, outcome));
        let reader = cell.clone();
        let reader = loom::thread::spawn(move || {
            let parker = Parker::new();
            loop {
                match reader.poll(parker.waker()) {
                    Poll::Ready(outcome) => return drop(outcome),
                    Poll::Pending => parker.park(),
                }
            }
        });
        let looker = cell.clone();
        let looker = loom::thread::spawn(move || {
            let (first, second) = (looker.is_done(), looker.is_done());
            assert!(second || !first, "an outcome does not go away");
        });
        for thread in [settler, reader, looker] {
            thread.join().expect("a model's thread has not panicked");
        }
        assert_eq!(*dropped.lock(), 1);
    });
}

/// A reader takes the outcome with the cell, if the settler has let go of it, and polls if not: it has the outcome once,
/// and what the settler wrote before.
///
/// Seen to fail: a reader takes the outcome without a look whether somebody else holds the cell.
#[test]
fn settle_and_take_with_the_cell() {
    let (with_the_cell, polled) = (Arc::<Plain<usize>>::default(), Arc::<Plain<usize>>::default());
    let seen = [with_the_cell.clone(), polled.clone()];
    Model::small("settle_and_take_with_the_cell", 22).check(move || {
        let dropped = Arc::<Plain<usize>>::default();
        let mut cell = Shared::new(Cell::<_, (loom::cell::Cell<bool>, Outcome)>::new(()));
        Cell::lend(&mut cell);
        let outcome = (loom::cell::Cell::new(false), Outcome(dropped.clone()));
        let settler = cell.clone();
        let settler = loom::thread::spawn(move || {
            outcome.0.set(true);
            settle(settler, outcome);
        });
        let (parker, mut reader) = (Parker::new(), cell);
        let (way, outcome) = loop {
            reader = match Cell::into_outcome(reader) {
                Ok(outcome) => break (0, outcome),
                Err(reader) => reader,
            };
            match reader.poll(parker.waker()) {
                Poll::Ready(outcome) => break (1, outcome),
                Poll::Pending => parker.park(),
            }
        };
        assert!(outcome.0.get());
        drop(outcome);
        *seen[way].lock() += 1;
        settler.join().expect("the settler has not panicked");
        assert_eq!(*dropped.lock(), 1);
    });
    assert!(*with_the_cell.lock() > 0 && *polled.lock() > 0, "both ways were taken");
}

/// A reader leaves, and the settler, once it is the only one that holds the cell, settles without the lock: whoever comes
/// second has the outcome, as long as the cell is there.
///
/// Seen to fail: a reader looks for the outcome and leaves in two lock operations.
#[test]
fn settle_alone() {
    let (alone, together) = (Arc::<Plain<usize>>::default(), Arc::<Plain<usize>>::default());
    let seen = [together.clone(), alone.clone()];
    Model::small("settle_alone", 10).check(move || {
        let (settler, outcome, dropped) = lent();
        let reader = settler.clone();
        let seen = seen.clone();
        let settler = loom::thread::spawn(move || {
            // Without a switch of threads. Once it is alone it stays so.
            let is_alone = Shared::strong_count(&settler) == 1;
            let returned = settle(settler, outcome);
            assert!(returned || !is_alone, "the reader had left");
            *seen[usize::from(is_alone)].lock() += 1;
            returned
        });
        let (unread, waker) = reader.detach();
        assert!(waker.is_none(), "nobody has waited");
        let had = unread.is_some();
        drop((unread, reader));
        let returned = settler.join().expect("the settler has not panicked");
        assert!(returned != had, "one of the two has the outcome");
        assert_eq!(*dropped.lock(), 1);
    });
    assert!(*alone.lock() > 0 && *together.lock() > 0, "both ways were taken");
}
