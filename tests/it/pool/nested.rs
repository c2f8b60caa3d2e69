//! A handler that uses its own pool: it may wait for it, and is told where that would be for ever.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use flowgate::{Attempt, JobHandle, ReserveError, SubmitError, WorkerPool};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot};

use crate::support::{Gate, ledger, on_both_runtimes, promptly, quiet, secs, settle, soon, until};

type Nested = WorkerPool<Job, u32, &'static str>;

/// What a job does. Boxed where it is large, and each kind is one scenario's.
enum Job {
    /// Succeeds at once.
    Leaf(u32),
    /// Submits one with a depth less, and adds one to its result.
    Depth(u32),
    /// Submits so many leaves and adds up their results as they come.
    Fan(u32),
    /// Awaits whichever is first: its child, or the gate.
    Select(Gate),
    /// Its child waits for a message that it sends only after it has begun to wait for the child.
    Parent,
    Child(oneshot::Receiver<u32>),
    /// Tries every way to wait for room in the full pool that it runs in.
    Refused(bool),
    /// Waits for its child for a second, then gives up and goes on until the gate opens.
    GivesUp(Gate),
    Waits(Gate),
}

fn own_pool(job: &Attempt<Job>) -> Nested {
    job.cx().pool().expect("of these types").upgrade().expect("alive while its handler runs")
}

async fn submit(pool: &Nested, job: Job) -> Result<JobHandle<Job, u32, &'static str>, &'static str> {
    pool.submit(job).await.map_err(|refused| match refused {
        SubmitError::WouldDeadlock(_) => "would deadlock",
        _ => "refused",
    })
}

async fn refused(pool: &Nested, blocking: bool) -> u32 {
    if blocking {
        let refused = pool.blocking_submit(Job::Leaf(0));
        return u32::from(matches!(refused, Err(SubmitError::WouldDeadlock(Job::Leaf(0)))));
    }
    let mut count = 0;
    count += u32::from(matches!(pool.submit(Job::Leaf(0)).await, Err(SubmitError::WouldDeadlock(Job::Leaf(0)))));
    count += u32::from(matches!(pool.reserve().await, Err(ReserveError::WouldDeadlock(_))));
    count += u32::from(pool.run(Job::Leaf(0)).await.is_err());
    count += u32::from(matches!(pool.try_submit(Job::Leaf(0)), Err(SubmitError::Full(Job::Leaf(0)))));
    count += u32::from(pool.drain().await.is_err());
    count
}

async fn handle(job: Attempt<Job>) -> Result<u32, &'static str> {
    let pool = own_pool(&job);
    match &*job {
        Job::Leaf(result) => return Ok(*result),
        Job::Depth(0) => return Ok(0),
        Job::Depth(depth) => {
            let child = submit(&pool, Job::Depth(depth - 1)).await?;
            return Ok(child.await.map_err(|_| "the child failed")? + 1);
        }
        Job::Fan(children) => {
            let mut running = FuturesUnordered::new();
            for child in 0..*children {
                running.push(submit(&pool, Job::Leaf(child)).await?);
            }
            let mut sum = 0;
            while let Some(result) = running.next().await {
                sum += result.map_err(|_| "a child failed")?;
            }
            return Ok(sum);
        }
        Job::Select(gate) => {
            let mut child = submit(&pool, Job::Waits(gate.clone())).await?;
            let mut ticks = 0;
            loop {
                tokio::select! {
                    biased;
                    () = tokio::task::yield_now(), if ticks < 50 => ticks += 1,
                    result = &mut child => return result.map(|result| result + ticks).map_err(|_| "the child failed"),
                    () = gate.pass() => {}
                }
            }
        }
        Job::Parent => {
            let (tell, told) = oneshot::channel();
            let mut child = submit(&pool, Job::Child(told)).await?;
            if futures::poll!(&mut child).is_ready() {
                return Err("the child cannot have been told");
            }
            until("the child has the slot", || pool.stats().lent == 1 && pool.stats().queued == 0).await;
            tell.send(41).map_err(|_| "the child has gone")?;
            return Ok(child.await.map_err(|_| "the child failed")? + 1);
        }
        Job::Refused(blocking) => return Ok(refused(&pool, *blocking).await),
        Job::GivesUp(gate) => {
            let child = submit(&pool, Job::Waits(gate.clone())).await?;
            let waited = tokio::time::timeout(secs(1), child).await;
            gate.pass().await;
            return Ok(u32::from(waited.is_err()));
        }
        Job::Waits(gate) => {
            gate.pass().await;
            return Ok(7);
        }
        Job::Child(_) => {}
    }
    let Job::Child(told) = job.into_inner() else { unreachable!("the others have returned") };
    told.await.map_err(|_| "nobody told it")
}

