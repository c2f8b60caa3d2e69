//! Three stages without a task, beside the same three as stream adapters.

use std::future::ready;
use std::hint::black_box;
use std::pin::pin;

use flowgate::Pipeline;
use futures::{Stream, StreamExt as _, stream};

use crate::setup::Setup;

/// The three stages add so much together, and take all but 1 away again.
const ADDED: u64 = 1_000;

fn first(n: u64) -> u64 {
    black_box(n + ADDED)
}

fn second(n: u64) -> u64 {
    black_box(n - ADDED)
}

fn third(n: u64) -> u64 {
    black_box(n + 1)
}

/// True for every item.
fn small(n: &u64) -> bool {
    black_box(*n) < u64::MAX
}

async fn sum(items: impl Stream<Item = u64>) -> u64 {
    let (mut items, mut sum) = (pin!(items), 0);
    while let Some(item) = items.next().await {
        sum += item;
    }
    sum
}

/// `apply`: three maps.
pub fn ours(setup: &Setup) -> u64 {
    let stages = Pipeline::new().map(first).map(second).map(third);
    setup.block_on(async {
        let items = stages.apply(stream::iter(0..setup.ops)).expect("a pipeline that can be run");
        sum(items.map(|item| item.expect("nothing fails"))).await
    })
}

/// Three maps.
pub fn rival(setup: &Setup) -> u64 {
    setup.block_on(sum(stream::iter(0..setup.ops).map(first).map(second).map(third)))
}

/// `apply`: a map, a filter, two maps.
pub fn ours_filtering(setup: &Setup) -> u64 {
    let stages = Pipeline::new().map(first).filter(small).map(second).map(third);
    setup.block_on(async {
        let items = stages.apply(stream::iter(0..setup.ops)).expect("a pipeline that can be run");
        sum(items.map(|item| item.expect("nothing fails"))).await
    })
}

/// A map, a filter, two maps.
pub fn rival_filtering(setup: &Setup) -> u64 {
    let items = stream::iter(0..setup.ops).map(first).filter(|n| ready(small(n))).map(second).map(third);
    setup.block_on(sum(items))
}

/// `apply`: three maps with a bound over the whole, so that each item has a ticket.
pub fn ours_tracked(setup: &Setup) -> u64 {
    let stages = Pipeline::new().max_in_flight(setup.shape.capacity).map(first).map(second).map(third);
    setup.block_on(async {
        let items = stages.apply(stream::iter(0..setup.ops)).expect("a pipeline that can be run");
        sum(items.map(|item| item.expect("nothing fails"))).await
    })
}
