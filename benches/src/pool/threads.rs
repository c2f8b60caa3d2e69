//! Pools of OS threads: blocking jobs, and producers that are threads.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use crossbeam_channel::Sender;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::case::Shape;
use crate::pool::load::{Blocking, Counted, Tally, Trivial};
use crate::setup::Setup;

/// A pool of threads under measurement. Dropping it ends it.
pub trait Threads<L: Blocking>: Sized {
    /// Delivers one result.
    type Handle;

    /// Starts [`Shape::slots`] threads.
    fn start(shape: &Shape, load: L) -> Self;

    /// Submits one job whose result somebody will wait for.
    fn submit(&self, job: u64) -> Self::Handle;

    /// Blocks until the result is there.
    fn wait(&self, handle: Self::Handle) -> u64;

    /// Submits one job whose result nobody waits for.
    fn fire(&self, job: u64);

    /// Ends the pool, all of whose `jobs` have been carried out.
    fn finish(self, jobs: u64) {
        let _ = jobs;
    }
}

/// One producer that keeps a FIFO window of handles and waits for the oldest whenever the window is full.
pub fn windowed<P: Threads<Trivial>>(setup: &Setup) -> u64 {
    let pool = P::start(&setup.shape, Trivial);
    let mut unread = VecDeque::with_capacity(setup.shape.window);
    let mut sum = 0;
    for job in 0..setup.ops {
        if unread.len() == setup.shape.window
            && let Some(oldest) = unread.pop_front()
        {
            sum += pool.wait(oldest);
        }
        unread.push_back(pool.submit(job));
    }
    sum += unread.into_iter().map(|handle| pool.wait(handle)).sum::<u64>();
    pool.finish(setup.ops);
    sum
}

/// One producer that keeps no handle; the jobs count themselves.
pub fn fired<P: Threads<Counted>>(setup: &Setup) -> u64 {
    let tally = Arc::new(Tally::expecting(setup.ops));
    let pool = P::start(&setup.shape, Counted(Arc::clone(&tally)));
    for job in 0..setup.ops {
        pool.fire(job);
    }
    let sum = setup.block_on(tally.complete());
    pool.finish(setup.ops);
    sum
}

/// A pool that runs boxed closures. Its results come through a oneshot.
pub trait Executor {
    /// Starts so many threads; `capacity` where the queue has a bound.
    fn start(threads: usize, capacity: usize) -> Self;
    /// Runs a closure on one of them.
    fn execute(&self, job: impl FnOnce() + Send + 'static);
}

/// Any [`Executor`] with a load.
#[derive(Debug)]
pub struct Closures<X, L>(X, L);

impl<X: Executor, L: Blocking> Threads<L> for Closures<X, L> {
    type Handle = oneshot::Receiver<u64>;

    fn start(shape: &Shape, load: L) -> Self {
        Self(X::start(shape.slots, shape.capacity - shape.slots), load)
    }

    fn submit(&self, job: u64) -> Self::Handle {
        let (answer, handle) = oneshot::channel();
        let load = self.1.clone();
        self.0.execute(move || {
            // The producer waits for every answer.
            let _delivered = answer.send(load.run_now(job));
        });
        handle
    }

    fn wait(&self, handle: Self::Handle) -> u64 {
        handle.blocking_recv().expect("the job has run")
    }

    fn fire(&self, job: u64) {
        let load = self.1.clone();
        self.0.execute(move || {
            load.run_now(job);
        });
    }
}

impl Executor for threadpool::ThreadPool {
    fn start(threads: usize, _capacity: usize) -> Self {
        Self::new(threads)
    }

    fn execute(&self, job: impl FnOnce() + Send + 'static) {
        self.execute(job);
    }
}

impl Executor for rayon::ThreadPool {
    fn start(threads: usize, _capacity: usize) -> Self {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads")
    }

    fn execute(&self, job: impl FnOnce() + Send + 'static) {
        self.spawn(job);
    }
}

/// crossbeam-channel of boxed closures: the hand-made pool of anything.
#[derive(Debug)]
pub struct Boxed(Workers<Box<dyn FnOnce() + Send>>);

impl Executor for Boxed {
    fn start(threads: usize, capacity: usize) -> Self {
        Self(Workers::start(threads, capacity, |job: Box<dyn FnOnce() + Send>| job()))
    }

    fn execute(&self, job: impl FnOnce() + Send + 'static) {
        self.0.send(Box::new(job));
    }
}

/// Threads on a bounded crossbeam-channel.
struct Workers<M> {
    sender: Option<Sender<M>>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl<M: Send + 'static> Workers<M> {
    fn start(threads: usize, capacity: usize, handle: impl Fn(M) + Clone + Send + 'static) -> Self {
        let (sender, receiver) = crossbeam_channel::bounded(capacity);
        let worker = || {
            let (receiver, handle) = (receiver.clone(), handle.clone());
            std::thread::spawn(move || receiver.iter().for_each(handle))
        };
        Self { sender: Some(sender), threads: (0..threads).map(|_| worker()).collect() }
    }

    fn send(&self, message: M) {
        self.sender.as_ref().and_then(|sender| sender.send(message).ok()).expect("the workers run");
    }
}

impl<M> Drop for Workers<M> {
    fn drop(&mut self) {
        self.sender = None;
        for thread in self.threads.drain(..) {
            thread.join().expect("a worker");
        }
    }
}

impl<M> fmt::Debug for Workers<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers").field("threads", &self.threads.len()).finish_non_exhaustive()
    }
}

/// crossbeam-channel of jobs, not closures: what a hand-made pool of one kind of job takes.
#[derive(Debug)]
pub struct Typed(Workers<(u64, Option<oneshot::Sender<u64>>)>);

impl<L: Blocking> Threads<L> for Typed {
    type Handle = oneshot::Receiver<u64>;

    fn start(shape: &Shape, load: L) -> Self {
        Self(Workers::start(shape.slots, shape.capacity - shape.slots, move |(job, answer)| {
            let result = load.run_now(job);
            if let Some(answer) = answer {
                // The producer waits for every answer.
                let _delivered = oneshot::Sender::send(answer, result);
            }
        }))
    }

    fn submit(&self, job: u64) -> Self::Handle {
        let (answer, handle) = oneshot::channel();
        self.0.send((job, Some(answer)));
        handle
    }

    fn wait(&self, handle: Self::Handle) -> u64 {
        handle.blocking_recv().expect("the job has run")
    }

    fn fire(&self, job: u64) {
        self.0.send((job, None));
    }
}

/// tokio's `spawn_blocking`, held to as many threads as the others have.
#[derive(Debug)]
pub struct SpawnBlocking<L> {
    runtime: Runtime,
    load: L,
}

impl<L: Blocking> Threads<L> for SpawnBlocking<L> {
    type Handle = JoinHandle<u64>;

    fn start(shape: &Shape, load: L) -> Self {
        let runtime = Builder::new_current_thread().max_blocking_threads(shape.slots).build().expect("a runtime");
        Self { runtime, load }
    }

    fn submit(&self, job: u64) -> JoinHandle<u64> {
        let load = self.load.clone();
        self.runtime.spawn_blocking(move || load.run_now(job))
    }

    fn wait(&self, handle: JoinHandle<u64>) -> u64 {
        self.runtime.block_on(handle).expect("the job has run")
    }

    fn fire(&self, job: u64) {
        drop(self.submit(job));
    }
}