fn nested(concurrency: usize, queue: usize) -> Nested {
    WorkerPool::builder().concurrency(concurrency).queue(queue).build(handle).unwrap()
}

on_both_runtimes! {
    async fn recursion_twenty_deep_needs_one_slot() {
        let pool = nested(1, 20);
        assert_eq!(pool.run(Job::Depth(20)).await.unwrap(), 20);
        quiet(&pool).await;
        let stats = pool.stats();
        assert_eq!((stats.peak_running, stats.lent, stats.totals.succeeded), (21, 0, 21));
    }

    async fn several_families_share_few_slots() {
        let pool = nested(2, 98);
        let handles: Vec<_> = (0..10).map(|_| pool.try_submit(Job::Depth(9)).unwrap()).collect();
        for handle in handles {
            assert_eq!(handle.await.unwrap(), 9);
        }
        quiet(&pool).await;
        assert_eq!(pool.stats().totals.succeeded, 100);
    }

    async fn a_handler_awaits_many_children_at_once() {
        let pool = nested(1, 100);
        assert_eq!(pool.run(Job::Fan(100)).await.unwrap(), (0..100).sum::<u32>());
        quiet(&pool).await;
    }

    async fn a_child_waits_for_a_message_of_its_parent() {
        let pool = nested(1, 1);
        for _ in 0..20 {
            assert_eq!(pool.run(Job::Parent).await.unwrap(), 42);
        }
        quiet(&pool).await;
    }

    async fn a_full_pool_refuses_its_own_handlers() {
        let pool = nested(1, 0);
        assert_eq!(pool.run(Job::Refused(false)).await.unwrap(), 5);
        assert_eq!(pool.run(Job::Refused(true)).await.unwrap(), 1);
        quiet(&pool).await;
        assert_eq!((pool.stats().reserved, pool.stats().waiting), (0, 0));
    }

    async fn recursion_deeper_than_the_capacity_ends_with_an_error() {
        let pool = nested(1, 4);
        let error = pool.run(Job::Depth(5)).await.unwrap_err();
        assert!(error.to_string().contains("failed"), "{error}");
        assert_eq!(pool.run(Job::Depth(4)).await.unwrap(), 4);
        quiet(&pool).await;
    }
}

/// `select!` polls something else in between: the slot stays lent until the handle is ready or dropped.
#[tokio::test(start_paused = true)]
async fn a_handler_selects_between_its_child_and_something_else() {
    let (pool, gate) = (nested(1, 2), Gate::new());
    let parent = pool.try_submit(Job::Select(gate.clone())).unwrap();
    until("parent and child wait at the gate", || gate.waiting() == 2).await;
    assert_eq!((pool.stats().lent, pool.stats().running), (1, 2));
    let other = pool.try_submit(Job::Leaf(3)).unwrap();
    settle().await;
    assert!(!other.is_finished(), "the child has the one slot");
    gate.open();
    assert_eq!(soon(parent).await.unwrap(), 57);
    assert_eq!(soon(other).await.unwrap(), 3);
    quiet(&pool).await;
}

/// A lender that gives up waiting goes on at once: for a while one more runs than there are slots, and it shows.
#[tokio::test(start_paused = true)]
async fn a_lender_that_gives_up_waiting_overshoots_and_it_shows() {
    let (pool, gate) = (nested(1, 5), Gate::new());
    let parent = pool.try_submit(Job::GivesUp(gate.clone())).unwrap();
    until("the child waits at the gate", || gate.waiting() == 1).await;
    assert_eq!((pool.stats().lent, pool.stats().running), (1, 2));
    tokio::time::advance(secs(2)).await;
    until("the parent has given up", || gate.waiting() == 2).await;
    let stats = pool.stats();
    ledger::check(&stats);
    assert_eq!((stats.lent, stats.running, stats.concurrency), (0, 2, 1), "{stats:?}");
    let queued = pool.try_submit(Job::Leaf(1)).unwrap();
    settle().await;
    assert!(!queued.is_finished(), "no slot until both have gone");
    gate.let_through(1);
    settle().await;
    assert_eq!((pool.stats().running, queued.is_finished()), (1, false), "one slot, and one runs in it");
    gate.let_through(1);
    assert_eq!(soon(parent).await.unwrap(), 1);
    assert_eq!(soon(queued).await.unwrap(), 1);
    quiet(&pool).await;
}

