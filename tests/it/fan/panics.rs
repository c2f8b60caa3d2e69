//! User code that panics: in a source, a key, a clone, a comparison, a drop, a waker.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use flowgate::fan::Ended;
use flowgate::{Branch, FanIn, Leg, broadcast, fan_in, fan_out, merge_sorted_by, partition_by};
use futures::{FutureExt as _, Stream, StreamExt as _, poll, stream};

use super::source;
use crate::support::wakers::Call;
use crate::support::{alive_tasks, on_both_runtimes, settle, soon, until};

/// What a poll for the next item panics with, or yields.
async fn next<S: Stream + Unpin>(stream: &mut S) -> Result<Option<S::Item>, Box<dyn Any + Send>> {
    AssertUnwindSafe(stream.next()).catch_unwind().await
}

/// The items before the panic, and its payload.
async fn until_panic<S: Stream + Unpin>(stream: &mut S) -> (Vec<S::Item>, Box<dyn Any + Send>) {
    let mut items = Vec::new();
    loop {
        match next(stream).await {
            Ok(Some(item)) => items.push(item),
            Ok(None) => panic!("it ended instead"),
            Err(payload) => return (items, payload),
        }
    }
}

fn failing(items: u32) -> impl Stream<Item = u32> + Send {
    stream::iter(0..=items).map(move |item| if item < items { item } else { panic_any(41_u8) })
}

/// Reads all branches to the panic, and to the end behind it; the items of all.
async fn read_all(branches: Vec<Branch<u32>>) -> Vec<u32> {
    let mut payloads = 0;
    let mut texts = 0;
    let (mut seen, count) = (Vec::new(), branches.len());
    for mut branch in branches {
        let (items, payload) = until_panic(&mut branch).await;
        payloads += usize::from(payload.downcast_ref::<u8>() == Some(&41));
        texts += usize::from(payload.downcast_ref::<String>().is_some_and(|text| text.contains("has panicked")));
        assert_eq!(branch.ended(), Some(Ended::Panicked));
        assert!(matches!(next(&mut branch).await, Ok(None)), "once");
        seen.extend(items);
    }
    assert_eq!((payloads, texts), (1, count - 1), "the payload for one, its message for the others");
    seen
}

on_both_runtimes! {
    /// Seen to fail: a pump whose panic ends the branches as if the source had ended.
    async fn a_panic_of_the_source_goes_on_in_every_branch() {
        let mut seen = read_all(fan_out(failing(20), 3, 20).unwrap()).await;
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..20), "what was yielded before comes first");
        let seen = read_all(broadcast(failing(3), [Leg::required(4), Leg::required(4)]).unwrap()).await;
        assert_eq!(seen, [0, 1, 2, 0, 1, 2]);
        until("no task is left", || alive_tasks() == 0).await;
    }

    async fn panic_in_key_fn() {
        let key = |item: &u32| if *item < 20 { *item } else { panic_any(41_u8) };
        let mut seen = read_all(partition_by(stream::iter(0..30), 3, 30, key).unwrap()).await;
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..20));
    }

    /// Seen to fail: clones that are handed over one by one, so that some legs have an item that others lack.
    async fn a_panic_of_a_clone_gives_the_item_to_nobody() {
        let legs = [Leg::required(9), Leg::required(9), Leg::required(9)];
        let branches = broadcast(stream::iter((0..5).map(Brittle)), legs).unwrap();
        for mut branch in branches {
            let (items, _) = until_panic(&mut branch).await;
            assert_eq!(items.into_iter().map(|item| item.0).collect::<Vec<_>>(), [0, 1, 2]);
        }
    }
}

/// The fourth cannot be cloned for the second leg.
struct Brittle(u32);

impl Clone for Brittle {
    fn clone(&self) -> Self {
        thread_local!(static CLONES: std::cell::Cell<u32> = const { std::cell::Cell::new(0) });
        if self.0 == 3 && CLONES.replace(CLONES.get() + 1) % 2 == 1 {
            panic!("brittle");
        }
        Self(self.0)
    }
}

