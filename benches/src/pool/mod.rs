//! Cases of `pool/`: one job in, its result back to whoever submitted it.
//!
//! Sixteen slots and at most 1024 unread results everywhere, but in `pool/full`, whose capacity of 64 keeps `submit`
//! waiting. `p1` and `p4` are the producers.

pub mod batched;
pub mod channels;
pub mod driver;
pub mod half_load;
pub mod hot_key;
pub mod load;
pub mod ours;
pub mod rivals;
pub mod threads;
pub mod waiting;

use crate::case::{Case, Contender, Measure, Shape, Targets};
use channels::{AsyncChannel, Flume, Kanal, Workers};
use driver::{Pool, detached};
use half_load::Due;
use load::{Busy, Counted, Long, Plain, Sleeping, Trivial, Yielding};
use ours::{ByAttempt, ByState, Featured, Flowgate};
use rivals::{BareSpawn, SpawnSemaphore, Tower};
use threads::{Boxed, Closures, SpawnBlocking, Typed};
use waiting::Gated;

const OURS: &str = "flowgate";
const SPAWN: &str = "spawn+semaphore";
const UNLIMITED: &str = "spawn-unlimited";
const CHANNEL: &str = "async-channel+oneshot";

/// All cases of the pool.
#[must_use]
pub fn cases() -> Vec<Case> {
    let mut cases = vec![
        case::<Trivial>("pool/trivial/p1", wide(1), 160_000, &[(SPAWN, 0.15), (CHANNEL, 0.5)]),
        case::<Trivial>("pool/trivial/p4", wide(4), 160_000, &[(SPAWN, 0.19), (CHANNEL, 0.5)]),
        case::<Yielding>("pool/yield/p1", wide(1), 120_000, &[(SPAWN, 0.30), (CHANNEL, 0.5)]),
        case::<Yielding>("pool/yield/p4", wide(4), 120_000, &[(SPAWN, 0.30), (CHANNEL, 0.5)]),
        case::<Busy>("pool/1us/p1", wide(1), 60_000, &[(SPAWN, 0.52), (CHANNEL, 0.5)]),
        case::<Busy>("pool/1us/p4", wide(4), 60_000, &[(SPAWN, 0.60), (CHANNEL, 0.5)]),
        case::<Long>("pool/10us/p1", wide(1), 6_000, &[(SPAWN, 1.02), (CHANNEL, 1.02)]),
        case::<Long>("pool/10us/p4", wide(4), 6_000, &[(SPAWN, 1.02), (CHANNEL, 1.02)]),
        round_trip(),
        sleep(),
        features(),
        forms(),
        full(),
        half_load(),
        Case { in_quick: false, ..waiting("pool/waiting-1k/p1", 1_000) },
        Case { in_quick: false, ..waiting("pool/waiting-100k/p1", 100_000) },
        hot_key(),
        threads(),
        fired_threads(),
    ];
    cases.extend(batched::cases());
    cases
}

/// The limits of all cases but `pool/full`.
fn wide(producers: usize) -> Shape {
    Shape { producers, slots: 16, capacity: 1024, window: 1024, keys: 0 }
}

fn case<L: Plain>(name: &'static str, shape: Shape, ops: u64, targets: Targets) -> Case {
    let mut contenders = delivering::<L>();
    contenders.push(Contender { name: "joinset+semaphore", run: rivals::join_set::<L> });
    contenders.push(Contender { name: "buffer_unordered", run: rivals::buffer_unordered::<L> });
    Case { targets, ..Case::new(name, shape, ops, contenders) }
}

/// One job at a time: submit, await, next.
fn round_trip() -> Case {
    Case {
        targets: &[(SPAWN, 1.0), (CHANNEL, 0.5)],
        ..Case::new("pool/roundtrip/p1", Shape { window: 1, ..wide(1) }, 80_000, delivering::<Trivial>())
    }
}

/// Jobs that sleep: a pool that hides runnable jobs behind a suspended one falls behind here.
fn sleep() -> Case {
    let targets = &[(SPAWN, 1.05), (CHANNEL, 1.05)];
    let mut case = case::<Sleeping>("pool/sleep/p1", wide(1), 1_600, targets);
    // Without a limit all jobs sleep at once: no rival here.
    case.contenders.retain(|contender| contender.name != UNLIMITED);
    case.judged_by = Measure::Wall;
    case
}

/// What the options cost that a service switches on: retries, an attempt timeout, a deadline.
fn features() -> Case {
    let featured = windowed::<Flowgate<Featured>, Trivial>("flowgate+retry+deadline");
    beside_itself("pool/features/p1", featured, windowed::<Flowgate<ByAttempt>, Trivial>(OURS), &[(OURS, 1.25)])
}

/// A borrowed job beside an owned attempt.
fn forms() -> Case {
    let borrowed = windowed::<Flowgate<ByState>, Trivial>("flowgate-build_with");
    beside_itself("pool/forms/p1", borrowed, windowed::<Flowgate<ByAttempt>, Trivial>(OURS), &[])
}

/// Two forms of ours on trivial jobs of one producer.
fn beside_itself(name: &'static str, form: Contender, plain: Contender, targets: Targets) -> Case {
    Case { targets, ..Case::new(name, wide(1), 160_000, vec![form, plain]) }
}

