//! Models of the inbox: each outcome is seen once, by its reader or by whoever settles the job, and the reader is woken.

use crate::kernel::cell::{Cell, CellInbox, Settled};
use crate::kernel::inbox::{Arrivals, Delivered, Inbox, Post};
use crate::kernel::slab::{Key, Slab};
use crate::shim::Shared;
use crate::support::{Model, Parker, Plain};
use loom::thread::JoinHandle;
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

/// An outcome; counts how often it was dropped.
#[derive(Debug)]
struct Outcome(Arc<Plain<usize>>);

impl Drop for Outcome {
    fn drop(&mut self) {
        *self.0.lock() += 1;
    }
}

type Job = Shared<Cell<(), Outcome>>;
type JobInbox = CellInbox<(), Outcome>;

/// `N` lent jobs, the keys under which their reader knows them, and how many outcomes have been dropped.
struct Jobs<const N: usize> {
    inbox: Arc<JobInbox>,
    keys: [Key; N],
    /// Those that no settler has yet.
    jobs: [Option<Job>; N],
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

    fn with(job: impl Fn(Key) -> Cell<(), Outcome>, inbox: &Arc<JobInbox>) -> Self {
        let mut slab = Slab::new();
        let keys = [(); N].map(|()| slab.insert(()));
        let jobs = keys.map(|key| {
            let mut job = Shared::new(job(key));
            Cell::lend(&mut job);
            Some(job)
        });
        Self { inbox: inbox.clone(), keys, jobs, dropped: Arc::default() }
    }

    /// Lends these jobs to a settler, each with its outcome.
    fn lend(&mut self, nths: &[usize]) -> Vec<(Job, Outcome)> {
        let jobs = nths.iter().map(|nth| self.jobs[*nth].take().expect("a job has one settler"));
        jobs.map(|job| (job, Outcome(self.dropped.clone()))).collect()
    }

    /// A thread that settles these jobs, and delivers what is of one group together.
    fn settle(&mut self, groups: &[&[usize]]) -> JoinHandle<Post<Job>> {
        let groups: Vec<_> = groups.iter().map(|nths| self.lend(nths)).collect();
        loom::thread::spawn(move || settle(groups))
    }

    /// Collects until all outcomes are here, and returns their keys in order of arrival.
    fn collect(&self, here: Vec<Key>) -> Vec<Key> {
        collect(&self.inbox, N, here)
    }

    fn assert_all_dropped(&self) {
        assert_eq!(*self.dropped.lock(), N, "each outcome is dropped once");
    }
}

/// Settles jobs and delivers what is of one group together. The post is kept, as a runner does.
fn settle(groups: Vec<Vec<(Job, Outcome)>>) -> Post<Job> {
    let mut post = Post::new();
    for group in groups {
        let mut readers = Vec::new();
        for (job, outcome) in group {
            match Cell::settle(job, outcome) {
                Settled::Kept(reader) => readers.extend(reader),
                Settled::Unread(outcome) => drop(outcome),
                Settled::Addressed(job, key) => delivered(post.add(key, job), &mut readers),
            }
        }
        delivered(post.deliver(), &mut readers);
        readers.into_iter().for_each(Waker::wake);
    }
    post
}

fn delivered(delivered: Option<Delivered<Job>>, readers: &mut Vec<Waker>) {
    let Some(Delivered { reader, unread }) = delivered else { return };
    readers.extend(reader);
    drop(unread);
}

/// Collects until so many outcomes are here.
fn collect(inbox: &JobInbox, count: usize, mut here: Vec<Key>) -> Vec<Key> {
    let parker = Parker::new();
    let mut room: Arrivals<Job> = VecDeque::new();
    while here.len() < count {
        if inbox.collect(&mut room, parker.waker()).is_pending() {
            parker.park();
        }
        here.extend(room.drain(..).map(opened));
    }
    here
}

fn opened((key, mut job): (Key, Job)) -> Key {
    drop(Cell::open(&mut job));
    key
}

