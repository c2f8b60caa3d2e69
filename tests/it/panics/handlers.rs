//! A handler that panics: at each poll, before there is a future, in each form.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flowgate::retry::{Jitter, RetryPolicy, Verdict};
use flowgate::{Attempt, Cx, Handler, JobError, StopReason, WorkerPool};

use super::{goes_on, job_error, message};
use crate::support::{Counted, Tally, on_both_runtimes, quiet, secs, soon};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Job {
    Good,
    /// Before there is a future.
    Making,
    /// At its poll of this number, from 1.
    Poll(u32),
    /// With something else than text.
    Payload,
}

const BAD: [Job; 5] = [Job::Making, Job::Poll(1), Job::Poll(2), Job::Poll(5), Job::Payload];

async fn act(job: Job) -> Result<(), &'static str> {
    match job {
        Job::Good => tokio::task::yield_now().await,
        Job::Making => unreachable!("it has panicked"),
        Job::Poll(number) => {
            for _ in 1..number {
                tokio::task::yield_now().await;
            }
            panic!("at poll {number}");
        }
        Job::Payload => std::panic::panic_any(42_u8),
    }
    Ok(())
}

fn making(job: Job) {
    assert!(job != Job::Making, "while making it");
}

async fn every_panic_is_its_jobs_outcome(pool: WorkerPool<Job, (), &'static str>) {
    for bad in BAD {
        let error = job_error(pool.run(bad).await.unwrap_err());
        assert!(matches!(error, JobError::Panicked(_)), "{bad:?}: {error:?}");
        let failure = error.failure().unwrap();
        assert_eq!((failure.attempts, failure.stop), (1, StopReason::Panicked), "a panic is not retried");
        assert!(failure.last_error.is_none());
        let expected = match bad {
            Job::Poll(number) => Some(format!("at poll {number}")),
            Job::Payload => None,
            _ => Some("while making it".into()),
        };
        assert_eq!(failure.panic_message(), expected, "{bad:?}");
        let JobError::Panicked(failure) = error else { unreachable!("seen above") };
        assert_eq!(failure.job, Some(bad), "the job comes back");
        if bad == Job::Payload {
            assert_eq!(failure.into_panic().unwrap().downcast_ref::<u8>(), Some(&42), "and the payload");
        }
    }
    let totals = goes_on(&pool, || Job::Good).await;
    assert_eq!((totals.panicked, totals.attempts, totals.retries), (5, 5, 0));
}

fn retry() -> RetryPolicy<&'static str> {
    RetryPolicy::fixed(secs(1)).no_budget()
}

struct ByStruct;

impl Handler<Job> for ByStruct {
    type Out = ();
    type Err = &'static str;

    fn run(&self, job: &mut Job, _: &Cx) -> impl Future<Output = Result<(), &'static str>> + Send {
        making(*job);
        act(*job)
    }
}

/// Not async: it panics before it returns a future.
fn by_state(_: &(), job: &mut Job, _: &Cx) -> Pin<Box<dyn Future<Output = Result<(), &'static str>> + Send>> {
    making(*job);
    Box::pin(act(*job))
}

