//! Code that the map runs under a lock, and that calls the map.

use std::cell::RefCell;
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use flowgate::{Compute, Computed, ConcurrentMap};

type Map = ConcurrentMap<u32, u32>;

fn numbers() -> Map {
    (0..100).map(|key| (key, key)).collect()
}

/// What `f` panics with.
fn refusal(f: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(f)).expect_err("it is refused");
    payload.downcast_ref::<String>().expect("a message").clone()
}

macro_rules! calls {
    ($($map:ident => $call:expr),+ $(,)?) => { [$(|$map: &Map| { let _ = $call; }),+] };
}

/// A call of the map.
type Call = fn(&Map);

/// A call of every kind.
const INNER: [Call; 16] = calls![
    map => map.get(&70),
    map => map.insert(1_000, 1),
    map => map.try_insert(1_000, 1),
    map => map.remove(&70),
    map => map.update(&70, |_| ()),
    map => map.compute(70, |_| Compute::Keep),
    map => map.upsert(70, |_| (), || 1),
    map => map.get_or_insert_with(70, || 1),
    map => map.len(),
    map => map.retain(|_, _| true),
    map => map.clear(),
    map => map.drain(),
    map => map.for_each(|_, _| ()),
    map => map.iter().next(),
    map => map.remove_expired(),
    map => map.shrink_to_fit(),
];

macro_rules! closures {
    ($($map:ident, $inner:ident => $call:expr),+ $(,)?) => {
        [$(|$map: &Map, $inner: Call| { let _ = $call; }),+]
    };
}

/// Every closure that the map takes, with a call inside.
const OUTER: [fn(&Map, Call); 9] = closures![
    map, inner => map.read(&1, |_| inner(map)),
    map, inner => map.update(&1, |_| inner(map)),
    map, inner => map.remove_if(&1, |_| { inner(map); false }),
    map, inner => map.compute(1, |_| { inner(map); Compute::Keep }),
    map, inner => map.upsert(1, |_| inner(map), || 1),
    map, inner => map.upsert(2_000, |_| (), || { inner(map); 1 }),
    map, inner => map.get_or_insert_with(2_000, || { inner(map); 1 }),
    map, inner => map.retain(|_, _| { inner(map); true }),
    map, inner => map.for_each(|_, _| inner(map)),
];

/// Seen to fail: entering a map does not look whether the thread is in it (the test then hangs, or sees no refusal).
#[test]
fn every_method_is_refused_inside_of_every_closure() {
    let map = numbers();
    for (a, outer) in OUTER.into_iter().enumerate() {
        for (b, inner) in INNER.into_iter().enumerate() {
            let message = refusal(|| outer(&map, inner));
            assert!(message.contains("it would wait for itself"), "{a} around {b}: {message}");
            assert_eq!(map.len(), 100, "{a} around {b}: nothing has changed");
        }
    }
    assert!((0..100).all(|key| map.get(&key) == Some(key)));
}

#[test]
fn the_message_names_the_map() {
    let map = ConcurrentMap::builder().name("sessions").build().unwrap();
    map.insert(1, 1);
    let message = refusal(|| assert!(map.read(&1, |_| map.len()).is_none()));
    assert!(message.starts_with("ConcurrentMap \"sessions\" was called by code that it runs"), "{message}");
}

#[test]
fn a_clone_of_the_map_is_the_same_map() {
    let map = numbers();
    let other = map.clone();
    refusal(|| assert!(map.read(&1, |_| other.len()).is_none()));
}

#[test]
fn other_maps_may_be_used_inside_of_a_closure_to_any_depth() {
    let maps: Vec<Map> = (0..20).map(|_| numbers()).collect();
    fn descend(maps: &[Map], sum: &mut u32) {
        if let Some((map, rest)) = maps.split_first() {
            map.update(&1, |value| {
                *sum += *value;
                descend(rest, sum);
            });
        }
    }
    let mut sum = 0;
    descend(&maps, &mut sum);
    assert_eq!(sum, 20);
    // Through another map, and another, and back.
    let message = refusal(|| {
        maps[0].read(&1, |_| maps[1].read(&1, |_| maps[2].read(&1, |_| maps[0].len())));
    });
    assert!(message.contains("it would wait for itself"), "{message}");
    // Every map is outside again after that.
    assert!(maps.iter().all(|map| map.len() == 100));
    descend(&maps, &mut sum);
    assert_eq!(sum, 40);
}

#[test]
fn another_thread_is_not_inside() {
    let map = numbers();
    std::thread::scope(|scope| {
        map.read(&1, |_| {
            // It is not waited for in here: it may want this very shard.
            scope.spawn(|| assert_eq!((0..100).filter_map(|key| map.get(&key)).count(), 100));
        });
    });
}

thread_local! {
    static CALLED_BACK: RefCell<Option<ConcurrentMap<Sneaky, Sneaky>>> = const { RefCell::new(None) };
}

/// A key and value whose `Hash`, `Eq` and `Clone` call the map, if there is one to call.
#[derive(Debug)]
struct Sneaky(u32);

fn call_back() {
    let map = CALLED_BACK.with(|map| map.borrow_mut().take());
    if let Some(map) = map {
        let length = map.len();
        CALLED_BACK.with(|slot| *slot.borrow_mut() = Some(map));
        assert!(length < 1_000);
    }
}

impl Hash for Sneaky {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl PartialEq for Sneaky {
    fn eq(&self, other: &Self) -> bool {
        call_back();
        self.0 == other.0
    }
}

impl Eq for Sneaky {}

impl Clone for Sneaky {
    fn clone(&self) -> Self {
        call_back();
        Self(self.0)
    }
}

#[test]
fn code_of_keys_and_values_is_refused_too() {
    let map = ConcurrentMap::<Sneaky, Sneaky>::new();
    map.insert(Sneaky(1), Sneaky(1));
    let arm = || CALLED_BACK.with(|slot| *slot.borrow_mut() = Some(map.clone()));
    arm();
    refusal(|| assert!(map.contains_key(&Sneaky(1))));
    arm();
    refusal(|| assert!(map.keys().next().is_some()));
    arm();
    refusal(|| assert_eq!(map.values().count(), 1));
    CALLED_BACK.with(|slot| *slot.borrow_mut() = None);
    assert_eq!(map.get(&Sneaky(1)), Some(Sneaky(1)));
}

/// A value whose `Drop` uses the map that it was in.
struct Farewell(ConcurrentMap<u32, Arc<Farewell>>, u32);

impl Drop for Farewell {
    fn drop(&mut self) {
        self.0.remove(&(self.1 + 1));
    }
}

/// Seen to fail: a replaced value is dropped under the lock.
#[test]
fn a_value_may_use_the_map_when_it_is_dropped() {
    let map = ConcurrentMap::new();
    for key in 0..50 {
        map.insert(key, Arc::new(Farewell(map.clone(), key)));
    }
    // Each takes the next one along.
    drop(map.remove(&40));
    assert_eq!(map.len(), 40);
    drop(map.insert(30, Arc::new(Farewell(map.clone(), 1_000))));
    assert_eq!(map.len(), 31);
    assert!(matches!(map.compute(20, |_| Compute::Remove), Computed::Removed(_)));
    map.retain(|key, _| *key != 10);
    assert_eq!(map.len(), 10);
    drop(map.drain());
    assert!(map.is_empty());
    map.insert(1, Arc::new(Farewell(map.clone(), 2)));
    map.clear();
    assert!(map.is_empty());
}
