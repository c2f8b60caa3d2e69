//! futures-rs#2387: what is in flight goes on while the consumer is busy, and may hold what the consumer waits for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flowgate::{Par, Pipeline};
use futures::{Stream, StreamExt as _, stream};
use tokio::sync::{Mutex, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};

use super::super::support::{HOUR, ms, secs, soon};

/// Works on each item for 10 ms, and counts those that are done.
fn work(done: &Arc<AtomicUsize>) -> impl Fn(u64) -> futures::future::BoxFuture<'static, u64> + Send + Sync + use<> {
    let done = done.clone();
    move |n| {
        let done = done.clone();
        Box::pin(async move {
            sleep(ms(10)).await;
            done.fetch_add(1, Ordering::SeqCst);
            n
        })
    }
}

/// While the consumer works on the first output, all of the stage's window is done.
async fn goes_on_beside_its_consumer(mut outputs: impl Stream<Item = u64> + Unpin, done: &AtomicUsize, window: usize) {
    assert_eq!(soon(outputs.next()).await, Some(0));
    let before = done.load(Ordering::SeqCst);
    sleep(secs(1)).await;
    let meanwhile = done.load(Ordering::SeqCst) - before;
    assert!(before + meanwhile >= window, "{before} before and {meanwhile} while the consumer was busy");
    let rest: Vec<_> = soon(outputs.collect()).await;
    assert!(rest.into_iter().eq(1..40));
}

/// futures-rs#2387. With `run`, and with `apply`, which has no task of its own.
#[tokio::test(start_paused = true)]
async fn slow_consumer_does_not_freeze_inflight() {
    const WINDOW: usize = 8;
    let par = Par::ordered(4).window(WINDOW);
    let done = Arc::new(AtomicUsize::new(0));
    let running = Pipeline::new().map_async(par, work(&done)).run(stream::iter(0..40)).unwrap();
    goes_on_beside_its_consumer(running, &done, WINDOW).await;

    let done = Arc::new(AtomicUsize::new(0));
    let applied = Pipeline::new().map_async(par, work(&done)).apply(stream::iter(0..40)).unwrap();
    goes_on_beside_its_consumer(applied.map(Result::unwrap), &done, WINDOW).await;
}

/// The control: `buffered` of the futures crate stands still meanwhile.
#[tokio::test(start_paused = true)]
async fn futures_buffered_freezes_in_the_same_place() {
    let done = Arc::new(AtomicUsize::new(0));
    let mut outputs = stream::iter(0..40).map(work(&done)).buffered(8);
    assert_eq!(soon(outputs.next()).await, Some(0));
    let before = done.load(Ordering::SeqCst);
    sleep(secs(1)).await;
    assert_eq!(done.load(Ordering::SeqCst), before);
}

/// An item holds the only permit while it waits; the consumer needs it too.
async fn hold(permits: Arc<Semaphore>, n: u64) -> u64 {
    let _permit = permits.acquire().await;
    sleep(ms(10)).await;
    n
}

/// Reads everything, and takes the permit for each item.
async fn consume(outputs: impl Stream<Item = u64>, permits: &Arc<Semaphore>) -> Vec<u64> {
    let mut outputs = std::pin::pin!(outputs);
    let mut read = Vec::new();
    while let Some(n) = outputs.next().await {
        read.push(hold(permits.clone(), n).await);
    }
    read
}

/// futures-rs#2387: the semaphore deadlock. The control, with the same futures and the same consumer, hangs.
#[tokio::test(start_paused = true)]
async fn semaphore_deadlock_of_futures_rs_2387() {
    let permits = Arc::new(Semaphore::new(1));
    let control = {
        let inside = permits.clone();
        let outputs = stream::iter(0..20).map(move |n| hold(inside.clone(), n)).buffered(4);
        timeout(HOUR, consume(outputs, &permits)).await
    };
    assert!(control.is_err(), "the deadlock is gone from the futures crate");

    let permits = Arc::new(Semaphore::new(1));
    let stages = || {
        let inside = permits.clone();
        Pipeline::new().map_async(Par::ordered(4), move |n| hold(inside.clone(), n))
    };
    let running = stages().run(stream::iter(0..20)).unwrap();
    assert!(soon(consume(running, &permits)).await.into_iter().eq(0..20));
    let applied = stages().apply(stream::iter(0..20)).unwrap();
    assert!(soon(consume(applied.map(Result::unwrap), &permits)).await.into_iter().eq(0..20));
}

