//! Models of the gate: its bounds hold, and neither the entrance nor a batch sleeps through what it waits for.

use crate::kernel::gate::{Gate, Inside, Most, Watcher};
use crate::support::{Model, Parker, Plain};
use std::sync::Arc;
use std::task::Poll;

type Thread<T> = loom::thread::JoinHandle<T>;

/// A gate, and what is inside as those see it who go in and out.
struct Bounded {
    gate: Gate,
    most: Most,
    seen: Plain<Most>,
}

impl Bounded {
    fn new(items: usize, weight: usize) -> Arc<Self> {
        let most = Most { items, weight };
        Arc::new(Self { gate: Gate::new(most), most, seen: Plain::new(Most { items: 0, weight: 0 }) })
    }

    /// Takes a place, and sleeps until there is one.
    fn enter(&self, parker: &Parker) {
        self.wait(parker, |gate, wake| gate.poll_enter(parker.waker(), wake));
        let mut seen = self.seen.lock();
        seen.items += 1;
        assert!(seen.items <= self.most.items, "{seen:?} inside of {:?}", self.most);
    }

    /// Adds the weight of an item that has a place, and sleeps until it fits.
    fn weigh(&self, weight: usize, parker: &Parker) {
        self.wait(parker, |gate, wake| gate.poll_weigh(weight, parker.waker(), wake));
        let mut seen = self.seen.lock();
        assert!(seen.weight == 0 || seen.weight + weight <= self.most.weight, "{weight} beside {seen:?}");
        seen.weight += weight;
    }

    fn wait(&self, parker: &Parker, poll: impl Fn(&Gate, &mut Vec<std::task::Waker>) -> Poll<()>) {
        loop {
            let mut wake = Vec::new();
            let polled = poll(&self.gate, &mut wake);
            wake.into_iter().for_each(std::task::Waker::wake);
            match polled {
                Poll::Ready(()) => return,
                Poll::Pending => parker.park(),
            }
        }
    }

    /// Sleeps until the entrance is starved.
    fn starvation(&self, watcher: Watcher, parker: &Parker) {
        while self.gate.poll_starved(watcher, parker.waker()).is_pending() {
            parker.park();
        }
    }

    /// An item of this weight is inside no more.
    fn release(&self, weight: usize) {
        {
            let mut seen = self.seen.lock();
            seen.items -= 1;
            seen.weight -= weight;
        }
        self.gate.release(weight).into_iter().for_each(std::task::Waker::wake);
    }

    /// A thread that settles an item.
    fn releaser(self: &Arc<Self>, weight: usize) -> Thread<()> {
        let gate = self.clone();
        loom::thread::spawn(move || gate.release(weight))
    }

    fn assert_inside(&self, items: usize, weight: usize) {
        assert_eq!(self.gate.inside(), Inside { items, weight, starved: false });
    }
}

fn joined(thread: Thread<()>) {
    thread.join().expect("the thread has not panicked");
}

/// The entrance waits for a place while the only item inside is settled: it is told.
///
/// Seen to fail: an entrance that has its waker known does not look again for room.
#[test]
fn enter_and_release() {
    Model::small("enter_and_release", 17).check(|| {
        let bounded = Bounded::new(1, usize::MAX);
        let parker = Parker::new();
        bounded.enter(&parker);
        let releaser = bounded.releaser(0);
        bounded.enter(&parker);
        joined(releaser);
        bounded.assert_inside(1, 0);
    });
}

/// Two items are settled while two more come in: all enter, and never more than two are inside.
///
/// Seen to fail: one item too many is let in.
#[test]
fn two_enter_and_two_release() {
    Model::new("two_enter_and_two_release", 680).check(|| {
        let bounded = Bounded::new(2, usize::MAX);
        let parker = Parker::new();
        bounded.enter(&parker);
        bounded.enter(&parker);
        let releasers = [0, 0].map(|weight| bounded.releaser(weight));
        bounded.enter(&parker);
        bounded.enter(&parker);
        releasers.into_iter().for_each(joined);
        bounded.assert_inside(2, 0);
    });
}

/// An item waits until its weight fits while another is settled: it enters, and the two are never too heavy together.
///
/// Seen to fail: an item enters beside others if it fits alone.
#[test]
fn weigh_and_release() {
    Model::small("weigh_and_release", 24).check(|| {
        let bounded = Bounded::new(2, 3);
        let parker = Parker::new();
        bounded.enter(&parker);
        bounded.weigh(2, &parker);
        let releaser = bounded.releaser(2);
        bounded.enter(&parker);
        bounded.weigh(2, &parker);
        joined(releaser);
        bounded.assert_inside(1, 2);
    });
}

