//! Many callers, few keys.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flowgate::LoadSource;

use super::{Asking, Map, no_task_is_left};
use crate::support::{ms, on_both_runtimes};

const TASKS: u32 = 10_000;
const KEYS: u32 = 100;

on_both_runtimes! {
    async fn ten_thousand_tasks_over_a_hundred_keys_load_a_hundred_times() {
        let (map, loads) = (Map::new(), Arc::new(AtomicUsize::new(0)));
        let tasks: Vec<_> = (0..TASKS)
            .map(|n| {
                let (map, loads) = (map.clone(), loads.clone());
                tokio::spawn(async move {
                    let load = || async move {
                        loads.fetch_add(1, Ordering::SeqCst);
                        tokio::time::sleep(ms(1)).await;
                        n % KEYS + 1_000
                    };
                    map.get_or_load(n % KEYS, load).await.unwrap()
                })
            })
            .collect();
        let mut led = 0;
        for (n, task) in tasks.into_iter().enumerate() {
            let loaded = task.await.unwrap();
            assert_eq!(loaded.value as usize, n % KEYS as usize + 1_000);
            led += usize::from(loaded.source == LoadSource::Load);
        }
        assert_eq!((loads.load(Ordering::SeqCst), led, map.len()), (100, 100, 100));
        no_task_is_left().await;
    }

    async fn callers_that_leave_at_random_leave_nothing_behind() {
        let (map, loads) = (Map::new(), Arc::new(AtomicUsize::new(0)));
        let tasks: Vec<_> = (0..2_000_u32)
            .map(|n| {
                let (map, loads) = (map.clone(), loads.clone());
                tokio::spawn(async move {
                    let key = n % 10;
                    let load = || async move {
                        loads.fetch_add(1, Ordering::SeqCst);
                        for _ in 0..n % 7 {
                            tokio::task::yield_now().await;
                        }
                        key
                    };
                    let mut asking: Asking<'_> = Box::pin(map.get_or_load(key, load));
                    for _ in 0..n % 5 {
                        match futures::poll!(asking.as_mut()) {
                            std::task::Poll::Ready(loaded) => return Some(loaded.unwrap().value == key),
                            std::task::Poll::Pending => tokio::task::yield_now().await,
                        }
                    }
                    if n % 3 == 0 {
                        map.remove(&key);
                        return None;
                    }
                    Some(asking.await.unwrap().value == key)
                })
            })
            .collect();
        for task in tasks {
            assert_ne!(task.await.unwrap(), Some(false));
        }
        no_task_is_left().await;
        assert!(map.keys().all(|key| map.get(&key) == Some(key)));
        for key in 0..10 {
            map.remove(&key);
            assert_eq!(map.get_or_load(key, || async { 77 }).await.unwrap().source, LoadSource::Load, "the key is free");
        }
    }
}