/// A context that all items share: it journals one step at a time, and each step is answered by somebody else.
#[derive(Clone)]
struct Journal(Arc<Mutex<mpsc::Sender<oneshot::Sender<()>>>>);

impl Journal {
    fn open() -> Self {
        let (sender, mut steps) = mpsc::channel::<oneshot::Sender<()>>(1);
        tokio::spawn(async move {
            while let Some(answer) = steps.recv().await {
                sleep(ms(1)).await;
                let _gone = answer.send(());
            }
        });
        Self(Arc::new(Mutex::new(sender)))
    }

    /// Nobody else takes a step until this one is answered.
    async fn step(&self) {
        let journal = self.0.lock().await;
        let (answer, answered) = oneshot::channel();
        journal.send(answer).await.unwrap();
        answered.await.unwrap();
    }
}

/// restatedev/sdk-rust#89: with three at once, items that share a context stop after the first three.
#[tokio::test(start_paused = true)]
async fn a_shared_context_does_not_stop_the_stream_as_in_sdk_rust_89() {
    let journal = Journal::open();
    let own = journal.clone();
    let stages = Pipeline::new().map_async(Par::ordered(3), move |n: u64| {
        let journal = journal.clone();
        async move {
            journal.step().await;
            sleep(Duration::from_millis(n % 3)).await;
            journal.step().await;
            n
        }
    });
    let mut applied = stages.apply(stream::iter(1..10)).unwrap();
    let mut read = Vec::new();
    while let Some(n) = soon(applied.next()).await {
        // The consumer uses it too.
        soon(own.step()).await;
        read.push(n.unwrap());
    }
    assert!(read.into_iter().eq(1..10));
}

/// A source that takes 0 and 20 ms in turn.
fn jittery(items: u64) -> impl Stream<Item = u64> + Send + 'static {
    stream::unfold(0, move |n| async move {
        sleep(ms(if n % 2 == 0 { 20 } else { 0 })).await;
        (n < items).then_some((n, n + 1))
    })
}

/// Reads `items` with 10 ms of work for each. How long it took.
async fn read_at_leisure(outputs: impl Stream<Item = u64>, items: u64) -> Duration {
    let started = Instant::now();
    let mut outputs = std::pin::pin!(outputs);
    for n in 0..items {
        assert_eq!(soon(outputs.next()).await, Some(n));
        sleep(ms(10)).await;
    }
    started.elapsed()
}

/// Each waits for the other: 20 ms for the two items of a pair, and 10 ms of work for each.
#[tokio::test(start_paused = true)]
async fn unbuffered_is_slow_but_correct() {
    let applied = Pipeline::new().map(|n: u64| n).apply(jittery(20)).unwrap();
    assert_eq!(read_at_leisure(applied.map(Result::unwrap), 20).await, ms(10 * 40));
}

/// The source works ahead while the consumer is busy: after the first pair, the consumer alone sets the pace.
#[tokio::test(start_paused = true)]
async fn buffer_hides_jitter() {
    let applied = Pipeline::new().buffer(2).apply(jittery(20)).unwrap();
    assert_eq!(read_at_leisure(applied.map(Result::unwrap), 20).await, ms(20 + 20 * 10));
    let running = Pipeline::new().output_buffer(2).run(jittery(20)).unwrap();
    assert_eq!(read_at_leisure(running, 20).await, ms(20 + 20 * 10));
}
