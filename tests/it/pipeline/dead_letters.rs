//! A dead-letter sink that is slow, fails or panics.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use flowgate::pipeline::DeadLetter;
use flowgate::{Attempt, OnError, Par, Pipeline};
use futures::{Sink, StreamExt as _, stream};

use super::{balanced, completed, failed, fates};
use crate::support::{Gate, on_both_runtimes, settle, until};

type Letter = DeadLetter<u64, &'static str>;

/// Where a sink goes wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wrong {
    Nowhere,
    Ready,
    Send,
    Flush,
    Close,
}

/// A sink that fails or panics somewhere, and writes down what it was asked.
#[derive(Clone)]
struct Letters {
    wrong: Wrong,
    panics: bool,
    calls: Arc<Mutex<Vec<&'static str>>>,
    sent: Arc<Mutex<Vec<u64>>>,
}

impl Letters {
    fn new(wrong: Wrong, panics: bool) -> Self {
        Self { wrong, panics, calls: Arc::default(), sent: Arc::default() }
    }

    fn call(&self, name: &'static str, at: Wrong) -> Result<(), std::io::Error> {
        self.calls.lock().unwrap().push(name);
        match (self.wrong == at, self.panics) {
            (true, true) => panic!("the sink panics"),
            (true, false) => Err(std::io::Error::other("the sink fails")),
            (false, _) => Ok(()),
        }
    }
}

impl Sink<Letter> for Letters {
    type Error = std::io::Error;

    fn poll_ready(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(self.call("ready", Wrong::Ready))
    }

    fn start_send(self: Pin<&mut Self>, letter: Letter) -> Result<(), Self::Error> {
        self.call("send", Wrong::Send)?;
        self.sent.lock().unwrap().extend(letter.into_item());
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(self.call("flush", Wrong::Flush))
    }

    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(self.call("close", Wrong::Close))
    }
}

async fn even(n: Attempt<u64>) -> Result<u64, &'static str> {
    if *n % 2 == 0 { Ok(*n) } else { Err("odd") }
}

