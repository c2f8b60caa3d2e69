//! Stages with workers: each runs its items on a worker pool, its own or a shared one.

use super::contained::Contained;
use super::envelope::{Envelope, Ticket};
use super::error::{BoxError, Cause};
use super::node::{Flow, Load, Node, Workers};
use super::on_error::{Fails, Failures, OnError};
use super::par::Par;
use super::plan::{Kind, Plan};
use super::scope::Scope;
use super::stage::Stage;
use super::work::{Fallible, Lanes, NoLanes, PoolOf, StageTimes, Work};
use crate::contain::{contain, discard};
use crate::pool::member::Delivery;
use crate::pool::stream::{Incoming, Input, Tagged};
use crate::pool::{BuildError, JobError, RunError, WeakPool, WorkerPool, WorkerPoolBuilder};
use crate::rt::{self, Instant};
use futures_core::Stream;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// A stage that works on several items at once, on a pool of its own.
#[derive(Clone)]
pub struct Parallel<W, L = NoLanes> {
    pub(super) work: W,
    pub(super) lanes: L,
    pub(super) par: Par,
    pub(super) timeout: Option<Duration>,
}

impl<W, L> Parallel<W, L> {
    pub(super) fn new(par: Par, lanes: L, work: W) -> Self {
        Self { work, lanes, par, timeout: None }
    }

    fn builder<In>(&self, policy: &OnError<W::Job, W::Error>) -> WorkerPoolBuilder<W::Job, W::Out, W::Error>
    where
        W: Work<In>,
    {
        let Par { parallelism, per_key, .. } = self.par;
        let mut builder = WorkerPool::builder().concurrency(parallelism);
        builder = builder.queue(self.par.held().saturating_sub(parallelism));
        if let Some(items) = per_key {
            builder = builder.per_key(items);
        }
        if let Some(policy) = &policy.retry {
            builder = builder.retry(policy.clone());
        }
        match self.timeout {
            Some(timeout) => builder.attempt_timeout(timeout),
            None => builder,
        }
    }
}

impl<W, L> fmt::Debug for Parallel<W, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parallel").field("par", &self.par).field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

impl<W: Fallible, L> Fallible for Parallel<W, L> {
    type Item = W::Item;
    type Error = W::Error;

    fn on_error(&mut self, policy: OnError<W::Item, W::Error>) {
        self.work.on_error(policy);
    }
}

fn kind<In, W: Work<In>, L: Lanes<In>>() -> Kind {
    match (L::KEYED, W::KIND) {
        (true, "map_async") => "map_keyed",
        (true, "try_map_async") => "try_map_keyed",
        (_, kind) => kind,
    }
}

impl<In, W, L> Stage<In> for Parallel<W, L>
where
    In: Send + 'static,
    W: Work<In>,
    L: Lanes<In>,
{
    type Out = W::Out;

    fn attach<S>(self, input: S, scope: Scope) -> impl Stream<Item = Envelope<W::Out>> + Send + 'static
    where
        S: Stream<Item = Envelope<In>> + Send + 'static,
    {
        let node = scope.node(kind::<In, W, L>(), Flow::Counted);
        let policy = self.work.policy();
        let builder = self.builder::<In>(&policy);
        let input = Contained::new(input, &scope);
        let (window, order) = (self.par.held(), self.par.order);
        let pool = self.work.build(builder, StageTimes(node.clone()));
        Working::new(pool, node, &scope, policy, |pool: &PoolOf<W, In>, node| {
            scope.own(pool.clone());
            let feed = Feed { input, lanes: self.lanes, pool: pool.downgrade(), node, job: W::job };
            let mut jobs = pool.map_tagged(feed, order);
            jobs.limit = window;
            jobs
        })
    }

    fn describe(&self, plan: &mut Plan) {
        let kind = kind::<In, W, L>();
        self.par.check(plan, kind, L::KEYED);
        if W::ON_THREADS && self.timeout.is_some() {
            plan.refuse(kind, "timeout", "set", "set on async stages only: a thread cannot be stopped");
        }
        // What else a pool would refuse; its own numbers have been looked at.
        match self.builder::<In>(&self.work.policy()).validate() {
            Err(BuildError::Option { option: "attempt_timeout", value, allowed }) => {
                plan.refuse(kind, "timeout", value, allowed);
            }
            Err(BuildError::Retry(invalid)) => plan.refuse(kind, "retry", invalid, "a policy without contradictions"),
            _ => {}
        }
        plan.stage(kind, self.par);
    }

    fn reports(&self) -> bool {
        true
    }
}

