//! So many at a time, in turn.

use std::sync::{Arc, Mutex};

use flowgate::TaskPool;
use futures::future::join_all;

use crate::support::{Gate, Gauge, on_both_runtimes, quiet_tasks, settle, soon};

on_both_runtimes! {
    /// A `JoinSet` has no limit: everybody who needs one builds it (huggingface/xet-core#209, omicron#8174).
    async fn xet_core_209_no_more_tasks_run_than_the_limit() {
        let (tasks, inside) = (TaskPool::builder().concurrency(3).queue(5).build().unwrap(), Gauge::new());
        let spawners: Vec<_> = (0..4)
            .map(|_| {
                let (tasks, inside) = (tasks.clone(), inside.clone());
                tokio::spawn(async move {
                    let mut handles = Vec::new();
                    for n in 0..200_u64 {
                        let inside = inside.clone();
                        let task = async move {
                            let _inside = inside.enter();
                            tokio::task::yield_now().await;
                            n
                        };
                        handles.push(tasks.spawn(task).await.unwrap());
                        assert!(tasks.len() <= 8);
                    }
                    join_all(handles).await.into_iter().map(Result::unwrap).sum::<u64>()
                })
            })
            .collect();
        for spawner in spawners {
            assert_eq!(spawner.await.unwrap(), 19_900);
        }
        assert!(inside.max() <= 3 && inside.entered() == 800);
        quiet_tasks(&tasks).await;
        assert_eq!(tasks.stats().runners, 0, "an idle pool has no task");
    }
}

#[tokio::test(start_paused = true)]
async fn tasks_start_first_come_first_served() {
    let (gate, log) = (Gate::new(), Arc::new(Mutex::new(Vec::new())));
    let tasks = TaskPool::builder().concurrency(1).queue(1).build().unwrap();
    let task = |n| {
        let (gate, log) = (gate.clone(), log.clone());
        async move {
            log.lock().unwrap().push(n);
            gate.pass().await;
        }
    };
    let (_a, _b) = (tasks.try_spawn(task(0)).unwrap(), tasks.try_spawn(task(1)).unwrap());
    let mut waiting = Vec::new();
    for n in 2..6 {
        let mut spawn = Box::pin(tasks.spawn(task(n)));
        assert!(futures::poll!(spawn.as_mut()).is_pending());
        waiting.push(spawn);
    }
    // They are accepted in their turn although nobody polls them.
    gate.let_through(3);
    settle().await;
    assert_eq!(tasks.stats().waiting, 1);
    gate.open();
    drop(soon(join_all(waiting)).await);
    quiet_tasks(&tasks).await;
    assert_eq!(*log.lock().unwrap(), [0, 1, 2, 3, 4, 5]);
}
