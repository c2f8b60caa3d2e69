//! `WorkerPool`, in the forms that are measured.

use std::convert::Infallible;
use std::marker::PhantomData;
use std::time::Duration;

use flowgate::{Attempt, Cx, JobError, JobHandle, RetryPolicy, Shutdown, WorkerPool, WorkerPoolBuilder};

use crate::case::Shape;
use crate::pool::driver::Pool;
use crate::pool::hot_key::{HotAndCold, Keyed};
use crate::pool::load::{Blocking, Load};
use crate::pool::threads::Threads;

type Jobs = WorkerPool<u64, u64, Infallible>;

/// How a pool is built.
pub trait Form: Send + Sync + 'static {
    /// Builds it around `load`, from options that hold the limits.
    fn build<L: Load>(options: WorkerPoolBuilder<u64, u64, Infallible>, load: L) -> Jobs;
}

/// `build` around a closure that takes an owned [`Attempt`].
#[derive(Clone, Copy, Debug)]
pub struct ByAttempt;

impl Form for ByAttempt {
    fn build<L: Load>(options: WorkerPoolBuilder<u64, u64, Infallible>, load: L) -> Jobs {
        let handler = move |job: Attempt<u64>| {
            let load = load.clone();
            async move { Ok(load.run(*job).await) }
        };
        options.build(handler).expect("options that can be honoured")
    }
}

/// `build_with` around state and an async closure that borrows the job: the cheapest form.
#[derive(Clone, Copy, Debug)]
pub struct ByState;

impl Form for ByState {
    fn build<L: Load>(options: WorkerPoolBuilder<u64, u64, Infallible>, load: L) -> Jobs {
        let handler = async |load: &L, job: &mut u64, _: &Cx| Ok(load.clone().run(*job).await);
        options.build_with(load, handler).expect("options that can be honoured")
    }
}

/// As [`ByState`], with retries, an attempt timeout and a deadline switched on; none of them comes due.
#[derive(Clone, Copy, Debug)]
pub struct Featured;

impl Form for Featured {
    fn build<L: Load>(options: WorkerPoolBuilder<u64, u64, Infallible>, load: L) -> Jobs {
        let options = options
            .retry(RetryPolicy::exponential(Duration::from_millis(100)).max_attempts(5))
            .attempt_timeout(Duration::from_secs(10))
            .deadline(Duration::from_secs(60));
        ByState::build(options, load)
    }
}

/// The pool under measurement.
#[derive(Debug)]
pub struct Flowgate<F> {
    jobs: Jobs,
    form: PhantomData<F>,
}

impl<F> Clone for Flowgate<F> {
    fn clone(&self) -> Self {
        Self { jobs: self.jobs.clone(), form: PhantomData }
    }
}

impl<F: Form, L: Load> Pool<L> for Flowgate<F> {
    type Error = JobError<u64, Infallible>;
    type Handle = JobHandle<u64, u64, Infallible>;

    fn start(shape: &Shape, load: L) -> Self {
        let options = Jobs::builder().concurrency(shape.slots).queue(shape.capacity - shape.slots);
        Self { jobs: F::build(options, load), form: PhantomData }
    }

    async fn submit(&self, job: u64) -> Self::Handle {
        self.jobs.submit(job).await.expect("the pool is open")
    }

    async fn finish(self, jobs: u64) {
        let report = self.jobs.shutdown(Shutdown::Drain).await.expect("not in a handler");
        assert!(report.is_complete(), "{report}");
        assert_eq!(report.totals.succeeded, jobs, "{report}");
    }
}

/// Lanes by key, of which each may hold so many jobs.
#[derive(Clone, Debug)]
pub struct Lanes<const PER_KEY: usize>(Jobs);

impl<const PER_KEY: usize> Keyed for Lanes<PER_KEY> {
    type Error = JobError<u64, Infallible>;
    type Handle = JobHandle<u64, u64, Infallible>;

    fn start(shape: &Shape, load: HotAndCold) -> Self {
        let options = Jobs::builder().concurrency(shape.slots).queue(shape.capacity - shape.slots);
        Self(ByState::build(options.per_key(PER_KEY), load))
    }

    async fn submit(&self, key: usize, job: u64) -> Self::Handle {
        self.0.job(job).key(&key).submit().await.expect("the pool is open")
    }

    async fn finish(self) {
        let report = self.0.shutdown(Shutdown::Drain).await.expect("not in a handler");
        assert!(report.is_complete(), "{report}");
    }
}

/// `build_blocking`.
#[derive(Debug)]
pub struct OnThreads(Jobs);

impl<L: Blocking> Threads<L> for OnThreads {
    type Handle = JobHandle<u64, u64, Infallible>;

    fn start(shape: &Shape, load: L) -> Self {
        let options = Jobs::builder().concurrency(shape.slots).queue(shape.capacity - shape.slots);
        let handler = move |job: &mut u64, _: &Cx| Ok(load.run_now(*job));
        Self(options.build_blocking(handler).expect("options that can be honoured"))
    }

    fn submit(&self, job: u64) -> Self::Handle {
        self.0.blocking_submit(job).expect("the pool is open")
    }

    fn wait(&self, handle: Self::Handle) -> u64 {
        handle.blocking_wait().expect("a job has a result")
    }

    fn fire(&self, job: u64) {
        drop(self.0.blocking_submit(job).expect("the pool is open"));
    }

    fn finish(self, jobs: u64) {
        let report = self.0.blocking_shutdown(Shutdown::Drain).expect("not in a handler");
        assert!(report.is_complete(), "{report}");
        assert_eq!(report.totals.succeeded, jobs, "{report}");
    }
}
