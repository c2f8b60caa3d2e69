//! What a task is given, and what comes back.

use std::cell::Cell;
use std::error::Error as _;
use std::pin::Pin;

use flowgate::{BuildError, ScopeError, SubmitError, TaskError, TaskPool};

use crate::support::{Gate, on_both_runtimes, quiet_tasks, secs, settle, soon, until};

fn pool(concurrency: usize, queue: usize) -> TaskPool {
    TaskPool::builder().concurrency(concurrency).queue(queue).build().unwrap()
}

on_both_runtimes! {
    async fn tasks_of_all_types_run_in_one_pool() {
        let tasks = pool(2, 10);
        let text = tasks.spawn(async { String::from("text") }).await.unwrap();
        let number = tasks.spawn(async { tokio::task::yield_now().await; 7_u8 }).await.unwrap();
        let unit = tasks.spawn(async {}).await.unwrap();
        let moves = tasks.spawn(std::future::ready(Cell::new(3))).await.unwrap();
        let fallible = tasks.spawn(async { "x".parse::<i32>() }).await.unwrap();
        assert_eq!((text.await.unwrap(), number.await.unwrap(), unit.await.unwrap()), ("text".into(), 7, ()));
        assert_eq!(moves.await.unwrap().into_inner(), 3);
        assert!(fallible.await.unwrap().is_err(), "an error that is returned is an output");
        assert_eq!(tasks.stats().totals.succeeded, 5);
    }

    async fn a_panic_is_the_tasks_outcome_with_its_payload() {
        let tasks = pool(1, 10);
        let text = tasks.spawn(async { panic!("the {}", "message") }).await.unwrap();
        let value = tasks.spawn(async { std::panic::panic_any(42_u64) }).await.unwrap();
        let after = tasks.spawn(async { 1 }).await.unwrap();
        let Err(TaskError::Panicked(text)) = text.await else { panic!("it panicked") };
        assert_eq!((text.message().as_deref(), text.to_string().as_str()), (Some("the message"), "the task panicked: the message"));
        let Err(TaskError::Panicked(value)) = value.await else { panic!("it panicked") };
        assert_eq!(value.message(), None);
        assert_eq!(*value.into_payload().downcast::<u64>().unwrap(), 42);
        assert_eq!(after.await.unwrap(), 1);
        assert_eq!(tasks.stats().totals.panicked, 2);
    }

    async fn threads_can_spawn_and_wait() {
        let tasks = pool(1, 0);
        let thread = std::thread::spawn({
            let tasks = tasks.clone();
            move || {
                let handles: Vec<_> = (0..50).map(|n| tasks.blocking_spawn(async move { n }).unwrap()).collect();
                handles.into_iter().map(|handle| handle.blocking_wait().unwrap()).sum::<u32>()
            }
        });
        until("the thread is done", || thread.is_finished()).await;
        assert_eq!(thread.join().unwrap(), 1225);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_gives_the_future_back_as_it_was() {
    let gate = Gate::new();
    let tasks = pool(1, 0);
    let pass = gate.clone();
    let held = tasks.try_spawn(async move { pass.pass().await }).unwrap();
    // Neither `Unpin` nor `Clone`, and its type has no name.
    let value = String::from("kept");
    let Err(SubmitError::Full(future)) = tasks.try_spawn(async move { value }) else { panic!("it is full") };
    assert_eq!(future.await, "kept");
    let mut waiting = Box::pin(tasks.spawn(std::future::ready("still here")));
    assert!(futures::poll!(waiting.as_mut()).is_pending());
    tasks.close();
    let Err(SubmitError::Closed(future)) = soon(waiting).await else { panic!("it is closed") };
    assert_eq!(future.await, "still here");
    let Err(SubmitError::Closed(future)) = soon(tasks.spawn(async { 5 })).await else { panic!("it is closed") };
    assert_eq!(future.await, 5);
    gate.open();
    soon(held).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn cancelling_works_in_every_state() {
    let tasks = pool(1, 5);
    let running = tasks.try_spawn(std::future::pending::<()>()).unwrap();
    let queued = tasks.try_spawn(async { 1 }).unwrap();
    settle().await;
    queued.cancel();
    assert!(queued.is_finished() && matches!(soon(queued).await, Err(TaskError::Cancelled)));
    running.cancel();
    assert!(matches!(soon(running).await, Err(TaskError::Cancelled)));
    let done = tasks.try_spawn(async { 2 }).unwrap();
    quiet_tasks(&tasks).await;
    done.cancel();
    assert_eq!(soon(done).await.unwrap(), 2, "what is done stays done");
    assert_eq!(tasks.stats().totals.cancelled, 2);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_counts_from_acceptance() {
    let tasks = TaskPool::builder().concurrency(1).queue(5).deadline(secs(10)).build().unwrap();
    let long = tasks.try_spawn(std::future::pending::<()>()).unwrap();
    let behind = tasks.try_spawn(async { 1 }).unwrap();
    assert!(matches!(soon(long).await, Err(TaskError::TimedOut)));
    assert!(matches!(soon(behind).await, Err(TaskError::TimedOut)));
    assert_eq!(tasks.stats().totals.timed_out, 2);
}

/// A task that waits for a task of its own pool lends its slot; one that finds the pool full is told so.
#[tokio::test(start_paused = true)]
async fn a_task_may_use_its_own_pool() {
    fn deep(tasks: TaskPool, depth: u32) -> Pin<Box<dyn Future<Output = u32> + Send>> {
        Box::pin(async move {
            if depth == 0 {
                return 0;
            }
            match tasks.spawn(deep(tasks.clone(), depth - 1)).await {
                Ok(child) => 1 + child.await.unwrap(),
                Err(SubmitError::WouldDeadlock(child)) => 100 + child.await,
                Err(other) => panic!("{other}"),
            }
        })
    }
    let tasks = pool(1, 9);
    assert_eq!(soon(tasks.spawn(deep(tasks.clone(), 9)).await.unwrap()).await.unwrap(), 9);
    assert_eq!(soon(tasks.spawn(deep(tasks.clone(), 11)).await.unwrap()).await.unwrap(), 209);
    quiet_tasks(&tasks).await;
}

#[tokio::test(start_paused = true)]
async fn options_are_checked_and_errors_tell_what_happened() {
    let refused = TaskPool::builder().concurrency(0).build().unwrap_err();
    assert!(matches!(refused, BuildError::Option { option: "concurrency", .. }));
    assert!(matches!(TaskPool::builder().build(), Err(BuildError::Option { option: "concurrency", .. })));
    let error = ScopeError::Failed(std::io::Error::other("disk full"));
    assert_eq!(error.source().unwrap().to_string(), "disk full");
    for error in [TaskError::Cancelled, TaskError::TimedOut, TaskError::Aborted, TaskError::Returned] {
        assert!(!error.to_string().is_empty() && error.source().is_none());
    }
}

#[test]
fn without_a_runtime_there_is_no_pool() {
    assert_eq!(TaskPool::builder().concurrency(1).build().unwrap_err(), BuildError::NoRuntime);
}
