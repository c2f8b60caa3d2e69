//! Models of the crew: every shift meets a thread, there are no more threads than there may be, and all of them end.

use crate::kernel::crew::{Crew, Need, Next};
use crate::support::{Model, Parker, Plain};
use loom::sync::{Condvar, Mutex};
use loom::thread::JoinHandle;
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Poll;

/// What a shift does while it is served.
type Shift = fn(&Arc<Site>);

/// The crew, its queue, and the threads, as the pool has them.
#[derive(Debug)]
struct Site {
    crew: Crew,
    queue: Mutex<Queue>,
    posted: Condvar,
    /// Shifts that have been served.
    served: Mutex<usize>,
    ended: Condvar,
    alive: Plain<usize>,
    most_alive: Plain<usize>,
    handles: Plain<Vec<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Queue {
    shifts: VecDeque<Shift>,
    disconnected: bool,
}

impl Site {
    fn new(slots: usize) -> Arc<Self> {
        Arc::new(Self {
            crew: Crew::new(slots),
            queue: Mutex::new(Queue::default()),
            posted: Condvar::new(),
            served: Mutex::new(0),
            ended: Condvar::new(),
            alive: Plain::default(),
            most_alive: Plain::default(),
            handles: Plain::default(),
        })
    }

    /// What the launcher does.
    fn post(self: &Arc<Self>, shift: Shift) {
        let need = self.crew.open();
        self.start(need);
        self.queue.lock().expect("sound").shifts.push_back(shift);
        self.posted.notify_one();
    }

    fn start(self: &Arc<Self>, need: Need) {
        for _ in 0..need.0 {
            let site = self.clone();
            let mut alive = self.alive.lock();
            *alive += 1;
            let mut most = self.most_alive.lock();
            *most = (*most).max(*alive);
            drop((alive, most));
            let handle = loom::thread::spawn(move || {
                site.serve();
                *site.alive.lock() -= 1;
            });
            self.handles.lock().push(handle);
        }
    }

    /// What a thread does. Its patience ends whenever the queue is empty.
    fn serve(self: &Arc<Self>) {
        let mut wake = Vec::new();
        loop {
            let next = match self.look(false) {
                Ok(Some(shift)) => self.work(shift, &mut wake),
                Ok(None) => match self.crew.retire(&mut wake) {
                    Next::Leave => Next::Leave,
                    Next::Wait => match self.look(true) {
                        Ok(shift) => self.work(shift.expect("it waited for one"), &mut wake),
                        Err(()) => self.depart(&mut wake),
                    },
                },
                Err(()) => self.depart(&mut wake),
            };
            if next == Next::Leave {
                return wake.into_iter().for_each(std::task::Waker::wake);
            }
        }
    }

    fn depart(&self, wake: &mut Vec<std::task::Waker>) -> Next {
        self.crew.depart(wake);
        Next::Leave
    }

    fn work(self: &Arc<Self>, shift: Shift, wake: &mut Vec<std::task::Waker>) -> Next {
        self.crew.take();
        shift(self);
        *self.served.lock().expect("sound") += 1;
        self.ended.notify_all();
        self.crew.rest(wake)
    }

    /// The next shift; none if there is none now and the caller does not wait. An error once there will be none.
    fn look(&self, waits: bool) -> Result<Option<Shift>, ()> {
        let mut queue = self.queue.lock().expect("sound");
        loop {
            match queue.shifts.pop_front() {
                Some(shift) => return Ok(Some(shift)),
                None if queue.disconnected => return Err(()),
                None if !waits => return Ok(None),
                None => queue = self.posted.wait(queue).expect("sound"),
            }
        }
    }

    fn wait_for(&self, served: usize) {
        let mut now = self.served.lock().expect("sound");
        while *now < served {
            now = self.ended.wait(now).expect("sound");
        }
    }

    /// Lets the queue go and waits for every thread.
    fn end(&self) {
        self.queue.lock().expect("sound").disconnected = true;
        self.posted.notify_all();
        loop {
            let Some(handle) = self.handles.lock().pop() else { break };
            handle.join().expect("a thread has not panicked");
        }
        assert_eq!((self.crew.threads(), *self.alive.lock()), (0, 0), "no thread is left, by any count");
    }
}

fn nothing(_: &Arc<Site>) {}

/// A shift comes while the thread that could take it has lost its patience.
///
/// Seen to fail: a thread leaves without looking at the shifts that count on it.
#[test]
fn hand_off_and_leaving() {
    Model::new("hand_off_and_leaving", 9831).check(|| {
        let site = Site::new(2);
        site.post(nothing);
        site.post(nothing);
        site.wait_for(2);
        site.end();
        assert_eq!(*site.served.lock().expect("sound"), 2);
    });
}

/// Two shifts for one slot: the second waits for the thread that is about to be free.
///
/// Seen to fail: a thread is started for a shift although there are as many as there may be.
#[test]
fn no_more_threads_than_slots() {
    Model::new("no_more_threads_than_slots", 2955).check(|| {
        let site = Site::new(1);
        let poster = site.clone();
        let poster = loom::thread::spawn(move || poster.post(nothing));
        site.post(nothing);
        poster.join().expect("the poster has not panicked");
        site.wait_for(2);
        site.end();
        assert_eq!(*site.most_alive.lock(), 1);
    });
}

/// A busy thread waits for a shift that found no thread, and lends its slot.
///
/// Seen to fail: a wider limit starts no thread for the shifts that wait already.
#[test]
fn lending_and_a_shift_that_waits() {
    fn parent(site: &Arc<Site>) {
        let need = site.crew.widen();
        site.start(need);
        site.wait_for(1);
        site.crew.narrow();
    }
    Model::new("lending_and_a_shift_that_waits", 3225).check(|| {
        let site = Site::new(1);
        site.post(parent);
        site.post(nothing);
        site.wait_for(2);
        site.end();
    });
}

/// One waits until no thread is left, while the last one leaves.
///
/// Seen to fail: the last thread wakes nobody.
#[test]
fn leaving_and_waiting_for_that() {
    Model::new("leaving_and_waiting_for_that", 410).check(|| {
        let site = Site::new(1);
        site.post(nothing);
        let waiter = site.clone();
        let waiter = loom::thread::spawn(move || {
            let parker = Parker::new();
            let mut key = None;
            while waiter.crew.poll_gone(&mut key, parker.waker()) == Poll::Pending {
                parker.park();
            }
        });
        site.wait_for(1);
        waiter.join().expect("the waiter has not panicked");
        site.end();
    });
}

/// The pool is closed while a shift waits for the thread that serves another.
///
/// Seen to fail: a thread of a closed pool leaves without looking at the shifts that wait.
#[test]
fn closing_and_a_shift_that_waits() {
    Model::new("closing_and_a_shift_that_waits", 1).check(|| {
        let site = Site::new(1);
        let closer = site.clone();
        site.post(nothing);
        site.post(nothing);
        let closer = loom::thread::spawn(move || closer.crew.close());
        site.wait_for(2);
        closer.join().expect("the closer has not panicked");
        site.end();
        assert_eq!(*site.served.lock().expect("sound"), 2);
    });
}
