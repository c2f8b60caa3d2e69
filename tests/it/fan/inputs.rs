//! Many inputs read as one: fair, awake, and with inputs that come and go.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use flowgate::{FanIn, fan_in};
use futures::stream::FusedStream as _;
use futures::{Stream, StreamExt as _, poll, stream};

use super::source;
use crate::support::wakers::Count;
use crate::support::{on_both_runtimes, settle, soon};

on_both_runtimes! {
    async fn fan_in_of_zero() {
        for order in [FanIn::AsReady, FanIn::RoundRobin] {
            let mut merged = fan_in(Vec::<stream::Empty<u32>>::new(), order);
            assert!(merged.is_terminated() && merged.is_empty());
            assert_eq!(merged.next().await, None);
            let ended = fan_in((0..3).map(|_| stream::empty::<u32>()), order);
            assert_eq!(ended.collect::<Vec<_>>().await, [0_u32; 0]);
        }
    }

    async fn each_item_of_each_input_in_its_order() {
        for order in [FanIn::AsReady, FanIn::RoundRobin] {
            let feeders: Vec<_> = (0..4_u32).map(|input| {
                let (feed, items) = source();
                tokio::spawn(async move {
                    for item in 0..500_u32 {
                        feed.give((input, item));
                        if item % 7 == input {
                            tokio::task::yield_now().await;
                        }
                    }
                });
                items
            }).collect();
            let mut next = [0; 4];
            let mut merged = fan_in(feeders, order);
            while let Some((input, item)) = merged.next().await {
                assert_eq!(item, next[input as usize], "in the order of its input");
                next[input as usize] += 1;
            }
            assert_eq!(next, [500; 4]);
        }
    }
}

/// How far ahead one of `inputs` endless inputs gets of another, over so many items.
fn spread(order: FanIn, inputs: usize, items: usize) -> usize {
    let merged = fan_in((0..inputs).map(stream::repeat), order);
    let mut seen = vec![0_usize; inputs];
    let mut worst = 0;
    for input in futures::executor::block_on_stream(merged.take(items)) {
        seen[input] += 1;
        worst = worst.max(seen.iter().max().unwrap() - seen.iter().min().unwrap());
    }
    worst
}

/// Seen to fail: an input that stays at the front of its turn.
#[test]
fn fan_in_fair_n_ready_inputs() {
    for inputs in [1, 2, 3, 8, 100] {
        assert!(spread(FanIn::RoundRobin, inputs, 1_000) <= 1, "{inputs} inputs in turn");
        assert!(spread(FanIn::AsReady, inputs, 10_000) <= 32, "{inputs} inputs as ready");
    }
}

/// Ready once, then only after it was woken; counts its polls.
struct Quiet(Arc<AtomicUsize>);

impl Stream for Quiet {
    type Item = u32;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<u32>> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Poll::Pending
    }
}

/// Seen to fail: one waker for all inputs.
#[tokio::test(start_paused = true)]
async fn a_wake_up_polls_only_the_input_that_was_woken() {
    let polls = Arc::new(AtomicUsize::new(0));
    let (feed, items) = source();
    let quiet = (0..100).map(|_| Quiet(polls.clone()).boxed());
    let mut merged = fan_in(quiet.chain([items.boxed()]), FanIn::AsReady);
    assert!(poll!(merged.next()).is_pending());
    assert_eq!(polls.load(Ordering::SeqCst), 100, "each is polled once");
    for item in 0..50 {
        feed.give(item);
        assert_eq!(soon(merged.next()).await, Some(item));
        assert!(poll!(merged.next()).is_pending());
    }
    assert_eq!(polls.load(Ordering::SeqCst), 100);
}

/// Seen to fail: an input whose place is given to another and that is taken out by its old name.
#[tokio::test(start_paused = true)]
async fn dynamic_add_remove() {
    let (feeds, inputs): (Vec<_>, Vec<_>) = (0..3).map(|_| source()).unzip();
    let mut merged = fan_in([], FanIn::AsReady);
    let ids: Vec<_> = inputs.into_iter().map(|input| merged.add(input)).collect();
    feeds[1].give(1);
    assert_eq!(soon(merged.next()).await, Some(1));
    feeds[0].give(10);
    let mut removed = merged.remove(ids[0]).unwrap();
    assert_eq!((merged.len(), merged.remove(ids[0]).is_none()), (2, true));
    assert_eq!(soon(removed.next()).await, Some(10), "what it has not yielded is its own");
    assert!(poll!(merged.next()).is_pending());

    let (late, items) = source();
    let id = merged.add(items);
    assert!(merged.remove(ids[0]).is_none(), "its place is another's now");
    late.give(2);
    assert_eq!(soon(merged.next()).await, Some(2));
    drop(feeds);
    assert!(poll!(merged.next()).is_pending(), "one is left");
    assert!(merged.remove(id).is_some());
    assert_eq!(soon(merged.next()).await, None);
    let _ = merged.add(super::source().1);
    assert_eq!(soon(merged.next()).await, None::<i32>, "its feed is gone");
}

/// A reader that sleeps is woken for an input that is added.
#[tokio::test(start_paused = true)]
async fn an_input_that_is_added_wakes_the_reader() {
    let (_feed, quiet) = source::<u32>();
    let mut merged = fan_in([quiet.boxed()], FanIn::AsReady);
    let (woken, waker) = Count::new();
    let mut cx = Context::from_waker(&waker);
    assert!(merged.poll_next_unpin(&mut cx).is_pending());
    let _ = merged.add(stream::iter([5]).boxed());
    assert_eq!(woken.woken(), 1);
    assert_eq!(merged.poll_next_unpin(&mut cx), Poll::Ready(Some(5)));
}

/// Inputs that are added and removed between polls leave nothing behind.
#[tokio::test(start_paused = true)]
async fn adding_and_removing_in_turn_uses_one_place() {
    let (_feed, quiet) = source::<u32>();
    let mut merged = fan_in([quiet], FanIn::RoundRobin);
    for _ in 0..10_000 {
        let id = merged.add(source().1);
        assert!(merged.remove(id).is_some());
    }
    assert_eq!(merged.len(), 1);
    assert!(poll!(merged.next()).is_pending());
}

/// Wakes itself at every poll and never has anything.
struct Restless;

impl Stream for Restless {
    type Item = u32;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<u32>> {
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Seen to fail: a poll that goes on as long as an input wakes itself.
#[tokio::test(start_paused = true)]
async fn an_input_that_wakes_itself_starves_nobody() {
    let (feed, items) = source();
    let mut merged = fan_in([Restless.boxed(), items.boxed()], FanIn::AsReady);
    for item in 0..10 {
        feed.give(item);
        assert_eq!(soon(merged.next()).await, Some(item));
    }
    assert!(poll!(merged.next()).is_pending());
    settle().await;
}