/// A stage that sends its items to a pool that others use too.
pub struct OnPool<J, T, E> {
    pub(super) pool: WorkerPool<J, T, E>,
    pub(super) par: Par,
    pub(super) policy: OnError<J, E>,
}

impl<J, T, E> Clone for OnPool<J, T, E> {
    fn clone(&self) -> Self {
        Self { pool: self.pool.clone(), par: self.par, policy: self.policy.clone() }
    }
}

impl<J, T, E> fmt::Debug for OnPool<J, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnPool").field("par", &self.par).finish_non_exhaustive()
    }
}

impl<J, T, E> Fallible for OnPool<J, T, E> {
    type Item = J;
    type Error = E;

    fn on_error(&mut self, policy: OnError<J, E>) {
        self.policy = policy;
    }
}

impl<J, T, E> Stage<J> for OnPool<J, T, E>
where
    J: Send + 'static,
    T: Send + 'static,
    E: Into<BoxError> + Send + 'static,
{
    type Out = T;

    fn attach<S>(self, input: S, scope: Scope) -> impl Stream<Item = Envelope<T>> + Send + 'static
    where
        S: Stream<Item = Envelope<J>> + Send + 'static,
    {
        let node = scope.node("map_on", Flow::Counted);
        let input = Contained::new(input, &scope);
        let par = self.par;
        Working::new(Ok(self.pool), node, &scope, self.policy, |pool, node| {
            let feed = Feed { input, lanes: NoLanes, pool: pool.downgrade(), node, job: |item| item };
            let mut jobs = pool.map_tagged(feed, par.order);
            jobs.limit = par.held();
            jobs
        })
    }

    fn describe(&self, plan: &mut Plan) {
        self.par.check(plan, "map_on", false);
        if self.policy.retry.is_some() {
            plan.refuse("map_on", "retry", "set", "set on the pool itself: its jobs are retried as it says");
        }
        plan.stage("map_on", self.par);
    }

    fn reports(&self) -> bool {
        true
    }
}

/// What travels beside an item in a pool.
struct Tag {
    ticket: Ticket,
    /// When it was taken in, of those that are timed.
    entered: Option<Instant>,
}

/// Takes items in for a pool.
struct Feed<S, In, J, L, P> {
    input: Contained<S>,
    lanes: L,
    pool: P,
    node: Arc<Node>,
    job: fn(In) -> J,
}

impl<S, In, J, L, JJ, O, E> Input<Tag, J, E> for Feed<S, In, J, L, WeakPool<JJ, O, E>>
where
    S: Stream<Item = Envelope<In>>,
    L: Lanes<In>,
{
    fn poll_job(&mut self, cx: &mut Context<'_>) -> Poll<Option<Incoming<Tag, J, E>>> {
        let Some(envelope) = ready!(Pin::new(&mut self.input).poll_next(cx)) else { return Poll::Ready(None) };
        let (item, ticket) = envelope.into_parts();
        let tag = Tag { ticket, entered: self.node.times.whole.begin(rt::now) };
        if !L::KEYED {
            return Poll::Ready(Some(Incoming::Job(tag, (self.job)(item), None)));
        }
        let lane = contain(|| self.pool.upgrade().and_then(|pool| self.lanes.lane(&item, &pool)));
        let job = (self.job)(item);
        Poll::Ready(Some(match lane {
            Ok(lane) => Incoming::Job(tag, job, lane.map(|lane| lane.0)),
            Err(payload) => Incoming::Over(tag, RunError::Job(JobError::panicked_before(job, payload))),
        }))
    }
}

