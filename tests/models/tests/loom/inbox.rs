//! Models of the inbox: each outcome is seen once, by its reader or by whoever settles the job, and the reader is woken.

use crate::kernel::cell::Cell;
use crate::kernel::inbox::{Arrivals, Inbox};
use crate::kernel::slab::{Key, Slab};
use crate::support::{Model, Parker, Plain};
use std::collections::VecDeque;
use std::sync::Arc;

/// An outcome; counts how often it was dropped.
#[derive(Debug)]
struct Outcome(Arc<Plain<usize>>);

impl Drop for Outcome {
    fn drop(&mut self) {
        *self.0.lock() += 1;
    }
}

type Job = Arc<Cell<(), Outcome>>;

/// `N` lent jobs, the keys under which their reader knows them, and how many outcomes have been dropped.
struct Jobs<const N: usize> {
    inbox: Arc<Inbox<Outcome>>,
    keys: [Key; N],
    jobs: [Job; N],
    dropped: Arc<Plain<usize>>,
}

impl<const N: usize> Jobs<N> {
    /// Jobs whose outcomes go to the inbox from the beginning.
    fn addressed() -> Self {
        let inbox = Arc::new(Inbox::new());
        Self::with(|key| Cell::addressed((), inbox.clone(), key), &inbox)
    }

    /// Jobs of which nobody knows yet who will read them.
    fn plain() -> Self {
        Self::with(|_| Cell::new(()), &Arc::new(Inbox::new()))
    }

    fn with(job: impl Fn(Key) -> Cell<(), Outcome>, inbox: &Arc<Inbox<Outcome>>) -> Self {
        let mut slab = Slab::new();
        let keys = [(); N].map(|()| slab.insert(()));
        let jobs = keys.map(|key| Arc::new(job(key)));
        jobs.iter().for_each(|job| job.lend());
        Self { inbox: inbox.clone(), keys, jobs, dropped: Arc::default() }
    }

    /// A thread that settles the jobs, one after the other.
    fn settle<const M: usize>(&self, nths: [usize; M]) -> loom::thread::JoinHandle<()> {
        let jobs = nths.map(|nth| (self.jobs[nth].clone(), Outcome(self.dropped.clone())));
        loom::thread::spawn(move || {
            for (job, outcome) in jobs {
                let settled = job.settle(outcome);
                drop(settled.unread);
                if let Some(reader) = settled.reader {
                    reader.wake();
                }
            }
        })
    }

    /// Collects until all outcomes are here, and returns their keys in order of arrival.
    fn collect(&self, mut here: Vec<Key>) -> Vec<Key> {
        let parker = Parker::new();
        let mut room: Arrivals<Outcome> = VecDeque::new();
        while here.len() < N {
            if self.inbox.collect(&mut room, parker.waker()).is_pending() {
                parker.park();
            }
            here.extend(room.drain(..).map(|(key, _)| key));
        }
        here
    }

    fn assert_all_dropped(&self) {
        assert_eq!(*self.dropped.lock(), N, "each outcome is dropped once");
        assert!(self.jobs.iter().all(|job| job.is_done()));
    }
}

/// Two settlers and a reader that sleeps: it has each outcome once, and sleeps through none.
///
/// Seen to fail: what arrives wakes nobody.
#[test]
fn two_deliver_one_collects() {
    Model::new("two_deliver_one_collects", 340).check(|| {
        let jobs = Jobs::<2>::addressed();
        let settlers = [jobs.settle([0]), jobs.settle([1])];
        let here = jobs.collect(Vec::new());
        assert!(here.contains(&jobs.keys[0]) && here.contains(&jobs.keys[1]));
        for settler in settlers {
            settler.join().expect("a settler has not panicked");
        }
        jobs.assert_all_dropped();
    });
}

/// The reader moves to another task between two outcomes: the one that sleeps is woken.
///
/// Seen to fail: a new waker is stored without looking whether something has just arrived.
#[test]
fn deliver_and_move() {
    Model::small("deliver_and_move", 37).check(|| {
        let jobs = Jobs::<2>::addressed();
        let settler = jobs.settle([0, 1]);
        let before = Parker::new();
        let mut room = VecDeque::new();
        let mut here = Vec::new();
        if jobs.inbox.collect(&mut room, before.waker()).is_ready() {
            here.extend(room.drain(..).map(|(key, _)| key));
        }
        assert_eq!(jobs.collect(here), jobs.keys);
        settler.join().expect("the settler has not panicked");
        jobs.assert_all_dropped();
    });
}

/// The reader leaves while outcomes arrive: it drops them, or the settler does, at once and not with the cells.
///
/// Seen to fail: an inbox that is closed keeps what is delivered.
#[test]
fn deliver_and_close() {
    Model::small("deliver_and_close", 12).check(|| {
        let jobs = Jobs::<2>::addressed();
        let settler = jobs.settle([0, 1]);
        let closer = jobs.inbox.clone();
        let closer = loom::thread::spawn(move || {
            let (unread, waker) = closer.close();
            assert!(waker.is_none(), "nobody has waited");
            drop(unread);
        });
        settler.join().expect("the settler has not panicked");
        closer.join().expect("the closer has not panicked");
        jobs.assert_all_dropped();
    });
}

/// A handle's reader has its outcome go to an inbox while the job ends: it is seen once, here or there.
///
/// Seen to fail: an outcome that is there already is left behind.
#[test]
fn settle_and_address() {
    Model::small("settle_and_address", 20).check(|| {
        let jobs = Jobs::<1>::plain();
        let settler = jobs.settle([0]);
        let slept = Parker::new();
        let mut here = Vec::new();
        if jobs.jobs[0].poll(slept.waker()).is_ready() {
            here.push(jobs.keys[0]);
        } else {
            let (unread, waker) = jobs.jobs[0].address(jobs.inbox.clone(), jobs.keys[0]);
            here.extend(unread.map(|_| jobs.keys[0]));
            drop(waker);
        }
        assert_eq!(jobs.collect(here), jobs.keys);
        settler.join().expect("the settler has not panicked");
        jobs.assert_all_dropped();
    });
}
