//! Pipelines of random stages against a sequential oracle: in order, what comes out is what a loop would have computed, up to
//! the first item for which a stage fails fast; the account and the dead letters are the loop's too. Delays pass in virtual time.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests stand outside the library: they sleep and lock as a user does"
)]

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flowgate::pipeline::{BoxStage, End, Report};
use flowgate::retry::{Jitter, RetryPolicy};
use flowgate::{Attempt, Batch, OnError, Par, Pipeline, PipelineError};
use futures::{Stream, StreamExt as _, stream};
use proptest::collection::vec;
use proptest::prelude::*;

/// One or two stages.
#[derive(Clone, Debug)]
enum Op {
    Add(u64),
    /// Drops multiples.
    Filter(u64),
    /// Makes as many of an item as it leaves over, none maybe.
    Repeat(u64),
    Work(Work),
    /// Batches, and their sums.
    Sums(usize),
    /// Batches, and their items again.
    Rebatch(usize),
    Buffer(usize),
}

/// A stage with workers.
#[derive(Clone, Copy, Debug)]
struct Work {
    at_once: usize,
    /// How much larger its window is.
    beyond: usize,
    ordered: bool,
    keyed: bool,
    /// The longest delay, in milliseconds.
    slow: u64,
    /// One item of so many fails; none, if this is 0.
    bad: u64,
    panics: bool,
    attempts: u32,
    last: Last,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Last {
    FailFast,
    Skip,
    DeadLetter,
}

fn mixed(n: u64, salt: u64) -> u64 {
    ((n + 1) ^ (salt << 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33
}

fn repeated(n: u64, m: u64) -> impl Iterator<Item = u64> {
    (0..n % m).map(move |i| (n * 5 + i) % 100_003)
}

impl Work {
    /// How many attempts at an item fail.
    fn failures(&self, n: u64) -> u32 {
        if self.bad > 0 && mixed(n, 1).is_multiple_of(self.bad) { 1 + (mixed(n, 2) % 3) as u32 } else { 0 }
    }

    fn fails(&self, n: u64) -> bool {
        self.failures(n) >= self.attempts
    }

    fn par(&self) -> Par {
        let par = if self.ordered { Par::ordered(self.at_once) } else { Par::unordered(self.at_once) };
        par.window(self.at_once + self.beyond)
    }

    async fn attempt(self, attempt: Attempt<u64>) -> Result<u64, String> {
        let n = *attempt;
        let delay = mixed(n, 3 + u64::from(attempt.attempt())) % (self.slow + 1);
        if delay > 0 {
            tokio::time::sleep(Duration::from_millis(delay)).await;
        }
        match attempt.attempt() <= self.failures(n) {
            true if self.panics => std::panic::panic_any(n),
            true => Err(format!("{n} is bad")),
            false => Ok(n + 1),
        }
    }

    fn on_error(&self, letters: &Letters) -> OnError<u64, String> {
        let last = match self.last {
            Last::FailFast => OnError::fail_fast(),
            Last::Skip => OnError::skip(),
            Last::DeadLetter => {
                let letters = letters.clone();
                OnError::dead_letter_fn(move |letter| {
                    let stage = letter.stage.to_string();
                    let item = letter.into_item().expect("it is the item as it was");
                    letters.lock().expect("no panic").push((stage, item));
                })
            }
        };
        if self.attempts == 1 {
            return last;
        }
        let policy =
            RetryPolicy::fixed(Duration::from_millis(7)).jitter(Jitter::None).max_attempts(self.attempts).no_budget();
        OnError::retry(policy).then(last)
    }
}

type Letters = Arc<Mutex<Vec<(String, u64)>>>;
type Boxed = Pipeline<u64, BoxStage<u64, u64>>;

fn build(ops: &[Op], letters: &Letters) -> Boxed {
    ops.iter().enumerate().fold(Pipeline::new().boxed(), |pipeline, (at, op)| match op.clone() {
        Op::Add(k) => pipeline.map(move |n| n + k).boxed(),
        Op::Filter(m) => pipeline.filter(move |n| n % m != 0).boxed(),
        Op::Repeat(m) => pipeline.flat_map(move |n| repeated(n, m)).boxed(),
        Op::Work(work) if work.keyed => pipeline
            .try_map_keyed(work.par(), |n| n % 3, move |attempt| work.attempt(attempt))
            .on_error(work.on_error(letters))
            .named(format!("work {at}"))
            .boxed(),
        Op::Work(work) => pipeline
            .try_map_async(work.par(), move |attempt| work.attempt(attempt))
            .on_error(work.on_error(letters))
            .named(format!("work {at}"))
            .boxed(),
        Op::Sums(items) => pipeline.batch(Batch::of(items)).map(|batch| batch.iter().sum::<u64>()).boxed(),
        Op::Rebatch(items) => pipeline.batch(Batch::of(items)).unbatch().boxed(),
        Op::Buffer(items) => pipeline.buffer(items).boxed(),
    })
}

/// What became of a source item, from the best to the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Filtered,
    Settled,
    Dead,
    Failed,
}

/// What a loop makes of it.
#[derive(Debug)]
struct Expected {
    out: Vec<u64>,
    /// Settled, filtered, failed, dead.
    fates: [usize; 4],
    letters: Vec<(String, u64)>,
    /// The stages that fail, each for an item that the ones before it let through.
    failing: Vec<String>,
}

/// An item, and the source items that it was made of.
type Made = (u64, Vec<usize>);

fn sequential(ops: &[Op], items: &[u64]) -> Expected {
    let mut fates = vec![Fate::Filtered; items.len()];
    let (mut letters, mut failing) = (Vec::new(), Vec::new());
    let mut made: Vec<Made> = items.iter().enumerate().map(|(at, n)| (*n, vec![at])).collect();
    let mut note = |of: &[usize], fate: Fate| of.iter().for_each(|at| fates[*at] = fates[*at].max(fate));
    for (at, op) in ops.iter().enumerate() {
        let name = format!("work {at}");
        let before = std::mem::take(&mut made);
        match op {
            Op::Add(k) => made = before.into_iter().map(|(n, of)| (n + k, of)).collect(),
            Op::Filter(m) => made = before.into_iter().filter(|(n, _)| n % m != 0).collect(),
            Op::Repeat(m) => {
                made = before.into_iter().flat_map(|(n, of)| repeated(n, *m).map(move |n| (n, of.clone()))).collect();
            }
            Op::Buffer(_) => made = before,
            Op::Sums(size) | Op::Rebatch(size) => {
                for batch in before.chunks(*size) {
                    let of: Vec<_> = batch.iter().flat_map(|(_, of)| of.clone()).collect();
                    let values = batch.iter().map(|(n, _)| *n);
                    match op {
                        Op::Sums(_) => made.push((values.sum(), of)),
                        _ => made.extend(values.map(|n| (n, of.clone()))),
                    }
                }
            }
            Op::Work(work) => {
                for (n, of) in before {
                    match work.last {
                        _ if !work.fails(n) => made.push((n + 1, of)),
                        Last::Skip => note(&of, Fate::Failed),
                        Last::DeadLetter => {
                            note(&of, Fate::Dead);
                            letters.push((name.clone(), n));
                        }
                        Last::FailFast => {
                            failing.push(name);
                            break;
                        }
                    }
                }
            }
        }
    }
    made.iter().for_each(|(_, of)| note(of, Fate::Settled));
    let count = |fate| fates.iter().filter(|known| **known == fate).count();
    let fates = [Fate::Settled, Fate::Filtered, Fate::Failed, Fate::Dead].map(count);
    Expected { out: made.into_iter().map(|(n, _)| n).collect(), fates, letters, failing }
}

fn work() -> impl Strategy<Value = Work> {
    let last = prop_oneof![2 => Just(Last::FailFast), 3 => Just(Last::Skip), 3 => Just(Last::DeadLetter)];
    let size = (1..6_usize, 0..9_usize);
    (size, any::<bool>(), 0..20_u64, prop_oneof![Just(0), 2..30_u64], any::<bool>(), 1..4_u32, last).prop_map(
        |((at_once, beyond), keyed, slow, bad, panics, attempts, last)| {
            // A panic is not tried again.
            Work { at_once, beyond, ordered: true, keyed, slow, bad, panics: panics && attempts == 1, attempts, last }
        },
    )
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        1 => (0..9_u64).prop_map(Op::Add),
        2 => (2..5_u64).prop_map(Op::Filter),
        2 => (2..4_u64).prop_map(Op::Repeat),
        5 => work().prop_map(Op::Work),
        1 => (1..6_usize).prop_map(Op::Sums),
        1 => (1..6_usize).prop_map(Op::Rebatch),
        2 => (1..5_usize).prop_map(Op::Buffer),
    ]
}

/// How it is run.
#[derive(Clone, Debug)]
struct Mode {
    /// In the place of `run`: `apply`.
    applied: bool,
    /// The bound over the whole; at least as much as any batch.
    bound: Option<usize>,
    output: usize,
    /// Delays before items of the source and between reads.
    source: u64,
    reader: u64,
}

fn mode() -> impl Strategy<Value = Mode> {
    (any::<bool>(), proptest::option::of(6..14_usize), 1..9_usize, 0..4_u64, 0..4_u64)
        .prop_map(|(applied, bound, output, source, reader)| Mode { applied, bound, output, source, reader })
}

fn config(cases: u32) -> ProptestConfig {
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => ProptestConfig::default(),
        None => ProptestConfig::with_cases(cases),
    }
}

