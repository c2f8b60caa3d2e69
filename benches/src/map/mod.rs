//! Cases of `map/`: threads that share a map, whose answers are all checked.
//!
//! `t1` to `t8` are the threads. Ratios are of wall time, since waiting for a lock is part of what a map costs; the
//! cases of more than two threads, and some of one, are left out of quick runs.

pub mod driver;
pub mod keys;
pub mod loads;
pub mod mixes;
pub mod rivals;
pub mod subject;

use crate::case::{Case, Contender, Measure, Shape};
use loads::{HotGet, Latency, Memory, SetGet, WordCount, Workload, Zipf, ZipfBlobs};
use mixes::{Exchange, RapidGrow, RapidGrowEmpty, ReadHeavy};
use rivals::{Dash, DashByRef, Locked, Moka, Papaya, Quick, SccIndex, SccMap};

const DASH: &str = "dashmap";

/// Names of a load on 1, 2, 4 and 8 threads.
macro_rules! names {
    ($load:literal) => {
        [
            concat!("map/", $load, "/t1"),
            concat!("map/", $load, "/t2"),
            concat!("map/", $load, "/t4"),
            concat!("map/", $load, "/t8"),
        ]
    };
}

/// All cases of the map.
#[must_use]
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |more: Vec<Case>| cases.extend(more);
    add(on_threads::<SetGet<String>>(names!("set-get-string"), &[1, 2], 1_000, 400_000));
    add(on_threads::<SetGet<&'static str>>(names!("set-get-str"), &[1, 2], 1_000, 800_000));
    add(on_threads::<HotGet<0>>(names!("hot-get"), &[1, 2], 1_000, 2_000_000));
    add(on_threads::<HotGet<0>>(names!("hot-get-one-key"), &[2], 1, 2_000_000));
    add(on_threads::<HotGet<1>>(names!("hot-get-1-set"), &[2], 1_000, 2_000_000));
    add(on_threads::<ReadHeavy>(names!("read-heavy"), &[2], 1 << 18, 400_000));
    add(on_threads::<Exchange>(names!("exchange"), &[2], 1 << 18, 400_000));
    add(on_threads::<RapidGrow>(names!("rapid-grow-presized"), &[2], 1 << 20, 400_000));
    add(on_threads::<RapidGrowEmpty>(names!("rapid-grow-empty"), &[2], 1 << 20, 400_000));
    add(on_threads::<Zipf>(names!("zipf"), &[2], 1_000_000, 400_000));
    add(on_threads::<ZipfBlobs>(names!("zipf-string-arc"), &[1], 1_000_000, 200_000));
    add(on_threads::<WordCount>(names!("word-count"), &[2], 0, 800_000));
    add(on_threads::<Latency>(names!("get-latency"), &[2], 100_000, 200_000));
    for case in &mut cases {
        if case.name.starts_with("map/get-latency") {
            case.judged_by = Measure::P999;
        }
    }
    cases.push(memory());
    cases
}

/// Bytes a million entries take, grown from nothing.
fn memory() -> Case {
    Case {
        judged_by: Measure::Held,
        counted: true,
        ..case::<Memory>("map/memory/t1", Shape { producers: 1, ..Shape::default() }, 1_000_000)
    }
}

/// A case for each number of threads; those in `quick` belong to quick runs.
fn on_threads<W: Workload>(names: [&'static str; 4], quick: &[usize], keys: usize, ops: u64) -> Vec<Case> {
    let threads = [1, 2, 4, 8];
    let shape = |producers| Shape { producers, keys, ..Shape::default() };
    names
        .into_iter()
        .zip(threads)
        .map(|(name, threads)| Case { in_quick: quick.contains(&threads), ..case::<W>(name, shape(threads), ops) })
        .collect()
}

fn case<W: Workload>(name: &'static str, shape: Shape, ops: u64) -> Case {
    Case {
        checksum: |ops| ops,
        judged_by: Measure::Wall,
        counted: false,
        ..Case::new(name, shape, ops, contenders::<W>())
    }
}

fn contenders<W: Workload>() -> Vec<Contender> {
    vec![
        Contender { name: DASH, run: W::run::<Dash<W::Key, W::Value>> },
        Contender { name: "dashmap-get_mut", run: W::run::<DashByRef<W::Key, W::Value>> },
        Contender { name: "scc-HashMap", run: W::run::<SccMap<W::Key, W::Value>> },
        Contender { name: "scc-HashIndex", run: W::run::<SccIndex<W::Key, W::Value>> },
        Contender { name: "papaya", run: W::run::<Papaya<W::Key, W::Value>> },
        Contender { name: "moka", run: W::run::<Moka<W::Key, W::Value>> },
        Contender { name: "quick_cache", run: W::run::<Quick<W::Key, W::Value>> },
        Contender { name: "rwlock-std", run: W::run::<Locked<W::Key, W::Value>> },
    ]
}
