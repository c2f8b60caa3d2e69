//! How a pipeline ends that is not left alone: closed, drained, joined unread, cancelled while it waits for anything.

use flowgate::pipeline::{End, Envelope};
use flowgate::{Batch, Par, Pipeline};
use futures::{StreamExt as _, stream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::super::support::{Gate, HOUR, ms, on_both_runtimes, promptly, secs, settle, soon};
use super::*;

/// Cancels it while it waits, and joins: no time passes, everything is nacked or was acknowledged, no task is left.
async fn cancelled_at_once<T: Send + 'static>(mut running: Running<T>, fates: &Fates) -> Report {
    settle().await;
    let started = Instant::now();
    running.cancel();
    assert!(soon(running.next()).await.is_none(), "a cancelled pipeline yields nothing");
    let report = soon(running.join()).await.unwrap();
    assert_eq!(started.elapsed(), ms(0));
    assert_eq!(report.end, End::Cancelled);
    assert_balanced(&report);
    assert_no_task_left().await;
    fates.assert_settled();
    assert_eq!((report.cancelled, report.settled), (fates.nacked(), fates.acked()));
    report
}

/// Nobody reads: the outputs, and a buffer in the middle, are full.
#[tokio::test(start_paused = true)]
async fn cancel_while_blocked_on_send() {
    let fates = Fates::default();
    let stages = Pipeline::new().output_buffer(1).map(|n: u64| n);
    let running = stages.run_envelopes(fates.source(numbers())).unwrap();
    assert_eq!(cancelled_at_once(running, &fates).await.cancelled, 1);

    let fates = Fates::default();
    let stages = Pipeline::new().output_buffer(1).buffer(3).map_async(Par::ordered(2), |n| async move { n }).buffer(2);
    let mut running = stages.run_envelopes(fates.source(numbers())).unwrap();
    assert_eq!(soon(running.next()).await, Some(0));
    settle().await;
    assert!(running.snapshot().stages[0].queue.unwrap().blocked_for.is_some(), "{}", running.snapshot());
    assert_eq!(cancelled_at_once(running, &fates).await.settled, 1);
}

/// The source is silent.
#[tokio::test(start_paused = true)]
async fn cancel_while_blocked_on_recv() {
    let fates = Fates::default();
    let stages = Pipeline::new().buffer(2).map_async(Par::unordered(2), |n: u64| async move { n }).batch(Batch::of(9));
    let running = stages.run_envelopes(fates.source(numbers_then_silence(5))).unwrap();
    assert_eq!(cancelled_at_once(running, &fates).await.cancelled, 5);
}

/// The function never ends.
#[tokio::test(start_paused = true)]
async fn cancel_while_blocked_inside_f() {
    for par in [Par::ordered(3), Par::unordered(3).window(8)] {
        let fates = Fates::default();
        let (inside, entered) = (Gauge::new(), Gauge::new());
        let (gauge, once) = (inside.clone(), entered.clone());
        let stages = Pipeline::new().map_async(par, move |n: u64| {
            let guard = gauge.enter();
            drop(once.enter());
            async move {
                std::future::pending::<()>().await;
                drop(guard);
                n
            }
        });
        let running = stages.run_envelopes(fates.source(numbers())).unwrap();
        cancelled_at_once(running, &fates).await;
        assert_eq!((entered.entered(), inside.now()), (3, 0), "what ran was dropped");
    }
}

/// The entrance waits for room, a batch for its time, and a retry for its turn.
#[tokio::test(start_paused = true)]
async fn cancel_while_blocked_on_a_bound_a_timer_and_a_retry() {
    let fates = Fates::default();
    let mut outputs = Pipeline::new().max_in_flight(2).run_envelopes(fates.source(numbers())).unwrap().envelopes();
    let held = soon(outputs.next()).await.unwrap();
    let mut running = outputs.into_running();
    running.cancel();
    settle().await;
    assert_eq!(running.report().in_flight, 1, "the consumer holds one");
    held.ack();
    let report = soon(running.join()).await.unwrap();
    assert_eq!((report.settled, report.in_flight), (1, 0));
    fates.assert_settled();

    let fates = Fates::default();
    let stages = Pipeline::new().batch(Batch::of(10).within(HOUR));
    cancelled_at_once(stages.run_envelopes(fates.source(numbers_then_silence(3))).unwrap(), &fates).await;

    let fates = Fates::default();
    let stages = Pipeline::new()
        .try_map_async(Par::ordered(2), |_: flowgate::Attempt<u64>| async { Err::<u64, _>("not now") })
        .on_error(flowgate::OnError::retry(flowgate::RetryPolicy::fixed(HOUR)));
    cancelled_at_once(stages.run_envelopes(fates.source(numbers())).unwrap(), &fates).await;
}

