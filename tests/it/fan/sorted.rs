//! Sorted inputs as one: sorted, stable, whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flowgate::merge_sorted_by;
use futures::stream::FusedStream as _;
use futures::{StreamExt as _, poll, stream};

use super::source;
use crate::support::soon;

#[tokio::test(start_paused = true)]
async fn equal_items_come_in_the_order_of_the_inputs() {
    for inputs in 1..20_u32 {
        let streams = (0..inputs).map(|input| stream::iter((0..6).map(move |n| (n / 2, input))));
        let merged: Vec<_> = merge_sorted_by(streams, |a, b| a.0.cmp(&b.0)).collect().await;
        assert!(merged.is_sorted(), "{inputs} inputs: {merged:?}");
        assert_eq!(merged.len(), 6 * inputs as usize);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_yielded_before_each_input_has_shown_its_next() {
    let (feeds, inputs): (Vec<_>, Vec<_>) = (0..3).map(|_| source()).unzip();
    let mut merged = merge_sorted_by(inputs, u32::cmp);
    feeds[0].give(5);
    feeds[1].give(3);
    assert!(poll!(merged.next()).is_pending());
    feeds[2].give(4);
    assert_eq!(soon(merged.next()).await, Some(3));
    assert!(poll!(merged.next()).is_pending(), "the second may have another 3");
    let mut feeds = feeds.into_iter();
    let (_first, second) = (feeds.next(), feeds.next());
    drop(second);
    assert_eq!(soon(merged.next()).await, Some(4));
    assert!(!merged.is_terminated());
}

#[tokio::test(start_paused = true)]
async fn without_inputs_it_has_ended() {
    let mut merged = merge_sorted_by(Vec::<stream::Empty<u32>>::new(), u32::cmp);
    assert!(merged.is_terminated());
    assert_eq!((merged.next().await, merged.next().await), (None, None));
}

/// Seen to fail: a tree that is played anew for each item.
#[tokio::test(start_paused = true)]
async fn an_item_costs_the_logarithm_of_the_inputs() {
    let compared = Arc::new(AtomicUsize::new(0));
    let counter = compared.clone();
    let streams = (0..64_u64).map(|input| stream::iter((0..100).map(move |n| n * 64 + input)));
    let merged = merge_sorted_by(streams, move |a, b| {
        counter.fetch_add(1, Ordering::SeqCst);
        a.cmp(b)
    });
    assert!(merged.collect::<Vec<_>>().await.into_iter().eq(0..6_400));
    let compared = compared.load(Ordering::SeqCst);
    assert!(compared <= 6_400 * 6 + 64, "{compared} comparisons");
}
