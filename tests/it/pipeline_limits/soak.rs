//! The pipeline's fault soak: run after run under delays, errors, panics, slow consumers and ends at random instants.
//!
//! `FLOWGATE_SOAK_ITEMS` sets the number of items, `FLOWGATE_SOAK_SEED` repeats a run. Every account must balance, every
//! ticket be settled, every item dropped, and tasks and memory end where they were.

use std::time::Instant;

use flowgate::pipeline::{BoxStage, End, PipelineError};
use flowgate::{Attempt, Batch, OnError, Par, Pipeline, RetryPolicy};
use futures::{StreamExt as _, stream};
use tokio::runtime::Runtime;

use super::super::support::{Counted, ms, one_thread, promptly, resident, threads, until};
use super::*;

const ROUND: u64 = 20_000;

type Stages = Pipeline<Counted, BoxStage<Counted, Counted>>;

/// What an item does is drawn from its number.
fn chance(id: u64, of: u64) -> u64 {
    id.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29) % of
}

/// 1 % panics, 5 % errors, and now and then an await.
async fn work(item: Attempt<Counted>) -> Result<Counted, &'static str> {
    match chance(item.id, 2_000) {
        // Not `panic!`: the panic hook would print thousands of messages.
        0..20 => std::panic::resume_unwind(Box::new("planned")),
        20..120 => return Err("planned"),
        120..122 => tokio::time::sleep(ms(1)).await,
        122..500 => tokio::task::yield_now().await,
        _ => {}
    }
    Ok(item.into_inner())
}

fn stages(random: &mut fastrand::Rng) -> Stages {
    let par = [Par::ordered(8), Par::unordered(8).window(64), Par::ordered(2), Par::unordered(3)][random.usize(..4)];
    let policy = match random.u8(..3) {
        0 => OnError::skip(),
        1 => OnError::dead_letter_fn(drop),
        _ => OnError::retry(RetryPolicy::fixed(ms(0)).max_attempts(2)).then(OnError::skip()),
    };
    let batch = Batch::of(random.usize(1..9)).within(ms(random.u64(1..4)));
    let stages = Pipeline::new()
        .inspect(|item: &Counted| {
            if chance(item.id, 101) == 7 {
                std::panic::resume_unwind(Box::new("planned"));
            }
        })
        .skip_panics()
        .filter(|item| chance(item.id, 97) != 3)
        .buffer(random.usize(1..100))
        .try_map_async(par, work)
        .on_error(policy)
        .batch(batch)
        .unbatch()
        .output_buffer(random.usize(1..100))
        .boxed();
    match random.u8(..3) {
        0 => stages.max_in_flight(random.usize(8..200)),
        1 => stages.max_weight(random.usize(8..200), |item| item.id as usize % 4),
        _ => stages,
    }
}

/// How a run is ended.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Read,
    JoinUnread,
    Cancel,
    Drop,
    Close,
    Drain,
}

use Ending::{Cancel, Close, Drain, Drop as Leave, JoinUnread, Read};

/// Reads so many items at most, and now and then is slow.
async fn read(running: &mut Running<Counted>, most: u64, random: &mut fastrand::Rng) {
    for _ in 0..most {
        if running.next().await.is_none() {
            return;
        }
        match random.u16(..2_000) {
            0 => tokio::time::sleep(ms(1)).await,
            1..40 => tokio::task::yield_now().await,
            _ => {}
        }
    }
}

async fn end(mut running: Running<Counted>, random: &mut fastrand::Rng) -> Option<Result<Report, PipelineError>> {
    let how = [Read, Read, JoinUnread, Cancel, Leave, Close, Drain][random.usize(..7)];
    let some = if matches!(how, Read) { ROUND } else { random.u64(..ROUND) };
    read(&mut running, some, random).await;
    Some(match how {
        Read | JoinUnread => running.join().await,
        Close => {
            running.close();
            read(&mut running, ROUND, random).await;
            running.join().await
        }
        Drain => running.drain(ms(random.u64(..20))).await,
        Cancel => {
            running.cancel();
            running.join().await
        }
        Leave => {
            drop(running);
            return None;
        }
    })
}

/// One run, and how many items it took.
async fn round(random: &mut fastrand::Rng, first: u64) -> u64 {
    let (tally, fates) = (Tally::new(), Fates::default());
    let made = tally.clone();
    let items = stream::iter(first..first + ROUND).map(move |n| made.make(n));
    let running = stages(random).run_envelopes(fates.source(items)).unwrap();
    if let Some(joined) = promptly(end(running, random)).await {
        let report = joined.unwrap();
        assert_balanced(&report);
        assert_eq!((report.taken, report.settled + report.filtered), (fates.issued(), fates.acked()), "{report}");
        assert_eq!(report.failed + report.dead + report.cancelled, fates.nacked(), "{report}");
        assert!(report.taken == ROUND || report.end != End::Completed, "{report}");
    }
    until("every item is dropped and settled", || {
        tally.alive() == 0 && fates.is_gone() && fates.acked() + fates.nacked() == fates.issued()
    })
    .await;
    fates.assert_settled();
    fates.issued()
}

/// Run after run, until so many items were taken. The memory after a quarter of them.
fn runs(runtime: &Runtime, random: &mut fastrand::Rng, items: u64) -> Option<u64> {
    runtime.block_on(async {
        let before = alive_tasks();
        let (mut taken, mut warm) = (0, None);
        while taken < items {
            taken += round(random, taken).await;
            until("all tasks are gone", || alive_tasks() == before).await;
            if taken >= items / 4 && warm.is_none() {
                warm = resident();
            }
        }
        warm
    })
}

#[test]
fn the_pipeline_soak_balances() {
    let setting = |name| std::env::var(name).ok().map(|text: String| text.parse::<u64>().expect("a number"));
    let asked = setting("FLOWGATE_SOAK_ITEMS");
    let items = asked.unwrap_or(200_000);
    let clock = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    let seed = setting("FLOWGATE_SOAK_SEED").unwrap_or(clock);
    println!("pipeline soak: {items} items, FLOWGATE_SOAK_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let started = Instant::now();
    let _warm = runs(&one_thread(), &mut random, items / 4);
    let warm = runs(&threads(2), &mut random, items - items / 4);
    let (warm, end) = (warm.unwrap_or(0), resident().unwrap_or(0));
    println!("pipeline soak: {:.1?}, memory {warm} bytes warm, {end} at the end", started.elapsed());
    if asked.is_some() {
        // Only a run of its own has the process, and so its memory, to itself.
        assert!(end as f64 <= warm as f64 * 1.05 + 1e6, "memory grew from {warm} to {end} bytes");
    }
}
