//! Tasks that belong together.

use flowgate::{ScopeError, Shutdown, SubmitError, TaskError, TaskPool};

use crate::support::{Gate, Gauge, on_both_runtimes, quiet_tasks, settle, soon, until};

fn pool(concurrency: usize, queue: usize) -> TaskPool {
    TaskPool::builder().concurrency(concurrency).queue(queue).build().unwrap()
}

on_both_runtimes! {
    async fn a_scope_of_many_more_tasks_than_there_is_room_for() {
        let tasks = pool(3, 2);
        let mut scope = tasks.scope::<u64, ()>();
        for n in 0..500 {
            scope.spawn(async move { Ok(n) }).await.unwrap();
        }
        let mut results = scope.join().await.unwrap();
        results.sort_unstable();
        assert!(results.into_iter().eq(0..500));
    }

    /// Seen to fail: the rest is not cancelled.
    async fn the_first_error_cancels_the_rest_and_all_have_ended_when_it_is_returned() {
        let (tasks, inside, gate) = (pool(3, 20), Gauge::new(), Gate::new());
        let mut scope = tasks.scope();
        for n in 0..9 {
            let (inside, pass) = (inside.clone(), gate.clone());
            let task = async move {
                let _inside = inside.enter();
                if n == 1 {
                    pass.pass().await;
                    return Err("broken");
                }
                std::future::pending::<()>().await;
                Ok(())
            };
            scope.spawn(task).await.unwrap();
        }
        until("the slots are taken", || inside.now() == 3).await;
        gate.open();
        assert!(matches!(scope.join().await, Err(ScopeError::Failed("broken"))));
        assert_eq!((tasks.len(), tasks.stats().totals.cancelled), (0, 8));
        assert_eq!(inside.now(), 0);
    }

    async fn a_panic_fails_a_scope_too() {
        let tasks = pool(2, 20);
        let mut scope = tasks.scope::<(), ()>();
        scope.spawn(std::future::pending()).await.unwrap();
        scope.spawn(async { panic!("oh") }).await.unwrap();
        let Err(ScopeError::Task(TaskError::Panicked(panic))) = scope.join().await else { panic!("it panicked") };
        assert_eq!(panic.message().as_deref(), Some("oh"));
        assert!(tasks.is_empty());
    }

    async fn a_dropped_scope_leaves_no_task() {
        let (tasks, inside) = (pool(2, 9), Gauge::new());
        let mut scope = tasks.scope::<(), ()>();
        for _ in 0..5 {
            let inside = inside.clone();
            let task = async move {
                let _inside = inside.enter();
                std::future::pending().await
            };
            scope.spawn(task).await.unwrap();
        }
        until("the slots are taken", || inside.now() == 2).await;
        drop(scope);
        quiet_tasks(&tasks).await;
        assert_eq!((inside.now(), tasks.stats().totals.cancelled), (0, 5));
    }
}

/// A scope that has failed takes no more tasks, and the one that waits for room when it fails comes back.
///
/// Seen to fail: an error cancels nothing.
#[tokio::test(start_paused = true)]
async fn a_failed_scope_gives_further_tasks_back() {
    let (tasks, gate) = (pool(2, 0), Gate::new());
    let mut scope = tasks.scope::<u32, &str>();
    let pass = gate.clone();
    scope.spawn(std::future::pending()).await.unwrap();
    scope
        .spawn(async move {
            pass.pass().await;
            Err("broken")
        })
        .await
        .unwrap();
    let stranger = tasks.clone();
    let other = tokio::spawn(async move { stranger.spawn(std::future::pending::<()>()).await.is_ok() });
    settle().await;
    let mut waiting = Box::pin(scope.spawn(std::future::ready(Ok(3))));
    assert!(futures::poll!(waiting.as_mut()).is_pending());
    gate.open();
    // The place of the one that fails goes to the stranger, who came first.
    let Err(SubmitError::Closed(future)) = soon(waiting).await else { panic!("the scope has failed") };
    assert_eq!(future.await, Ok(3));
    assert!(scope.has_failed());
    let Err(SubmitError::Closed(_)) = soon(scope.spawn(async { Ok(4) })).await else { panic!("the scope has failed") };
    assert!(matches!(soon(scope.join()).await, Err(ScopeError::Failed("broken"))));
    assert!(soon(other).await.unwrap());
    assert_eq!(tasks.len(), 1, "the stranger");
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_pool_is_the_end_of_its_scopes() {
    let tasks = pool(1, 5);
    let mut scope = tasks.scope::<u32, ()>();
    scope.spawn(std::future::pending()).await.unwrap();
    scope.spawn(async { Ok(1) }).await.unwrap();
    settle().await;
    let report = soon(tasks.shutdown(Shutdown::Now)).await.unwrap();
    assert_eq!(report.unstarted.len(), 1);
    assert!(matches!(soon(scope.spawn(async { Ok(2) })).await, Err(SubmitError::Closed(_))));
    assert!(matches!(soon(scope.join()).await, Err(ScopeError::Task(TaskError::Returned | TaskError::Aborted))));
}

#[tokio::test(start_paused = true)]
async fn a_task_may_wait_for_a_scope_of_its_own_pool() {
    let tasks = pool(1, 5);
    let own = tasks.clone();
    let sum = tasks.spawn(async move {
        let mut scope = own.scope::<u32, ()>();
        let mut refused = 0;
        for n in 0..8 {
            if let Err(SubmitError::WouldDeadlock(_)) = scope.spawn(async move { Ok(n) }).await {
                refused += 1;
            }
        }
        (scope.join().await.unwrap().len(), refused)
    });
    let sum = sum.await.unwrap();
    assert_eq!(soon(sum).await.unwrap(), (5, 3));
    quiet_tasks(&tasks).await;
    assert_eq!(tasks.stats().lent, 0);
}

#[tokio::test(start_paused = true)]
async fn cancelled_a_scope_fails() {
    let tasks = pool(1, 5);
    let mut scope = tasks.scope::<(), ()>();
    scope.spawn(std::future::pending()).await.unwrap();
    scope.cancel();
    assert!(matches!(soon(scope.join()).await, Err(ScopeError::Task(TaskError::Cancelled))));
    assert!(soon(tasks.scope::<(), ()>().join()).await.unwrap().is_empty());
}
