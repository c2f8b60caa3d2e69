//! Models of a map's shards: what happens to one key happens in some order, places are counted, loads are overtaken.

use crate::support::{Map, Model, Plain};
use loom::sync::Arc;
use loom::thread;

/// Two threads that add one, and one that removes: what was removed and what is left are the sum.
///
/// Seen to fail: the lock is released between the look and the change.
#[test]
fn compute_compute_remove() {
    Model::small("compute_compute_remove", 106).check(|| {
        let map = Arc::new(Map::new(None));
        let adders = [0, 1].map(|_| {
            let map = map.clone();
            thread::spawn(move || map.compute(1, |value| value.unwrap_or(0) + 1))
        });
        let removed = map.remove(1).unwrap_or(0);
        for adder in adders {
            adder.join().expect("an adder has not panicked");
        }
        assert_eq!(removed + map.get(1).unwrap_or(0), 2);
    });
}

/// Two new keys in two shards, and one place: one of them is stored.
///
/// Seen to fail: whether there is a place is asked, and the place taken, in two steps.
#[test]
fn two_for_one_place() {
    Model::small("two_for_one_place", 7).check(|| {
        let map = Arc::new(Map::new(Some(1)));
        let other = map.clone();
        let other = thread::spawn(move || other.insert(0, 7));
        let stored = map.insert(1, 8);
        let other = other.join().expect("the other has not panicked");
        assert!(stored != other, "one place, one entry");
        assert_eq!((map.get(0), map.get(1)), (other.then_some(7), stored.then_some(8)));
    });
}

/// A full map, somebody who removes its entry, and somebody who stores another: the place is given on, and never doubled.
///
/// Seen to fail: a removed entry keeps its place.
#[test]
fn remove_and_insert_in_a_full_map() {
    Model::small("remove_and_insert_in_a_full_map", 6).check(|| {
        let map = Arc::new(Map::new(Some(1)));
        assert!(map.insert(0, 7));
        let other = map.clone();
        let other = thread::spawn(move || other.remove(0));
        let stored = map.insert(1, 8);
        assert_eq!(other.join().expect("the other has not panicked"), Some(7));
        // Both in turn, now that all is quiet.
        assert_eq!(map.insert(0, 9), !stored);
        assert_eq!(map.remove(1).is_some(), stored);
        map.remove(0);
        assert!(map.insert(3, 1) && !map.insert(5, 1));
    });
}

/// Somebody loads a key while its origin changes and the key is removed: what stays is not from before the change.
///
/// Seen to fail: removing an absent key does not tell its load.
#[test]
fn load_and_remove() {
    Model::small("load_and_remove", 17).check(|| {
        let map = Arc::new(Map::new(None));
        let origin = Arc::new(loom::sync::Mutex::new(1));
        let (other, changed) = (map.clone(), origin.clone());
        let other = thread::spawn(move || {
            *changed.lock().expect("nobody panics") = 2;
            other.remove(1)
        });
        assert!(map.begin(1, 5), "nobody else loads");
        let read = *origin.lock().expect("nobody panics");
        let stored = map.end(1, 5, read);
        let removed = other.join().expect("the other has not panicked");
        match map.get(1) {
            Some(value) => assert_eq!((value, removed), (2, None), "nothing stale stays"),
            None => assert!(removed.is_some() || !stored),
        }
    });
}

/// Somebody stores a value while another loads the key: the stored one stays. A second load joins nothing that is over.
///
/// Seen to fail: storing a value does not tell the key's load.
#[test]
fn load_and_insert() {
    Model::small("load_and_insert", 8).check(|| {
        let map = Arc::new(Map::new(None));
        let other = map.clone();
        let other = thread::spawn(move || other.insert(1, 9));
        if map.begin(1, 5) {
            map.end(1, 5, 1);
        }
        assert!(other.join().expect("the other has not panicked"));
        assert_eq!(map.get(1), Some(9), "a load never overwrites");
        assert!(!map.begin(1, 6), "there is a value");
    });
}

/// Two threads call the map, one of them from within: only that one is refused.
///
/// Seen to fail: a thread that is inside of the map is not refused.
#[test]
fn two_threads_are_inside() {
    Model::small("two_threads_are_inside", 172).check(|| {
        let map = Arc::new(Map::new(None));
        let refused = Arc::new(Plain::new(0));
        let threads = [0, 1].map(|key| {
            let (map, refused) = (map.clone(), refused.clone());
            thread::spawn(move || {
                assert!(!map.refuses(key));
                let lock = map.lock(key);
                *refused.lock() += u32::from(map.refuses(1 - key)) + u32::from(map.refuses(key));
                drop(lock);
                assert!(!map.refuses(1 - key));
            })
        });
        for thread in threads {
            thread.join().expect("a thread has not panicked");
        }
        assert_eq!(*refused.lock(), 4);
    });
}
