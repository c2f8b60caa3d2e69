//! Leaving early: branches and readers that are dropped while there is work.

use flowgate::fan::Ended;
use flowgate::{FanIn, Leg, OnLag, broadcast, fan_in, fan_out, merge_sorted_by, partition_by};
use futures::future::join_all;
use futures::{StreamExt as _, poll, stream};

use super::{counted, source};
use crate::support::{Tally, alive_tasks, on_both_runtimes, settle, soon, until};

const ITEMS: u64 = 200;

on_both_runtimes! {
    /// Seen to fail: a branch that drops what it has taken and not yielded.
    async fn one_branch_dropped_others_finish() {
        let tally = Tally::new();
        let (feed, items) = counted(&tally, ITEMS);
        drop(feed);
        let mut branches = fan_out(items, 3, 20).unwrap();
        let mut leaves = branches.pop().unwrap();
        let mut seen = Vec::new();
        // Enough for it to take batches.
        for _ in 0..20 {
            seen.extend(leaves.next().await.map(|item| item.id));
        }
        drop(leaves);
        let others = join_all(branches.into_iter().map(|branch| branch.map(|item| item.id).collect::<Vec<_>>())).await;
        seen.extend(others.concat());
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..ITEMS), "the others got the rest");
        assert_eq!(tally.alive(), 0);
    }

    async fn all_branches_dropped_cancels_upstream() {
        let before = alive_tasks();
        let tally = Tally::new();
        for made in 0..3 {
            let (feed, items) = counted(&tally, 100);
            let legs = [Leg::required(2), Leg::best_effort(2, OnLag::DropOldest)];
            match made {
                0 => drop(fan_out(items, 3, 2).unwrap()),
                1 => drop(partition_by(items, 3, 2, |item| item.id).unwrap()),
                _ => drop(broadcast(items.map(std::sync::Arc::new), legs).unwrap()),
            }
            until("the source is dropped", || !feed.is_alive()).await;
            drop(feed);
        }
        until("every value is dropped", || tally.alive() == 0).await;
        until("no task is left", || alive_tasks() == before).await;
    }

    /// Its source has nothing, and never will: the drop of the branches ends that wait.
    ///
    /// Seen to fail: a pump that does not watch its branches while it waits for the source.
    async fn producer_blocked_on_input_is_released_on_cancel() {
        let (feed, items) = source::<u32>();
        let branches = fan_out(items, 2, 2).unwrap();
        settle().await;
        assert!(feed.is_alive());
        drop(branches);
        until("the source is dropped", || !feed.is_alive()).await;
    }

    async fn producer_blocked_on_full_branch_is_released_on_cancel() {
        let (feed, items) = source();
        (0..100).for_each(|item| feed.give(item));
        let branches = fan_out(items, 2, 2).unwrap();
        until("it is full", || feed.taken() == 4).await;
        drop(branches);
        until("the source is dropped", || !feed.is_alive()).await;
    }

    async fn a_branch_of_a_partition_that_is_dropped_ends_the_others() {
        let (feed, items) = source();
        let mut branches = partition_by(items, 2, 4, |n: &u64| *n).unwrap();
        drop(branches.pop());
        until("the source is dropped", || !feed.is_alive()).await;
        let mut branch = branches.pop().unwrap();
        assert_eq!(branch.next().await, None);
        assert_eq!(branch.ended(), Some(Ended::BranchDropped));
    }
}

/// Each function is polled k times and dropped, for every k, its reader sleeping or not: no task and no value is left.
#[tokio::test(start_paused = true)]
async fn consumer_leaves_no_task_left() {
    const POLLS: usize = 40;
    let before = alive_tasks();
    for function in 0..5 {
        for polls in 0..POLLS {
            for lets_run in [false, true] {
                let tally = Tally::new();
                let feeds = leave_after(function, polls, lets_run, &tally).await;
                settle().await;
                assert!(feeds.iter().all(|feed| !feed.is_alive()), "function {function}, poll {polls}");
                drop(feeds);
                assert_eq!(tally.alive(), 0, "function {function}, poll {polls}");
                assert_eq!(alive_tasks(), before, "function {function}, poll {polls}");
            }
        }
    }
}

type Feeds = Vec<super::Feed<crate::support::Counted>>;

async fn leave_after(function: usize, polls: usize, lets_run: bool, tally: &Tally) -> Feeds {
    let (feed, items) = counted(tally, 20);
    let mut feeds = vec![feed];
    let mut outputs: Vec<_> = match function {
        0 => fan_out(items, 3, 2).unwrap().into_iter().map(|branch| branch.map(drop).boxed()).collect(),
        1 => {
            let branches = partition_by(items, 3, 2, |item| item.id).unwrap();
            branches.into_iter().map(|branch| branch.map(drop).boxed()).collect()
        }
        2 => {
            let legs = [Leg::required(2), Leg::required(3), Leg::best_effort(2, OnLag::Disconnect)];
            let branches = broadcast(items.map(std::sync::Arc::new), legs).unwrap();
            branches.into_iter().map(|branch| branch.map(drop).boxed()).collect()
        }
        merge => {
            let (feed, other) = counted(tally, 20);
            feeds.push(feed);
            if merge == 3 {
                vec![fan_in([items, other], FanIn::RoundRobin).map(drop).boxed()]
            } else {
                vec![merge_sorted_by([items, other], |a, b| a.id.cmp(&b.id)).map(drop).boxed()]
            }
        }
    };
    for poll in 0..polls {
        let nth = poll % outputs.len();
        let _ = poll!(outputs[nth].next());
        if lets_run {
            tokio::task::yield_now().await;
        }
    }
    feeds
}

#[tokio::test(start_paused = true)]
async fn what_a_dropped_branch_was_woken_for_goes_to_another() {
    let (feed, items) = source();
    let mut branches = fan_out(items, 2, 2).unwrap();
    let (mut first, mut second) = (branches.pop().unwrap(), branches.pop().unwrap());
    assert!(poll!(first.next()).is_pending());
    let reader = tokio::spawn(async move { (second.next().await, second) });
    settle().await;
    feed.give(7);
    // The item has woken the first, which has waited longer.
    tokio::task::yield_now().await;
    drop(first);
    let (item, _second) = soon(reader).await.unwrap();
    assert_eq!(item, Some(7));
}

#[tokio::test(start_paused = true)]
async fn a_merge_that_is_dropped_drops_its_inputs() {
    let (feeds, inputs): (Vec<_>, Vec<_>) = (0..3).map(|_| source::<u32>()).unzip();
    let mut merged = fan_in(inputs, FanIn::AsReady);
    assert!(poll!(merged.next()).is_pending());
    drop(merged);
    assert!(feeds.iter().all(|feed| !feed.is_alive()));
    // A wake-up that comes late is nobody's.
    feeds[0].give(1);
    let empty = merge_sorted_by([stream::empty::<u32>()], u32::cmp);
    assert_eq!(soon(empty.collect::<Vec<_>>()).await, [0_u32; 0]);
}
