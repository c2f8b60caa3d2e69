//! Competing branches and branches by key: each item once, in order, within the bound.

use std::collections::BTreeMap;
use std::sync::Arc;

use flowgate::fan::Ended;
use flowgate::{Branch, fan_out, partition_by};
use futures::future::join_all;
use futures::{FutureExt as _, Stream as _, StreamExt as _, poll, stream};

use super::source;
use crate::support::{ms, on_both_runtimes, settle, soon, until};

const ITEMS: u64 = 1_000;

async fn read(branch: Branch<u64>) -> Vec<u64> {
    branch.collect().await
}

on_both_runtimes! {
    async fn each_item_goes_to_one_branch_in_order() {
        for (n, buf) in [(1, 1), (1, 7), (2, 1), (3, 2), (8, 16)] {
            let branches = fan_out(stream::iter(0..ITEMS), n, buf).unwrap();
            let readers: Vec<_> = branches.into_iter().map(|branch| tokio::spawn(read(branch))).collect();
            let mut seen = Vec::new();
            for reader in readers {
                let of_one = reader.await.unwrap();
                assert!(of_one.is_sorted(), "a subsequence of the input");
                seen.extend(of_one);
            }
            seen.sort_unstable();
            assert!(seen.into_iter().eq(0..ITEMS), "n {n}, buf {buf}");
        }
    }

    async fn equal_keys_go_to_one_branch_in_order() {
        let branches = partition_by(stream::iter(0..ITEMS), 4, 3, |n| n % 10).unwrap();
        let all = join_all(branches.into_iter().map(|branch| tokio::spawn(read(branch)))).await;
        let mut branch_of = BTreeMap::new();
        let mut seen = Vec::new();
        for (nth, of_one) in all.into_iter().enumerate() {
            let of_one = of_one.unwrap();
            assert!(of_one.is_sorted());
            for item in of_one {
                assert_eq!(*branch_of.entry(item % 10).or_insert(nth), nth, "one branch a key");
                seen.push(item);
            }
        }
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..ITEMS));
    }

    async fn a_branch_says_why_it_ended_and_stays_ended() {
        let mut branches = fan_out(stream::iter(0..2_u64), 1, 4).unwrap();
        let mut branch = branches.pop().unwrap();
        assert_eq!(branch.ended(), None);
        assert_eq!(branch.by_ref().collect::<Vec<_>>().await, [0, 1]);
        assert_eq!((branch.ended(), branch.lagged()), (Some(Ended::Complete), 0));
        assert_eq!((branch.next().await, branch.size_hint()), (None, (0, Some(0))));
    }
}

