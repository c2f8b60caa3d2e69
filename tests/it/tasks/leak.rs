//! What is left of a task that has ended: nothing.

use flowgate::TaskPool;

use crate::support::{Tally, alive_tasks, on_both_runtimes, quiet_tasks, settle, soon, until};

on_both_runtimes! {
    /// hickory-dns#1818, zeph#4644: a `JoinSet` keeps each finished task until it is joined, so one that is only spawned
    /// into grows for ever. Here nothing is kept of a task whose handle has gone.
    async fn hickory_dns_1818_finished_tasks_are_not_kept() {
        let (tally, tasks) = (Tally::new(), TaskPool::builder().concurrency(2).queue(6).build().unwrap());
        for id in 0..20_000 {
            let (value, make) = (tally.make(id), tally.clone());
            drop(tasks.spawn(async move { make.make(value.id) }).await.unwrap());
            let alive = tally.alive();
            assert!(alive < 200, "{alive} are alive after {id} tasks");
        }
        quiet_tasks(&tasks).await;
        assert_eq!((tally.alive(), tasks.len(), tasks.stats().totals.succeeded), (0, 0, 20_000));
    }

    /// A scope keeps no more than its tasks' results.
    ///
    /// Seen to fail: what has ended is read only while a task waits for room.
    async fn zeph_4644_a_scope_that_is_only_spawned_into_does_not_grow() {
        let tasks = TaskPool::builder().concurrency(2).queue(6).build().unwrap();
        let mut scope = tasks.scope::<(), ()>();
        for _ in 0..500 {
            scope.spawn(async { Ok(()) }).await.unwrap();
            until("it has ended", || tasks.is_empty()).await;
            // Each of two runners may have counted one that it has not handed over, and one more may be here, unread.
            assert!(scope.len() <= 4, "{} tasks are kept", scope.len());
        }
        assert_eq!(scope.join().await.unwrap().len(), 500);
    }
}

/// Futures and outputs are dropped however a task ends, and a panic in their `Drop` harms nobody.
#[tokio::test(start_paused = true)]
async fn tasks_leave_nothing_however_they_end() {
    struct Bomb(#[allow(dead_code, reason = "it is there to be dropped")] crate::support::Counted);
    impl Drop for Bomb {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                panic!("dropped");
            }
        }
    }
    let (before, tally) = (alive_tasks(), Tally::new());
    let tasks = TaskPool::builder().concurrency(1).queue(20).build().unwrap();
    let bomb = || Bomb(tally.make(0));
    let (running, queued, output, detached) = (bomb(), bomb(), bomb(), bomb());
    let running = tasks.try_spawn(async move {
        let _bomb = running;
        std::future::pending::<()>().await;
    });
    let queued = tasks.try_spawn(async move { drop(queued) }).unwrap();
    settle().await;
    queued.cancel();
    let running = running.unwrap();
    running.cancel();
    assert!(soon(queued).await.is_err() && soon(running).await.is_err());
    let output = tasks.try_spawn(async move { output }).unwrap();
    drop(tasks.try_spawn(async move { detached }).unwrap());
    quiet_tasks(&tasks).await;
    drop(output);
    assert_eq!(soon(tasks.spawn(async { 1 }).await.unwrap()).await.unwrap(), 1, "the pool is well");
    drop(tasks);
    until("no value is left", || tally.alive() == 0).await;
    settle().await;
    assert_eq!(alive_tasks(), before);
}
