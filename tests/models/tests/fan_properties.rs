//! The fans against oracles that are too simple to be wrong: queues, sorting, and who has seen what.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::task::Poll;

use flowgate::fan::Ended;
use flowgate::{Branch, FanIn, Leg, OnLag, broadcast, fan_in, fan_out, merge_sorted_by, partition_by};
use futures::{StreamExt as _, poll, stream};
use proptest::collection::vec;
use proptest::prelude::*;

/// 2,000 cases; `PROPTEST_CASES` asks for more.
fn config() -> ProptestConfig {
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => ProptestConfig::default(),
        None => ProptestConfig::with_cases(2_000),
    }
}

fn run(case: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be built");
    runtime.block_on(case);
    assert_eq!(runtime.metrics().num_alive_tasks(), 0, "a task is left");
}

/// Lets the task of a fan go on until it waits.
async fn settle() {
    for _ in 0..8 {
        tokio::task::yield_now().await;
    }
}

/// What the readers of competing branches do.
#[derive(Clone, Copy, Debug)]
enum Step {
    Read(usize, usize),
    Drop(usize),
    Settle,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (any::<usize>(), 1..9_usize).prop_map(|(branch, items)| Step::Read(branch, items)),
        1 => any::<usize>().prop_map(Step::Drop),
        4 => Just(Step::Settle),
    ]
}

#[derive(Clone, Copy, Debug)]
enum Show {
    Give(u32),
    Read(usize, usize),
}

fn show() -> impl Strategy<Value = Show> {
    prop_oneof![
        (1..7_u32).prop_map(Show::Give),
        (any::<usize>(), 1..7_usize).prop_map(|(leg, items)| Show::Read(leg, items)),
    ]
}

/// A best-effort leg as a queue.
#[derive(Debug)]
struct Queue {
    places: usize,
    on_lag: OnLag,
    items: VecDeque<u32>,
    lost: u64,
    cut: bool,
}

impl Queue {
    fn give(&mut self, item: u32) {
        if self.cut {
            return;
        }
        if self.items.len() < self.places {
            self.items.push_back(item);
            return;
        }
        self.lost += 1;
        match self.on_lag {
            OnLag::DropOldest => {
                self.items.pop_front();
                self.items.push_back(item);
            }
            OnLag::DropNewest => {}
            OnLag::Disconnect => self.cut = true,
        }
    }
}

async fn compete(items: u32, n: usize, buf: usize, steps: Vec<Step>) {
    let mut branches: Vec<Option<Branch<u32>>> =
        fan_out(stream::iter(0..items), n, buf).expect("valid numbers").into_iter().map(Some).collect();
    let mut seen = vec![Vec::new(); n];
    // Whether a branch was dropped, and whether one was after another had seen the end.
    let (mut dropped, mut ended, mut late) = (false, false, false);
    for step in steps {
        match step {
            Step::Read(nth, items) => {
                if let Some(branch) = &mut branches[nth % n] {
                    for _ in 0..items {
                        match poll!(branch.next()) {
                            Poll::Ready(Some(item)) => seen[nth % n].push(item),
                            Poll::Ready(None) => ended = true,
                            Poll::Pending => {}
                        }
                    }
                }
            }
            Step::Drop(nth) => {
                // One stays, to read what the others leave.
                if branches.iter().flatten().count() > 1 {
                    let drops = branches[nth % n].take().is_some();
                    dropped |= drops;
                    late |= drops && ended;
                }
            }
            Step::Settle => settle().await,
        }
    }
    for (nth, branch) in branches.into_iter().enumerate() {
        if let Some(branch) = branch {
            seen[nth].extend(branch.collect::<Vec<_>>().await);
        }
    }
    assert!(dropped || seen.iter().all(|of_one| of_one.is_sorted()), "each a subsequence");
    let mut all = seen.concat();
    all.sort_unstable();
    assert!(all.windows(2).all(|pair| pair[0] < pair[1]), "an item came twice");
    assert!(late || all.into_iter().eq(0..items), "an item is missing");
}

async fn lag(places: Vec<(usize, OnLag)>, shows: Vec<Show>) {
    let (feed, source) = futures::channel::mpsc::unbounded();
    let legs = places.iter().map(|(places, on_lag)| Leg::best_effort(*places, *on_lag));
    let mut branches = broadcast(source, legs).expect("valid numbers");
    let mut queues: Vec<_> = places
        .iter()
        .map(|(places, on_lag)| Queue { places: *places, on_lag: *on_lag, items: VecDeque::new(), lost: 0, cut: false })
        .collect();
    let mut next = 0;
    for show in shows {
        match show {
            Show::Give(items) => {
                for item in next..next + items {
                    feed.unbounded_send(item).expect("the source is open");
                    queues.iter_mut().for_each(|queue| queue.give(item));
                }
                next += items;
                settle().await;
                if queues.iter().all(|queue| queue.cut) {
                    break;
                }
            }
            Show::Read(nth, items) => {
                let nth = nth % queues.len();
                for _ in 0..items {
                    let read = poll!(branches[nth].next());
                    let expected = queues[nth].items.pop_front();
                    let pending = expected.is_none() && !queues[nth].cut;
                    assert_eq!(read, if pending { Poll::Pending } else { Poll::Ready(expected) });
                }
            }
        }
    }
    drop(feed);
    for (branch, queue) in branches.iter_mut().zip(&queues) {
        assert!(branch.by_ref().collect::<Vec<_>>().await.into_iter().eq(queue.items.iter().copied()));
        assert_eq!(branch.lagged(), queue.lost);
        assert_eq!(branch.ended(), Some(if queue.cut { Ended::Lagged } else { Ended::Complete }));
    }
    settle().await;
}

