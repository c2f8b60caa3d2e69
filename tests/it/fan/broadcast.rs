//! Each item to every leg: required ones whole, the others as far as they keep up.

use std::sync::Arc;

use flowgate::fan::Ended;
use flowgate::{Branch, Leg, OnLag, broadcast};
use futures::future::join_all;
use futures::{StreamExt as _, poll, stream};

use super::{counted, source};
use crate::support::{Tally, on_both_runtimes, settle, soon, until};

const ITEMS: u64 = 300;

on_both_runtimes! {
    /// Seen to fail: a leg that is written to without having room.
    async fn broadcast_block_lossless() {
        for places in [1, 2, 7, 64] {
            let legs = vec![Leg::required(places); 4];
            let branches = broadcast(stream::iter(0..ITEMS), legs).unwrap();
            let readers = branches.into_iter().enumerate().map(|(nth, branch)| tokio::spawn(branch.then(move |item| async move {
                if item % 5 == nth as u64 {
                    tokio::task::yield_now().await;
                }
                item
            }).collect::<Vec<_>>()));
            for seen in join_all(readers).await {
                assert!(seen.unwrap().into_iter().eq(0..ITEMS), "{places} places");
            }
        }
    }

    async fn a_required_leg_that_is_dropped_ends_the_others() {
        let (feed, items) = source();
        let mut branches = broadcast(items, [Leg::required(4), Leg::required(4)]).unwrap();
        feed.give(1_u32);
        until("it is taken", || feed.taken() == 1).await;
        drop(branches.pop());
        let mut other = branches.pop().unwrap();
        assert_eq!((other.next().await, other.next().await), (Some(1), None));
        assert_eq!(other.ended(), Some(Ended::BranchDropped));
        until("the source is dropped", || !feed.is_alive()).await;
    }

    async fn a_best_effort_leg_that_is_dropped_is_forgotten() {
        let tally = Tally::new();
        let (feed, items) = counted(&tally, ITEMS);
        drop(feed);
        let legs = [Leg::required(4), Leg::best_effort(4, OnLag::DropOldest)];
        let mut branches = broadcast(items.map(Arc::new), legs).unwrap();
        let mut preview = branches.pop().unwrap();
        assert!(preview.next().await.is_some());
        drop(preview);
        let all = branches.pop().unwrap();
        assert_eq!(all.collect::<Vec<_>>().await.len() as u64, ITEMS);
        until("every value is dropped", || tally.alive() == 0).await;
    }
}

async fn lagging(on_lag: OnLag) -> (Vec<u64>, Branch<u64>) {
    let legs = [Leg::required(8), Leg::best_effort(4, on_lag)];
    let mut branches = broadcast(stream::iter(0..20), legs).unwrap();
    let (mut late, all) = (branches.pop().unwrap(), branches.pop().unwrap());
    assert!(soon(all.collect::<Vec<_>>()).await.into_iter().eq(0..20), "it stops nobody");
    settle().await;
    let seen = soon(late.by_ref().collect()).await;
    (seen, late)
}

/// Seen to fail: what is evicted is not counted; what is newest is evicted.
#[tokio::test(start_paused = true)]
async fn broadcast_drop_counts() {
    let (seen, late) = lagging(OnLag::DropOldest).await;
    assert_eq!((seen, late.lagged(), late.ended()), (vec![16, 17, 18, 19], 16, Some(Ended::Complete)));
    let (seen, late) = lagging(OnLag::DropNewest).await;
    assert_eq!((seen, late.lagged(), late.ended()), (vec![0, 1, 2, 3], 16, Some(Ended::Complete)));
    let (seen, late) = lagging(OnLag::Disconnect).await;
    assert_eq!((seen, late.lagged(), late.ended()), (vec![0, 1, 2, 3], 1, Some(Ended::Lagged)));
}

#[tokio::test(start_paused = true)]
async fn a_leg_that_keeps_up_loses_nothing() {
    for on_lag in [OnLag::DropOldest, OnLag::DropNewest, OnLag::Disconnect] {
        let (feed, items) = source();
        let mut branch = broadcast(items, [Leg::best_effort(2, on_lag)]).unwrap().pop().unwrap();
        for item in 0..50_u32 {
            feed.give(item);
            assert_eq!(soon(branch.next()).await, Some(item));
        }
        drop(feed);
        assert_eq!((soon(branch.next()).await, branch.lagged()), (None, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn an_unread_required_leg_stops_the_others_and_an_unread_best_effort_leg_does_not() {
    let (feed, items) = source();
    (0..50_u32).for_each(|item| feed.give(item));
    let legs = [Leg::required(3), Leg::required(9), Leg::best_effort(2, OnLag::DropNewest)];
    let mut branches = broadcast(items, legs).unwrap();
    settle().await;
    assert_eq!(feed.taken(), 3, "the smallest required leg is full");
    let first: Vec<_> = soon(branches[0].by_ref().take(3).collect()).await;
    settle().await;
    assert_eq!((first, feed.taken()), (vec![0, 1, 2], 6));
    let mut read = 3;
    while poll!(branches[0].next()).is_ready() {
        read += 1;
        settle().await;
    }
    assert_eq!((read, feed.taken()), (9, 9), "the second is full");
    assert_eq!(branches[2].lagged(), 7);
}

/// The lone required leg gets the original: no clone is made for it.
#[tokio::test(start_paused = true)]
async fn one_leg_clones_nothing() {
    let branch = broadcast(stream::iter([Arc::new(1)]), [Leg::required(1)]).unwrap().pop().unwrap();
    let items: Vec<_> = soon(branch.collect()).await;
    assert_eq!(Arc::strong_count(&items[0]), 1);
}
