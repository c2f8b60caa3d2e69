//! The mixes of conc-map-bench: gets, inserts, removals and updates in fixed shares, each thread on keys of its own.

use std::ops::Range;

use crate::map::driver::on_threads;
use crate::map::keys::mixed;
use crate::map::loads::Workload;
use crate::map::subject::Subject;
use crate::setup::Setup;

/// Shares of the operations, in per cent. What is left is updates.
#[derive(Clone, Copy, Debug)]
pub struct Shares {
    read: u64,
    insert: u64,
    remove: u64,
    /// Of the keys, how many are there before the clock starts, in per cent.
    filled: u64,
    /// Whether the map is made with room for all keys.
    presized: bool,
}

/// A mix.
pub trait Mix: 'static {
    /// Its shares.
    const SHARES: Shares;
}

macro_rules! mix {
    ($name:ident, $text:literal, $shares:expr) => {
        #[doc = $text]
        #[derive(Debug)]
        pub struct $name;

        impl Mix for $name {
            const SHARES: Shares = $shares;
        }
    };
}

mix!(ReadHeavy, "98 % gets.", Shares { read: 98, insert: 1, remove: 1, filled: 75, presized: true });
mix!(Exchange, "Keys come and go.", Shares { read: 10, insert: 40, remove: 40, filled: 75, presized: true });
mix!(RapidGrow, "80 % inserts, with room.", Shares { read: 5, insert: 80, remove: 5, filled: 0, presized: true });
mix!(RapidGrowEmpty, "80 % inserts.", Shares { read: 5, insert: 80, remove: 5, filled: 0, presized: false });

/// A thread's keys: those from `oldest` up to `next` are in the map.
struct Own {
    base: u64,
    oldest: u64,
    next: u64,
}

impl Own {
    /// Numbers of different threads never meet.
    const APART: u64 = 1 << 40;

    fn key(&self, n: u64) -> u64 {
        mixed(self.base + n)
    }

    /// One operation; whether it was answered rightly.
    fn step<M: Subject<u64, u64>>(&mut self, map: &M, shares: Shares, operation: u64) -> bool {
        let random = mixed(operation ^ 0x5bd1_e995);
        let (roll, pick) = (random % 100, (random >> 32) % (self.next - self.oldest + 1 + (self.next >> 3)));
        // A few gets and updates ask for a key that is not there yet.
        let asked = self.oldest + pick;
        let there = asked < self.next;
        if roll < shares.read {
            return map.get(&self.key(asked)) == there.then_some(asked);
        }
        if roll < shares.read + shares.insert {
            map.set(&self.key(self.next), self.next);
            self.next += 1;
            return true;
        }
        if roll < shares.read + shares.insert + shares.remove {
            if self.oldest == self.next {
                return !map.remove(&self.key(self.next));
            }
            self.oldest += 1;
            return map.remove(&self.key(self.oldest - 1));
        }
        if there {
            map.set(&self.key(asked), asked);
        }
        true
    }
}

impl<X: Mix> Workload for X {
    type Key = u64;
    type Value = u64;

    fn run<M: Subject<u64, u64>>(setup: &Setup) -> u64 {
        let shares = X::SHARES;
        let threads = setup.shape.producers as u64;
        let filled = setup.shape.keys as u64 * shares.filled / 100 / threads;
        let map = M::with_room(if shares.presized { setup.shape.keys } else { 0 });
        for thread in 0..threads {
            let own = Own { base: thread * Own::APART, oldest: 0, next: filled };
            for n in 0..filled {
                map.set(&own.key(n), n);
            }
        }
        let share = setup.ops / threads;
        on_threads(setup, |operations: Range<u64>| {
            let mut own = Own { base: operations.start / share * Own::APART, oldest: 0, next: filled };
            operations.filter(|operation| own.step(&map, shares, *operation)).count() as u64
        })
    }
}
