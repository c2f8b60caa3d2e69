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

/// Whether a function can fail: then it has a policy, an [`OnError`]; one that cannot has none, `()`.
pub trait Policy<J> {
    /// The error of an attempt.
    type Error;
    /// What becomes of failed items.
    fn policy(&self) -> OnError<J, Self::Error>;
}

impl<J> Policy<J> for () {
    type Error = Infallible;

    fn policy(&self) -> OnError<J, Infallible> {
        OnError::fail_fast()
    }
}

impl<J, E> Policy<J> for OnError<J, E> {
    type Error = E;

    fn policy(&self) -> Self {
        self.clone()
    }
}

/// How an async function is given an item, and what it says with what it returns.
pub trait CallAsync<In, F>: Policy<In> {
    /// The start of the stage's name.
    const KIND: Kind;
    /// What comes out.
    type Out;
    /// An attempt.
    type Running: Future;

    /// Begins an attempt.
    fn call(f: &F, attempt: Attempt<In>) -> Self::Running;
    /// How the attempt went.
    fn outcome(returned: <Self::Running as Future>::Output) -> Result<Self::Out, Self::Error>;
}

/// It is given the item, and all that it returns is a success.
impl<In, O, F: Fn(In) -> Fut, Fut: Future<Output = O>> CallAsync<In, F> for () {
    const KIND: Kind = "map_async";
    type Out = O;
    type Running = Fut;

    fn call(f: &F, attempt: Attempt<In>) -> Fut {
        f(attempt.into_inner())
    }

    fn outcome(returned: O) -> Result<O, Infallible> {
        Ok(returned)
    }
}

/// It is lent the item.
impl<In, O, E, F: Fn(Attempt<In>) -> Fut, Fut: Future<Output = Result<O, E>>> CallAsync<In, F> for OnError<In, E> {
    const KIND: Kind = "try_map_async";
    type Out = O;
    type Running = Fut;

    fn call(f: &F, attempt: Attempt<In>) -> Fut {
        f(attempt)
    }

    fn outcome(returned: Result<O, E>) -> Result<O, E> {
        returned
    }
}

/// How a function on a thread is given an item, and what it says with what it returns.
pub trait CallBlocking<In, F>: Policy<Self::Job> {
    /// The start of the stage's name.
    const KIND: Kind;
    /// The item as the stage's pool has it.
    type Job;
    /// What comes out.
    type Out;

    /// The item as a job.
    fn job(item: In) -> Self::Job;
    /// Makes an attempt.
    fn call(f: &F, job: &mut Self::Job, cx: &Cx) -> Result<Self::Out, Self::Error>;
}

/// It is given the item, and all that it returns is a success.
impl<In, O, F: Fn(In) -> O> CallBlocking<In, F> for () {
    const KIND: Kind = "map_blocking";
    /// Taken out by the one attempt.
    type Job = Option<In>;
    type Out = O;

    fn job(item: In) -> Option<In> {
        Some(item)
    }

    fn call(f: &F, job: &mut Option<In>, _cx: &Cx) -> Result<O, Infallible> {
        Ok(f(job.take().expect("one attempt an item")))
    }
}

/// It is lent the item.
impl<In, O, E, F: Fn(&mut In, &Cx) -> Result<O, E>> CallBlocking<In, F> for OnError<In, E> {
    const KIND: Kind = "try_map_blocking";
    type Job = In;
    type Out = O;

    fn job(item: In) -> In {
        item
    }

    fn call(f: &F, job: &mut In, cx: &Cx) -> Result<O, E> {
        f(job, cx)
    }
}

/// An async function that cannot fail; with a policy, [`TryAsync`].
#[derive(Clone)]
pub struct Async<F, P = ()> {
    f: F,
    policy: P,
}
opaque!(Async<F>);

/// A fallible async function, to which the item is lent.
pub type TryAsync<F, T, E> = Async<F, OnError<T, E>>;
opaque!(TryAsync<F, T, E>);

impl<F, P: Default> Async<F, P> {
    pub(super) fn new(f: F) -> Self {
        Self { f, policy: P::default() }
    }
}

impl<In, F, P> Work<In> for Async<F, P>
where
    In: Send + 'static,
    F: Send + Sync + 'static,
    P: CallAsync<In, F, Running: Send + 'static, Out: Send + 'static> + Send + 'static,
    P::Error: Into<BoxError> + Send + 'static,
{
    type Job = In;
    type Out = P::Out;
    type Error = P::Error;
    const KIND: Kind = P::KIND;
    const ON_THREADS: bool = false;

    fn job(item: In) -> In {
        item
    }

    fn policy(&self) -> OnError<In, P::Error> {
        self.policy.policy()
    }

    fn build(
        self,
        builder: WorkerPoolBuilder<In, P::Out, P::Error>,
        times: StageTimes,
    ) -> Result<PoolOf<Self, In>, BuildError> {
        let f = self.f;
        builder.build(move |attempt: Attempt<In>| {
            let timing = times.begin();
            let running = P::call(&f, attempt);
            async move {
                let returned = running.await;
                timing.end();
                P::outcome(returned)
            }
        })
    }
}

/// A function that computes or blocks, on a thread, and cannot fail; with a policy, [`TryBlocking`].
#[derive(Clone)]
pub struct Blocking<F, P = ()> {
    f: F,
    policy: P,
}
opaque!(Blocking<F>);

/// A fallible function that computes or blocks, on a thread, to which the item is lent.
pub type TryBlocking<F, T, E> = Blocking<F, OnError<T, E>>;
opaque!(TryBlocking<F, T, E>);

impl<F, P: Default> Blocking<F, P> {
    pub(super) fn new(f: F) -> Self {
        Self { f, policy: P::default() }
    }
}

impl<In, F, P> Work<In> for Blocking<F, P>
where
    F: Send + Sync + 'static,
    P: CallBlocking<In, F, Job: Send + 'static, Out: Send + 'static> + Send + 'static,
    P::Error: Into<BoxError> + Send + 'static,
{
    type Job = P::Job;
    type Out = P::Out;
    type Error = P::Error;
    const KIND: Kind = P::KIND;
    const ON_THREADS: bool = true;

    fn job(item: In) -> P::Job {
        P::job(item)
    }

    fn policy(&self) -> OnError<P::Job, P::Error> {
        self.policy.policy()
    }

    fn build(
        self,
        builder: WorkerPoolBuilder<P::Job, P::Out, P::Error>,
        times: StageTimes,
    ) -> Result<PoolOf<Self, In>, BuildError> {
        let f = self.f;
        builder.build_blocking(move |job: &mut P::Job, cx: &Cx| {
            let timing = times.begin();
            let made = P::call(&f, job, cx);
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
