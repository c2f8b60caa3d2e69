//! The verbs: one for each stage.

use super::Pipeline;
use super::batch::{Batch, Batching};
use super::error::BoxError;
use super::fused::{Filter, FilterMap, FlatMap, Fused, Inspect, Map, Scan, Take};
use super::on_error::OnError;
use super::par::Par;
use super::parallel::{OnPool, Parallel};
use super::pump::Buffer;
use super::stage::{Chain, Stage};
use super::work::{Async, Blocking, ByKey, Fallible, NoLanes, TryAsync, TryBlocking};
use crate::pool::{Attempt, Cx, WorkerPool};
use std::future::Future;
use std::hash::Hash;
use std::time::Duration;

/// A pipeline with one stage more.
type Longer<In, S, N> = Pipeline<In, Chain<S, N>>;

#[allow(clippy::type_complexity, reason = "a stage's type names its function's, and nobody writes it")]
/// Stages without a task: each is a few lines in the poll of what is behind it.
impl<In: Send + 'static, S: Stage<In>> Pipeline<In, S> {
    /// Hands on what `f` makes of each item.
    pub fn map<O, F>(self, f: F) -> Longer<In, S, Fused<Map<F>>>
    where
        F: FnMut(S::Out) -> O + Send + 'static,
        O: Send + 'static,
    {
        self.chain(Fused(Map(f)))
    }

    /// Hands on the items for which `keep` says so; the others are counted filtered.
    pub fn filter<F>(self, keep: F) -> Longer<In, S, Fused<Filter<F>>>
    where
        F: FnMut(&S::Out) -> bool + Send + 'static,
    {
        self.chain(Fused(Filter(keep)))
    }

    /// Hands on what `f` makes of an item, if it makes something of it; the others are counted filtered.
    pub fn filter_map<O, F>(self, f: F) -> Longer<In, S, Fused<FilterMap<F>>>
    where
        F: FnMut(S::Out) -> Option<O> + Send + 'static,
        O: Send + 'static,
    {
        self.chain(Fused(FilterMap(f)))
    }

    /// Hands on everything that `f` makes of an item, one by one; an item of which it makes nothing is counted filtered.
    pub fn flat_map<I, F>(self, f: F) -> Longer<In, S, FlatMap<F, I>>
    where
        F: FnMut(S::Out) -> I + Send + 'static,
        I: IntoIterator<Item: Send + 'static, IntoIter: Send + 'static> + 'static,
    {
        self.chain(FlatMap::new("flat_map", f))
    }

    /// Hands on what is in a batch, one by one.
    pub fn unbatch(self) -> Longer<In, S, FlatMap<fn(S::Out) -> S::Out, S::Out>>
    where
        S::Out: IntoIterator<Item: Send + 'static, IntoIter: Send + 'static>,
    {
        self.chain(FlatMap::new("unbatch", std::convert::identity))
    }

    /// Hands on what `f` makes of an item and a state that it may change.
    pub fn scan<Z, O, F>(self, state: Z, f: F) -> Longer<In, S, Fused<Scan<Z, F>>>
    where
        F: FnMut(&mut Z, S::Out) -> O + Send + 'static,
        Z: Send + 'static,
        O: Send + 'static,
    {
        self.chain(Fused(Scan(state, f)))
    }

    /// Shows each item to `f`, and hands it on.
    pub fn inspect<F>(self, f: F) -> Longer<In, S, Fused<Inspect<F>>>
    where
        F: FnMut(&S::Out) + Send + 'static,
    {
        self.chain(Fused(Inspect(f)))
    }

    /// Hands on so many items, and ends. What was taken beyond them is counted cancelled.
    pub fn take(self, items: u64) -> Longer<In, S, Take> {
        self.chain(Take(items))
    }

    /// Hands on items in batches.
    pub fn batch(self, batch: Batch<S::Out>) -> Longer<In, S, Batching<S::Out>> {
        self.chain(Batching(batch))
    }

    /// Lets what is before run in a task of its own, at most so many items ahead of what is behind: 1 or more.
    pub fn buffer(self, items: usize) -> Longer<In, S, Buffer> {
        self.chain(Buffer(items))
    }
}

