//! The pacing against its rules, and in the hands of an owner that moves items.

use crate::config;
use crate::kernel::pacing::{BATCH, Pacing, SHORT, most_of};
use proptest::collection::vec;
use proptest::prelude::*;
use std::time::Duration;

const MICROSECOND: Duration = Duration::from_micros(1);

/// A clock that counts how often it is read.
#[derive(Debug, Default)]
struct Clock {
    now: Duration,
    readings: usize,
}

impl Clock {
    fn read(&mut self) -> Duration {
        self.readings += 1;
        self.now
    }
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Pass(Duration),
    Done,
    Waited,
    Held,
    Resume,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..=200_u32).prop_map(|micros| Op::Pass(MICROSECOND * micros)),
        6 => Just(Op::Done),
        1 => Just(Op::Waited),
        1 => Just(Op::Held),
        2 => Just(Op::Resume),
    ]
}

/// When the batch began that the last of `ops` ends, as their own words say: with the batch before, unless something else was between
/// them; with the end of that, if there was one; not at all after a wait, until one item was done.
fn began(ops: &[Op]) -> Option<Duration> {
    let (mut now, mut began, mut done, mut held) = (Duration::ZERO, None, 0, false);
    for op in ops {
        match op {
            Op::Pass(time) => now += *time,
            Op::Waited => (began, done, held) = (None, 0, false),
            Op::Held => (began, held) = (None, true),
            Op::Resume if held => (began, held) = (Some(now), false),
            Op::Resume => {}
            Op::Done => {
                done += 1;
                // A batch after a hold that nobody ended tells nothing; so does the first after a wait.
                if !held && (began.is_some() || done > 1) {
                    began = Some(now);
                }
            }
        }
    }
    began
}

proptest! {
    #![proptest_config(config())]

    /// Seen to fail: a batch that took long keeps its size; a hold after which the batch before it is still timed; the first item after a
    /// wait reads the clock.
    #[test]
    fn a_batch_grows_only_by_one_that_was_short(most in 1..200_usize, ops in vec(op(), 1..60)) {
        let mut clock = Clock::default();
        let mut pacing = Pacing::new(most);
        for (nth, op) in ops.iter().enumerate() {
            let (size, readings) = (pacing.size(), clock.readings);
            match op {
                Op::Pass(time) => clock.now += *time,
                Op::Done => pacing.done(|| clock.read()),
                Op::Waited => pacing.waited(),
                Op::Held => pacing.held(),
                Op::Resume => pacing.resume(|| clock.read()),
            }
            let before = began(&ops[..nth]);
            let expected = match (op, before) {
                (Op::Waited, _) => 1,
                (Op::Done, Some(began)) if clock.now - began > SHORT => 1,
                (Op::Done, Some(_)) => (size * 2).min(most),
                _ => size,
            };
            prop_assert_eq!(pacing.size(), expected);
            prop_assert!((1..=most).contains(&pacing.size()));
            let begins = matches!(op, Op::Done | Op::Resume) && began(&ops[..=nth]).is_some();
            let is_known = matches!(op, Op::Resume) && before.is_some();
            let reads = usize::from(most > 1 && begins && !is_known);
            prop_assert_eq!(clock.readings - readings, reads, "{:?}", op);
        }
    }

    /// What collects items, and is now and then held up: of items that take long, no more than one batch is made.
    ///
    /// Seen to fail: a batch that took long keeps its size; a hold after which no batch is timed.
    #[test]
    fn items_that_take_long_are_collected_once(
        places in 1..300_usize,
        items in vec((prop_oneof![4 => Just(1), 1 => Just(150)], 0..40_u8), 1..40),
    ) {
        let mut clock = Clock::default();
        let mut pacing = Pacing::new(most_of(places, 1));
        let mut collected = 0;
        let mut long_batches = 0;
        let runs = items.iter().flat_map(|(micros, others)| std::iter::repeat_n(*micros, 40).zip((0..40).map(move |nth| nth == *others)));
        let mut all_long = true;
        for (micros, is_held) in runs {
            if is_held {
                // There is no room for a while: what there is goes.
                (collected, all_long) = (0, true);
                pacing.held();
                clock.now += SHORT * 10;
                pacing.resume(|| clock.read());
            }
            clock.now += MICROSECOND * micros;
            collected += 1;
            all_long &= micros > 100;
            if !all_long {
                long_batches = 0;
            }
            if collected < pacing.size() {
                continue;
            }
            long_batches += usize::from(all_long && collected > 1);
            prop_assert!(long_batches <= 1, "{} more were collected", collected);
            (collected, all_long) = (0, true);
            pacing.done(|| clock.read());
        }
    }
}

#[test]
fn items_that_come_one_by_one_cost_no_reading_of_the_clock() {
    let mut clock = Clock::default();
    let mut pacing = Pacing::new(BATCH);
    for _ in 0..100 {
        pacing.waited();
        pacing.resume(|| clock.read());
        assert_eq!(pacing.size(), 1);
        pacing.done(|| clock.read());
    }
    assert_eq!(clock.readings, 0);
}

#[test]
fn items_without_a_wait_are_soon_collected_to_the_most() {
    let mut clock = Clock::default();
    let mut pacing = Pacing::new(BATCH);
    let mut sizes = Vec::new();
    for _ in 0..10 {
        sizes.push(pacing.size());
        clock.now += MICROSECOND;
        pacing.done(|| clock.read());
    }
    assert_eq!(sizes, [1, 1, 1, 2, 4, 8, 16, 32, 64, 64]);
    assert_eq!(clock.readings, 9, "all but the first");
}

#[test]
fn a_batch_leaves_half_of_the_places_to_whoever_reads() {
    assert_eq!([0, 1, 2, 3, 4, 9, 200].map(|places| most_of(places, 1)), [1, 1, 1, 1, 2, 4, BATCH]);
    assert_eq!([16, 256, usize::MAX].map(|places| most_of(places, 4)), [8, 128, 4 * BATCH]);
    assert_eq!(most_of(usize::MAX, usize::MAX), usize::MAX / 2);
}
