//! The map around the shards, call by call as in `src/map`: keys are small numbers, each in the shard of its parity.

use crate::kernel::alarms::NEVER;
use crate::kernel::shard::{Gone, Locked, Room, Seat, Shard};

/// The name of a load.
type Load = u8;
type Lock<'a> = Locked<'a, u8, u32, Load>;

/// A map of two shards.
#[derive(Debug)]
pub(crate) struct Map {
    shards: [Shard<u8, u32, Load>; 2],
    room: Option<Room>,
}

impl Map {
    pub(crate) fn new(most: Option<usize>) -> Self {
        Self { shards: [Shard::new(), Shard::new()], room: most.map(Room::new) }
    }

    /// Every map of a model has this name: there is one.
    const NAME: usize = 1;

    pub(crate) fn lock(&self, key: u8) -> Lock<'_> {
        let shard = &self.shards[usize::from(key) % 2];
        shard.lock(Self::NAME, self.room.as_ref()).expect("no thread of a model re-enters")
    }

    /// Whether the calling thread would be refused now.
    pub(crate) fn refuses(&self, key: u8) -> bool {
        self.shards[usize::from(key) % 2].lock(Self::NAME, self.room.as_ref()).is_none()
    }

    pub(crate) fn get(&self, key: u8) -> Option<u32> {
        self.lock(key).get(key.into(), |other| *other == key, || 0).map(|pair| pair.1)
    }

    /// Stores a value, unless the map is full.
    pub(crate) fn insert(&self, key: u8, value: u32) -> bool {
        let mut gone = Gone::new();
        let mut lock = self.lock(key);
        match lock.seat(key.into(), |other| *other == key, |key| u64::from(*key), || 0, &mut gone) {
            Seat::Taken(taken) => drop(taken.replace(value, NEVER)),
            Seat::Free(mut free) => {
                if !free.admit() {
                    return false;
                }
                free.insert(key.into(), key, value, NEVER, &mut gone);
            }
        }
        true
    }

    pub(crate) fn remove(&self, key: u8) -> Option<u32> {
        let mut gone = Gone::new();
        let mut lock = self.lock(key);
        match lock.find(key.into(), |other| *other == key, || 0, &mut gone) {
            Some(taken) => Some(taken.remove().1),
            None => {
                lock.overtake(key.into(), |other| *other == key, &mut gone);
                None
            }
        }
    }

    /// Replaces the value by what `decide` makes of it.
    pub(crate) fn compute(&self, key: u8, decide: impl FnOnce(Option<u32>) -> u32) {
        let mut gone = Gone::new();
        let lock = self.lock(key);
        let seen = lock.get(key.into(), |other| *other == key, || 0).map(|pair| pair.1);
        let mut lock = lock;
        let next = decide(seen);
        match lock.seat(key.into(), |other| *other == key, |key| u64::from(*key), || 0, &mut gone) {
            Seat::Taken(taken) => drop(taken.replace(next, NEVER)),
            Seat::Free(free) => free.insert(key.into(), key, next, NEVER, &mut gone),
        }
    }

    /// Begins a load, unless there is a value or a load.
    pub(crate) fn begin(&self, key: u8, load: Load) -> bool {
        let mut lock = self.lock(key);
        let is_there = lock.get(key.into(), |other| *other == key, || 0).is_some();
        if is_there || lock.flight(key.into(), |other| *other == key).is_some() {
            return false;
        }
        lock.begin(key.into(), key, load);
        true
    }

    /// Ends a load and stores its value, unless it was overtaken.
    pub(crate) fn end(&self, key: u8, load: Load, value: u32) -> bool {
        let mut gone = Gone::new();
        let mut lock = self.lock(key);
        let Some((key, _)) = lock.end(key.into(), |other| *other == load) else { return false };
        match lock.seat(key.into(), |other| *other == key, |key| u64::from(*key), || 0, &mut gone) {
            Seat::Taken(_) => unreachable!("a key that is loading has no live value"),
            Seat::Free(free) => free.insert(key.into(), key, value, NEVER, &mut gone),
        }
        true
    }
}
