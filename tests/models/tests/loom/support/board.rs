//! One key of a map and the loads of it, as `src/map/load` has them: the entry and the flight in one shard, the load in
//! a task of its own.

use super::{Parker, Plain};
use crate::kernel::alarms::NEVER;
use crate::kernel::flight::{Flight, Seat};
use crate::kernel::shard::{Gone, Locked, Seat as Place, Shard};
use crate::kernel::waits::{FlightId, Waits};
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread::JoinHandle;
use std::sync::Arc;
use std::task::Poll;

/// What a load does.
#[derive(Clone, Debug)]
pub(crate) enum Loader {
    /// Brings a value in at its first poll.
    Value(usize),
    /// Panics at its first poll.
    Panic,
    /// Brings nothing in: it ends when it is dropped.
    Never,
    /// Waits for the value of another key and brings in the next number, or [`REFUSED`].
    Nest(Nested),
}

/// What a load brings in that may not wait for another.
pub(crate) const REFUSED: usize = 0;

/// A load that waits for another.
#[derive(Clone, Debug)]
pub(crate) struct Nested {
    pub(crate) waits: Arc<Waits>,
    /// The flight that waits, and the one that it waits for.
    pub(crate) own: FlightId,
    pub(crate) other: FlightId,
    pub(crate) board: Arc<Board>,
}

impl Nested {
    fn load(&self) -> usize {
        // The seat is taken first and the edge is made after it, as in `src/map/load`.
        let waiter = match self.board.look_up(Loader::Value(7)) {
            Ok(value) => return value + 1,
            Err(waiter) => waiter,
        };
        if self.waits.add(self.own, self.other).is_err() {
            return REFUSED;
        }
        let answer = waiter.wait();
        self.waits.remove(self.own, self.other);
        match answer {
            Answer::Loaded(value) | Answer::Hit(value) => value + 1,
            Answer::Panicked => panic!("no load of this model panics"),
        }
    }
}

/// How a look-up ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Hit(usize),
    Loaded(usize),
    Panicked,
}

/// What a flight brings in; counts how often it was dropped.
#[derive(Debug)]
pub(crate) struct Outcome {
    value: Option<usize>,
    dropped: Arc<Plain<usize>>,
}

impl Drop for Outcome {
    fn drop(&mut self) {
        *self.dropped.lock() += 1;
    }
}

/// The only key of a board and its hash.
const KEY: u32 = 1;
const HASH: u64 = 1;

type Load = Arc<Flight<Outcome>>;

/// One key of a map.
#[derive(Debug)]
pub(crate) struct Board {
    shard: Shard<u32, usize, Load>,
    /// Loads that were started, and whether loom's threads see it.
    loads: AtomicUsize,
    tasks: Plain<Vec<JoinHandle<()>>>,
    landed: Plain<usize>,
    dropped: Arc<Plain<usize>>,
}

/// A caller that waits for a flight.
#[derive(Debug)]
pub(crate) struct Waiter {
    flight: Load,
    seat: Option<Seat>,
}

