//! Workloads. Each checks every answer, and returns how many were right: as many as there are operations.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use crate::latency::Recorder;
use crate::map::driver::on_threads;
use crate::map::keys::{Sequence, mixed, names, words};
use crate::map::subject::{Key, Subject, Value};
use crate::setup::Setup;

/// A workload that runs on any map.
pub trait Workload: 'static {
    /// Its keys.
    type Key: Key;
    /// Its values.
    type Value: Value;

    /// Runs it once; how many answers were right.
    fn run<M: Subject<Self::Key, Self::Value>>(setup: &Setup) -> u64;
}

/// Sets a key, then gets it, then the next of [`Shape::keys`](crate::case::Shape) keys `key-<n>`; values of type `V`.
#[derive(Debug)]
pub struct SetGet<V>(V);

/// A value of [`SetGet`].
pub trait Text: Value + Default + PartialEq {
    /// The value.
    fn value() -> Self;
}

impl Text for String {
    fn value() -> Self {
        "value".to_owned()
    }
}

impl Text for &'static str {
    fn value() -> Self {
        "value"
    }
}

impl<V: Text> Workload for SetGet<V> {
    type Key = String;
    type Value = V;

    fn run<M: Subject<String, V>>(setup: &Setup) -> u64 {
        let keys = setup.kept(|| names(setup.shape.keys));
        let map = M::with_room(0);
        let value = V::value();
        on_threads(setup, |share| {
            let key = |operation: u64| &keys[(operation / 2) as usize % keys.len()];
            // A thread whose share begins with a get has no set of its own before it.
            map.set(key(share.start), value.clone());
            share
                .map(|operation| {
                    if operation % 2 == 0 {
                        map.set(key(operation), value.clone());
                        1
                    } else {
                        u64::from(map.holds(key(operation), |found| *found == value))
                    }
                })
                .sum()
        })
    }
}

/// A map from `0..keys`, spread over 64 bits, to themselves.
fn filled<M: Subject<u64, u64>>(setup: &Setup) -> Arc<M> {
    setup.kept(|| {
        let map = M::with_room(setup.shape.keys);
        for n in 0..setup.shape.keys as u64 {
            map.set(&mixed(n), n);
        }
        map
    })
}

/// Gets of keys in turn; of a hundred operations `SETS` are sets.
#[derive(Debug)]
pub struct HotGet<const SETS: u64>;

impl<const SETS: u64> Workload for HotGet<SETS> {
    type Key = u64;
    type Value = u64;

    fn run<M: Subject<u64, u64>>(setup: &Setup) -> u64 {
        let map = filled::<M>(setup);
        let keys: Vec<u64> = (0..setup.shape.keys as u64).map(mixed).collect();
        on_threads(setup, |share| {
            share
                .map(|operation| {
                    let n = operation as usize % keys.len();
                    if operation % 100 < SETS {
                        map.set(&keys[n], n as u64);
                        1
                    } else {
                        u64::from(map.holds(&keys[n], |found| *found == n as u64))
                    }
                })
                .sum()
        })
    }
}

/// Zipf-distributed keys, 90 % get and 10 % set.
#[derive(Debug)]
pub struct Zipf;

impl Workload for Zipf {
    type Key = u64;
    type Value = u64;

    fn run<M: Subject<u64, u64>>(setup: &Setup) -> u64 {
        let map = filled::<M>(setup);
        let sequence = setup.kept(|| Sequence::zipf(setup.shape.keys));
        on_threads(setup, |share| {
            share
                .map(|operation| {
                    let n = sequence.at(operation) as u64;
                    if operation % 10 == 9 {
                        map.set(&mixed(n), n);
                        1
                    } else {
                        u64::from(map.holds(&mixed(n), |found| *found == n))
                    }
                })
                .sum()
        })
    }
}

/// As [`Zipf`], with `String` keys and shared values of 100 bytes.
#[derive(Debug)]
pub struct ZipfBlobs;