/// Who feeds the source waits for room in its channel, and learns that nobody will take its item.
#[tokio::test(start_paused = true)]
async fn producer_blocked_on_input_is_released_on_cancel() {
    for drops in [false, true] {
        let (sender, mut receiver) = mpsc::channel(1);
        let source = stream::poll_fn(move |cx| receiver.poll_recv(cx));
        let producer = tokio::spawn(async move {
            let mut sent = 0_u64;
            while sender.send(sent).await.is_ok() {
                sent += 1;
            }
            sent
        });
        let mut running = Pipeline::new().output_buffer(1).buffer(1).run(source).unwrap();
        settle().await;
        assert!(!producer.is_finished(), "it waits for room");
        if drops {
            drop(running);
        } else {
            running.cancel();
            assert_eq!(soon(running.join()).await.unwrap().end, End::Cancelled);
        }
        assert!(soon(producer).await.unwrap() > 0);
        assert_no_task_left().await;
    }
}

on_both_runtimes! {
    /// Nothing more is taken; what is inside is done and acknowledged.
    async fn drain_finishes_inflight_and_acks() {
        let fates = Fates::default();
        let running = Pipeline::new()
            .map_async(Par::ordered(4).window(16), |n: u64| async move {
                sleep(ms(10)).await;
                n
            })
            .buffer(4)
            .batch(Batch::of(3))
            .run_envelopes(fates.source(numbers()))
            .unwrap();
        tokio::time::sleep(ms(25)).await;
        let inside = running.report().taken;
        assert!(inside >= 16, "{}", running.report());
        let report = running.drain(secs(60)).await.unwrap();
        assert_eq!(report.end, End::Drained);
        assert!(report.taken < inside + 200, "nothing more is taken: {report}");
        assert_eq!((report.settled, report.taken), (fates.acked(), fates.issued()));
        assert_eq!((fates.nacked(), report.cancelled), (0, 0));
        assert_balanced(&report);
        fates.assert_settled();
    }
}

/// One item never ends: at the deadline it is cancelled, and the rest has been acknowledged.
#[tokio::test(start_paused = true)]
async fn drain_deadline_then_cancel() {
    let fates = Fates::default();
    let running = Pipeline::new()
        .map_async(Par::unordered(4), |n: u64| async move {
            if n == 2 {
                std::future::pending::<()>().await;
            }
            n
        })
        .run_envelopes(fates.source(numbers_then_silence(10)))
        .unwrap();
    settle().await;
    let started = Instant::now();
    let report = soon(running.drain(secs(3))).await.unwrap();
    assert_eq!(started.elapsed(), secs(3));
    assert_eq!((report.end, report.settled, report.cancelled), (End::Cancelled, 9, 1));
    assert_eq!((fates.acked(), fates.nacked()), (9, 1));
    assert_balanced(&report);
    fates.assert_settled();
    assert_no_task_left().await;
}

on_both_runtimes! {
    /// A join does not wait for a reader: what nobody reads is acknowledged and counted.
    async fn join_with_unread_outputs_never_hangs() {
        let fates = Fates::default();
        let stages = Pipeline::new()
            .output_buffer(1)
            .max_in_flight(8)
            .flat_map(|n: u64| [n, n])
            .buffer(2)
            .map_async(Par::ordered(4), |n| async move { n })
            .batch(Batch::of(4))
            .unbatch();
        let mut running = stages.run_envelopes(fates.source(stream::iter(0..500))).unwrap();
        assert_eq!(running.next().await, Some(0));
        let report = running.join().await.unwrap();
        assert_eq!((report.end, report.settled, report.discarded), (End::Completed, 500, 999));
        assert_eq!((fates.acked(), fates.nacked()), (500, 0));
        assert_balanced(&report);
        fates.assert_settled();
    }

    /// What was inside at the close is read, then the stream ends.
    async fn close_then_read_to_the_end() {
        let fates = Fates::default();
        let stages = Pipeline::new().buffer(4).map_async(Par::ordered(3), |n: u64| async move { n }).batch(Batch::of(4)).unbatch();
        let mut running = stages.run_envelopes(fates.source(numbers())).unwrap();
        let mut read: Vec<_> = running.by_ref().take(10).collect().await;
        running.close();
        read.extend(running.by_ref().collect::<Vec<_>>().await);
        let (items, report) = read_all(running).await;
        assert_eq!((items.len(), report.end), (0, End::Drained));
        assert!(read.iter().copied().eq(0..report.taken), "{read:?}, {report}");
        assert_eq!((report.settled, fates.acked(), fates.nacked()), (report.taken, report.taken, 0));
        fates.assert_settled();
    }
}

