//! What the workers of a stage do: the forms that its function can take.

use super::error::BoxError;
use super::node::Node;
use super::on_error::OnError;
use super::plan::Kind;
use crate::kernel::engine::LaneId;
use crate::pool::{Attempt, BuildError, Cx, WorkerPool, WorkerPoolBuilder};
use crate::rt;
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::marker::PhantomData;
use std::sync::Arc;

/// The function of a parallel stage.
pub trait Work<In>: Send + 'static {
    /// The item as the stage's pool has it.
    type Job: Send + 'static;
    /// What comes out.
    type Out: Send + 'static;
    /// The error of an attempt.
    type Error: Into<BoxError> + Send + 'static;
    /// The start of the stage's name.
    const KIND: Kind;
    /// Whether its workers are threads.
    const ON_THREADS: bool;

    /// The item as a job.
    fn job(item: In) -> Self::Job;
    /// What becomes of failed items; taken when the stage starts.
    fn policy(&self) -> OnError<Self::Job, Self::Error>;
    /// The pool that runs the function.
    #[doc(hidden)]
    fn build(
        self,
        builder: WorkerPoolBuilder<Self::Job, Self::Out, Self::Error>,
        times: StageTimes,
    ) -> Result<PoolOf<Self, In>, BuildError>
    where
        Self: Sized;
}

/// The pool of a stage.
pub(super) type PoolOf<W, In> = WorkerPool<<W as Work<In>>::Job, <W as Work<In>>::Out, <W as Work<In>>::Error>;

/// Where the times of a stage's attempts are kept.
#[derive(Clone, Debug)]
pub struct StageTimes(pub(super) Arc<Node>);

impl StageTimes {
    /// An attempt begins; what is returned is told when it ends.
    fn begin(&self) -> Timing {
        let started = self.0.times.run.begin(rt::now);
        Timing(started.map(|started| (self.0.clone(), started)))
    }
}

/// An attempt that is timed, if it is.
struct Timing(Option<(Arc<Node>, rt::Instant)>);

impl Timing {
    fn end(self) {
        if let Some((node, started)) = self.0 {
            node.times.run.end(rt::now().saturating_duration_since(started));
        }
    }
}

macro_rules! opaque {
    ($name:ident<$($generic:ident),*>) => {
        impl<$($generic),*> fmt::Debug for $name<$($generic),*> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    };
}

/// An async function that cannot fail.
#[derive(Clone)]
pub struct Async<F>(pub(super) F);
opaque!(Async<F>);

impl<In, O, F, Fut> Work<In> for Async<F>
where
    In: Send + 'static,
    O: Send + 'static,
    F: Fn(In) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = O> + Send + 'static,
{
    type Job = In;
    type Out = O;
    type Error = Infallible;
    const KIND: Kind = "map_async";
    const ON_THREADS: bool = false;

    fn job(item: In) -> In {
        item
    }

    fn policy(&self) -> OnError<In, Infallible> {
        OnError::fail_fast()
    }

    fn build(
        self,
        builder: WorkerPoolBuilder<In, O, Infallible>,
        times: StageTimes,
    ) -> Result<WorkerPool<In, O, Infallible>, BuildError> {
        let f = self.0;
        builder.build(move |attempt: Attempt<In>| {
            let timing = times.begin();
            let running = f(attempt.into_inner());
            async move {
                let made = running.await;
                timing.end();
                Ok(made)
            }
        })
    }
}

/// A fallible async function, to which the item is lent.
pub struct TryAsync<F, T, E> {
    f: F,
    policy: OnError<T, E>,
}
opaque!(TryAsync<F, T, E>);

impl<F: Clone, T, E> Clone for TryAsync<F, T, E> {
    fn clone(&self) -> Self {
        Self { f: self.f.clone(), policy: self.policy.clone() }
    }
}

impl<F, T, E> TryAsync<F, T, E> {
    pub(super) fn new(f: F) -> Self {
        Self { f, policy: OnError::fail_fast() }
    }
}