on_both_runtimes! {
    async fn a_slow_sink_holds_up_the_stage_and_nothing_is_lost() {
        let (letters, mut received) = futures::channel::mpsc::channel::<Letter>(0);
        let taken = Arc::new(AtomicUsize::new(0));
        let counted = taken.clone();
        let pipeline = Pipeline::new()
            .inspect(move |_| _ = counted.fetch_add(1, Ordering::SeqCst))
            .try_map_async(Par::ordered(2).window(4), even)
            .on_error(OnError::dead_letter(letters));
        let mut running = pipeline.run(stream::iter(0..1_000)).unwrap();
        for _ in 0..10 {
            settle().await;
            assert!(taken.load(Ordering::SeqCst) <= 20, "{taken:?} were taken although nobody reads the letters");
        }
        let reading = tokio::spawn(async move {
            let mut items = Vec::new();
            while let Some(letter) = received.next().await {
                items.extend(letter.into_item());
                tokio::task::yield_now().await;
            }
            items
        });
        let items: Vec<_> = running.by_ref().collect().await;
        let report = running.join().await.unwrap();
        assert_eq!(items, (0..1_000).step_by(2).collect::<Vec<_>>());
        assert_eq!(reading.await.unwrap(), (1..1_000).step_by(2).collect::<Vec<_>>());
        assert_eq!(fates(&report), [500, 0, 0, 500, 0, 0]);
    }

    async fn the_sink_is_flushed_before_the_stage_waits_and_closed_at_its_end() {
        let (sink, gate) = (Letters::new(Wrong::Nowhere, false), Gate::new());
        let (calls, sent, at) = (sink.calls.clone(), sink.sent.clone(), gate.clone());
        let pipeline = Pipeline::new()
            .try_map_async(Par::ordered(1), move |n: Attempt<u64>| {
                let gate = at.clone();
                async move {
                    if *n == 4 {
                        gate.pass().await;
                    }
                    even(n).await
                }
            })
            .on_error(OnError::dead_letter(sink));
        let running = pipeline.run(stream::iter(0..6)).unwrap();
        until("it waits for an item", || gate.waiting() == 1).await;
        settle().await;
        assert_eq!(*sent.lock().unwrap(), [1, 3]);
        assert_eq!(calls.lock().unwrap().last(), Some(&"flush"), "{calls:?}");
        gate.open();
        let (items, _) = completed(running).await;
        assert_eq!((items, sent.lock().unwrap().clone()), (vec![0, 2, 4], vec![1, 3, 5]));
        assert_eq!(calls.lock().unwrap().last(), Some(&"close"), "{calls:?}");
    }

    async fn each_run_has_a_clone_of_the_sink() {
        let sink = Letters::new(Wrong::Nowhere, false);
        let sent = sink.sent.clone();
        let pipeline = Pipeline::new().try_map_async(Par::ordered(1), even).on_error(OnError::dead_letter(sink));
        completed(pipeline.clone().run(stream::iter([1])).unwrap()).await;
        completed(pipeline.run(stream::iter([3])).unwrap()).await;
        assert_eq!(*sent.lock().unwrap(), [1, 3]);
    }

    // Seen to fail: while a letter that could not be sent dropped its item without a word, it was counted cancelled.
    async fn a_sink_that_fails_or_panics_fails_the_stage_and_its_item() {
        for wrong in [Wrong::Ready, Wrong::Send, Wrong::Flush, Wrong::Close] {
            for (panics, owed) in [(false, false), (true, false), (false, true), (true, true)] {
                let sink = Letters::new(wrong, panics);
                let pipeline = Pipeline::new()
                    .try_map_async(Par::ordered(2), even)
                    .on_error(OnError::dead_letter(sink))
                    .named("check");
                // With tickets and without them: the account is the same.
                let pipeline = if owed { pipeline.flat_map(Some).boxed() } else { pipeline.boxed() };
                // It is flushed when the stage has to wait.
                let (more, none) = (stream::pending().left_stream(), stream::empty().right_stream());
                let source = stream::iter([0, 1]).chain(if wrong == Wrong::Flush { more } else { none });
                let (items, error) = failed(pipeline.run(source).unwrap()).await;
                assert_eq!((items, error.stage(), error.is_panic()), (vec![0], "check", panics), "{wrong:?}");
                let text = if panics { "panicked: the sink panics" } else { "the sink fails" };
                assert!(error.to_string().contains(text), "{error}");
                // Once it was sent it is a dead letter, whatever becomes of the sink.
                let sent = matches!(wrong, Wrong::Flush | Wrong::Close);
                let expected = if sent { [1, 0, 0, 1, 0, 0] } else { [1, 0, 1, 0, 0, 0] };
                assert_eq!(fates(error.report()), expected, "{wrong:?}, panics: {panics}, tickets: {owed}: {error}");
                let stage = error.report().stage("check").unwrap();
                assert_eq!((stage.dead, stage.failed), (u64::from(sent), u64::from(!sent)), "{wrong:?}");
            }
        }
    }

    async fn a_function_that_panics_fails_the_stage_and_its_item() {
        let pipeline = Pipeline::new()
            .try_map_async(Par::ordered(1), even)
            .on_error(OnError::dead_letter_fn(|letter: Letter| panic!("no {}", letter.into_item().unwrap())))
            .named("check");
        let (items, error) = failed(pipeline.run(stream::iter(0..9)).unwrap()).await;
        assert_eq!((items, error.stage(), error.is_panic()), (vec![0], "check", true));
        assert_eq!(error.report().failed, 1, "{error}");
        assert_eq!(error.try_into_panic().unwrap().downcast_ref::<String>().unwrap(), "no 1");
    }

    async fn a_sink_whose_reader_left_fails_the_stage() {
        let (letters, received) = futures::channel::mpsc::channel::<Letter>(4);
        drop(received);
        let pipeline = Pipeline::new().try_map_async(Par::ordered(1), even).on_error(OnError::dead_letter(letters));
        let (items, error) = failed(pipeline.run(stream::iter(0..9)).unwrap()).await;
        assert_eq!((items, error.report().failed, error.is_panic()), (vec![0], 1, false));
    }

    async fn cancelling_does_not_wait_for_a_sink_that_is_stuck() {
        let (letters, received) = futures::channel::mpsc::channel::<Letter>(0);
        let pipeline = Pipeline::new().try_map_async(Par::ordered(1), even).on_error(OnError::dead_letter(letters));
        let mut running = pipeline.run(stream::iter((0..100).map(|n| n * 2 + 1))).unwrap();
        until("a letter was sent", || running.report().dead > 0).await;
        settle().await;
        running.cancel();
        let report = running.join().await.unwrap();
        balanced(&report);
        assert!(report.dead >= 1 && report.cancelled >= 1, "{report}");
        drop(received);
    }
}
