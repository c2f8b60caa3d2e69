//! Leaving early: shutting down, and dropping what others still use.

use flowgate::{Shutdown, TaskError, TaskPool};

use crate::support::{Gate, on_both_runtimes, secs, settle, soon, until};

on_both_runtimes! {
    async fn a_shutdown_gives_back_what_was_not_started() {
        let gate = Gate::new();
        let tasks = TaskPool::builder().concurrency(1).queue(5).build().unwrap();
        let running = tasks.try_spawn(std::future::pending::<u32>()).unwrap();
        until("it runs", || tasks.stats().running == 1).await;
        let pass = gate.clone();
        let queued = tasks.try_spawn(async move { pass.open() }).unwrap();
        let report = tasks.shutdown(Shutdown::Now).await.unwrap();
        assert!(matches!(running.await, Err(TaskError::Aborted)));
        assert!(matches!(queued.await, Err(TaskError::Returned)));
        assert!(report.is_complete() && !report.to_string().is_empty());
        assert_eq!((report.unstarted.len(), report.totals.aborted, report.totals.returned), (1, 1, 1));
        for task in report.unstarted {
            task.run().await;
        }
        gate.pass().await;
        assert!(tasks.is_closed() && tasks.try_spawn(async {}).is_err());
    }

    async fn a_drain_waits_for_all_tasks() {
        let gate = Gate::new();
        let tasks = TaskPool::builder().concurrency(2).queue(20).build().unwrap();
        for _ in 0..10 {
            let pass = gate.clone();
            drop(tasks.spawn(async move { pass.pass().await }).await.unwrap());
        }
        let draining = tokio::spawn({
            let tasks = tasks.clone();
            async move { tasks.shutdown(Shutdown::Drain).await.unwrap() }
        });
        until("it is closed", || tasks.is_closed()).await;
        gate.open();
        let report = draining.await.unwrap();
        assert_eq!((report.totals.succeeded, report.unstarted.len()), (10, 0));
        tasks.drain().await.unwrap();
    }

    async fn dropping_the_last_owner_aborts_the_pool() {
        let tasks = TaskPool::builder().concurrency(1).queue(5).build().unwrap();
        let weak = tasks.downgrade();
        assert_eq!(weak.upgrade().unwrap().spawn(async { 1 }).await.unwrap().await.unwrap(), 1);
        let running = tasks.try_spawn(std::future::pending::<()>()).unwrap();
        until("it runs", || tasks.stats().running == 1).await;
        let queued = tasks.try_spawn(async {}).unwrap();
        drop(tasks);
        assert!(weak.upgrade().is_none());
        assert!(matches!(running.await, Err(TaskError::Aborted)));
        assert!(matches!(queued.await, Err(TaskError::Aborted)));
    }
}

/// A task that shuts its own pool down is told, and does not wait for itself.
#[tokio::test(start_paused = true)]
async fn a_task_cannot_wait_for_its_own_pool_to_end() {
    let tasks = TaskPool::builder().concurrency(1).queue(5).build().unwrap();
    let own = tasks.clone();
    let refused =
        tasks.spawn(async move { own.shutdown(Shutdown::Drain).await.is_err() && own.drain().await.is_err() });
    assert!(soon(refused.await.unwrap()).await.unwrap());
    assert!(tasks.is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_drain_with_a_limit_ends_what_is_left() {
    let tasks = TaskPool::builder().concurrency(1).queue(5).build().unwrap();
    let handles: Vec<_> = (0..3).map(|_| tasks.try_spawn(std::future::pending::<()>()).unwrap()).collect();
    settle().await;
    let report = soon(tasks.shutdown(Shutdown::DrainFor(secs(5)))).await.unwrap();
    assert_eq!((report.totals.aborted, report.unstarted.len()), (1, 2));
    assert!(report.elapsed >= secs(5));
    drop(handles);
}
