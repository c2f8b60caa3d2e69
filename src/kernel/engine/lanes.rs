//! Lanes: jobs of one key run one after another, in the order of acceptance; those of different keys run side by side.

use super::State;
use super::line::Waiter;
use crate::kernel::slab::{Fifo, Key, Slab};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// What stands for a user's key: a keyed hash of it. Two keys with the same hash share a lane, which costs them
/// parallelism and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LaneId(pub(crate) u64);

/// The jobs and the submitters of one key. It exists as long as there is one of either.
#[derive(Debug)]
pub(super) struct Lane {
    id: LaneId,
    /// The job that is out: ready, claimed, running or parked. The others wait for its end.
    pub(super) head: Option<Key>,
    /// The places behind it.
    pub(super) queue: Fifo,
    /// Submitters that wait until the lane holds fewer jobs.
    pub(super) line: Fifo,
    /// Jobs in the system, and submitters in the pool's line that will be let in without a further look at the lane.
    pub(super) held: usize,
}

/// All lanes.
#[derive(Debug)]
pub(super) struct Lanes {
    by_id: HashMap<LaneId, Key, BuildHasherDefault<Identity>>,
    pub(super) slab: Slab<Lane>,
    /// Lanes whose queue is not empty, for whoever must shed a job.
    pub(super) backlogged: Fifo,
    /// Places in all queues.
    queued: usize,
    /// Waiters in all lines.
    waiting: usize,
}

impl Lanes {
    pub(super) fn new() -> Self {
        Self { by_id: HashMap::default(), slab: Slab::new(), backlogged: Fifo::new(), queued: 0, waiting: 0 }
    }

    /// The keys that have a job or a submitter.
    pub(super) fn len(&self) -> usize {
        self.slab.len()
    }

    /// Jobs that wait behind another of their key.
    #[inline]
    pub(super) fn queued(&self) -> usize {
        self.queued
    }

    /// Submitters that wait for their key.
    #[inline]
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// The lanes that have waiters of their own.
    pub(super) fn with_waiters(&self) -> Vec<Key> {
        if self.waiting == 0 {
            return Vec::new();
        }
        let waited_for = |key: &Key| self.slab.get(*key).is_some_and(|lane| !lane.line.is_empty());
        self.slab.keys().into_iter().filter(waited_for).collect()
    }

    /// The lane of a key, made if need be.
    fn of(&mut self, id: LaneId) -> Key {
        let slab = &mut self.slab;
        *self
            .by_id
            .entry(id)
            .or_insert_with(|| slab.insert(Lane { id, head: None, queue: Fifo::new(), line: Fifo::new(), held: 0 }))
    }

    pub(super) fn get_mut(&mut self, lane: Key) -> &mut Lane {
        self.slab.get_mut(lane).expect("a lane with a job or a submitter")
    }

    /// Forgets a lane that holds nothing any more.
    fn retire(&mut self, lane: Key) {
        let id = self.slab.take(lane).id;
        self.by_id.remove(&id);
        if self.by_id.is_empty() && self.by_id.capacity() > KEPT_LANES {
            self.by_id = HashMap::default();
        }
    }
}

/// An empty table of lanes with more room than this gives it back.
const KEPT_LANES: usize = 1024;

impl<C> State<C> {
    /// Counts one more job of a key in, if its lane has room.
    pub(super) fn enter_lane(&mut self, id: LaneId) -> Result<Key, Key> {
        let key = self.lanes.of(id);
        let most = self.limits.per_lane;
        let lane = self.lanes.get_mut(key);
        if lane.held >= most {
            return Err(key);
        }
        lane.held += 1;
        Ok(key)
    }

    /// An accepted job takes its turn: it is ready, or stands behind another of its key.
    pub(super) fn join_lane(&mut self, lane: Key, job: Key) {
        let state = self.lanes.get_mut(lane);
        if state.head.is_none() {
            state.head = Some(job);
            self.ready.push_back(&mut self.places, job);
            return;
        }
        state.queue.push_back(&mut self.places, job);
        let first = state.queue.len() == 1;
        self.lanes.queued += 1;
        if first {
            self.lanes.backlogged.push_back(&mut self.lanes.slab, lane);
        }
    }

    /// Takes a queued job out of the list that it is in.
    pub(super) fn unqueue(&mut self, job: Key) {
        let lane = self.places.get(job).and_then(|place| place.lane.get());
        match lane.filter(|lane| self.lanes.get_mut(*lane).head != Some(job)) {
            Some(lane) => self.unqueue_in(lane, job),
            None => self.ready.unlink(&mut self.places, job),
        }
    }

    fn unqueue_in(&mut self, lane: Key, job: Key) {
        let state = self.lanes.get_mut(lane);
        state.queue.unlink(&mut self.places, job);
        let last = state.queue.is_empty();
        self.lanes.queued -= 1;
        if last {
            self.lanes.backlogged.unlink(&mut self.lanes.slab, lane);
        }
    }

    /// A job of a key has given its place up: the next one is ready, and one more of the key may come in.
    pub(super) fn leave_lane(&mut self, lane: Key, job: Key) {
        let state = self.lanes.get_mut(lane);
        if state.head == Some(job) {
            state.head = None;
            if let Some(next) = state.queue.front() {
                self.unqueue_in(lane, next);
                self.lanes.get_mut(lane).head = Some(next);
                self.ready.push_back(&mut self.places, next);
            }
        }
        self.release_lane(lane);
    }

    /// One fewer job of a key: its first waiter goes to the end of the pool's line.
    pub(super) fn release_lane(&mut self, lane: Key) {
        let state = self.lanes.get_mut(lane);
        state.held -= 1;
        if let Some(waiter) = state.line.pop_front(&mut self.waiters) {
            state.held += 1;
            self.lanes.waiting -= 1;
            self.promote(waiter);
        } else if state.held == 0 {
            self.lanes.retire(lane);
        }
    }

    /// Stands a submitter in its lane's own line.
    pub(super) fn stand_in_lane(&mut self, lane: Key, waiter: Waiter<C>) -> Key {
        let key = self.waiters.insert(waiter);
        self.lanes.get_mut(lane).line.push_back(&mut self.waiters, key);
        self.lanes.waiting += 1;
        key
    }

    /// Takes a submitter out of its lane's own line.
    pub(super) fn leave_lane_line(&mut self, lane: Key, waiter: Key) {
        // Who waits for a lane waits for one that holds jobs, so it lives on.
        self.lanes.get_mut(lane).line.unlink(&mut self.waiters, waiter);
        self.lanes.waiting -= 1;
    }
}

/// Hashes what is a hash already.
#[derive(Debug, Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
