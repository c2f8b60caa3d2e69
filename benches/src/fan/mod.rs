//! Cases of the fans: eight ways in, out, and to all.

mod broadcast;
mod merging;
mod out;

use std::future::Future;

use crate::case::{Case, Contender, Shape, sum_of_results};
use crate::setup::Setup;

/// The name of ours.
pub const OURS: &str = "flowgate";
const MPSC: &str = "tokio-mpsc";
const KANAL: &str = "kanal";
const BROADCAST: &str = "tokio-broadcast";

/// Branches, inputs and legs.
const WAYS: usize = 8;
/// Items that each of them may hold.
const BUFFER: usize = 128;

/// All of them.
#[must_use]
pub fn cases() -> Vec<Case> {
    let contender = |name, run: fn(&Setup) -> u64| Contender { name, run };
    let shape = Shape { producers: WAYS, capacity: WAYS * BUFFER, ..Shape::default() };
    let streams = [
        contender("select_all", merging::tasks::<merging::SelectAll>),
        contender("futures-concurrency", merging::tasks::<merging::Concurrency>),
        contender("stream-map", merging::tasks::<merging::Map>),
    ];
    let mut into_one = vec![
        contender(OURS, merging::ours),
        contender(MPSC, merging::mpsc),
        contender(KANAL, merging::kanal),
        contender("flume", merging::flume),
    ];
    into_one.extend(streams);
    let in_place = vec![
        contender(OURS, merging::in_place::<merging::FanIn>),
        contender("select_all", merging::in_place::<merging::SelectAll>),
        contender("futures-concurrency", merging::in_place::<merging::Concurrency>),
        contender("stream-map", merging::in_place::<merging::Map>),
    ];
    let out_of_one = vec![
        contender(OURS, out::ours),
        contender(MPSC, out::mpsc),
        contender(KANAL, out::kanal),
        contender("flume", out::flume),
        contender("async-channel", out::async_channel),
    ];
    let to_all = vec![
        contender(OURS, broadcast::ours),
        contender(BROADCAST, broadcast::tokio_broadcast),
        contender(MPSC, broadcast::mpsc),
    ];
    let one = Shape { producers: 1, ..shape };
    vec![
        Case { targets: &[(MPSC, 0.05), (KANAL, 0.5)], ..Case::new("fan/in/8", shape, 400_000, into_one) },
        Case::new("fan/in-place/8", shape, 400_000, in_place),
        Case { targets: &[(MPSC, 0.05), (KANAL, 0.5)], ..Case::new("fan/out/8", one, 400_000, out_of_one) },
        Case {
            targets: &[(BROADCAST, 0.05)],
            checksum: |ops| WAYS as u64 * sum_of_results(ops),
            ..Case::new("fan/broadcast/8", one, 100_000, to_all)
        },
    ]
}

/// Runs a future on the runtime's own threads.
fn on_workers<T: Send + 'static>(setup: &Setup, future: impl Future<Output = T> + Send + 'static) -> T {
    setup.block_on(async { setup.handle().spawn(future).await.expect("a task of the bench") })
}

/// The sum of what tasks return.
async fn sum_of(tasks: Vec<tokio::task::JoinHandle<u64>>) -> u64 {
    let mut sum = 0;
    for task in tasks {
        sum += task.await.expect("a task of the bench");
    }
    sum
}
