//! Cases of `pool/`: one job in, its result back to whoever submitted it.
//!
//! Sixteen slots and at most 1024 unread results everywhere, but in `pool/full`, whose capacity of 64 keeps `submit`
//! waiting. `p1` and `p4` are the producers.

pub mod batched;
pub mod channels;
pub mod driver;
pub mod load;
pub mod ours;
pub mod rivals;

use crate::case::{Case, Clock, Contender, Shape};
use channels::{AsyncChannel, Flume, Kanal, Workers};
use driver::{Pool, detached};
use load::{Busy, Counted, Plain, Sleeping, Trivial, Yielding};
use ours::{ByAttempt, ByState, Featured, Flowgate};
use rivals::{BareSpawn, SpawnSemaphore, Tower};

type Targets = &'static [(&'static str, f64)];

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
        round_trip(),
        sleep(),
        features(),
        forms(),
        full(),
    ];
    cases.extend(batched::cases());
    cases
}

/// The limits of all cases but `pool/full`.
fn wide(producers: usize) -> Shape {
    Shape { producers, slots: 16, capacity: 1024, window: 1024 }
}

/// The sum of `job + 1` over `0..ops`.
fn sum_of_results(ops: u64) -> u64 {
    ops * (ops + 1) / 2
}

fn case<L: Plain>(name: &'static str, shape: Shape, ops: u64, targets: Targets) -> Case {
    let mut contenders = delivering::<L>();
    contenders.push(Contender { name: "joinset+semaphore", run: rivals::join_set::<L> });
    contenders.push(Contender { name: "buffer_unordered", run: rivals::buffer_unordered::<L> });
    Case { name, shape, ops, checksum: sum_of_results, judged_by: Clock::Cpu, contenders, targets }
}

/// One job at a time: submit, await, next.
fn round_trip() -> Case {
    Case {
        name: "pool/roundtrip/p1",
        shape: Shape { window: 1, ..wide(1) },
        ops: 80_000,
        checksum: sum_of_results,
        judged_by: Clock::Cpu,
        contenders: delivering::<Trivial>(),
        targets: &[(SPAWN, 1.0), (CHANNEL, 0.5)],
    }
}

/// Jobs that sleep: a pool that hides runnable jobs behind a suspended one falls behind here.
fn sleep() -> Case {
    let targets = &[(SPAWN, 1.05), (CHANNEL, 1.05)];
    let mut case = case::<Sleeping>("pool/sleep/p1", wide(1), 1_600, targets);
    // Without a limit all jobs sleep at once: no rival here.
    case.contenders.retain(|contender| contender.name != UNLIMITED);
    case.judged_by = Clock::Wall;
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
    Case {
        name,
        shape: wide(1),
        ops: 160_000,
        checksum: sum_of_results,
        judged_by: Clock::Cpu,
        contenders: vec![form, plain],
        targets,
    }
}

/// Producers that wait for room: a capacity of 64, and handles dropped at once.
fn full() -> Case {
    Case {
        name: "pool/full/p4",
        shape: Shape { capacity: 64, ..wide(4) },
        ops: 120_000,
        checksum: sum_of_results,
        judged_by: Clock::Cpu,
        contenders: vec![
            detaching::<Flowgate<ByAttempt>>(OURS),
            detaching::<SpawnSemaphore<Counted>>(SPAWN),
            detaching::<Workers<AsyncChannel, Counted>>(CHANNEL),
            detaching::<Workers<Flume, Counted>>("flume+oneshot"),
            detaching::<Workers<Kanal, Counted>>("kanal+oneshot"),
            detaching::<Tower<Counted>>("tower"),
        ],
        targets: &[(CHANNEL, 0.5)],
    }
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