#[tokio::test(start_paused = true)]
async fn an_input_that_panics_is_dropped_and_the_others_go_on() {
    for order in [FanIn::AsReady, FanIn::RoundRobin] {
        let inputs = [failing(2).boxed(), stream::iter(100..103).boxed(), failing(0).boxed()];
        let mut merged = fan_in(inputs, order);
        let (mut seen, mut panics) = (Vec::new(), 0);
        loop {
            match soon(next(&mut merged)).await {
                Ok(Some(item)) => seen.push(item),
                Ok(None) => break,
                Err(payload) => {
                    assert_eq!(payload.downcast_ref::<u8>(), Some(&41));
                    panics += 1;
                }
            }
        }
        seen.sort_unstable();
        assert_eq!((seen, panics), (vec![0, 1, 100, 101, 102], 2));
    }
}

#[tokio::test(start_paused = true)]
async fn a_comparison_or_an_input_that_panics_ends_the_merge() {
    let inputs = || [stream::iter([1, 4, 6]), stream::iter([2, 3, 5])];
    let mut merged = merge_sorted_by(inputs(), |a: &u32, b| if *a + *b > 6 { panic_any(41_u8) } else { a.cmp(b) });
    let (items, payload) = until_panic(&mut merged).await;
    assert_eq!((items, payload.downcast_ref::<u8>()), (vec![1, 2], Some(&41)));
    assert!(matches!(next(&mut merged).await, Ok(None)));
    let mut merged = merge_sorted_by([failing(2).boxed(), stream::iter([0, 9]).boxed()], u32::cmp);
    let (items, _) = until_panic(&mut merged).await;
    assert_eq!(items, [0, 0, 1]);
    assert!(matches!(next(&mut merged).await, Ok(None)));
}

/// A value whose drop panics, except on a thread that unwinds.
struct Spiteful;

impl Drop for Spiteful {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("spiteful");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn panic_in_drop() {
    let (feed, items) = source();
    (0..3).for_each(|_| feed.give(Spiteful));
    let branches = fan_out(items, 1, 2).unwrap();
    settle().await;
    assert!(catch_unwind(AssertUnwindSafe(|| drop(branches))).is_ok(), "a drop of a branch does not panic");
    until("the source is dropped", || !feed.is_alive()).await;
    until("no task is left", || alive_tasks() == 0).await;
}

/// A waker that panics takes neither the item nor the pump with it.
#[tokio::test(start_paused = true)]
async fn panic_in_waker() {
    let (feed, items) = source();
    let mut branch = fan_out(items, 1, 4).unwrap().pop().unwrap();
    let waker: Waker = Call::waker(|| panic!("not now"));
    assert!(Pin::new(&mut branch).poll_next(&mut Context::from_waker(&waker)).is_pending());
    feed.give(1);
    settle().await;
    feed.give(2);
    assert_eq!(soon(branch.next()).await, Some(1));
    assert_eq!(soon(branch.next()).await, Some(2));
}

/// A waker that drops the very branch that it is of.
#[tokio::test(start_paused = true)]
async fn a_waker_may_drop_its_branch() {
    let (feed, items) = source();
    let branch = std::sync::Arc::new(std::sync::Mutex::new(fan_out(items, 1, 4).unwrap().pop()));
    let own = branch.clone();
    let waker = Call::waker(move || drop(own.lock().unwrap().take()));
    let polled = branch.lock().unwrap().as_mut().map(|own| own.poll_next_unpin(&mut Context::from_waker(&waker)));
    assert!(matches!(polled, Some(Poll::Pending)));
    feed.give(1);
    until("the source is dropped", || !feed.is_alive()).await;
    assert!(poll!(std::future::ready(())).is_ready());
}