/// Producers that wait for room: a capacity of 64, and handles dropped at once.
fn full() -> Case {
    let contenders = vec![
        detaching::<Flowgate<ByAttempt>>(OURS),
        detaching::<SpawnSemaphore<Counted>>(SPAWN),
        detaching::<Workers<AsyncChannel, Counted>>(CHANNEL),
        detaching::<Workers<Flume, Counted>>("flume+oneshot"),
        detaching::<Workers<Kanal, Counted>>("kanal+oneshot"),
        detaching::<Tower<Counted>>("tower"),
    ];
    let shape = Shape { capacity: 64, ..wide(4) };
    Case { targets: &[(CHANNEL, 0.5)], ..Case::new("pool/full/p4", shape, 120_000, contenders) }
}

/// Jobs of ten microseconds that come twice as far apart, at random.
fn half_load() -> Case {
    let contenders = vec![
        Contender { name: OURS, run: half_load::half_load::<Flowgate<ByAttempt>> },
        Contender { name: SPAWN, run: half_load::half_load::<SpawnSemaphore<Due>> },
        Contender { name: CHANNEL, run: half_load::half_load::<Workers<AsyncChannel, Due>> },
        Contender { name: "kanal+oneshot", run: half_load::half_load::<Workers<Kanal, Due>> },
    ];
    Case {
        judged_by: Measure::P99,
        counted: false,
        in_quick: false,
        targets: &[(SPAWN, 1.0), (CHANNEL, 1.0)],
        ..Case::new("pool/half-load/p1", wide(1), 50_000, contenders)
    }
}

/// A million jobs of one key from 64 producers, as fast as they are let in, beside one job at a time of a thousand other keys.
fn hot_key() -> Case {
    let contenders = vec![
        Contender { name: "spawn+key-mutex", run: hot_key::hot_key::<hot_key::SpawnMutex> },
        Contender { name: "sharded-channels", run: hot_key::hot_key::<hot_key::Sharded> },
    ];
    Case {
        judged_by: Measure::P99,
        counted: false,
        in_quick: false,
        ..Case::new("pool/hot-key/p64", Shape { keys: 1_001, ..wide(64) }, 1_000_000, contenders)
    }
}

/// So many tasks that wait for room in a pool whose jobs do not end before all of them stand in line.
fn waiting(name: &'static str, submitters: u64) -> Case {
    let contenders = vec![
        Contender { name: OURS, run: waiting::waiting::<Flowgate<ByAttempt>> },
        Contender { name: SPAWN, run: waiting::waiting::<SpawnSemaphore<Gated>> },
        Contender { name: CHANNEL, run: waiting::waiting::<Workers<AsyncChannel, Gated>> },
        Contender { name: "flume+oneshot", run: waiting::waiting::<Workers<Flume, Gated>> },
        Contender { name: "kanal+oneshot", run: waiting::waiting::<Workers<Kanal, Gated>> },
        Contender { name: "tower", run: waiting::waiting::<Tower<Gated>> },
    ];
    Case::new(name, Shape { capacity: 64, ..wide(1) }, submitters, contenders)
}

/// The limits of the thread cases: as many threads as there are tasks elsewhere would measure the system's scheduler.
const THREADS: Shape = Shape { producers: 1, slots: 4, capacity: 1024, window: 1024, keys: 0 };

/// Threads, with a handle for each job.
fn threads() -> Case {
    let contenders = vec![
        Contender { name: "threadpool+oneshot", run: threads::windowed::<Closures<threadpool::ThreadPool, _>> },
        Contender { name: "rayon+oneshot", run: threads::windowed::<Closures<rayon::ThreadPool, _>> },
        Contender { name: "spawn_blocking", run: threads::windowed::<SpawnBlocking<_>> },
        Contender { name: "crossbeam-typed+oneshot", run: threads::windowed::<Typed> },
        Contender { name: "crossbeam-boxed+oneshot", run: threads::windowed::<Closures<Boxed, _>> },
    ];
    Case { judged_by: Measure::Wall, ..Case::new("pool/threads/p1", THREADS, 80_000, contenders) }
}

/// Threads, and nobody waits for a result.
fn fired_threads() -> Case {
    let contenders = vec![
        Contender { name: "threadpool", run: threads::fired::<Closures<threadpool::ThreadPool, _>> },
        Contender { name: "rayon", run: threads::fired::<Closures<rayon::ThreadPool, _>> },
        Contender { name: "spawn_blocking", run: threads::fired::<SpawnBlocking<_>> },
        Contender { name: "crossbeam-typed", run: threads::fired::<Typed> },
        Contender { name: "crossbeam-boxed", run: threads::fired::<Closures<Boxed, _>> },
    ];
    Case { judged_by: Measure::Wall, ..Case::new("pool/threads-fired/p1", THREADS, 80_000, contenders) }
}

/// The contenders that hand out a handle for each job, ours first.
fn delivering<L: Plain>() -> Vec<Contender> {
    vec![
        windowed::<Flowgate<ByAttempt>, L>(OURS),
        windowed::<SpawnSemaphore<L>, L>(SPAWN),
        windowed::<Workers<AsyncChannel, L>, L>(CHANNEL),
        windowed::<Workers<Flume, L>, L>("flume+oneshot"),
        windowed::<Workers<Kanal, L>, L>("kanal+oneshot"),
        windowed::<BareSpawn<L>, L>(UNLIMITED),
        windowed::<Tower<L>, L>("tower"),
    ]
}

/// A contender whose producers keep a window of handles.
fn windowed<P: Pool<L>, L: Plain>(name: &'static str) -> Contender {
    Contender { name, run: driver::windowed::<P, L> }
}

/// A contender whose producers keep no handle.
fn detaching<P: Pool<Counted>>(name: &'static str) -> Contender {
    Contender { name, run: detached::<P> }
}
