//! Cases of `pipeline/`: items through stages, to whoever reads what comes out.
//!
//! Every stage adds to its item behind a `black_box`, so that no contender's stages melt into one sum.

pub mod channels;
pub mod fused;
pub mod handoff;
pub mod idle;
pub mod parallel;

use crate::case::{Case, Contender, Measure, Shape};
use channels::{AsyncChannel, Flume, Kanal, Mpsc};
use parallel::{Trivial, Yielding};

const OURS: &str = "flowgate";
const MPSC: &str = "tokio-mpsc";
const STREAM_EXT: &str = "futures-stream";
const SPAWNED: &str = "buffered-spawned";
const PAR_STREAM: &str = "par-stream";

/// One source, one reader.
const LINE: Shape = Shape { producers: 1, slots: 0, capacity: 0, window: 0, keys: 0 };
/// What may wait between two tasks.
const WAITING: Shape = Shape { capacity: 1024, ..LINE };
/// The same where tasks are to keep close to each other: they wait for each other all the time.
const NARROW: Shape = Shape { capacity: 8, ..LINE };
/// How many items a parallel stage works on, and holds.
const WORKERS: Shape = Shape { slots: 16, window: 32, ..LINE };

/// All cases of the pipeline.
#[must_use]
pub fn cases() -> Vec<Case> {
    vec![
        Case {
            targets: &[(STREAM_EXT, 0.9)],
            ..Case::new(
                "pipeline/fused/p1",
                LINE,
                2_000_000,
                vec![contender(OURS, fused::ours), contender(STREAM_EXT, fused::rival)],
            )
        },
        Case {
            targets: &[(STREAM_EXT, 0.9)],
            ..Case::new(
                "pipeline/fused-filter/p1",
                LINE,
                2_000_000,
                vec![contender(OURS, fused::ours_filtering), contender(STREAM_EXT, fused::rival_filtering)],
            )
        },
        Case::new(
            "pipeline/tracked/p1",
            WAITING,
            1_000_000,
            vec![contender(OURS, fused::ours_tracked), contender("flowgate-untracked", fused::ours)],
        ),
        handoff(),
        handoff_narrow(),
        handoff_each(),
        idle(),
        ordered::<Trivial>("pipeline/ordered/p1"),
        ordered::<Yielding>("pipeline/ordered-yield/p1"),
        unordered::<Trivial>("pipeline/unordered/p1"),
        unordered::<Yielding>("pipeline/unordered-yield/p1"),
    ]
}

fn contender(name: &'static str, run: fn(&crate::setup::Setup) -> u64) -> Contender {
    Contender { name, run }
}

/// Three stages in tasks of their own, with a source before them: four hand-offs.
fn handoff() -> Case {
    let mut contenders = handed_on();
    contenders.push(contender("tokio-mpsc-vec64", handoff::rival_batching));
    let targets = &[(MPSC, 0.02)];
    Case { targets, ..Case::new("pipeline/handoff/p1", WAITING, 200_000, contenders) }
}

/// The same with little room between the tasks: little to move together.
fn handoff_narrow() -> Case {
    Case::new("pipeline/handoff-narrow/p1", NARROW, 100_000, handed_on())
}

/// The same behind a source that hands out its items one by one: nothing may be moved together.
fn handoff_each() -> Case {
    let contenders = vec![
        contender(OURS, handoff::ours_paced),
        contender(MPSC, handoff::rival_paced::<Mpsc>),
        contender("async-channel", handoff::rival_paced::<AsyncChannel>),
        contender("flume", handoff::rival_paced::<Flume>),
        contender("kanal", handoff::rival_paced::<Kanal>),
    ];
    let targets = &[(MPSC, 0.1)];
    Case { targets, ..Case::new("pipeline/handoff-each/p1", WAITING, 40_000, contenders) }
}

fn handed_on() -> Vec<Contender> {
    vec![
        contender(OURS, handoff::ours),
        contender(MPSC, handoff::rival::<Mpsc>),
        contender("async-channel", handoff::rival::<AsyncChannel>),
        contender("flume", handoff::rival::<Flume>),
        contender("kanal", handoff::rival::<Kanal>),
    ]
}

/// One item at a time through three tasks that have nothing else to do.
fn idle() -> Case {
    let contenders = vec![
        contender(OURS, idle::ours),
        contender(MPSC, idle::rival::<Mpsc>),
        contender("async-channel", idle::rival::<AsyncChannel>),
        contender("flume", idle::rival::<Flume>),
        contender("kanal", idle::rival::<Kanal>),
    ];
    let targets = &[(MPSC, 1.0)];
    Case { judged_by: Measure::Wall, targets, ..Case::new("pipeline/lone-item/p1", WAITING, 20_000, contenders) }
}

fn ordered<L: parallel::Load>(name: &'static str) -> Case {
    let contenders = vec![
        contender(OURS, parallel::ours_ordered::<L>),
        contender("buffered", parallel::buffered::<L>),
        contender(SPAWNED, parallel::buffered_spawned::<L>),
        contender(PAR_STREAM, parallel::par_then::<L>),
        contender("flowgate-pool-map", parallel::pool_ordered::<L>),
    ];
    let targets = &[(SPAWNED, 0.5), (PAR_STREAM, 1.0)];
    Case { targets, ..Case::new(name, WORKERS, 100_000, contenders) }
}

fn unordered<L: parallel::Load>(name: &'static str) -> Case {
    let contenders = vec![
        contender(OURS, parallel::ours_unordered::<L>),
        contender("buffer_unordered", parallel::unordered::<L>),
        contender(SPAWNED, parallel::unordered_spawned::<L>),
        contender(PAR_STREAM, parallel::par_then_unordered::<L>),
        contender("flowgate-pool-map", parallel::pool_unordered::<L>),
    ];
    let targets = &[(SPAWNED, 0.5), (PAR_STREAM, 1.0)];
    Case { targets, ..Case::new(name, WORKERS, 100_000, contenders) }
}