impl Board {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            shard: Shard::new(),
            loads: AtomicUsize::new(0),
            tasks: Plain::default(),
            landed: Plain::default(),
            dropped: Arc::default(),
        })
    }

    /// The entry, or a seat in the flight under way, or in a new one.
    pub(crate) fn look_up(self: &Arc<Self>, loader: Loader) -> Result<usize, Waiter> {
        let mut shard = self.lock();
        if let Some((_, value)) = shard.get(HASH, |key| *key == KEY, || 0) {
            return Ok(*value);
        }
        let known = shard.flight(HASH, |key| *key == KEY).cloned();
        if let Some(flight) = &known
            && let Some(seat) = flight.join()
        {
            return Err(Waiter { flight: flight.clone(), seat: Some(seat) });
        }
        let abandoned = known.and_then(|known| shard.end(HASH, |flight| Arc::ptr_eq(flight, &known)));
        let (flight, seat) = Flight::new();
        let flight = Arc::new(flight);
        shard.begin(HASH, KEY, flight.clone());
        drop(shard);
        drop(abandoned);
        self.loads.fetch_add(1, Ordering::Relaxed);
        let (board, task) = (self.clone(), flight.clone());
        let task = loom::thread::spawn(move || board.load(&task, loader));
        self.tasks.lock().push(task);
        Err(Waiter { flight, seat: Some(seat) })
    }

    /// As a caller that waits to the end.
    pub(crate) fn get_or_load(self: &Arc<Self>, loader: Loader) -> Answer {
        match self.look_up(loader) {
            Ok(value) => Answer::Hit(value),
            Err(waiter) => waiter.wait(),
        }
    }

    /// The task of a load.
    fn load(&self, flight: &Load, loader: Loader) {
        let parker = Parker::new();
        let value = loop {
            if !flight.is_wanted(parker.waker()) {
                break None;
            }
            match &loader {
                Loader::Value(value) => break Some(*value),
                Loader::Nest(nested) => break Some(nested.load()),
                Loader::Panic => break None,
                Loader::Never => parker.park(),
            }
        };
        self.land(flight, value);
    }

    /// The end of a load, however it came: a value is stored unless it was overtaken, everything else frees the key.
    fn land(&self, flight: &Load, value: Option<usize>) {
        let outcome = Arc::new(Outcome { value, dropped: self.dropped.clone() });
        *self.landed.lock() += 1;
        let mut gone = Gone::new();
        let mut shard = self.lock();
        let found = shard.end(HASH, |other| Arc::ptr_eq(flight, other));
        if let (Some((key, _)), Some(value)) = (&found, value) {
            match shard.seat(HASH, |other| other == key, |_| HASH, || 0, &mut gone) {
                Place::Free(free) => free.insert(HASH, *key, value, NEVER, &mut gone),
                Place::Taken(_) => panic!("a key with a live value has no load"),
            }
        }
        drop(shard);
        drop((gone, found));
        let mut landed = flight.land(outcome);
        drop((landed.task.take(), landed.unread.take()));
        for waiter in landed.into_waiters() {
            waiter.wake();
        }
    }

    /// A write: it overtakes the flight under way.
    pub(crate) fn write(&self, value: Option<usize>) {
        let mut gone = Gone::new();
        let mut shard = self.lock();
        match (shard.seat(HASH, |key| *key == KEY, |_| HASH, || 0, &mut gone), value) {
            (Place::Free(free), Some(value)) => free.insert(HASH, KEY, value, NEVER, &mut gone),
            (Place::Taken(taken), Some(value)) => drop(taken.replace(value, NEVER)),
            (Place::Taken(taken), None) => drop(taken.remove()),
            (Place::Free(_), None) => shard.overtake(HASH, |key| *key == KEY, &mut gone),
        }
        drop(shard);
        drop(gone);
    }

    fn lock(&self) -> Locked<'_, u32, usize, Load> {
        self.shard.lock(std::ptr::from_ref(self).addr(), None).expect("no model re-enters")
    }

    pub(crate) fn entry(&self) -> Option<usize> {
        self.lock().get(HASH, |key| *key == KEY, || 0).map(|(_, value)| *value)
    }

    pub(crate) fn loads(&self) -> usize {
        self.loads.load(Ordering::Relaxed)
    }

    /// Waits until every load's task has ended. No flight is left, and every outcome was dropped once.
    pub(crate) fn end(&self) {
        loop {
            let task = self.tasks.lock().pop();
            let Some(task) = task else { break };
            task.join().expect("a load's task has not panicked");
        }
        let left = self.lock().flight(HASH, |key| *key == KEY).cloned();
        assert!(left.is_none(), "a flight was left behind");
        assert_eq!(*self.dropped.lock(), *self.landed.lock(), "each outcome is dropped once");
    }
}

impl Waiter {
    pub(crate) fn poll(&mut self, parker: &Parker) -> Poll<Answer> {
        let seat = self.seat.as_mut().expect("a waiter has its seat until it leaves");
        self.flight.poll(seat, parker.waker()).map(|outcome| match outcome.value {
            Some(value) => Answer::Loaded(value),
            None => Answer::Panicked,
        })
    }

    pub(crate) fn wait(mut self) -> Answer {
        let parker = Parker::new();
        loop {
            if let Poll::Ready(answer) = self.poll(&parker) {
                return answer;
            }
            parker.park();
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let Some(seat) = self.seat.take() else { return };
        let left = self.flight.leave(seat);
        drop(left.waiter);
        if let Some(task) = left.task {
            task.wake();
        }
    }
}
