//! What is refused, and with which words.

use flowgate::{FanIn, InvalidFan, Leg, OnLag, broadcast, fan_in, fan_out, merge_sorted_by, partition_by};
use futures::{StreamExt as _, stream};

fn words(refused: Result<Vec<flowgate::Branch<u32>>, InvalidFan>) -> String {
    refused.expect_err("it cannot be").to_string()
}

#[tokio::test(start_paused = true)]
async fn zero_is_refused_at_the_call() {
    let items = || stream::iter(0..3_u32);
    assert_eq!(words(fan_out(items(), 0, 1)), "fan option `n` is 0; allowed: 1 to 65536");
    assert_eq!(words(fan_out(items(), 1, 0)), "fan option `buf` is 0; allowed: 1 to 2147483648");
    assert_eq!(words(partition_by(items(), 0, 1, |n| *n)), "fan option `n` is 0; allowed: 1 to 65536");
    assert_eq!(words(partition_by(items(), 1, 0, |n| *n)), "fan option `buf` is 0; allowed: 1 to 2147483648");
    assert_eq!(words(broadcast(items(), [])), "fan option `legs` is 0; allowed: 1 to 65536");
    for leg in [Leg::required(0), Leg::best_effort(0, OnLag::DropOldest)] {
        let legs = [Leg::required(1), leg];
        assert_eq!(words(broadcast(items(), legs)), "fan option `places` is 0; allowed: 1 to 2147483648");
    }
}

#[tokio::test(start_paused = true)]
async fn numbers_out_of_proportion_are_refused() {
    let refused = fan_out(stream::iter(0..3), usize::MAX, 1).unwrap_err();
    assert!(matches!(refused, InvalidFan::Option { option: "n", value: usize::MAX, .. }));
    assert!(fan_out(stream::iter(0..3), 1, usize::MAX).is_err());
    let large = fan_out(stream::iter(0..3), 65_536, 1 << 31).unwrap();
    assert_eq!(large.len(), 65_536, "places cost nothing before they are used");
}

#[test]
fn without_a_runtime_a_task_is_refused_and_the_stream_dropped() {
    let (feed, source) = super::source::<u32>();
    assert_eq!(fan_out(source, 1, 1).unwrap_err(), InvalidFan::NoRuntime);
    assert!(!feed.is_alive());
    assert_eq!(words(broadcast(stream::iter([1]), [Leg::required(1)])), InvalidFan::NoRuntime.to_string());
    assert_eq!(words(partition_by(stream::iter([1]), 1, 1, |n| *n)), InvalidFan::NoRuntime.to_string());
}

/// What polls in place needs no runtime.
#[test]
fn merging_needs_no_runtime() {
    let merged: Vec<u32> = futures::executor::block_on(fan_in([stream::iter(0..3)], FanIn::AsReady).collect());
    assert_eq!(merged, [0, 1, 2]);
    let sorted = merge_sorted_by([stream::iter([1, 3]), stream::iter([2, 4])], |a: &u32, b| a.cmp(b));
    assert_eq!(futures::executor::block_on(sorted.collect::<Vec<_>>()), [1, 2, 3, 4]);
}
