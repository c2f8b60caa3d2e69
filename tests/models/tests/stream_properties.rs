//! Streams, batches, sinks and scopes over real pools against sequential oracles: what comes out is what a loop would have
//! computed, whatever the limits, the window, the pauses of the input, and the jobs that fail.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Poll};

use flowgate::{Attempt, JobError, Order, RunError, WorkerPool, join, try_join};
use futures::{SinkExt as _, Stream, StreamExt as _};
use proptest::collection::vec;
use proptest::prelude::*;

/// What a job does: how often it yields, and whether it succeeds.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Does {
    Succeed(u8),
    Fail(u8),
    Panic,
}

type Job = (usize, Does);
type Pool = WorkerPool<Job, usize, String>;

fn does() -> impl Strategy<Value = Does> {
    prop_oneof![
        6 => (0..4_u8).prop_map(Does::Succeed),
        2 => (0..4_u8).prop_map(Does::Fail),
        1 => Just(Does::Panic),
    ]
}

/// Slots and queue.
fn limits() -> impl Strategy<Value = (usize, usize)> {
    (1..5_usize, 0..6_usize)
}

fn config() -> ProptestConfig {
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => ProptestConfig::default(),
        None => ProptestConfig::with_cases(300),
    }
}

fn pool((slots, queue): (usize, usize)) -> Pool {
    let built = Pool::builder().concurrency(slots).queue(queue).build(|job: Attempt<Job>| async move {
        let (number, does) = *job;
        match does {
            Does::Panic => std::panic::panic_any(number),
            Does::Succeed(yields) | Does::Fail(yields) => {
                for _ in 0..yields {
                    tokio::task::yield_now().await;
                }
            }
        }
        if matches!(does, Does::Fail(_)) { Err(number.to_string()) } else { Ok(number) }
    });
    built.expect("options that can be honoured")
}

/// What a loop would make of a job.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Item {
    Ok(usize),
    Failed(usize, String),
    Panicked(usize),
}

fn expected((number, does): Job) -> Item {
    match does {
        Does::Succeed(_) => Item::Ok(number),
        Does::Fail(_) => Item::Failed(number, number.to_string()),
        Does::Panic => Item::Panicked(number),
    }
}

fn item(outcome: Result<usize, JobError<Job, String>>) -> Item {
    match outcome {
        Ok(number) => Item::Ok(number),
        Err(JobError::Failed(failure)) => {
            Item::Failed(failure.job.expect("it comes back").0, failure.last_error.expect("it failed"))
        }
        Err(JobError::Panicked(failure)) => Item::Panicked(failure.job.expect("it comes back").0),
        Err(other) => panic!("{other}"),
    }
}

fn ran(outcome: Result<usize, RunError<Job, String>>) -> Item {
    item(outcome.map_err(|error| match error {
        RunError::Job(error) => error,
        RunError::Submit(refused) => panic!("{refused}"),
    }))
}

/// An input that is pending before each job as often as it is told.
struct Pausing {
    jobs: std::vec::IntoIter<(Job, u8)>,
    next: Option<(Job, u8)>,
}

impl Pausing {
    fn new(jobs: &[Job], pauses: &[u8]) -> Self {
        let jobs: Vec<_> = jobs.iter().copied().zip(pauses.iter().copied().cycle()).collect();
        Self { jobs: jobs.into_iter(), next: None }
    }
}

