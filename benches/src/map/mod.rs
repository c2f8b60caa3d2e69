//! Cases of `map/`: threads that share a map, whose answers are all checked.
//!
//! `t1` to `t8` are the threads. One thread is judged by its CPU time; several by wall time, since waiting for a lock is
//! part of what a map costs. The cases of more than two threads, and some of one, are left out of quick runs, which
//! also fill some maps less.

pub mod driver;
pub mod keys;
pub mod loads;
pub mod mixes;
pub mod ours;
pub mod rivals;
pub mod single_flight;
pub mod subject;
pub mod ttl;

use flowgate::ConcurrentMap;

use crate::case::{Case, Contender, Measure, Shape, Targets};
use loads::{HotGet, Latency, Memory, SetGet, WordCount, Workload, Zipf, ZipfBlobs};
use mixes::{Exchange, RapidGrow, RapidGrowEmpty, ReadHeavy};
use ours::Ours;
use rivals::{Dash, DashByRef, Locked, Moka, Papaya, Quick, SccIndex, SccMap};
use subject::Hasher;
use ttl::{ByClock, ByTicker, DashInstant};

const OURS: &str = "flowgate";
const DASH: &str = "dashmap";
const SCC: &str = "scc-HashMap";
const PAPAYA: &str = "papaya";
const MOKA: &str = "moka";
const QUICK: &str = "quick_cache";

/// Names of a load on 1, 2, 4 and 8 threads.
macro_rules! names {
    ($load:literal) => {
        [concat!($load, "/t1"), concat!($load, "/t2"), concat!($load, "/t4"), concat!($load, "/t8")]
    };
}