proptest! {
    #![proptest_config(config())]

    /// Seen to fail: a branch that is dropped with what it has taken.
    #[test]
    fn each_item_goes_to_one_of_the_branches(
        items in 0..200_u32,
        n in 1..5_usize,
        buf in 1..9_usize,
        steps in vec(step(), 0..40),
    ) {
        run(compete(items, n, buf, steps));
    }

    /// Seen to fail: a flush that learns of no room when it has nothing to hand over.
    #[test]
    fn a_best_effort_leg_is_a_queue(
        legs in vec((1..6_usize, prop_oneof![
            Just(OnLag::DropOldest), Just(OnLag::DropNewest), Just(OnLag::Disconnect)
        ]), 1..4),
        shows in vec(show(), 0..40),
    ) {
        run(lag(legs, shows));
    }

    #[test]
    fn required_legs_see_everything(
        items in 0..100_u32,
        places in vec(1..9_usize, 1..4),
        lagging in 0..3_usize,
    ) {
        run(async move {
            let required = places.len();
            let legs = places.into_iter().map(Leg::required);
            let legs = legs.chain(std::iter::repeat_n(Leg::best_effort(2, OnLag::DropOldest), lagging));
            let branches = broadcast(stream::iter(0..items), legs).expect("valid numbers");
            let seen = futures::future::join_all(branches.into_iter().map(|branch| branch.collect::<Vec<_>>())).await;
            for (nth, of_one) in seen.into_iter().enumerate() {
                assert!(of_one.is_sorted());
                assert!(nth >= required || of_one.into_iter().eq(0..items));
            }
        });
    }

    #[test]
    fn equal_keys_share_a_branch(keys in vec(0..20_u8, 0..100), n in 1..6_usize, buf in 1..5_usize) {
        run(async move {
            let items: Vec<_> = keys.into_iter().enumerate().collect();
            let branches = partition_by(stream::iter(items.clone()), n, buf, |(_, key)| *key).expect("valid numbers");
            let seen = futures::future::join_all(branches.into_iter().map(|branch| branch.collect::<Vec<_>>())).await;
            let mut home = BTreeMap::new();
            for (nth, of_one) in seen.iter().enumerate() {
                assert!(of_one.is_sorted());
                assert!(of_one.iter().all(|(_, key)| *home.entry(*key).or_insert(nth) == nth));
            }
            let mut all = seen.concat();
            all.sort_unstable();
            assert_eq!(all, items);
        });
    }

    /// Inputs that always have something, until they end: one of each in turn.
    #[test]
    fn round_robin_takes_one_of_each_in_turn(lengths in vec(0..20_usize, 0..8)) {
        let inputs = lengths.iter().enumerate().map(|(input, length)| stream::iter((0..*length).map(move |n| (n, input))));
        let mut expected: Vec<_> =
            lengths.iter().enumerate().flat_map(|(input, length)| (0..*length).map(move |n| (n, input))).collect();
        expected.sort_unstable();
        run(async move {
            assert_eq!(fan_in(inputs, FanIn::RoundRobin).collect::<Vec<_>>().await, expected);
        });
    }

    /// Inputs that have something now and then.
    #[test]
    fn merging_keeps_each_input_whole(
        gaps in vec(vec(any::<bool>(), 0..30), 0..6),
        in_turn in any::<bool>(),
    ) {
        run(async move {
            let inputs = gaps.iter().cloned().enumerate().map(|(input, gaps)| {
                stream::iter(gaps.into_iter().enumerate())
                    .then(move |(n, gap)| async move {
                        if gap {
                            tokio::task::yield_now().await;
                        }
                        (input, n)
                    })
                    .boxed()
            });
            let order = if in_turn { FanIn::RoundRobin } else { FanIn::AsReady };
            let mut next = vec![0; gaps.len()];
            for (input, n) in fan_in(inputs, order).collect::<Vec<_>>().await {
                assert_eq!(n, next[input]);
                next[input] += 1;
            }
            assert!(next.into_iter().eq(gaps.iter().map(Vec::len)));
        });
    }

    /// The merge of sorted inputs is the stable sort of all.
    #[test]
    fn a_sorted_merge_is_a_stable_sort(inputs in vec(vec((0..30_u8, any::<bool>()), 0..20), 0..9)) {
        let mut inputs = inputs;
        inputs.iter_mut().for_each(|items| items.sort_by_key(|(key, _)| *key));
        let mut expected: Vec<_> = inputs.iter().enumerate().flat_map(|(input, items)| {
            items.iter().map(move |(key, _)| (*key, input))
        }).collect();
        expected.sort_by_key(|(key, _)| *key);
        run(async move {
            let streams = inputs.into_iter().enumerate().map(|(input, items)| {
                stream::iter(items).then(move |(key, gap)| async move {
                    if gap {
                        tokio::task::yield_now().await;
                    }
                    (key, input)
                }).boxed()
            });
            let merged = merge_sorted_by(streams, |a: &(u8, usize), b| a.0.cmp(&b.0));
            assert_eq!(merged.collect::<Vec<_>>().await, expected);
        });
    }
}