/// Runs a scenario in virtual time; panics of items print nothing.
fn in_virtual_time<F: Future>(scenario: F) -> F::Output {
    std::panic::set_hook(Box::new(|info| {
        if info.payload().downcast_ref::<u64>().is_none() {
            eprintln!("{info}");
        }
    }));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let year = Duration::from_secs(86_400 * 365);
    runtime.expect("a runtime").block_on(async { tokio::time::timeout(year, scenario).await.expect("it hangs") })
}

async fn pause(n: u64, longest: u64) {
    let delay = mixed(n, 77) % (longest + 1);
    if delay > 0 {
        tokio::time::sleep(Duration::from_millis(delay)).await;
    }
}

fn source(items: &[u64], longest: u64) -> impl Stream<Item = u64> + Send + 'static {
    stream::iter(items.to_vec()).then(move |n| async move {
        pause(n, longest).await;
        n
    })
}

/// What came out, and how it ended.
async fn outcome(pipeline: Boxed, items: &[u64], mode: &Mode) -> (Vec<u64>, Result<Report, PipelineError>) {
    let source = source(items, mode.source);
    let mut out = Vec::new();
    if mode.applied {
        let mut applied = Box::pin(pipeline.apply(source).expect("it can be run"));
        while let Some(item) = applied.next().await {
            match item {
                Ok(item) => out.push(item),
                Err(error) => return (out, Err(error)),
            }
            pause(out.len() as u64, mode.reader).await;
        }
        return (out, Ok(applied.report()));
    }
    let mut running = pipeline.run(source).expect("it can be run");
    while let Some(item) = running.next().await {
        out.push(item);
        looks_right(&running.report());
        pause(out.len() as u64, mode.reader).await;
    }
    (out, running.join().await)
}