on_both_runtimes! {
    async fn a_closure_panics() {
        let closure = |job: Attempt<Job>| {
            making(*job);
            async move { act(*job).await }
        };
        every_panic_is_its_jobs_outcome(
            WorkerPool::builder().concurrency(2).queue(2).retry(retry()).build(closure).unwrap(),
        )
        .await;
    }

    async fn a_function_over_state_panics() {
        let pool = WorkerPool::builder().concurrency(2).queue(2).retry(retry()).build_with((), by_state).unwrap();
        every_panic_is_its_jobs_outcome(pool).await;
    }

    async fn a_struct_panics() {
        let pool = WorkerPool::builder().concurrency(2).queue(2).retry(retry()).build_handler(ByStruct).unwrap();
        every_panic_is_its_jobs_outcome(pool).await;
    }

    async fn every_second_job_panics_and_nothing_is_lost() {
        let (tally, results) = (Tally::new(), Arc::new(AtomicUsize::new(0)));
        let count = results.clone();
        let pool = WorkerPool::<Counted, (), ()>::builder()
            .concurrency(3)
            .queue(20)
            .build(move |job: Attempt<Counted>| {
                let count = count.clone();
                async move {
                    for _ in 0..job.id % 5 {
                        tokio::task::yield_now().await;
                    }
                    assert!(job.id % 2 == 0, "job {}", job.id);
                    count.fetch_add(1, Ordering::SeqCst);
                    Ok(())
                }
            })
            .unwrap();
        let mut handles = Vec::new();
        for id in 0..1_000 {
            handles.push(pool.submit(tally.make(id)).await.unwrap());
        }
        for (id, handle) in (0..).zip(handles) {
            match handle.await {
                Ok(()) => assert_eq!(id % 2, 0),
                Err(error) => {
                    assert_eq!(message(&error), format!("job {id}"));
                    assert_eq!(error.into_job().unwrap().id, id);
                }
            }
        }
        quiet(&pool).await;
        assert_eq!((results.load(Ordering::SeqCst), tally.alive()), (500, 0));
        assert_eq!(pool.stats().totals.panicked, 500);
    }
}

/// A panic after failures keeps the error of the attempt before, and how many there were.
#[tokio::test(start_paused = true)]
async fn a_panic_after_failures_knows_of_them() {
    let pool = WorkerPool::<u32, (), &str>::builder()
        .concurrency(1)
        .retry(RetryPolicy::fixed(secs(1)).jitter(Jitter::None).no_budget().max_attempts(5))
        .build(|job: Attempt<u32>| async move {
            assert!(job.attempt() < 3, "at the third attempt");
            Err("refused")
        })
        .unwrap();
    let error = soon(pool.try_submit(1).unwrap()).await.unwrap_err();
    assert_eq!(message(&error), "at the third attempt");
    let failure = error.failure().unwrap();
    assert_eq!((failure.attempts, failure.last_error, failure.job), (3, Some("refused"), Some(1)));
    assert_eq!(error.to_string(), "the job panicked in attempt 3: at the third attempt");
}

/// The classifier and the delay function are the user's too: their panic is the job's outcome, with its error kept.
#[tokio::test(start_paused = true)]
async fn a_classifier_or_delay_function_that_panics_ends_its_job() {
    let classify = RetryPolicy::fixed(secs(1)).classify(|error: &&str, _| {
        assert!(*error != "bad", "the classifier");
        Verdict::Stop
    });
    let delays = RetryPolicy::from_delays(|_| panic!("the classifier"));
    for policy in [classify, delays] {
        let pool = WorkerPool::<bool, (), &str>::builder()
            .concurrency(2)
            .queue(3)
            .retry(policy)
            .build(|job: Attempt<bool>| async move { if *job { Ok(()) } else { Err("bad") } })
            .unwrap();
        for _ in 0..5 {
            let error = soon(pool.try_submit(false).unwrap()).await.unwrap_err();
            assert_eq!(message(&error), "the classifier");
            let failure = error.failure().unwrap();
            assert_eq!((failure.attempts, failure.stop), (1, StopReason::Panicked));
            assert_eq!((failure.last_error, failure.job), (Some("bad"), Some(false)));
        }
        assert_eq!(goes_on(&pool, || true).await.panicked, 5);
    }
}

/// A handler that panics while it has lent its slot takes it back.
#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_while_it_waits_for_its_child_leaves_the_slots_right() {
    type Own = WorkerPool<u32, (), ()>;
    let pool = Own::builder()
        .concurrency(1)
        .queue(2)
        .build(|job: Attempt<u32>| async move {
            if *job == 1 {
                let own: Own = job.cx().pool().unwrap().upgrade().unwrap();
                let mut child = own.try_submit(0).unwrap();
                assert!(futures::poll!(&mut child).is_pending());
                tokio::task::yield_now().await;
                panic!("instead of waiting");
            }
            Ok(())
        })
        .unwrap();
    for _ in 0..10 {
        let error = soon(pool.try_submit(1).unwrap()).await.unwrap_err();
        assert_eq!(message(&error), "instead of waiting");
        quiet(&pool).await;
        assert_eq!(pool.stats().lent, 0);
    }
    goes_on(&pool, || 0).await;
}
