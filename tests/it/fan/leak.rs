//! Long runs: memory and tasks as at the start.

use flowgate::{FanIn, fan_in, fan_out};
use futures::{StreamExt as _, stream};

use super::counted;
use crate::support::{Tally, alive_tasks, on_both_runtimes, until};

on_both_runtimes! {
    /// Out and in again, through all branches: every value is dropped once, and no task is left.
    async fn what_goes_out_comes_in() {
        let before = alive_tasks();
        let tally = Tally::new();
        for round in 0..20 {
            let (feed, items) = counted(&tally, 500);
            drop(feed);
            let merged = fan_in(fan_out(items, 4, 8).unwrap(), FanIn::AsReady);
            let mut seen: Vec<_> = merged.map(|item| item.id).collect().await;
            seen.sort_unstable();
            assert!(seen.into_iter().eq(0..500), "round {round}");
        }
        assert_eq!(tally.alive(), 0);
        until("no task is left", || alive_tasks() == before).await;
    }
}

/// A fan in a fan: the tasks of both end with the last reader.
#[tokio::test(start_paused = true)]
async fn fans_of_fans_leave_nothing() {
    let before = alive_tasks();
    let outer = fan_out(stream::iter(0..1_000), 4, 4).unwrap();
    let inner = outer.into_iter().flat_map(|branch| fan_out(branch, 3, 2).unwrap());
    let mut seen: Vec<_> = fan_in(inner, FanIn::RoundRobin).collect().await;
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..1_000));
    let outer = fan_out(stream::iter(0..1_000), 4, 4).unwrap();
    let inner: Vec<_> = outer.into_iter().flat_map(|branch| fan_out(branch, 3, 2).unwrap()).collect();
    assert_eq!(alive_tasks(), before + 5);
    drop(inner);
    until("no task is left", || alive_tasks() == before).await;
}