/// What holds at every look.
fn looks_right(report: &Report) {
    let known = report.settled + report.filtered + report.failed + report.dead + report.cancelled + report.requeued;
    assert!(report.taken >= known && report.in_flight == report.taken - known, "{report}");
}

fn bounded(pipeline: Boxed, mode: &Mode) -> Boxed {
    let pipeline = pipeline.output_buffer(mode.output);
    match mode.bound {
        Some(items) => Pipeline::new().then(pipeline).boxed().max_in_flight(items),
        None => pipeline,
    }
}

/// A bound decides which items are in a batch: their sums are not a loop's.
fn without_sums(ops: Vec<Op>) -> Vec<Op> {
    ops.into_iter().map(|op| if let Op::Sums(items) = op { Op::Rebatch(items) } else { op }).collect()
}

proptest! {
    #![proptest_config(config(2_000))]

    /// The very sequence; with fail-fast, exactly the prefix before the faulty item.
    // Seen to fail: with what is left of a failed stage handed on instead of dropped.
    #[test]
    fn ordered_par_equals_sequential(ops in vec(op(), 0..6), items in vec(0..1_000_u64, 0..40), mode in mode()) {
        let ops = if mode.bound.is_some() { without_sums(ops) } else { ops };
        let expected = sequential(&ops, &items);
        let letters = Letters::default();
        let (out, ended) = in_virtual_time(outcome(bounded(build(&ops, &letters), &mode), &items, &mode));
        prop_assert_eq!(&out, &expected.out);
        let mut letters = std::mem::take(&mut *letters.lock().expect("no panic"));
        match ended {
            Ok(report) => {
                prop_assert!(expected.failing.is_empty(), "{report}: {:?} should fail", expected.failing);
                prop_assert!(report.is_balanced() && report.end == End::Completed, "{report}");
                prop_assert_eq!(report.taken, items.len() as u64);
                let fates = [report.settled, report.filtered, report.failed, report.dead].map(|n| n as usize);
                // Which items shared a batch is known only without a bound.
                if mode.bound.is_none() || !ops.iter().any(|op| matches!(op, Op::Rebatch(_))) {
                    prop_assert_eq!(fates, expected.fates, "{}", report);
                }
                letters.sort_by(|a, b| a.0.cmp(&b.0));
                prop_assert_eq!(letters, expected.letters, "of each stage in order");
            }
            Err(error) => {
                prop_assert!(expected.failing.iter().any(|stage| stage == error.stage()), "{error}");
                prop_assert!(error.report().is_balanced() && error.report().failed > 0, "{error}");
            }
        }
    }
}