/// Two settlers and a reader that sleeps: it has each outcome once, and sleeps through none.
///
/// Seen to fail: what arrives wakes nobody.
#[test]
fn two_deliver_one_collects() {
    Model::new("two_deliver_one_collects", 680).check(|| {
        let mut jobs = Jobs::<2>::addressed();
        let settlers = [jobs.settle(&[&[0]]), jobs.settle(&[&[1]])];
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
    Model::small("deliver_and_move", 74).check(|| {
        let mut jobs = Jobs::<2>::addressed();
        let settler = jobs.settle(&[&[0], &[1]]);
        let before = Parker::new();
        let mut room = VecDeque::new();
        let mut here = Vec::new();
        if jobs.inbox.collect(&mut room, before.waker()).is_ready() {
            here.extend(room.drain(..).map(opened));
        }
        assert_eq!(jobs.collect(here), jobs.keys);
        settler.join().expect("the settler has not panicked");
        jobs.assert_all_dropped();
    });
}

/// The reader leaves while outcomes arrive: it drops them, or the settler does.
///
/// Seen to fail: an inbox that is closed keeps what is delivered.
#[test]
fn deliver_and_close() {
    Model::small("deliver_and_close", 24).check(|| {
        let mut jobs = Jobs::<2>::addressed();
        let settler = jobs.settle(&[&[0], &[1]]);
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
    Model::small("settle_and_address", 53).check(|| {
        let mut jobs = Jobs::<1>::plain();
        let handle = jobs.jobs[0].clone().expect("nobody settles it yet");
        let settler = jobs.settle(&[&[0]]);
        let slept = Parker::new();
        let mut here = Vec::new();
        if handle.poll(slept.waker()).is_ready() {
            here.push(jobs.keys[0]);
        } else {
            let (unread, waker) = handle.address(jobs.inbox.clone(), jobs.keys[0]);
            here.extend(unread.map(|_| jobs.keys[0]));
            drop((waker, handle));
        }
        assert_eq!(jobs.collect(here), jobs.keys);
        settler.join().expect("the settler has not panicked");
        jobs.assert_all_dropped();
    });
}

/// Two settlers deliver groups, and a reader sleeps: it has each outcome once, those of a group in order.
///
/// Seen to fail: of letters that are delivered together one arrives.
#[test]
fn two_post_one_collects() {
    Model::new("two_post_one_collects", 680).check(|| {
        let mut jobs = Jobs::<4>::addressed();
        let settlers = [jobs.settle(&[&[0, 1]]), jobs.settle(&[&[2, 3]])];
        let here = jobs.collect(Vec::new());
        let place = |nth: usize| here.iter().position(|key| *key == jobs.keys[nth]).expect("all are here");
        assert!(here.len() == 4 && place(0) + 1 == place(1) && place(2) + 1 == place(3), "{here:?}");
        for settler in settlers {
            settler.join().expect("a settler has not panicked");
        }
        jobs.assert_all_dropped();
    });
}

/// The reader leaves while two settlers deliver groups: it drops them, or the settlers do, at once and not with the post.
///
/// Seen to fail: letters that nobody will read stay in the post.
#[test]
fn two_post_one_closes() {
    Model::new("two_post_one_closes", 180).check(|| {
        let mut jobs = Jobs::<4>::addressed();
        let settlers = [jobs.settle(&[&[0, 1]]), jobs.settle(&[&[2, 3]])];
        let parker = Parker::new();
        let mut room = VecDeque::new();
        let arrived = jobs.inbox.collect(&mut room, parker.waker()).is_ready();
        let (unread, waker) = jobs.inbox.close();
        assert!(waker.is_none() || !arrived, "it sleeps, or has something");
        let here = room.len() + unread.len();
        assert!(here.is_multiple_of(2), "a group arrives as a whole");
        drop((room, unread, waker));
        let posts = settlers.map(|settler| settler.join().expect("a settler has not panicked"));
        jobs.assert_all_dropped();
        drop(posts);
    });
}

/// A settler has letters to two readers, one group after the other: each has its own, and sleeps through none.
///
/// Seen to fail: letters go where those before them go.
#[test]
fn post_to_two() {
    Model::new("post_to_two", 370).check(|| {
        let (mut first, mut second) = (Jobs::<2>::addressed(), Jobs::<1>::addressed());
        let mut group = first.lend(&[0]);
        group.extend(second.lend(&[0]));
        group.extend(first.lend(&[1]));
        let settler = loom::thread::spawn(move || settle(vec![group]));
        let (inbox, key) = (second.inbox.clone(), second.keys[0]);
        let reader = loom::thread::spawn(move || assert_eq!(collect(&inbox, 1, Vec::new()), [key]));
        assert_eq!(first.collect(Vec::new()), first.keys);
        settler.join().expect("the settler has not panicked");
        reader.join().expect("the other reader has not panicked");
        first.assert_all_dropped();
        second.assert_all_dropped();
    });
}