/// The entrance waits for room when the pipeline is closed, and everything inside is the consumer's: it ends all the same.
///
/// Seen to fail: the entrance waits for room although nothing more is taken: the stream has no end, and a drain takes its whole
/// time.
#[tokio::test(start_paused = true)]
async fn close_while_the_bound_is_full() {
    let fates = Fates::default();
    let stages = Pipeline::new().max_in_flight(3);
    let mut outputs = stages.run_envelopes(fates.source(numbers())).unwrap().envelopes();
    let mut held: Vec<Envelope<u64>> = soon(outputs.by_ref().take(3).collect()).await;
    settle().await;
    let running = outputs.into_running();
    running.close();
    let mut outputs = running.envelopes();
    assert!(soon(outputs.next()).await.is_none());
    assert!(held.drain(..).map(Envelope::ack).eq(0..3));
    let report = soon(outputs.into_running().join()).await.unwrap();
    assert_eq!((report.end, report.taken, fates.acked()), (End::Drained, 3, 3));
    fates.assert_settled();

    // A drain ends too, and says what is held; and an item that waits for its weight to fit is not lost.
    let fates = Fates::default();
    let stages = Pipeline::new().max_weight(3, |_| 2).map(|n: u64| n);
    let mut outputs = stages.run_envelopes(fates.source(numbers())).unwrap().envelopes();
    let held = soon(outputs.next()).await.unwrap();
    let running = outputs.into_running();
    settle().await;
    assert_eq!(running.report().taken, 2, "one waits until it fits");
    let started = Instant::now();
    let draining = tokio::spawn(running.drain(secs(30)));
    sleep(secs(1)).await;
    assert!(!draining.is_finished());
    assert_eq!(held.ack(), 0);
    let report = soon(draining).await.unwrap().unwrap();
    assert_eq!((report.end, report.settled, started.elapsed()), (End::Drained, 2, secs(1)));

    let mut outputs = Pipeline::new().max_in_flight(1).run(numbers()).unwrap().envelopes();
    let held = soon(outputs.next()).await.unwrap();
    settle().await;
    let started = Instant::now();
    let report = soon(outputs.into_running().drain(secs(30))).await.unwrap();
    assert_eq!((report.end, report.in_flight, started.elapsed()), (End::Drained, 1, ms(0)));
    drop(held);
}

/// A stage that blocks a thread cannot be stopped: it is waited for, and what it returns is dropped.
#[test]
fn a_blocking_call_is_waited_for() {
    let runtime = super::super::support::threads(2);
    let fates = Fates::default();
    let (enter, entered) = std::sync::mpsc::channel();
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let stages = Pipeline::new().map_blocking(Par::ordered(1), move |n: u64| {
        enter.send(()).unwrap();
        let _gone = wait.lock().unwrap().recv();
        n
    });
    let mut running = runtime.block_on(async { stages.run_envelopes(fates.source(numbers())).unwrap() });
    entered.recv().unwrap();
    running.cancel();
    let joined = runtime.spawn(running.join());
    drop(go_on);
    let report = runtime.block_on(promptly(joined)).unwrap().unwrap();
    assert_eq!((report.end, report.settled), (End::Cancelled, 0));
    fates.assert_settled();
}

/// A stage waits at a gate inside a nested pipeline: the whole is cancelled with it.
#[tokio::test(start_paused = true)]
async fn cancel_reaches_nested_pipelines() {
    let (fates, gate) = (Fates::default(), Gate::new());
    let stop = gate.clone();
    let inner = Pipeline::new().max_in_flight(2).buffer(1).map_async(Par::ordered(2), move |n: u64| {
        let gate = stop.clone();
        async move {
            gate.pass().await;
            n
        }
    });
    let stages = Pipeline::new().buffer(2).then(Pipeline::new().then(inner)).batch(Batch::of(2));
    let running = stages.run_envelopes(fates.source(numbers())).unwrap();
    settle().await;
    assert_eq!(gate.waiting(), 2);
    cancelled_at_once(running, &fates).await;
    assert_eq!(gate.waiting(), 0);
}
