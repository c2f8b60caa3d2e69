//! An input that is always ready: timers are kept and a pipeline can be cancelled although nothing ever waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flowgate::pipeline::BoxStage;
use flowgate::{Batch, Pipeline};
use futures::stream;

use super::super::support::{ms, promptly};
use super::*;

/// Each item takes 2 ms of the task's own time, so no batch of 5 ms can have more than 3 items, or 4 with a timer that is late
/// by one of them.
///
/// Seen to fail: the timer is looked at only when the input is pending: one batch of 30.
#[tokio::test]
async fn a_batch_of_an_input_that_is_slow_but_always_ready_honours_within() {
    let stages = Pipeline::new().inspect(|_| crate::support::compute_for(ms(2))).batch(Batch::of(1000).within(ms(5)));
    let (batches, _) = promptly(read_all(stages.run(stream::iter(0..30)).unwrap())).await;
    assert!(batches.iter().all(|batch| batch.len() <= 4), "{batches:?}");
    assert!(batches.concat().into_iter().eq(0..30));
}

/// Starts `stages` on an endless source, has them work, and cancels them. Without an end of their poll they would never know.
fn cancelled_while_busy(stages: Pipeline<u64, BoxStage<u64, u64>>) {
    let runtime = super::super::support::one_thread();
    let fates = Fates::default();
    // A pipeline that cannot be cancelled would keep the test from failing.
    let given_up = Arc::new(AtomicBool::new(false));
    let (watch, watched) = (given_up.clone(), given_up.clone());
    let source = fates.plain(stream::iter((0..).take_while(move |_| !watch.load(Ordering::Relaxed))));
    let watchdog = std::thread::spawn(move || {
        std::thread::park_timeout(Duration::from_secs(10));
        watched.store(true, Ordering::Relaxed);
    });
    let report = runtime.block_on(async {
        let mut running = stages.run(source).unwrap();
        super::super::support::until("items are taken", || running.report().taken > 0).await;
        running.cancel();
        running.join().await.unwrap()
    });
    assert!(!given_up.load(Ordering::Relaxed), "it noticed nothing until its source ended");
    watchdog.thread().unpark();
    watchdog.join().unwrap();
    assert!(fates.is_gone());
    assert_eq!(report.end, flowgate::pipeline::End::Cancelled);
    assert_balanced(&report);
}

/// Seen to fail: stages that hand nothing on poll their input for ever.
#[test]
fn stages_that_hand_nothing_on_can_be_cancelled() {
    cancelled_while_busy(Pipeline::new().filter(|_: &u64| false).boxed());
    cancelled_while_busy(Pipeline::new().filter_map(|_: u64| None).boxed());
    cancelled_while_busy(Pipeline::new().flat_map(|_: u64| None).boxed());
    cancelled_while_busy(Pipeline::new().flat_map(|n: u64| std::iter::repeat(n)).filter(|_| false).boxed());
    cancelled_while_busy(Pipeline::new().batch(Batch::of(1 << 40)).unbatch().boxed());
    cancelled_while_busy(Pipeline::new().map(|_: u64| -> u64 { planned_panic() }).skip_panics().boxed());
}

fn planned_panic() -> u64 {
    // Not `panic!`: the hook would print each.
    std::panic::resume_unwind(Box::new("planned"))
}