/// Keys and values of [`ZipfBlobs`], which every map holds clones of.
struct Blobs {
    keys: Vec<String>,
    values: Vec<Arc<[u8; 100]>>,
}

impl Workload for ZipfBlobs {
    type Key = String;
    type Value = Arc<[u8; 100]>;

    fn run<M: Subject<Self::Key, Self::Value>>(setup: &Setup) -> u64 {
        let blobs = setup.kept(|| Blobs {
            keys: names(setup.shape.keys),
            values: (0..setup.shape.keys).map(|n| Arc::new([n as u8; 100])).collect(),
        });
        let map = setup.kept(|| {
            let map = M::with_room(setup.shape.keys);
            for (key, value) in blobs.keys.iter().zip(&blobs.values) {
                map.set(key, Arc::clone(value));
            }
            map
        });
        let sequence = setup.kept(|| Sequence::zipf(setup.shape.keys));
        // Rank and place of birth must not agree, or the frequent keys would lie side by side in memory.
        let place = |operation| mixed(sequence.at(operation) as u64) as usize % blobs.keys.len();
        on_threads(setup, |share| {
            share
                .map(|operation| {
                    let n = place(operation);
                    if operation % 10 == 9 {
                        map.set(&blobs.keys[n], Arc::clone(&blobs.values[n]));
                        1
                    } else {
                        u64::from(map.holds(&blobs.keys[n], |found| found[99] == n as u8))
                    }
                })
                .sum()
        })
    }
}

/// Counts the words of a real text, over and over.
#[derive(Debug)]
pub struct WordCount;

impl Workload for WordCount {
    type Key = &'static str;
    type Value = u64;

    fn run<M: Subject<&'static str, u64>>(setup: &Setup) -> u64 {
        let text = setup.kept(words);
        let map = M::with_room(0);
        on_threads(setup, |share| {
            for operation in share {
                map.upsert(&text[operation as usize % text.len()], 1, |count| *count += 1);
            }
            0
        });
        let mut vocabulary: Vec<_> = text.iter().collect();
        vocabulary.sort_unstable();
        vocabulary.dedup();
        vocabulary.into_iter().map(|word| map.get(word).unwrap_or(0)).sum()
    }
}

/// As [`Zipf`], with the time of every operation taken; the percentiles are those of the gets.
#[derive(Debug)]
pub struct Latency;

impl Workload for Latency {
    type Key = u64;
    type Value = u64;

    fn run<M: Subject<u64, u64>>(setup: &Setup) -> u64 {
        let map = filled::<M>(setup);
        let sequence = setup.kept(|| Sequence::zipf(setup.shape.keys));
        let recorder = Recorder::new(setup.ops as usize);
        let right = on_threads(setup, |share| {
            share
                .map(|operation| {
                    let n = sequence.at(operation) as u64;
                    let key = mixed(n);
                    if operation % 10 == 9 {
                        map.set(&key, n);
                        return 1;
                    }
                    let asked = Instant::now();
                    let held = map.holds(&key, |found| *found == n);
                    recorder.record(operation as usize, asked.elapsed().as_nanos() as u64);
                    u64::from(held)
                })
                .sum()
        });
        setup.note_latencies(&recorder);
        right
    }
}

/// Fills a map from nothing; what it holds then is noted, and its entries are looked up.
#[derive(Debug)]
pub struct Memory;

impl Workload for Memory {
    type Key = u64;
    type Value = u64;

    fn run<M: Subject<u64, u64>>(setup: &Setup) -> u64 {
        let before = setup.live_bytes();
        let map = M::with_room(0);
        let fill = |share: Range<u64>| {
            for n in share {
                map.set(&mixed(n), n);
            }
            0
        };
        on_threads(setup, fill);
        setup.note_held(before);
        (0..setup.ops).filter(|n| map.get(&mixed(*n)) == Some(*n)).count() as u64
    }
}
