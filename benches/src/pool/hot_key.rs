//! One key with very many jobs beside a thousand keys that have few: how long the few wait.

use std::fmt::Debug;
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tokio::sync::{Mutex, Semaphore, mpsc, oneshot};
use tokio::task::{JoinError, JoinHandle};

use crate::case::Shape;
use crate::latency::Recorder;
use crate::pool::driver::sum_of;
use crate::pool::load::{Busy, Load, Tally};
use crate::setup::Setup;

/// A pool that runs the jobs of one key one after the other.
pub trait Keyed: Clone + Send + Sync + 'static {
    /// Why a result can be missing; any error ends the run.
    type Error: Debug;
    /// Delivers one result.
    type Handle: Future<Output = Result<u64, Self::Error>> + Send + 'static;

    /// Starts the pool, inside the runtime. Keys are `0..`[`Shape::keys`].
    fn start(shape: &Shape, load: HotAndCold) -> Self;

    /// Submits one job under a key, waiting for room.
    fn submit(&self, key: usize, job: u64) -> impl Future<Output = Self::Handle> + Send;

    /// Ends the pool.
    fn finish(self) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// A job of less than a microsecond; those of the hot key count themselves.
#[derive(Clone, Debug)]
pub struct HotAndCold {
    tally: Arc<Tally>,
    hot: u64,
}

impl Load for HotAndCold {
    async fn run(self, job: u64) -> u64 {
        let result = Busy::default().run(job).await;
        if job < self.hot {
            self.tally.record(result);
        }
        result
    }
}

/// The producers submit the hot jobs, as fast as they are let; one more task submits one cold job after the other, key by
/// key, and waits for each. The latencies are those of the cold jobs, from before they are submitted until their result is there.
pub fn hot_key<P: Keyed>(setup: &Setup) -> u64 {
    let tally = Arc::new(Tally::expecting(setup.ops));
    let most = (setup.ops / 10).max(1) as usize;
    let recorder = Arc::new(Recorder::new(most));
    let sum = setup.block_on(async {
        let pool = P::start(&setup.shape, HotAndCold { tally: Arc::clone(&tally), hot: setup.ops });
        let hot_is_done = Arc::new(AtomicBool::new(false));
        let cold = tokio::spawn({
            let (pool, recorder, hot_is_done) = (pool.clone(), Arc::clone(&recorder), Arc::clone(&hot_is_done));
            let (keys, first) = (setup.shape.keys, setup.ops);
            async move {
                for n in 0..most {
                    let (key, job) = (1 + n % (keys - 1), first + n as u64);
                    let asked = Instant::now();
                    let result = pool.submit(key, job).await.await;
                    recorder.record(n, asked.elapsed().as_nanos() as u64);
                    assert_eq!(result.expect("a result"), job + 1);
                    // Ordering: Relaxed, since it only ends the loop.
                    if hot_is_done.load(Ordering::Relaxed) {
                        break;
                    }
                }
            }
        });
        let submitted = sum_of(setup.shares().map(|share| submit_hot(pool.clone(), share))).await;
        assert_eq!(submitted, setup.ops);
        let sum = tally.complete().await;
        hot_is_done.store(true, Ordering::Relaxed);
        cold.await.expect("the cold submitter");
        pool.finish().await;
        sum
    });
    setup.note_latencies(&recorder);
    sum
}

async fn submit_hot<P: Keyed>(pool: P, jobs: Range<u64>) -> u64 {
    let mut submitted = 0;
    for job in jobs {
        drop(pool.submit(0, job).await);
        submitted += 1;
    }
    submitted
}

/// A task for each job, which locks its key's mutex and then takes one of the slots; as many tasks as there is capacity.
#[derive(Clone, Debug)]
pub struct SpawnMutex {
    room: Arc<Semaphore>,
    slots: Arc<Semaphore>,
    keys: Arc<Vec<Arc<Mutex<()>>>>,
    load: HotAndCold,
}

impl Keyed for SpawnMutex {
    type Error = JoinError;
    type Handle = JoinHandle<u64>;

    fn start(shape: &Shape, load: HotAndCold) -> Self {
        Self {
            room: Arc::new(Semaphore::new(shape.capacity)),
            slots: Arc::new(Semaphore::new(shape.slots)),
            keys: Arc::new((0..shape.keys).map(|_| Arc::default()).collect()),
            load,
        }
    }

    async fn submit(&self, key: usize, job: u64) -> JoinHandle<u64> {
        let room = Arc::clone(&self.room).acquire_owned().await.expect("never closed");
        let (slots, lane, load) = (Arc::clone(&self.slots), Arc::clone(&self.keys[key]), self.load.clone());
        tokio::spawn(async move {
            let _alone = lane.lock().await;
            let _slot = slots.acquire().await.expect("never closed");
            let result = load.run(job).await;
            drop(room);
            result
        })
    }
}

/// A worker task with a channel of its own for each slot; a key always goes to the same one.
#[derive(Clone, Debug)]
pub struct Sharded(Vec<mpsc::Sender<(u64, oneshot::Sender<u64>)>>);

impl Keyed for Sharded {
    type Error = oneshot::error::RecvError;
    type Handle = oneshot::Receiver<u64>;

    fn start(shape: &Shape, load: HotAndCold) -> Self {
        let worker = |_| {
            let (sender, mut receiver) = mpsc::channel::<(u64, oneshot::Sender<u64>)>(shape.capacity / shape.slots);
            let load = load.clone();
            tokio::spawn(async move {
                while let Some((job, answer)) = receiver.recv().await {
                    // A dropped receiver detached its job: the result is nobody's.
                    let _detached = answer.send(load.clone().run(job).await);
                }
            });
            sender
        };
        Self((0..shape.slots).map(worker).collect())
    }

    async fn submit(&self, key: usize, job: u64) -> Self::Handle {
        let (answer, handle) = oneshot::channel();
        self.0[key % self.0.len()].send((job, answer)).await.expect("the workers run");
        handle
    }
}