/// An item that is heavier than all that may be inside waits until the others are settled, and the next one waits for it.
///
/// Seen to fail: an item that is too heavy waits for ever.
#[test]
fn oversized_and_release() {
    Model::small("oversized_and_release", 139).check(|| {
        let bounded = Bounded::new(3, 3);
        let parker = Parker::new();
        bounded.enter(&parker);
        bounded.weigh(1, &parker);
        let light = bounded.releaser(1);
        bounded.enter(&parker);
        bounded.weigh(5, &parker);
        let heavy = bounded.releaser(5);
        bounded.enter(&parker);
        bounded.weigh(1, &parker);
        joined(light);
        joined(heavy);
        bounded.assert_inside(1, 1);
    });
}

/// A batch holds the only item and waits for another while the entrance becomes starved: it lets go of what it has, and the
/// entrance goes on.
///
/// Seen to fail: a watcher that has its waker known does not look again whether the entrance is starved.
#[test]
fn starve_and_watch() {
    Model::small("starve_and_watch", 45).check(|| {
        let bounded = Bounded::new(1, usize::MAX);
        let parker = Parker::new();
        bounded.enter(&parker);
        let batch = {
            let bounded = bounded.clone();
            loom::thread::spawn(move || {
                let watcher = bounded.gate.watcher();
                bounded.starvation(watcher, &Parker::new());
                bounded.release(0);
            })
        };
        bounded.enter(&parker);
        joined(batch);
        bounded.assert_inside(1, 0);
    });
}

/// Two batches hold an item each while the entrance becomes starved, and they let go of both together: each is told.
///
/// Seen to fail: one of those who watch for starvation is woken.
#[test]
fn starve_and_two_watch() {
    Model::new("starve_and_two_watch", 1_550).check(|| {
        let bounded = Bounded::new(2, usize::MAX);
        let parker = Parker::new();
        bounded.enter(&parker);
        bounded.enter(&parker);
        let told = Arc::new(Plain::new(0));
        let batches = [(); 2].map(|()| {
            let (bounded, told) = (bounded.clone(), told.clone());
            let watcher = bounded.gate.watcher();
            loom::thread::spawn(move || {
                bounded.starvation(watcher, &Parker::new());
                *told.lock() += 1;
                if *told.lock() == 2 {
                    bounded.release(0);
                    bounded.release(0);
                }
            })
        });
        bounded.enter(&parker);
        bounded.enter(&parker);
        batches.into_iter().for_each(joined);
        bounded.assert_inside(2, 0);
    });
}

/// The entrance becomes starved, is polled by another task, and a batch that has two wakers in turn watches it: whoever waits
/// last is told.
///
/// Seen to fail: a watcher keeps the first waker that it came with.
#[test]
fn starve_and_watch_with_another_waker() {
    Model::small("starve_and_watch_with_another_waker", 131).check(|| {
        let bounded = Bounded::new(1, usize::MAX);
        bounded.enter(&Parker::new());
        let batch = {
            let bounded = bounded.clone();
            loom::thread::spawn(move || {
                let watcher = bounded.gate.watcher();
                let _early = bounded.gate.poll_starved(watcher, Parker::new().waker());
                bounded.starvation(watcher, &Parker::new());
                bounded.release(0);
            })
        };
        let mut wake = Vec::new();
        let early = bounded.gate.poll_enter(Parker::new().waker(), &mut wake);
        wake.into_iter().for_each(std::task::Waker::wake);
        assert!(early.is_pending(), "the batch lets go once somebody is starved, and is not polled before");
        bounded.enter(&Parker::new());
        joined(batch);
        bounded.assert_inside(1, 0);
    });
}

/// A place for which no item came is given back while another is asked for: whoever asks gets it.
///
/// Seen to fail: room that is given back wakes nobody.
#[test]
fn leave_and_enter() {
    Model::small("leave_and_enter", 17).check(|| {
        let bounded = Bounded::new(1, usize::MAX);
        let parker = Parker::new();
        bounded.enter(&parker);
        let leaver = {
            let bounded = bounded.clone();
            loom::thread::spawn(move || {
                bounded.seen.lock().items -= 1;
                bounded.gate.leave().into_iter().for_each(std::task::Waker::wake);
            })
        };
        bounded.enter(&parker);
        joined(leaver);
        bounded.assert_inside(1, 0);
    });
}

/// The entrance goes while it is starved and an item is settled: nobody is starved afterwards, so no batch is cut short.
///
/// Seen to fail: an entrance that is gone stays starved.
#[test]
fn go_and_watch() {
    Model::small("go_and_watch", 4).check(|| {
        let bounded = Bounded::new(2, usize::MAX);
        let parker = Parker::new();
        bounded.enter(&parker);
        bounded.enter(&parker);
        assert!(bounded.gate.poll_enter(parker.waker(), &mut Vec::new()).is_pending());
        let watcher = bounded.gate.watcher();
        let entrance = {
            let bounded = bounded.clone();
            loom::thread::spawn(move || drop(bounded.gate.gone()))
        };
        let _either = bounded.gate.poll_starved(watcher, parker.waker());
        joined(entrance);
        assert!(bounded.gate.poll_starved(watcher, parker.waker()).is_pending());
        bounded.assert_inside(2, 0);
    });
}
