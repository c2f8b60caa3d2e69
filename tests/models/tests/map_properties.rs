//! The map against a `HashMap` that keeps every deadline and is asked in the plainest way.

use std::collections::HashMap;
use std::time::Duration;

use flowgate::{Compute, Computed, ConcurrentMap};
use proptest::collection::vec;
use proptest::prelude::*;

/// 2,000 cases; `PROPTEST_CASES` asks for more.
fn config() -> ProptestConfig {
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => ProptestConfig::default(),
        None => ProptestConfig::with_cases(2_000),
    }
}

#[derive(Clone, Debug)]
enum Call {
    Get(u8),
    Insert(u8, u32),
    InsertRef(u8, u32),
    InsertFor(u8, u32, u64),
    TryInsert(u8, u32),
    Remove(u8),
    RemoveIfEven(u8),
    Update(u8),
    Bump(u8, u32),
    Upsert(u8, u32),
    GetOrInsert(u8, u32),
    RetainBelow(u32),
    Advance(u64),
    RemoveExpired,
    Shrink,
    Reserve(u8),
    Drain,
    Clear,
    Look,
}

fn any_call() -> impl Strategy<Value = Call> {
    let key = || 0..24_u8;
    let value = || 0..100_u32;
    prop_oneof![
        6 => key().prop_map(Call::Get),
        8 => (key(), value()).prop_map(|(key, value)| Call::Insert(key, value)),
        4 => (key(), value()).prop_map(|(key, value)| Call::InsertRef(key, value)),
        6 => (key(), value(), 0..6_u64).prop_map(|(key, value, ttl)| Call::InsertFor(key, value, ttl)),
        4 => (key(), value()).prop_map(|(key, value)| Call::TryInsert(key, value)),
        8 => key().prop_map(Call::Remove),
        4 => key().prop_map(Call::RemoveIfEven),
        4 => key().prop_map(Call::Update),
        6 => (key(), value()).prop_map(|(key, value)| Call::Bump(key, value)),
        4 => (key(), value()).prop_map(|(key, value)| Call::Upsert(key, value)),
        4 => (key(), value()).prop_map(|(key, value)| Call::GetOrInsert(key, value)),
        1 => value().prop_map(Call::RetainBelow),
        4 => (0..4_u64).prop_map(Call::Advance),
        1 => Just(Call::RemoveExpired),
        1 => Just(Call::Shrink),
        1 => any::<u8>().prop_map(Call::Reserve),
        1 => Just(Call::Drain),
        1 => Just(Call::Clear),
        3 => Just(Call::Look),
    ]
}

/// What the map should be: every entry with its deadline, on a clock of its own.
#[derive(Debug, Default)]
struct Oracle {
    entries: HashMap<u8, (u32, Option<u64>)>,
    now: u64,
    ttl: Option<u64>,
}

impl Oracle {
    fn get(&self, key: u8) -> Option<u32> {
        let (value, due) = self.entries.get(&key)?;
        due.is_none_or(|due| due > self.now).then_some(*value)
    }

    /// Stores a value for the map's own time.
    fn put(&mut self, key: u8, value: u32) -> Option<u32> {
        self.put_for(key, value, self.ttl)
    }

    fn put_for(&mut self, key: u8, value: u32, ttl: Option<u64>) -> Option<u32> {
        let old = self.get(key);
        self.entries.insert(key, (value, ttl.map(|ttl| self.now + ttl)));
        old
    }

    fn change(&mut self, key: u8, value: u32) {
        self.entries.entry(key).and_modify(|entry| entry.0 = value);
    }

    fn remove(&mut self, key: u8) -> Option<u32> {
        let old = self.get(key);
        self.entries.remove(&key);
        old
    }

    fn live(&self) -> Vec<(u8, u32)> {
        let mut live: Vec<_> = self.entries.keys().filter_map(|key| Some((*key, self.get(*key)?))).collect();
        live.sort_unstable();
        live
    }
}

fn sorted(mut entries: Vec<(u8, u32)>) -> Vec<(u8, u32)> {
    entries.sort_unstable();
    entries
}

/// The one rule of `compute` here: an absent value becomes `new`, zero goes, an odd one stays, an even one grows.
fn rule(value: Option<&u32>, new: u32) -> Compute<u32> {
    match value {
        None => Compute::Insert(new),
        Some(0) => Compute::Remove,
        Some(value) if value % 2 == 1 => Compute::Keep,
        Some(value) => Compute::Insert(value + 3),
    }
}