proptest! {
    #![proptest_config(config(500))]

    /// Without order it is the same items, and those of a key are still in order.
    #[test]
    fn unordered_par_is_a_permutation(
        mut work in work(), items in vec(0..1_000_u64, 0..40), mode in mode(), extra in vec(op(), 0..2),
    ) {
        (work.ordered, work.last) = (false, if work.last == Last::FailFast { Last::Skip } else { work.last });
        let fused = extra.into_iter().filter(|op| matches!(op, Op::Filter(_) | Op::Repeat(_) | Op::Buffer(_)));
        let ops: Vec<_> = fused.chain([Op::Work(work)]).collect();
        let expected = sequential(&ops, &items);
        let letters = Letters::default();
        let (mut out, ended) = in_virtual_time(outcome(bounded(build(&ops, &letters), &mode), &items, &mode));
        let of_key = |items: &[u64], key: u64| items.iter().copied().filter(|n| (n - 1) % 3 == key).collect::<Vec<_>>();
        for key in 0..3 {
            let (got, wanted) = (of_key(&out, key), of_key(&expected.out, key));
            prop_assert!(!work.keyed || got == wanted, "key {key}: {got:?} for {wanted:?}");
        }
        let mut sorted = expected.out.clone();
        out.sort_unstable();
        sorted.sort_unstable();
        prop_assert_eq!(out, sorted);
        let report = ended.expect("nothing fails fast");
        let fates = [report.settled, report.filtered, report.failed, report.dead].map(|n| n as usize);
        prop_assert_eq!(fates, expected.fates, "{}", report);
    }

    /// Cut anywhere, by whatever means: what was read is a prefix, and the account balances.
    #[test]
    fn however_it_is_cut_it_balances(
        ops in vec(op(), 0..6), items in vec(0..1_000_u64, 0..60), mode in mode(), read in 0..30_usize, how in 0..4_u8,
        patience in 0..200_u64,
    ) {
        let ops = without_sums(ops);
        let expected = sequential(&ops, &items);
        let pipeline = bounded(build(&ops, &Letters::default()), &mode);
        let (out, ended) = in_virtual_time(async {
            let source = source(&items, mode.source);
            let limit = if how == 3 { read as u64 } else { u64::MAX };
            let mut running = pipeline.take(limit).run(source).expect("it can be run");
            let out: Vec<_> = running.by_ref().take(read).collect().await;
            looks_right(&running.report());
            tokio::time::sleep(Duration::from_millis(patience)).await;
            looks_right(&running.report());
            let ended = match how {
                0 => {
                    running.cancel();
                    running.join().await
                }
                1 => running.drain(Duration::from_millis(patience)).await,
                _ => running.join().await,
            };
            (out, ended)
        });
        prop_assert_eq!(&out[..], &expected.out[..out.len().min(expected.out.len())]);
        let report = ended.unwrap_or_else(|error| error.report().clone());
        prop_assert!(report.is_balanced(), "{report}");
        prop_assert_eq!(report.requeued, 0, "{}", report);
        prop_assert_eq!(report.unresponsive, 0);
    }
}