/// Seen to fail: a pump that takes an item before there is room for it.
#[tokio::test(start_paused = true)]
async fn in_flight_never_exceeds_bound() {
    for (n, buf) in [(1, 1), (2, 3), (4, 1)] {
        let (feed, items) = source();
        (0..100_u64).for_each(|item| feed.give(item));
        let mut branches = fan_out(items, n, buf).unwrap();
        settle().await;
        assert_eq!(feed.taken(), n * buf, "nothing is read yet");
        for read in 1..=50 {
            let nth = read % n;
            assert!(soon(branches[nth].next()).await.is_some());
            settle().await;
            assert!(feed.taken() <= read + n * buf, "{} taken, {read} read", feed.taken());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_partition_holds_one_item_beside_its_places() {
    let (feed, items) = source();
    (0..100_u64).for_each(|item| feed.give(item));
    let branches = partition_by(items, 3, 4, |_| 0).unwrap();
    settle().await;
    assert_eq!(feed.taken(), 4 + 1, "one branch is full, and one item waits");
    drop(branches);
}

/// Seen to fail: branches that take their whole share whatever their pace.
#[tokio::test(start_paused = true)]
async fn an_idle_branch_takes_what_a_slow_one_has_not_begun() {
    let mut branches = fan_out(stream::iter(0..40_u64), 2, 20).unwrap();
    let (slow, mut quick) = (branches.pop().unwrap(), branches.pop().unwrap());
    let slow = tokio::spawn(slow.fold(0, |read, _| async move {
        tokio::time::sleep(ms(100)).await;
        read + 1
    }));
    let begun = tokio::time::Instant::now();
    let mut read = 0;
    while quick.next().await.is_some() {
        tokio::time::sleep(ms(1)).await;
        read += 1;
    }
    assert!(begun.elapsed() <= ms(40), "it had no item of the slow one to wait for");
    let of_slow: u32 = soon(slow).await.unwrap();
    assert!(of_slow <= 2, "it sat on {of_slow}");
    assert_eq!(read + of_slow, 40);
}

#[tokio::test(start_paused = true)]
async fn one_branch_unread_does_not_stop_others() {
    let mut branches = fan_out(stream::iter(0..ITEMS), 3, 4).unwrap();
    let mut unread = branches.pop().unwrap();
    let first = soon(unread.next()).await.unwrap();
    let others = soon(join_all(branches.into_iter().map(read))).await;
    let mut seen = others.concat();
    seen.push(first);
    seen.extend(unread.collect::<Vec<_>>().await);
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..ITEMS));
}

#[tokio::test(start_paused = true)]
async fn a_lone_item_is_not_held_back() {
    let (feed, items) = source();
    let mut branches = fan_out(items, 4, 64).unwrap();
    for item in 0..10_u64 {
        feed.give(item);
        settle().await;
        assert_eq!(poll!(branches[0].next()), std::task::Poll::Ready(Some(item)));
    }
}

/// A source that is always ready and computes for long: its items are handed over one by one.
///
/// Seen to fail: batches that grow whatever the source takes for them.
#[test]
fn an_item_does_not_wait_for_those_behind_it() {
    let runtime = crate::support::threads(1);
    let inside = runtime.enter();
    let gate = Arc::new(std::sync::Barrier::new(2));
    let source = gate.clone();
    // The source goes on to its next item only when the reader has had the last one.
    let items = stream::iter(0..20_u64).map(move |item| {
        crate::support::compute_for(ms(1));
        source.wait();
        item
    });
    let mut branch = fan_out(items, 1, 64).unwrap().pop().unwrap();
    drop(inside);
    let mut seen = Vec::new();
    for item in 0..20 {
        gate.wait();
        if item > 0 {
            seen.push(branch.next().now_or_never().flatten());
        }
    }
    assert!(seen.into_iter().eq((0..19).map(Some)), "each was there before the source began the next");
}

/// The branches of two runtimes' tasks: the pump runs on the one that it was started on.
#[test]
fn branches_may_be_read_outside_the_runtime() {
    let runtime = crate::support::threads(1);
    let inside = runtime.enter();
    let branches = fan_out(stream::iter(0..ITEMS), 2, 8).unwrap();
    drop(inside);
    let readers: Vec<_> =
        branches.into_iter().map(|branch| std::thread::spawn(|| futures::executor::block_on(read(branch)))).collect();
    let seen: usize = readers.into_iter().map(|reader| reader.join().unwrap().len()).sum();
    assert_eq!(seen as u64, ITEMS);
}

/// Seen to fail: a task that is dropped before its end, taken for one whose source has ended.
#[test]
fn a_runtime_that_shuts_down_is_no_end_of_the_source() {
    let runtime = crate::support::threads(1);
    let inside = runtime.enter();
    let (feed, items) = source();
    feed.give(7_u64);
    let mut branch = fan_out(items, 1, 8).unwrap().pop().unwrap();
    drop(inside);
    assert_eq!(futures::executor::block_on(branch.next()), Some(7));
    drop(runtime);
    assert_eq!(futures::executor::block_on(branch.next()), None);
    assert_eq!(branch.ended(), Some(Ended::Shutdown));
    assert!(!feed.is_alive());
}

#[tokio::test(start_paused = true)]
async fn an_error_is_an_item_like_any_other() {
    let items = stream::iter([Ok(1), Err("no"), Ok(2)]);
    let branch = fan_out(items, 1, 1).unwrap().pop().unwrap();
    assert_eq!(soon(branch.collect::<Vec<_>>()).await, [Ok(1), Err("no"), Ok(2)]);
    until("no task is left", || crate::support::alive_tasks() == 0).await;
}
