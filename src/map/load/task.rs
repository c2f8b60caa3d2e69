//! The task that makes a load, and how a load ends.

use super::super::inner::{Gone, Inner};
use super::Load;
use super::error::Outcome;
use super::scope::within;
use crate::contain::{Payload, contain, discard, wake};
use crate::kernel::shard::Seat;
use crate::kernel::waits::FlightId;
use std::future::{Future, poll_fn};
use std::hash::{BuildHasher, Hash};
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::task::Poll;

/// Makes the load of `landing`'s flight. Loads that nobody waits for any more are dropped.
pub(super) async fn run<K, V, S, Fut, E>(landing: Landing<K, V, S>, load: Fut, read: fn(Fut::Output) -> Result<V, E>)
where
    K: Eq + Hash,
    V: Clone + Send + Sync + 'static,
    S: BuildHasher,
    Fut: Future,
    E: Send + Sync + 'static,
{
    let id = landing.id();
    let mut load = pin!(Some(load));
    let mut returned = None;
    let panicked = poll_fn(|cx| {
        if !landing.load.shared.is_wanted(cx.waker()) {
            return Poll::Ready(None);
        }
        let polled = within(id, || {
            contain(|| match load.as_mut().as_pin_mut().map(|load| load.poll(cx)) {
                Some(Poll::Ready(result)) => returned = Some(result),
                Some(Poll::Pending) | None => {}
            })
        });
        match polled {
            Ok(()) if returned.is_none() => Poll::Pending,
            Ok(()) => Poll::Ready(None),
            Err(payload) => Poll::Ready(Some(payload)),
        }
    })
    .await;
    let dropped = within(id, || contain(|| load.set(None)));
    match (panicked, returned, dropped) {
        (Some(payload), _, dropped) => {
            discard(dropped);
            landing.panicked(payload);
        }
        // What was returned before stands, even if dropping the spent future panics.
        (None, Some(result), dropped) => {
            discard(dropped);
            match read(result) {
                Ok(value) => landing.loaded(value),
                Err(error) => landing.end(Outcome::Failed(Arc::new(error))),
            }
        }
        (None, None, dropped) => {
            discard(dropped);
            landing.end(Outcome::Aborted);
        }
    }
}

/// The end of a flight that is in its shard: dropping it is one, too.
pub(super) struct Landing<K, V, S> {
    /// The load keeps nothing of the map alive.
    map: Weak<Inner<K, V, S>>,
    load: Arc<Load<V>>,
    hash: u64,
    has_ended: bool,
}

impl<K, V, S> Landing<K, V, S> {
    pub(super) fn new(map: &Arc<Inner<K, V, S>>, load: Arc<Load<V>>, hash: u64) -> Self {
        Self { map: Arc::downgrade(map), load, hash, has_ended: false }
    }

    pub(super) fn id(&self) -> FlightId {
        self.load.id
    }

    pub(super) fn panicked(self, payload: Payload) {
        self.end(Outcome::panicked(payload));
    }

    /// The load has ended without a value to store.
    fn end(mut self, outcome: Outcome<V>) {
        self.conclude(outcome);
    }

    fn conclude(&mut self, outcome: Outcome<V>) {
        self.has_ended = true;
        let vacated = self.map.upgrade().map(|map| {
            let vacated = contain(|| map.lock(self.hash).end(self.hash, |flight| flight.is(&self.load)));
            (vacated, map)
        });
        discard(vacated);
        self.land(outcome);
    }

    /// Invariant 2 of the module: the flight has left the shard.
    fn land(&self, outcome: Outcome<V>) {
        let mut landed = self.load.shared.land(Arc::new(outcome));
        discard((landed.task.take(), landed.unread.take()));
        landed.into_waiters().for_each(wake);
    }
}

impl<K: Eq + Hash, V: Clone, S: BuildHasher> Landing<K, V, S> {
    /// The load has a value: it is stored, unless the flight was overtaken or the map is full.
    fn loaded(mut self, value: V) {
        let stored = match contain(|| value.clone()) {
            Ok(stored) => stored,
            Err(payload) => {
                discard(value);
                return self.panicked(payload);
            }
        };
        if let Some(map) = self.map.upgrade() {
            let mut gone = Gone::new();
            let result = contain(|| store(&map, self.hash, &self.load, stored, &mut gone));
            discard(gone);
            match result {
                Ok(left) => discard((left, map)),
                Err(payload) => {
                    discard((value, map));
                    return self.panicked(payload);
                }
            }
        } else {
            discard(stored);
        }
        self.has_ended = true;
        self.land(Outcome::Value(value));
    }
}

impl<K, V, S> Drop for Landing<K, V, S> {
    fn drop(&mut self) {
        if !self.has_ended {
            self.conclude(Outcome::Aborted);
        }
    }
}

/// Takes the flight out of its shard and, if it was there, stores `value`. Returns what was not stored.
fn store<K: Eq + Hash, V, S: BuildHasher>(
    map: &Inner<K, V, S>,
    hash: u64,
    load: &Arc<Load<V>>,
    value: V,
    gone: &mut Gone<K, V>,
) -> (Option<K>, Option<V>) {
    let due = map.due(map.ttl);
    // Declared before the lock, and so dropped after it, whatever panics.
    let (mut key, mut value) = (None, Some(value));
    let _ended;
    let mut lock = map.lock(hash);
    let Some((found, flight)) = lock.end(hash, |flight| flight.is(load)) else { return (key, value) };
    _ended = flight;
    let found = &*key.insert(found);
    let seat = lock.seat(hash, |other| other == found, |key| map.hash(key), || map.now(), gone);
    // A live value would have taken the flight out, so the key's place is free.
    if let Seat::Free(mut free) = seat {
        let admitted = free.admit();
        if let (Some(key), Some(value)) = (key.take_if(|_| admitted), value.take_if(|_| admitted)) {
            free.insert(hash, key, value, due, gone);
        }
    }
    (key, value)
}