impl Stream for Pausing {
    type Item = Job;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Job>> {
        if self.next.is_none() {
            self.next = self.jobs.next();
        }
        match &mut self.next {
            None => Poll::Ready(None),
            Some((job, 0)) => {
                let job = *job;
                self.next = None;
                Poll::Ready(Some(job))
            }
            Some((_, pauses)) => {
                *pauses -= 1;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

/// Runs `scenario` on one thread or two; panics of jobs print nothing.
fn run<F: Future>(threads: bool, scenario: F) -> F::Output {
    std::panic::set_hook(Box::new(|info| {
        if info.payload().downcast_ref::<usize>().is_none() {
            eprintln!("{info}");
        }
    }));
    let mut builder = if threads {
        tokio::runtime::Builder::new_multi_thread()
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    let runtime = builder.worker_threads(2).enable_time().build().expect("a runtime");
    runtime
        .block_on(async { tokio::time::timeout(std::time::Duration::from_secs(20), scenario).await.expect("it hangs") })
}

fn numbered(does: Vec<Does>) -> Vec<Job> {
    does.into_iter().enumerate().collect()
}

proptest! {
    #![proptest_config(config())]

    /// Ordered: the very sequence. Unordered: the same items.
    #[test]
    fn a_mapped_stream_is_a_loop(
        jobs in vec(does(), 0..60).prop_map(numbered), limits in limits(), window in 1..20_usize,
        pauses in vec(0..3_u8, 1..8), threads: bool, ordered: bool,
    ) {
        let order = if ordered { Order::Ordered } else { Order::Unordered };
        let mut items: Vec<_> = run(threads, async {
            pool(limits).map(Pausing::new(&jobs, &pauses), order).window(window).map(ran).collect().await
        });
        if !ordered {
            items.sort_by_key(|item| match item { Item::Ok(n) | Item::Failed(n, _) | Item::Panicked(n) => *n });
        }
        prop_assert_eq!(items, jobs.iter().copied().map(expected).collect::<Vec<_>>());
    }

    /// With the first-error option an ordered stream is a loop that ends at the first error.
    #[test]
    fn a_first_error_ends_it_where_it_ends_the_loop(
        jobs in vec(does(), 0..60).prop_map(numbered), limits in limits(), window in 1..20_usize,
        pauses in vec(0..3_u8, 1..8), threads: bool,
    ) {
        let (items, left) = run(threads, async {
            let pool = pool(limits);
            let mapped = pool.map(Pausing::new(&jobs, &pauses), Order::Ordered).window(window).first_error();
            let items: Vec<_> = mapped.map(ran).collect().await;
            pool.drain().await.expect("not in a handler");
            (items, pool.len())
        });
        let end = jobs.iter().position(|(_, does)| !matches!(does, Does::Succeed(_))).map_or(jobs.len(), |at| at + 1);
        prop_assert_eq!(items, jobs[..end].iter().copied().map(expected).collect::<Vec<_>>());
        prop_assert_eq!(left, 0);
    }

    /// A batch has one handle a job, in order.
    #[test]
    fn a_batch_is_as_many_submissions(
        jobs in vec(does(), 0..200).prop_map(numbered), limits in limits(), threads: bool,
    ) {
        let items: Vec<_> = run(threads, async {
            let pool = pool(limits);
            let handles = pool.submit_batch(&mut jobs.iter().copied()).await.expect("the pool is open");
            join(handles).await.into_iter().map(item).collect()
        });
        prop_assert_eq!(items, jobs.iter().copied().map(expected).collect::<Vec<_>>());
    }

    /// A sink counts what it was given: each error once, and nothing is left at its end.
    #[test]
    fn a_sink_reports_each_error_once(
        jobs in vec(does(), 0..60).prop_map(numbered), limits in limits(), threads: bool,
    ) {
        let mut errors = run(threads, async {
            let pool = pool(limits);
            let mut sink = pool.sink();
            let mut errors = Vec::new();
            for job in &jobs {
                // An error that comes out of `feed` is an earlier job's; this one was not sent.
                while let Err(error) = futures::future::poll_fn(|cx| sink.poll_ready_unpin(cx)).await {
                    errors.push(ran(Err(error)));
                }
                sink.start_send_unpin(*job).expect("it is ready");
            }
            while let Err(error) = sink.close().await {
                errors.push(ran(Err(error)));
            }
            assert!(sink.is_empty() && pool.stats().totals.accepted == jobs.len() as u64);
            errors
        });
        errors.sort();
        let mut all: Vec<_> = jobs.iter().copied().map(expected).filter(|item| !matches!(item, Item::Ok(_))).collect();
        all.sort();
        prop_assert_eq!(errors, all);
    }

    /// A scope gives each outcome to its job; its join, and that of handles, has all results or an error.
    #[test]
    fn scopes_and_joins_have_all_results_or_an_error(
        jobs in vec(does(), 0..60).prop_map(numbered), limits in limits(), threads: bool,
    ) {
        let (by_id, joined, tried) = run(threads, async {
            let pool = pool(limits);
            let (mut scope, mut ids) = (pool.scope(), BTreeMap::new());
            for job in &jobs {
                ids.insert(scope.submit(*job).await.expect("the pool is open"), *job);
            }
            let mut by_id = Vec::new();
            while let Some((id, outcome)) = scope.next().await {
                by_id.push((ids.remove(&id).expect("once"), item(outcome)));
            }
            for job in &jobs {
                scope.submit(*job).await.expect("the pool is open");
            }
            let joined = scope.join().await;
            assert!(pool.is_empty(), "nothing runs when a join returns");
            let tried = try_join(pool.submit_batch(&mut jobs.iter().copied()).await.expect("it is open")).await;
            assert!(pool.is_empty(), "nothing runs when a join returns");
            (by_id, joined.map_err(|error| item(Err(error))), tried.map_err(|error| item(Err(error))))
        });
        prop_assert_eq!(by_id.len(), jobs.len());
        prop_assert!(by_id.into_iter().all(|(job, item)| item == expected(job)));
        let wrong: Vec<_> = jobs.iter().copied().map(expected).filter(|item| !matches!(item, Item::Ok(_))).collect();
        for joined in [joined, tried] {
            match joined {
                Ok(results) => prop_assert!(wrong.is_empty() && results.into_iter().eq(0..jobs.len())),
                Err(item) => prop_assert!(wrong.contains(&item)),
            }
        }
    }
}