#[allow(clippy::type_complexity, reason = "a stage's type names its function's, and nobody writes it")]
/// Stages with workers.
impl<In: Send + 'static, S: Stage<In>> Pipeline<In, S> {
    /// Runs an async function on several items at once.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use flowgate::{Par, Pipeline};
    /// use futures::{StreamExt as _, stream};
    ///
    /// let doubled = Pipeline::new().map_async(Par::ordered(4), |n: u32| async move { n * 2 });
    /// assert_eq!(doubled.run(stream::iter(1..4)).unwrap().collect::<Vec<_>>().await, [2, 4, 6]);
    /// # }
    /// ```
    pub fn map_async<F, Fut>(self, par: Par, f: F) -> Longer<In, S, Parallel<Async<F>>>
    where
        F: Fn(S::Out) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: Send + 'static> + Send + 'static,
    {
        self.chain(Parallel::new(par, NoLanes, Async::new(f)))
    }

    /// Runs a fallible async function on several items at once. The item is lent, so that it can be tried again or given to a
    /// dead-letter sink: see [`on_error`](Pipeline::on_error).
    pub fn try_map_async<O, E, F, Fut>(self, par: Par, f: F) -> Longer<In, S, Parallel<TryAsync<F, S::Out, E>>>
    where
        F: Fn(Attempt<S::Out>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<O, E>> + Send + 'static,
        O: Send + 'static,
        E: Into<BoxError> + Send + 'static,
    {
        self.chain(Parallel::new(par, NoLanes, TryAsync::new(f)))
    }

    /// Runs an async function on several items at once, on those of one key one after another, in their order.
    ///
    /// A key that is slow holds up its own items only, as long as they do not fill the window: see [`Par::per_key`]. A key
    /// without items costs nothing.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use flowgate::{Par, Pipeline};
    /// use futures::{StreamExt as _, stream};
    ///
    /// let posted = Pipeline::new()
    ///     .map_keyed(Par::unordered(8), |(account, _): &(&str, i32)| *account, |(account, amount)| async move {
    ///         format!("{account}: {amount}")
    ///     });
    /// let posted: Vec<_> = posted.run(stream::iter([("ada", 1), ("ada", 2)])).unwrap().collect().await;
    /// assert_eq!(posted, ["ada: 1", "ada: 2"]);
    /// # }
    /// ```
    pub fn map_keyed<K, Q, F, Fut>(self, par: Par, key: Q, f: F) -> Longer<In, S, Parallel<Async<F>, ByKey<Q, K>>>
    where
        Q: FnMut(&S::Out) -> K + Send + 'static,
        K: Hash + 'static,
        F: Fn(S::Out) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: Send + 'static> + Send + 'static,
    {
        self.chain(Parallel::new(par, ByKey::new(key), Async::new(f)))
    }

    /// The same for a fallible function: an item that is tried again holds up the later ones of its key only.
    pub fn try_map_keyed<K, O, E, Q, F, Fut>(
        self,
        par: Par,
        key: Q,
        f: F,
    ) -> Longer<In, S, Parallel<TryAsync<F, S::Out, E>, ByKey<Q, K>>>
    where
        Q: FnMut(&S::Out) -> K + Send + 'static,
        K: Hash + 'static,
        F: Fn(Attempt<S::Out>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<O, E>> + Send + 'static,
        O: Send + 'static,
        E: Into<BoxError> + Send + 'static,
    {
        self.chain(Parallel::new(par, ByKey::new(key), TryAsync::new(f)))
    }

    /// Runs a function that computes or blocks, on threads of its own.
    ///
    /// A call cannot be interrupted: when the pipeline is cancelled it ends by itself, and what it returns is dropped.
    pub fn map_blocking<O, F>(self, par: Par, f: F) -> Longer<In, S, Parallel<Blocking<F>>>
    where
        F: Fn(S::Out) -> O + Send + Sync + 'static,
        O: Send + 'static,
    {
        self.chain(Parallel::new(par, NoLanes, Blocking::new(f)))
    }

    /// The same for a fallible function. The item is lent; with [`Cx`] the function can ask whether it was cancelled.
    pub fn try_map_blocking<O, E, F>(self, par: Par, f: F) -> Longer<In, S, Parallel<TryBlocking<F, S::Out, E>>>
    where
        F: Fn(&mut S::Out, &Cx) -> Result<O, E> + Send + Sync + 'static,
        O: Send + 'static,
        E: Into<BoxError> + Send + 'static,
    {
        self.chain(Parallel::new(par, NoLanes, TryBlocking::new(f)))
    }

    /// Runs each item as a job of a pool that others use too: one limit for all of them.
    ///
    /// Of `par`, the window and the order count: so many items may be in the pool or unread. How many run at once, retries and
    /// timeouts are the pool's.
    pub fn map_on<T, E>(self, pool: &WorkerPool<S::Out, T, E>, par: Par) -> Longer<In, S, OnPool<S::Out, T, E>>
    where
        T: Send + 'static,
        E: Into<BoxError> + Send + 'static,
    {
        self.chain(OnPool { pool: pool.clone(), par, policy: OnError::fail_fast() })
    }
}

/// Options of the last stage.
impl<In: Send + 'static, S, N> Pipeline<In, Chain<S, N>> {
    /// Names the last stage: in reports, snapshots and errors. No two stages may have the same name.
    pub fn named(mut self, name: impl AsRef<str>) -> Self {
        self.stage.label = Some(name.as_ref().into());
        self
    }

    /// Says what becomes of an item that the last stage fails for. [`OnError::fail_fast`], if this is not called.
    pub fn on_error(mut self, policy: OnError<N::Item, N::Error>) -> Self
    where
        N: Fallible,
    {
        self.stage.last.on_error(policy);
        self
    }

    /// An item for which the function of the last stage panics is dropped and counted failed, and the rest goes on. Without
    /// it, a panic ends the pipeline.
    ///
    /// For stages whose function cannot fail; what becomes of other panics is said by [`on_error`](Self::on_error).
    pub fn skip_panics(mut self) -> Self
    where
        N: Infallible,
    {
        self.stage.skips_panics = true;
        self
    }
}

impl<In: Send + 'static, S, W, L> Pipeline<In, Chain<S, Parallel<W, L>>> {
    /// How long one attempt of the last stage may take, above zero. Then it is dropped, and the item has failed, or is tried
    /// again: see [`on_error`](Self::on_error). For async stages; a thread cannot be stopped.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.stage.last.timeout = Some(timeout);
        self
    }
}

/// A stage whose function cannot fail, but for panics.
pub trait Infallible {}

impl<P> Infallible for Fused<P> {}
impl<F, I> Infallible for FlatMap<F, I> {}
impl<T> Infallible for Batching<T> {}
impl<F, L> Infallible for Parallel<Async<F>, L> {}
impl<F, L> Infallible for Parallel<Blocking<F>, L> {}
