//! Many tasks that want few values which are slow to load: each must be loaded once.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flowgate::ConcurrentMap;
use quick_cache::UnitWeighter;
use quick_cache::sync::DefaultLifecycle;
use tokio::sync::OnceCell;

use crate::map::subject::Hasher;
use crate::setup::Setup;

/// How long a load takes.
const LOAD: Duration = Duration::from_millis(1);

/// A map that loads what it lacks.
pub trait Loading: Send + Sync + 'static {
    /// An empty map.
    fn new() -> Self;
    /// The value, loaded if it is missing.
    fn load(&self, key: u64, loader: impl Future<Output = u64> + Send + 'static) -> impl Future<Output = u64> + Send;
}

impl Loading for ConcurrentMap<u64, u64, Hasher> {
    fn new() -> Self {
        Self::with_hasher(Hasher::default())
    }

    async fn load(&self, key: u64, loader: impl Future<Output = u64> + Send + 'static) -> u64 {
        self.get_or_load(key, || loader).await.expect("a load that cannot fail").value
    }
}

impl Loading for moka::future::Cache<u64, u64, Hasher> {
    fn new() -> Self {
        moka::future::Cache::builder().build_with_hasher(Hasher::default())
    }

    async fn load(&self, key: u64, loader: impl Future<Output = u64> + Send + 'static) -> u64 {
        self.get_with(key, loader).await
    }
}

/// quick_cache.
pub type Quick = quick_cache::sync::Cache<u64, u64, UnitWeighter, Hasher, DefaultLifecycle<u64, u64>>;

impl Loading for Quick {
    fn new() -> Self {
        Self::with(1_000, 1_000, UnitWeighter, Hasher::default(), DefaultLifecycle::default())
    }

    async fn load(&self, key: u64, loader: impl Future<Output = u64> + Send + 'static) -> u64 {
        let loaded = self.get_or_insert_async(&key, async { Ok::<_, Infallible>(loader.await) }).await;
        loaded.unwrap_or_else(|never| match never {})
    }
}

/// `DashMap` of tokio's `OnceCell`s, made by hand.
pub type DashCells = dashmap::DashMap<u64, Arc<OnceCell<u64>>, Hasher>;

impl Loading for DashCells {
    fn new() -> Self {
        Self::with_hasher(Hasher::default())
    }

    async fn load(&self, key: u64, loader: impl Future<Output = u64> + Send + 'static) -> u64 {
        let cell = Arc::clone(&self.entry(key).or_default());
        *cell.get_or_init(|| loader).await
    }
}

/// A task for each operation, over [`Shape::keys`](crate::case::Shape) keys; how many got the right value. Exactly one
/// load a key.
pub fn tasks<M: Loading>(setup: &Setup) -> u64 {
    let map = Arc::new(M::new());
    let loads = Arc::new(AtomicU64::new(0));
    let keys = setup.shape.keys as u64;
    let right = setup.timed(|| {
        setup.block_on(async {
            let tasks: Vec<_> = (0..setup.ops)
                .map(|task| {
                    let (map, loads, key) = (Arc::clone(&map), Arc::clone(&loads), task % keys);
                    tokio::spawn(async move {
                        let loader = async move {
                            // Ordering: Relaxed, because it is read after every task has been joined.
                            loads.fetch_add(1, Ordering::Relaxed);
                            tokio::time::sleep(LOAD).await;
                            key + 1
                        };
                        u64::from(map.load(key, loader).await == key + 1)
                    })
                })
                .collect();
            let mut right = 0;
            for task in tasks {
                right += task.await.expect("a task");
            }
            right
        })
    });
    assert_eq!(loads.load(Ordering::Relaxed), setup.ops.min(keys), "a key was loaded more than once");
    right
}