/// A wait that ends because its job was cancelled ends the lending too.
#[tokio::test(start_paused = true)]
async fn cancelling_a_lender_takes_its_slot_back() {
    let (pool, gate) = (nested(1, 5), Gate::new());
    let parent = pool.try_submit(Job::Select(gate.clone())).unwrap();
    until("parent and child wait at the gate", || gate.waiting() == 2).await;
    parent.cancel();
    soon(parent).await.unwrap_err();
    until("only the child is left", || pool.stats().running == 1).await;
    assert_eq!(pool.stats().lent, 0);
    let other = pool.try_submit(Job::Leaf(3)).unwrap();
    settle().await;
    assert!(!other.is_finished());
    gate.open();
    assert_eq!(soon(other).await.unwrap(), 3);
    quiet(&pool).await;
}

/// Handles that leave a handler for another task lend nothing: that exception is documented, and costs no slot.
#[tokio::test(start_paused = true)]
async fn a_handle_that_leaves_the_handler_lends_no_slot() {
    let (send, mut receive) = mpsc::channel(8);
    let pool = WorkerPool::<u32, u32, ()>::builder()
        .concurrency(1)
        .queue(8)
        .build(move |job: Attempt<u32>| {
            let send = send.clone();
            async move {
                if *job == 0 {
                    let pool = job.cx().pool::<u32, u32, ()>().unwrap().upgrade().unwrap();
                    let mut child = pool.try_submit(1).unwrap();
                    assert!(futures::poll!(&mut child).is_pending());
                    assert!(send.send(child).await.is_ok());
                }
                Ok(*job)
            }
        })
        .unwrap();
    let parent = pool.try_submit(0).unwrap();
    assert_eq!(soon(parent).await.unwrap(), 0);
    let child = soon(receive.recv()).await.unwrap();
    assert_eq!(soon(child).await.unwrap(), 1);
    quiet(&pool).await;
    assert_eq!((pool.stats().lent, pool.stats().totals.succeeded), (0, 2));
}

/// Two pools whose handlers await each other's jobs have a slot each for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pools_may_await_each_other() {
    type Pool = WorkerPool<u32, u32, ()>;
    let back = Arc::new(Mutex::new(None::<Pool>));
    let known = back.clone();
    let inner =
        Pool::builder()
            .concurrency(4)
            .build(move |job: Attempt<u32>| {
                let outer = known.lock().unwrap().clone().unwrap();
                async move {
                    if *job == 0 { Ok(0) } else { outer.run(*job - 1).await.map(|depth| depth + 1).map_err(|_| ()) }
                }
            })
            .unwrap();
    let other = inner.clone();
    let outer =
        Pool::builder()
            .concurrency(4)
            .build(move |job: Attempt<u32>| {
                let inner = other.clone();
                async move {
                    if *job == 0 { Ok(0) } else { inner.run(*job - 1).await.map(|depth| depth + 1).map_err(|_| ()) }
                }
            })
            .unwrap();
    *back.lock().unwrap() = Some(outer.clone());
    assert_eq!(promptly(outer.run(6)).await.unwrap(), 6);
    back.lock().unwrap().take();
}

/// `submit_timeout` inside a handler of the full pool has its own way out.
#[tokio::test(start_paused = true)]
async fn a_timed_submit_inside_a_full_pool_times_out() {
    let timed_out = Arc::new(AtomicBool::new(false));
    let tell = timed_out.clone();
    let pool = WorkerPool::<u32, (), ()>::builder()
        .concurrency(1)
        .queue(0)
        .build(move |job: Attempt<u32>| {
            let tell = tell.clone();
            async move {
                let pool = job.cx().pool::<u32, (), ()>().unwrap().upgrade().unwrap();
                let refused = pool.submit_timeout(1, secs(3)).await;
                tell.store(matches!(refused, Err(SubmitError::Timeout(1))), Ordering::SeqCst);
                Ok(())
            }
        })
        .unwrap();
    soon(pool.run(0)).await.unwrap();
    assert!(timed_out.load(Ordering::SeqCst));
    quiet(&pool).await;
}