/// A workload on 1, 2, 4 and 8 threads.
struct Load {
    names: [&'static str; 4],
    /// The numbers of threads that belong to quick runs.
    quick: &'static [usize],
    keys: usize,
    /// The most keys of a quick run.
    quick_keys: usize,
    ops: u64,
    /// Targets on one thread.
    alone: Targets,
    /// Targets on several threads.
    shared: Targets,
}

/// At least what dashmap, scc's map and papaya do.
const LEVEL: Targets = &[(DASH, 1.0), (SCC, 1.0), (PAPAYA, 1.0)];
/// At least what dashmap does, and 0.9 of what scc's map does.
const MIXED: Targets = &[(DASH, 1.0), (SCC, 1.11)];

impl Load {
    const fn new(names: [&'static str; 4], keys: usize, ops: u64) -> Self {
        Self { names, quick: &[2], keys, quick_keys: keys, ops, alone: LEVEL, shared: LEVEL }
    }

    const fn targets(self, alone: Targets, shared: Targets) -> Self {
        Self { alone, shared, ..self }
    }

    const fn quick(self, quick: &'static [usize], quick_keys: usize) -> Self {
        Self { quick, quick_keys, ..self }
    }

    fn cases<W: Workload>(self) -> Vec<Case> {
        let named = self.names.into_iter().zip([1, 2, 4, 8]);
        named
            .map(|(name, threads)| Case {
                in_quick: self.quick.contains(&threads),
                quick_keys: self.quick_keys,
                targets: if threads == 1 { self.alone } else { self.shared },
                ..case(name, Shape { producers: threads, keys: self.keys, ..Shape::default() }, self.ops, any::<W>())
            })
            .collect()
    }
}

/// All cases of the map.
#[must_use]
pub fn cases() -> Vec<Case> {
    let strings = Load::new(names!("map/set-get-string"), 1_000, 400_000)
        .quick(&[1, 2], 1_000)
        .targets(&[(DASH, 0.67), (SCC, 0.67), (PAPAYA, 0.67)], &[(DASH, 0.83), (SCC, 0.83), (PAPAYA, 0.83)]);
    let strs = Load::new(names!("map/set-get-str"), 1_000, 800_000)
        .quick(&[1, 2], 1_000)
        .targets(&[(DASH, 0.95), (SCC, 0.95), (PAPAYA, 0.95)], &[(DASH, 0.91), (SCC, 0.91), (PAPAYA, 0.91)]);
    let twice: Targets = &[(DASH, 0.5)];
    let hot = Load::new(names!("map/hot-get"), 1_000, 2_000_000).quick(&[1, 2], 1_000).targets(LEVEL, twice);
    let one_key = Load::new(names!("map/hot-get-one-key"), 1, 2_000_000).targets(LEVEL, twice);
    let one_set = Load::new(names!("map/hot-get-1-set"), 1_000, 2_000_000).targets(LEVEL, twice);
    let mix = |names, keys, quick_keys| Load::new(names, keys, 400_000).quick(&[2], quick_keys).targets(MIXED, MIXED);
    [
        strings.cases::<SetGet<String>>(),
        strs.cases::<SetGet<&'static str>>(),
        hot.cases::<HotGet<0>>(),
        one_key.cases::<HotGet<0>>(),
        one_set.cases::<HotGet<1>>(),
        mix(names!("map/read-heavy"), 1 << 20, 1 << 14).cases::<ReadHeavy>(),
        mix(names!("map/exchange"), 1 << 20, 1 << 14).cases::<Exchange>(),
        mix(names!("map/rapid-grow-presized"), 1 << 20, 1 << 17).cases::<RapidGrow>(),
        mix(names!("map/rapid-grow-empty"), 1 << 20, 1 << 17).cases::<RapidGrowEmpty>(),
        Load::new(names!("map/zipf"), 1_000_000, 400_000).cases::<Zipf>(),
        Load::new(names!("map/zipf-string-arc"), 1_000_000, 200_000).quick(&[2], 100_000).cases::<ZipfBlobs>(),
        Load::new(names!("map/word-count"), 0, 800_000).cases::<WordCount>(),
        latency(),
        vec![memory(), single_flight()],
        ttl(),
    ]
    .concat()
}

/// Latency of gets.
fn latency() -> Vec<Case> {
    let targets: Targets = &[(DASH, 1.0)];
    let load = Load::new(names!("map/get-latency"), 100_000, 200_000).targets(targets, targets);
    load.cases::<Latency>().into_iter().map(|case| Case { judged_by: Measure::P999, ..case }).collect()
}

/// Bytes a million entries take, grown from nothing.
fn memory() -> Case {
    let shape = Shape { producers: 1, ..Shape::default() };
    Case {
        judged_by: Measure::Held,
        counted: true,
        targets: &[(DASH, 1.0)],
        ..case("map/memory/t1", shape, 1_000_000, any::<Memory>())
    }
}

/// Ten thousand tasks that want a hundred values.
fn single_flight() -> Case {
    let contenders = vec![
        Contender { name: OURS, run: single_flight::tasks::<ConcurrentMap<u64, u64, Hasher>> },
        Contender { name: QUICK, run: single_flight::tasks::<single_flight::Quick> },
        Contender { name: MOKA, run: single_flight::tasks::<moka::future::Cache<u64, u64, Hasher>> },
        Contender { name: "dashmap+OnceCell", run: single_flight::tasks::<single_flight::DashCells> },
    ];
    let shape = Shape { producers: 1, keys: 100, ..Shape::default() };
    Case {
        judged_by: Measure::Wall,
        targets: &[(QUICK, 0.83), (MOKA, 0.56)],
        ..case("map/single-flight/t2", shape, 10_000, contenders)
    }
}

/// Look-ups of entries that expire: by tokio's clock, and by a ticker.
fn ttl() -> Vec<Case> {
    let rivals = [
        Contender { name: MOKA, run: ttl::reads::<moka::sync::Cache<u64, u64, Hasher>> },
        Contender { name: "dashmap+Instant", run: ttl::reads::<DashInstant> },
    ];
    let clock = Contender { name: OURS, run: ttl::reads::<ByClock> };
    let ticker = Contender { name: "flowgate+Ticker", run: ttl::reads::<ByTicker> };
    let form = |name, threads, ours: Contender, target: Targets| Case {
        in_quick: threads == 1,
        targets: target,
        ..case(
            name,
            Shape { producers: threads, keys: 10_000, ..Shape::default() },
            800_000,
            [&[ours], &rivals[..]].concat(),
        )
    };
    let (level, third): (Targets, Targets) =
        (&[(MOKA, 1.0), ("dashmap+Instant", 1.0)], &[(MOKA, 0.33), ("dashmap+Instant", 0.33)]);
    vec![
        form("map/ttl-read/t1", 1, clock, level),
        form("map/ttl-read/t2", 2, clock, level),
        form("map/ttl-read-ticker/t1", 1, ticker, third),
        form("map/ttl-read-ticker/t2", 2, ticker, third),
    ]
}

/// A case whose checksum is the number of right answers.
fn case(name: &'static str, shape: Shape, ops: u64, contenders: Vec<Contender>) -> Case {
    Case {
        checksum: |ops| ops,
        judged_by: if shape.producers == 1 { Measure::Cpu } else { Measure::Wall },
        counted: false,
        ..Case::new(name, shape, ops, contenders)
    }
}

/// Ours and every rival.
fn any<W: Workload>() -> Vec<Contender> {
    vec![
        Contender { name: OURS, run: W::run::<Ours<W::Key, W::Value>> },
        Contender { name: DASH, run: W::run::<Dash<W::Key, W::Value>> },
        Contender { name: "dashmap-get_mut", run: W::run::<DashByRef<W::Key, W::Value>> },
        Contender { name: SCC, run: W::run::<SccMap<W::Key, W::Value>> },
        Contender { name: "scc-HashIndex", run: W::run::<SccIndex<W::Key, W::Value>> },
        Contender { name: PAPAYA, run: W::run::<Papaya<W::Key, W::Value>> },
        Contender { name: MOKA, run: W::run::<Moka<W::Key, W::Value>> },
        Contender { name: QUICK, run: W::run::<Quick<W::Key, W::Value>> },
        Contender { name: "rwlock-std", run: W::run::<Locked<W::Key, W::Value>> },
    ]
}