/// A stage with workers while it runs.
struct Working<I, J, T, E> {
    /// `None` once it takes nothing in and has nothing left.
    jobs: Option<Tagged<I, J, T, E, Tag>>,
    failures: Failures<J, E>,
    node: Arc<Node>,
}

impl<I, J, T, E> Working<I, J, T, E>
where
    J: Send + 'static,
    T: Send + 'static,
    E: Into<BoxError> + Send + 'static,
{
    fn new(
        pool: Result<WorkerPool<J, T, E>, BuildError>,
        node: Arc<Node>,
        scope: &Scope,
        policy: OnError<J, E>,
        start: impl FnOnce(&WorkerPool<J, T, E>, Arc<Node>) -> Tagged<I, J, T, E, Tag>,
    ) -> Self {
        let policy = if node.skips_panics { OnError::skip() } else { policy };
        let failures = Failures::new(policy, node.clone(), scope.run.clone());
        let jobs = match pool {
            Ok(pool) => {
                let _first = node.workers.set(Box::new(Slots(pool.downgrade())));
                Some(start(&pool, node.clone()))
            }
            Err(refused) => {
                scope.run.fail(&node.name, Cause::Error(refused.into()));
                None
            }
        };
        Self { jobs, failures, node }
    }

    /// It has failed: nothing later is handed on, and what it has is let go.
    fn fails(&mut self) -> Poll<Option<Envelope<T>>> {
        discard(self.jobs.take());
        Poll::Ready(None)
    }

    fn handed_on(&mut self, delivery: Delivery<J, T, E, Tag>) -> Result<Option<Envelope<T>>, Fails> {
        let Tag { ticket, entered } = delivery.tag;
        if let Some(entered) = entered {
            self.node.times.whole.end(rt::now().saturating_duration_since(entered));
        }
        match delivery.outcome {
            Ok(value) => {
                self.node.out.add_alone(1);
                Ok(Some(Envelope::with(value, ticket)))
            }
            Err(error) => self.failures.fail(error, ticket).map(|()| None),
        }
    }
}

// Nothing in here is pinned in place.
impl<I, J, T, E> Unpin for Working<I, J, T, E> {}

impl<I, J, T, E> Stream for Working<I, J, T, E>
where
    I: Input<Tag, J, E>,
    J: Send + 'static,
    T: Send + 'static,
    E: Into<BoxError> + Send + 'static,
{
    type Item = Envelope<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Envelope<T>>> {
        let this = &mut *self;
        loop {
            if let Err(Fails) = ready!(this.failures.poll_clear(cx)) {
                return this.fails();
            }
            let Some(jobs) = &mut this.jobs else {
                let _failed = ready!(this.failures.poll_close(cx));
                return Poll::Ready(None);
            };
            let Poll::Ready(next) = jobs.poll_next(cx) else {
                return match this.failures.poll_flush(cx) {
                    Poll::Ready(Err(Fails)) => this.fails(),
                    _ => Poll::Pending,
                };
            };
            let Some(delivery) = next else {
                this.jobs = None;
                continue;
            };
            match this.handed_on(delivery) {
                Ok(Some(envelope)) => return Poll::Ready(Some(envelope)),
                Ok(None) => {}
                Err(Fails) => return this.fails(),
            }
        }
    }
}

/// The slots of a stage's pool.
struct Slots<J, T, E>(WeakPool<J, T, E>);

impl<J, T, E> fmt::Debug for Slots<J, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slots").finish_non_exhaustive()
    }
}

impl<J, T, E> Workers for Slots<J, T, E>
where
    J: Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    fn load(&self) -> Load {
        self.0.upgrade().map_or_else(Load::default, |pool| {
            let stats = pool.stats();
            Load { running: stats.running, parked: stats.parked, in_system: stats.in_system, slots: stats.concurrency }
        })
    }

    fn set_parallelism(&self, slots: usize) -> Result<(), BuildError> {
        match self.0.upgrade() {
            Some(pool) => pool.set_concurrency(slots),
            None => Ok(()),
        }
    }
}