impl<In, O, E, F, Fut> Work<In> for TryAsync<F, In, E>
where
    In: Send + 'static,
    O: Send + 'static,
    E: Into<BoxError> + Send + 'static,
    F: Fn(Attempt<In>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<O, E>> + Send + 'static,
{
    type Job = In;
    type Out = O;
    type Error = E;
    const KIND: Kind = "try_map_async";
    const ON_THREADS: bool = false;

    fn job(item: In) -> In {
        item
    }

    fn policy(&self) -> OnError<In, E> {
        self.policy.clone()
    }

    fn build(
        self,
        builder: WorkerPoolBuilder<In, O, E>,
        times: StageTimes,
    ) -> Result<WorkerPool<In, O, E>, BuildError> {
        let f = self.f;
        builder.build(move |attempt: Attempt<In>| {
            let timing = times.begin();
            let running = f(attempt);
            async move {
                let made = running.await;
                timing.end();
                made
            }
        })
    }
}

/// A function that computes or blocks, on a thread, and cannot fail.
#[derive(Clone)]
pub struct Blocking<F>(pub(super) F);
opaque!(Blocking<F>);

impl<In, O, F> Work<In> for Blocking<F>
where
    In: Send + 'static,
    O: Send + 'static,
    F: Fn(In) -> O + Send + Sync + 'static,
{
    /// Taken out by the one attempt.
    type Job = Option<In>;
    type Out = O;
    type Error = Infallible;
    const KIND: Kind = "map_blocking";
    const ON_THREADS: bool = true;

    fn job(item: In) -> Option<In> {
        Some(item)
    }

    fn policy(&self) -> OnError<Option<In>, Infallible> {
        OnError::fail_fast()
    }

    fn build(
        self,
        builder: WorkerPoolBuilder<Option<In>, O, Infallible>,
        times: StageTimes,
    ) -> Result<WorkerPool<Option<In>, O, Infallible>, BuildError> {
        let f = self.0;
        builder.build_blocking(move |job: &mut Option<In>, _cx: &Cx| {
            let timing = times.begin();
            let made = f(job.take().expect("one attempt an item"));
            timing.end();
            Ok(made)
        })
    }
}

/// A fallible function that computes or blocks, on a thread, to which the item is lent.
pub struct TryBlocking<F, T, E> {
    f: F,
    policy: OnError<T, E>,
}
opaque!(TryBlocking<F, T, E>);

impl<F: Clone, T, E> Clone for TryBlocking<F, T, E> {
    fn clone(&self) -> Self {
        Self { f: self.f.clone(), policy: self.policy.clone() }
    }
}

impl<F, T, E> TryBlocking<F, T, E> {
    pub(super) fn new(f: F) -> Self {
        Self { f, policy: OnError::fail_fast() }
    }
}

impl<In, O, E, F> Work<In> for TryBlocking<F, In, E>
where
    In: Send + 'static,
    O: Send + 'static,
    E: Into<BoxError> + Send + 'static,
    F: Fn(&mut In, &Cx) -> Result<O, E> + Send + Sync + 'static,
{
    type Job = In;
    type Out = O;
    type Error = E;
    const KIND: Kind = "try_map_blocking";
    const ON_THREADS: bool = true;

    fn job(item: In) -> In {
        item
    }

    fn policy(&self) -> OnError<In, E> {
        self.policy.clone()
    }

    fn build(
        self,
        builder: WorkerPoolBuilder<In, O, E>,
        times: StageTimes,
    ) -> Result<WorkerPool<In, O, E>, BuildError> {
        let f = self.f;
        builder.build_blocking(move |job: &mut In, cx: &Cx| {
            let timing = times.begin();
            let made = f(job, cx);
            timing.end();
            made
        })
    }
}

/// A function that can fail, and so has a policy for that.
pub trait Fallible {
    /// The item.
    type Item;
    /// The error of an attempt.
    type Error;
    /// Sets the policy.
    fn on_error(&mut self, policy: OnError<Self::Item, Self::Error>);
}

impl<F, T, E> Fallible for TryAsync<F, T, E> {
    type Item = T;
    type Error = E;

    fn on_error(&mut self, policy: OnError<T, E>) {
        self.policy = policy;
    }
}

impl<F, T, E> Fallible for TryBlocking<F, T, E> {
    type Item = T;
    type Error = E;

    fn on_error(&mut self, policy: OnError<T, E>) {
        self.policy = policy;
    }
}

/// Which items go one after another.
pub trait Lanes<T>: Send + 'static {
    /// Whether there are lanes at all.
    const KEYED: bool;
    /// The lane of an item.
    #[doc(hidden)]
    fn lane<J, O, E>(&mut self, item: &T, pool: &WorkerPool<J, O, E>) -> Option<StageLane>;
}

/// A lane of a stage.
#[derive(Clone, Copy, Debug)]
pub struct StageLane(pub(super) LaneId);

/// None.
#[derive(Clone, Copy, Debug)]
pub struct NoLanes;

impl<T> Lanes<T> for NoLanes {
    const KEYED: bool = false;

    fn lane<J, O, E>(&mut self, _item: &T, _pool: &WorkerPool<J, O, E>) -> Option<StageLane> {
        None
    }
}

/// Those of the same key.
pub struct ByKey<F, K> {
    key: F,
    of: PhantomData<fn() -> K>,
}
opaque!(ByKey<F, K>);

impl<F, K> ByKey<F, K> {
    pub(super) fn new(key: F) -> Self {
        Self { key, of: PhantomData }
    }
}

impl<F: Clone, K> Clone for ByKey<F, K> {
    fn clone(&self) -> Self {
        Self::new(self.key.clone())
    }
}

impl<T, K: Hash + 'static, F: FnMut(&T) -> K + Send + 'static> Lanes<T> for ByKey<F, K> {
    const KEYED: bool = true;

    fn lane<J, O, E>(&mut self, item: &T, pool: &WorkerPool<J, O, E>) -> Option<StageLane> {
        Some(StageLane(pool.lane(&(self.key)(item))))
    }
}
