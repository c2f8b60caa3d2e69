//! Concurrent histories of one key, checked for linearizability: there is an order of all calls in which each returns
//! what a sequential map would, and in which none comes before a call that had ended when it began.
//!
//! 200 histories a run; `FLOWGATE_HISTORIES` asks for more. The search is Wing and Gong's, with Lowe's memory of
//! configurations that were seen.

use std::collections::HashSet;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use flowgate::{Compute, Computed, ConcurrentMap};

const THREADS: usize = 3;
const CALLS: usize = 12;
const KEYS: u64 = 2;

/// What was called, and what it returned.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Act {
    Get(Option<u64>),
    Insert(u64, Option<u64>),
    Remove(Option<u64>),
    /// Adds one to a value that is there, and removes it at a multiple of four.
    Bump(Option<u64>),
    Upsert(u64, bool),
    MakeIfMissing(u64, u64),
}

impl Act {
    /// The state after it, if it may return what it returned in `state`.
    fn apply(self, state: Option<u64>) -> Option<Option<u64>> {
        let (legal, after) = match self {
            Self::Get(seen) => (seen == state, state),
            Self::Insert(new, old) => (old == state, Some(new)),
            Self::Remove(old) => (old == state, None),
            Self::Bump(old) => (old == state, state.filter(|value| value % 4 != 0).map(|value| value + 1)),
            Self::Upsert(new, inserted) => (inserted == state.is_none(), Some(state.map_or(new, |value| value + 1))),
            Self::MakeIfMissing(new, seen) => (seen == state.unwrap_or(new), Some(state.unwrap_or(new))),
        };
        legal.then_some(after)
    }
}

#[derive(Clone, Copy, Debug)]
struct Call {
    key: u64,
    began: u64,
    ended: u64,
    act: Act,
}

fn call(map: &ConcurrentMap<u64, u64>, key: u64, choice: u64, new: u64) -> Act {
    match choice % 8 {
        0 | 1 => Act::Get(map.get(&key)),
        2 => Act::Insert(new, map.insert(key, new)),
        3 => Act::Remove(map.remove(&key).map(|pair| pair.1)),
        4 | 5 => {
            let bump = |value: Option<&u64>| match value.inspect(|_| thread::yield_now()) {
                None => Compute::Keep,
                Some(value) if value % 4 == 0 => Compute::Remove,
                Some(value) => Compute::Insert(value + 1),
            };
            match map.compute(key, bump) {
                Computed::Replaced(old) | Computed::Removed(old) => Act::Bump(Some(old)),
                _ => Act::Bump(None),
            }
        }
        6 => Act::Upsert(new, map.upsert(key, |value| *value += 1, || new) == Computed::Inserted),
        _ => Act::MakeIfMissing(new, map.get_or_insert_with(key, || new)),
    }
}

/// One history of all threads.
fn record(seed: u64) -> Vec<Call> {
    let (map, clock, start) = (ConcurrentMap::with_shards(2), AtomicU64::new(0), Barrier::new(THREADS));
    let work = |number: u64| {
        let mut random = numbers(seed * 31 + number);
        let mut calls = Vec::with_capacity(CALLS);
        start.wait();
        for round in 0..CALLS as u64 {
            let (key, choice) = (random() % KEYS, random());
            let began = clock.fetch_add(1, Ordering::SeqCst);
            // The call may come long after it began, and end long after it came.
            yield_for(random() % 3);
            let act = call(&map, key, choice, number * 1_000 + round * 8 + 1);
            yield_for(random() % 3);
            calls.push(Call { key, began, ended: clock.fetch_add(1, Ordering::SeqCst), act });
        }
        calls
    };
    thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..THREADS as u64).map(|number| scope.spawn(move || work(number))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

fn yield_for(turns: u64) {
    (0..turns).for_each(|_| thread::yield_now());
}

/// A generator of numbers for one thread (SplitMix64).
fn numbers(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 33
    }
}

/// Whether the calls of one key have a legal order.
fn is_linearizable(calls: &[Call]) -> bool {
    assert!(calls.len() <= 64, "a set of calls fits into a word");
    let mut seen = HashSet::new();
    let mut open = vec![(0_u64, None)];
    while let Some((done, state)) = open.pop() {
        if done.count_ones() as usize == calls.len() {
            return true;
        }
        let left = || calls.iter().enumerate().filter(|(index, _)| done & (1 << index) == 0);
        let first_end = left().map(|(_, call)| call.ended).min().unwrap_or(u64::MAX);
        // Whatever has ended before another began comes before it.
        for (index, call) in left().filter(|(_, call)| call.began < first_end) {
            let next = call.act.apply(state).map(|state| (done | 1 << index, state));
            open.extend(next.filter(|next| seen.insert(*next)));
        }
    }
    false
}

#[test]
fn histories_are_linearizable_per_key() {
    let count = std::env::var("FLOWGATE_HISTORIES").ok().map_or(200, |count| count.parse().unwrap());
    let mut overlapping = 0;
    for seed in 0..count {
        let history = record(seed);
        assert_eq!(history.len(), THREADS * CALLS);
        overlapping += usize::from(history.iter().any(|call| call.ended - call.began > 1));
        for key in 0..KEYS {
            let calls: Vec<Call> = history.iter().copied().filter(|call| call.key == key).collect();
            assert!(is_linearizable(&calls), "history {seed}, key {key}: {calls:#?}");
        }
    }
    assert!(overlapping > 0, "calls have overlapped");
    println!("{count} histories, {overlapping} with calls that overlap");
}

/// The checker sees a lost update, a stale read and a value from nowhere, and accepts calls that overlap.
#[test]
fn histories_that_are_not_are_seen() {
    let at = |began, ended, act| Call { key: 0, began, ended, act };
    let stale = [at(0, 1, Act::Insert(1, None)), at(2, 3, Act::Get(None))];
    assert!(!is_linearizable(&stale));
    let lost = [
        at(0, 1, Act::Insert(1, None)),
        at(2, 5, Act::Bump(Some(1))),
        at(3, 4, Act::Bump(Some(1))),
        at(6, 7, Act::Get(Some(2))),
    ];
    assert!(!is_linearizable(&lost));
    assert!(!is_linearizable(&[at(0, 1, Act::Get(Some(9)))]));
    assert!(!is_linearizable(&[
        at(0, 1, Act::Insert(1, None)),
        at(2, 3, Act::Remove(Some(1))),
        at(4, 5, Act::Get(Some(1)))
    ]));
    let overlapping = [at(0, 3, Act::Insert(1, None)), at(1, 2, Act::Get(None)), at(4, 5, Act::Get(Some(1)))];
    assert!(is_linearizable(&overlapping));
}
