//! `WorkerPool`, in the forms that are measured.

use std::convert::Infallible;
use std::marker::PhantomData;
use std::time::Duration;

use flowgate::{Attempt, Cx, JobError, JobHandle, RetryPolicy, Shutdown, WorkerPool, WorkerPoolBuilder};

use crate::case::Shape;
use crate::pool::driver::Pool;
use crate::pool::load::Load;

type Jobs = WorkerPool<u64, u64, Infallible>;

/// How a pool is built.
pub trait Form: Send + Sync + 'static {
    /// Builds it around `load`, from options that hold the limits.
    fn build<L: Load>(options: WorkerPoolBuilder<u64, u64, Infallible>, load: L) -> Jobs;
}

/// `build` around a closure that takes an owned [`Attempt`]; no option but the limits.
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

/// `build_with` around state and an async closure that borrows the job.
#[derive(Clone, Copy, Debug)]
pub struct ByState;

impl Form for ByState {
    fn build<L: Load>(options: WorkerPoolBuilder<u64, u64, Infallible>, load: L) -> Jobs {
        let handler = async |load: &L, job: &mut u64, _: &Cx| Ok(load.clone().run(*job).await);
        options.build_with(load, handler).expect("options that can be honoured")
    }
}

/// As [`ByAttempt`], with retries, an attempt timeout and a deadline switched on; none of them comes due.
#[derive(Clone, Copy, Debug)]
pub struct Featured;

impl Form for Featured {
    fn build<L: Load>(options: WorkerPoolBuilder<u64, u64, Infallible>, load: L) -> Jobs {
        let options = options
            .retry(RetryPolicy::exponential(Duration::from_millis(100)).max_attempts(5))
            .attempt_timeout(Duration::from_secs(10))
            .deadline(Duration::from_secs(60));
        ByAttempt::build(options, load)
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