fn write(map: &ConcurrentMap<u8, u32>, oracle: &mut Oracle, call: &Call) {
    match *call {
        Call::Insert(key, value) => assert_eq!(map.insert(key, value), oracle.put(key, value)),
        Call::InsertRef(key, value) => assert_eq!(map.insert_ref(&key, value), oracle.put(key, value)),
        Call::InsertFor(key, value, ttl) => {
            assert_eq!(
                map.insert_with_ttl(key, value, Duration::from_secs(ttl)),
                oracle.put_for(key, value, Some(ttl))
            );
        }
        Call::TryInsert(key, value) => assert_eq!(map.try_insert(key, value), Ok(oracle.put(key, value))),
        Call::Remove(key) => assert_eq!(map.remove(&key), oracle.remove(key).map(|value| (key, value))),
        Call::RemoveIfEven(key) => {
            let wanted = oracle.get(key).filter(|value| value % 2 == 0).and_then(|_| oracle.remove(key));
            assert_eq!(map.remove_if(&key, |value| value % 2 == 0), wanted.map(|value| (key, value)));
        }
        Call::Update(key) => {
            let wanted = oracle.get(key);
            wanted.into_iter().for_each(|value| oracle.change(key, value + 1));
            assert_eq!(map.update(&key, |value| std::mem::replace(value, *value + 1)), wanted);
        }
        Call::Bump(key, new) => {
            let seen = oracle.get(key);
            let wanted = match (rule(seen.as_ref(), new), seen) {
                (Compute::Insert(value), _) => oracle.put(key, value).map_or(Computed::Inserted, Computed::Replaced),
                (Compute::Remove, _) => oracle.remove(key).map_or(Computed::Unchanged, Computed::Removed),
                (Compute::Keep, _) => Computed::Unchanged,
            };
            assert_eq!(map.compute(key, |value| rule(value, new)), wanted);
        }
        Call::Upsert(key, new) => {
            let wanted = match oracle.get(key) {
                Some(value) => {
                    oracle.change(key, value / 2);
                    Computed::Updated
                }
                None => {
                    oracle.put(key, new);
                    Computed::Inserted
                }
            };
            assert_eq!(map.upsert(key, |value| *value /= 2, || new), wanted);
        }
        Call::GetOrInsert(key, new) => {
            let wanted = oracle.get(key).unwrap_or(new);
            if oracle.get(key).is_none() {
                oracle.put(key, new);
            }
            assert_eq!(map.get_or_insert_with(key, || new), wanted);
        }
        _ => whole(map, oracle, call),
    }
}

fn whole(map: &ConcurrentMap<u8, u32>, oracle: &mut Oracle, call: &Call) {
    match *call {
        Call::RetainBelow(limit) => {
            let before = oracle.live();
            let removed = before.iter().filter(|(_, value)| *value >= limit);
            oracle.entries.retain(|_, (value, _)| *value < limit);
            assert_eq!(map.retain(|_, value| *value < limit), removed.count());
        }
        Call::RemoveExpired => {
            map.remove_expired();
            assert_eq!(map.len(), oracle.live().len());
        }
        Call::Shrink => map.shrink_to_fit(),
        Call::Reserve(entries) => map.reserve(entries.into()),
        Call::Drain => {
            assert_eq!(sorted(map.drain()), oracle.live());
            oracle.entries.clear();
            assert_eq!(map.len(), 0);
        }
        Call::Clear => {
            map.clear();
            oracle.entries.clear();
            assert_eq!((map.len(), map.capacity()), (0, 0));
        }
        _ => {
            assert_eq!(sorted(map.snapshot()), oracle.live());
            assert_eq!(map.keys().count(), oracle.live().len());
            assert!(map.len() >= oracle.live().len());
        }
    }
}

async fn play(calls: &[Call], shards: usize, ttl: Option<u64>) {
    let builder = ConcurrentMap::builder().shards(shards);
    let builder = ttl.map(Duration::from_secs).into_iter().fold(builder, |builder, ttl| builder.ttl(ttl));
    let map = builder.build().expect("valid options");
    let mut oracle = Oracle { ttl, ..Oracle::default() };
    for call in calls {
        match *call {
            Call::Get(key) => assert_eq!(map.get(&key), oracle.get(key), "{call:?}"),
            Call::Advance(seconds) => {
                tokio::time::advance(Duration::from_secs(seconds)).await;
                oracle.now += seconds;
            }
            _ => write(&map, &mut oracle, call),
        }
    }
    whole(&map, &mut oracle, &Call::Look);
}

proptest! {
    #![proptest_config(config())]

    /// Any sequence of calls returns what the oracle does, in one shard and in several, with a time to live and without.
    #[test]
    fn a_map_is_a_hash_map_with_deadlines(
        calls in vec(any_call(), 1..60), shards in 0..3_u32, ttl in proptest::option::of(1..6_u64),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime of one thread").block_on(play(&calls, 1 << shards, ttl));
    }
}
