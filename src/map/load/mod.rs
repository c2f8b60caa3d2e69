//! Loads: a missing value is made once, however many ask for it.
//!
//! # What
//! The first caller that finds a key missing is the *leader*: its loader makes the load, in a task of its own, and what
//! that task shares with everybody who waits is a *flight*. Whoever asks meanwhile is a *follower*. The protocol of the
//! waiters is [`crate::kernel::flight`]; which flight is its key's, and so may store, is the shard's affair; which flight
//! waits for which is in [`crate::kernel::waits`].
//!
//! # Invariants
//! 1. A flight that is in its shard has a `Landing`, which ends it whatever becomes of the task.
//! 2. The flight leaves the shard, and its value is stored, in one critical section, before any waiter is told.
//! 3. Under a lock of the map runs `Eq`, `Hash` or `Clone` of the user, as with any other access, and never a loader.
//! 4. Between the flight's entry into the shard and the start of its task nothing awaits.

mod ask;
mod error;
mod scope;
mod task;
mod waiter;

pub use error::{LoadError, LoadSource, Loaded};

use super::ConcurrentMap;
use crate::kernel::flight::Flight as Shared;
use crate::kernel::waits::FlightId;
use ask::Ask;
use error::Outcome;
use std::any::Any;
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher, Hash};
use std::marker::PhantomData;
use std::sync::Arc;

/// A load of one key, shared by those who wait for it and the task that makes it.
struct Load<V> {
    id: FlightId,
    shared: Shared<Outcome<V>>,
}

/// A load as its shard knows it.
///
/// Values of a map need not be `Sync`, and those of a load do: the type is erased, so that the map asks for no more than
/// it did without loads.
pub(super) struct Flight<V> {
    load: Arc<dyn Any + Send + Sync>,
    of: PhantomData<fn() -> V>,
}

impl<V: Send + Sync + 'static> Flight<V> {
    fn new(load: Arc<Load<V>>) -> Self {
        Self { load, of: PhantomData }
    }

    /// The load. It is there: `new` is the only way to make one.
    fn load(&self) -> Option<Arc<Load<V>>> {
        self.load.clone().downcast().ok()
    }
}

impl<V> Flight<V> {
    fn is(&self, load: &Arc<Load<V>>) -> bool {
        Arc::as_ptr(&self.load).addr() == Arc::as_ptr(load).addr()
    }
}

impl<V> fmt::Debug for Flight<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Flight { .. }")
    }
}

impl<K, V, S> ConcurrentMap<K, V, S>
where
    K: Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
    S: BuildHasher + Send + Sync + 'static,
{
    /// The value of `key`; if there is none, the one that `loader` loads, which is stored.
    ///
    /// For loaders that cannot fail; everything else is as with [`get_or_try_load`](Self::get_or_try_load).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use flowgate::{ConcurrentMap, LoadSource};
    ///
    /// let squares = ConcurrentMap::<u64, u64>::new();
    /// let first = squares.get_or_load(12, || async { 12 * 12 }).await.unwrap();
    /// let second = squares.get_or_load(12, || async { unreachable!("it is stored") }).await.unwrap();
    /// assert_eq!((first.value, first.source), (144, LoadSource::Load));
    /// assert_eq!((second.value, second.source), (144, LoadSource::Hit));
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`LoadError`], never `Failed`.
    ///
    /// # Panics
    ///
    /// If code that this map runs under a lock calls it, or if `Hash`, `Eq` or `Clone` of the caller's key or value do.
    ///
    /// # Cancel safety
    ///
    /// As with [`get_or_try_load`](Self::get_or_try_load).
    pub fn get_or_load<F, Fut>(&self, key: K, loader: F) -> impl Future<Output = Result<Loaded<V>, LoadError>>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = V> + Send + 'static,
    {
        Ask::new(&self.inner, key, loader, Ok::<V, Infallible>)
    }

    /// The value of `key`; if there is none, the one that `loader` loads, which is stored.
    ///
    /// However many ask for a missing key at once, one loader runs: that of the first, the *leader*. The others, its
    /// *followers*, wait for the same load and never call theirs. `loader` itself is called where the leader is polled, so
    /// it may borrow; the future that it returns runs in a task of its own, on the leader's tokio runtime.
    ///
    /// | event | the waiters | the map |
    /// |---|---|---|
    /// | the load returns a value | each has a clone of it, made outside of any lock | stores it, for the default time to live counted from now |
    /// | it returns an error | all have [`Failed`](LoadError::Failed) with the same `Arc<E>` | stores nothing; the next caller loads anew |
    /// | it, its loader or the value's `Clone` panics | all have [`Panicked`](LoadError::Panicked) with the message | the same |
    /// | the leader is dropped, or is not polled again | the others do not notice | - |
    /// | a follower leaves | the others do not notice | - |
    /// | the last waiter leaves | - | the load is aborted: dropped at its next await. Nothing is stored, unless it had returned |
    /// | a loader asks for a key whose load waits for its own, itself or through others, in this map or another | that inner call has [`Recursive`](LoadError::Recursive) at once; what its loader makes of it is the load's result | - |
    /// | the key is written, or removed (even if it has no value), or the map is cleared, while it loads | have what was loaded | keeps what was written: a stale load is not stored. Whoever asks after the write starts another load |
    /// | the map is full ([`max_entries`](super::ConcurrentMapBuilder::max_entries)) | have what was loaded | does not store it |
    /// | the load fails with an error of another type than a follower's | that follower loads itself | - |
    /// | the last handle of the map is dropped | have what was loaded | is gone |
    /// | the leader's runtime shuts down | the leader has [`Aborted`](LoadError::Aborted), each follower loads itself or follows one that does | stores nothing |
    ///
    /// A wait that a loader hands to another task (`tokio::spawn`) is not seen as its own, so it may close a circle of
    /// loads unnoticed. Nothing is detached: a load ends with its last waiter.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use flowgate::{ConcurrentMap, LoadError};
    ///
    /// let sizes = ConcurrentMap::<&str, u64>::new();
    /// let size = |path: &'static str| async move { Ok::<_, std::io::Error>(std::fs::metadata(path)?.len()) };
    /// let missing = sizes.get_or_try_load("/no/such/file", || size("/no/such/file")).await;
    /// let Err(LoadError::Failed(error)) = missing else { panic!("there is no such file") };
    /// assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    /// assert!(sizes.is_empty()); // the next one tries again
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`LoadError`]: the load failed, panicked, waits for itself, was aborted, or there is no tokio runtime to run it on.
    ///
    /// # Panics
    ///
    /// If code that this map runs under a lock calls it, or if `Hash`, `Eq` or `Clone` of the caller's key or value do.
    ///
    /// # Cancel safety
    ///
    /// Safe: dropping it disturbs no other waiter. If it was the last, the load is aborted and the key is free.
    pub fn get_or_try_load<F, Fut, E>(&self, key: K, loader: F) -> impl Future<Output = Result<Loaded<V>, LoadError<E>>>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<V, E>> + Send + 'static,
        E: Send + Sync + 'static,
    {
        Ask::new(&self.inner, key, loader, |result| result)
    }
}
