//! What a pipeline is made of.

use super::blame::Blame;
use super::contained::Contained;
use super::envelope::Envelope;
use super::node::{Flow, Node};
use super::plan::Plan;
use super::scope::Scope;
use futures_core::Stream;
use pin_project_lite::pin_project;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A step of a pipeline: it makes a stream of items out of a stream of items.
///
/// Implement it for a stage that keeps options of its own; for a function of streams there is [`stage_fn`]. Tickets must go
/// on with what is made of their items: one that is dropped counts as not processed.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use flowgate::pipeline::{Envelope, Scope, Stage};
/// use flowgate::Pipeline;
/// use futures::{Stream, StreamExt as _, stream};
///
/// /// Hands on every item twice.
/// struct Twice;
///
/// impl<T: Clone + Send + 'static> Stage<T> for Twice {
///     type Out = T;
///
///     fn attach<S>(self, input: S, _scope: Scope) -> impl Stream<Item = Envelope<T>> + Send + 'static
///     where
///         S: Stream<Item = Envelope<T>> + Send + 'static,
///     {
///         input.flat_map(|envelope| {
///             let (value, ticket) = envelope.into_parts();
///             let first = Envelope::with(value.clone(), ticket.split());
///             stream::iter([first, Envelope::with(value, ticket)])
///         })
///     }
/// }
///
/// let twice: Vec<u32> = Pipeline::new().then(Twice).run(stream::iter(1..3)).unwrap().collect().await;
/// assert_eq!(twice, [1, 1, 2, 2]);
/// # }
/// ```
pub trait Stage<In: Send + 'static>: Send + Sized + 'static {
    /// What comes out.
    type Out: Send + 'static;

    /// Puts the stage behind `input`. What it spawns belongs to `scope`.
    fn attach<S>(self, input: S, scope: Scope) -> impl Stream<Item = Envelope<Self::Out>> + Send + 'static
    where
        S: Stream<Item = Envelope<In>> + Send + 'static;

    /// Tells of the stage before it runs: exactly one stage, or those that it is made of, in order.
    fn describe(&self, plan: &mut Plan) {
        plan.custom("stage");
    }

    /// Whether [`attach`](Self::attach) tells the scope of the stages that [`describe`](Self::describe) tells of. Only
    /// stages of this crate do.
    #[doc(hidden)]
    fn reports(&self) -> bool {
        false
    }
}

/// No step at all: what an empty pipeline does.
#[derive(Clone, Copy, Debug, Default)]
pub struct Identity;

impl<T: Send + 'static> Stage<T> for Identity {
    type Out = T;

    fn attach<S>(self, input: S, _scope: Scope) -> impl Stream<Item = Envelope<T>> + Send + 'static
    where
        S: Stream<Item = Envelope<T>> + Send + 'static,
    {
        input
    }

    fn describe(&self, _plan: &mut Plan) {}

    fn reports(&self) -> bool {
        true
    }
}

/// One step after another.
#[derive(Clone)]
pub struct Chain<A, B> {
    pub(super) first: A,
    pub(super) last: B,
    /// The name of the last.
    pub(super) label: Option<Arc<str>>,
    /// Whether an item whose closure panics in the last is skipped.
    pub(super) skips_panics: bool,
}

impl<A, B> Chain<A, B> {
    pub(super) fn new(first: A, last: B) -> Self {
        Self { first, last, label: None, skips_panics: false }
    }
}

impl<A: fmt::Debug, B: fmt::Debug> fmt::Debug for Chain<A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain").field("first", &self.first).field("last", &self.last).finish()
    }
}

impl<In, A, B> Stage<In> for Chain<A, B>
where
    In: Send + 'static,
    A: Stage<In>,
    B: Stage<A::Out>,
{
    type Out = B::Out;

    fn attach<S>(self, input: S, scope: Scope) -> impl Stream<Item = Envelope<Self::Out>> + Send + 'static
    where
        S: Stream<Item = Envelope<In>> + Send + 'static,
    {
        let last = scope.labelled(self.label.as_ref(), self.skips_panics);
        let input = self.first.attach(input, scope);
        self.last.attach(input, last)
    }

    fn describe(&self, plan: &mut Plan) {
        self.first.describe(plan);
        plan.labelled(self.label.as_ref(), |plan| self.last.describe(plan));
    }

    fn reports(&self) -> bool {
        true
    }
}

/// A stage that was given to [`Pipeline::then`](super::Pipeline::then): what it hands on is counted, if it does not do so
/// itself.
#[derive(Clone, Debug)]
pub struct Then<S>(pub(super) S);

impl<In: Send + 'static, S: Stage<In>> Stage<In> for Then<S> {
    type Out = S::Out;

    fn attach<I>(self, input: I, scope: Scope) -> impl Stream<Item = Envelope<S::Out>> + Send + 'static
    where
        I: Stream<Item = Envelope<In>> + Send + 'static,
    {
        let node = (!self.0.reports()).then(|| scope.node("stage", Flow::Counted));
        let input = match &node {
            Some(_) => Before::Contained { input: Contained::new(input, &scope) },
            None => Before::Bare { input },
        };
        Counted::new(self.0.attach(input, scope), node)
    }

    fn describe(&self, plan: &mut Plan) {
        self.0.describe(plan);
    }

    fn reports(&self) -> bool {
        true
    }
}

pin_project! {
    /// What comes before a stage: panics of it do not pass through a stage of the user's, which might not stand them.
    #[project = BeforeProjection]
    enum Before<S> {
        Bare { #[pin] input: S },
        Contained { input: Contained<S> },
    }
}

impl<S: Stream> Stream for Before<S> {
    type Item = S::Item;

    #[inline]
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        match self.project() {
            BeforeProjection::Bare { input } => input.poll_next(cx),
            BeforeProjection::Contained { input } => Pin::new(input).poll_next(cx),
        }
    }
}

pin_project! {
    /// Counts what comes out of a stage of the user's.
    struct Counted<S> {
        #[pin]
        output: S,
        node: Option<Arc<Node>>,
    }
}

impl<S> Counted<S> {
    fn new(output: S, node: Option<Arc<Node>>) -> Self {
        Self { output, node }
    }
}

impl<S: Stream> Stream for Counted<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let this = self.project();
        let next = match this.node {
            None => return this.output.poll_next(cx),
            Some(node) => {
                let blame = Blame::new(node);
                let next = this.output.poll_next(cx);
                drop(blame.clear());
                next
            }
        };
        if let (Poll::Ready(Some(_)), Some(node)) = (&next, this.node) {
            node.out.add_alone(1);
        }
        next
    }
}

/// A stream whose type is forgotten.
pub type BoxStream<T> = Pin<Box<dyn Stream<Item = T> + Send>>;

/// A stage out of a function of streams: everything that works on streams works in it.
///
/// Items come as [`Envelope`]s, and go on with the tickets that they came with.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use flowgate::Pipeline;
/// use flowgate::pipeline::stage_fn;
/// use futures::{StreamExt as _, stream};
///
/// let pairs = Pipeline::new().then(stage_fn(|items| {
///     items.enumerate().map(|(n, envelope)| envelope.map(|word: &str| (n, word)))
/// }));
/// let numbered: Vec<_> = pairs.run(stream::iter(["a", "b"])).unwrap().collect().await;
/// assert_eq!(numbered, [(0, "a"), (1, "b")]);
/// # }
/// ```
pub fn stage_fn<In, Out, F, O>(f: F) -> StageFn<F>
where
    F: FnOnce(BoxStream<Envelope<In>>) -> O,
    O: Stream<Item = Envelope<Out>>,
{
    StageFn(f)
}

/// See [`stage_fn`].
#[derive(Clone)]
pub struct StageFn<F>(F);

impl<F> fmt::Debug for StageFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StageFn").finish_non_exhaustive()
    }
}

impl<In, Out, F, O> Stage<In> for StageFn<F>
where
    In: Send + 'static,
    Out: Send + 'static,
    F: FnOnce(BoxStream<Envelope<In>>) -> O + Send + 'static,
    O: Stream<Item = Envelope<Out>> + Send + 'static,
{
    type Out = Out;

    fn attach<S>(self, input: S, _scope: Scope) -> impl Stream<Item = Envelope<Out>> + Send + 'static
    where
        S: Stream<Item = Envelope<In>> + Send + 'static,
    {
        (self.0)(Box::pin(input))
    }
}

/// A stage whose type is forgotten. Made by [`Pipeline::boxed`](super::Pipeline::boxed).
pub struct BoxStage<In, Out>(Box<dyn Erased<In, Out>>);

impl<In: Send + 'static, Out: Send + 'static> BoxStage<In, Out> {
    pub(super) fn new(stage: impl Stage<In, Out = Out>) -> Self {
        Self(Box::new(stage))
    }
}

/// A stage behind a pointer.
trait Erased<In, Out>: Send {
    fn attach_boxed(self: Box<Self>, input: BoxStream<Envelope<In>>, scope: Scope) -> BoxStream<Envelope<Out>>;
    fn describe_boxed(&self, plan: &mut Plan);
}

impl<In: Send + 'static, S: Stage<In>> Erased<In, S::Out> for S {
    fn attach_boxed(self: Box<Self>, input: BoxStream<Envelope<In>>, scope: Scope) -> BoxStream<Envelope<S::Out>> {
        Box::pin((*self).attach(input, scope))
    }

    fn describe_boxed(&self, plan: &mut Plan) {
        self.describe(plan);
    }
}

impl<In: Send + 'static, Out: Send + 'static> Stage<In> for BoxStage<In, Out> {
    type Out = Out;

    fn attach<S>(self, input: S, scope: Scope) -> impl Stream<Item = Envelope<Out>> + Send + 'static
    where
        S: Stream<Item = Envelope<In>> + Send + 'static,
    {
        self.0.attach_boxed(Box::pin(input), scope)
    }

    fn describe(&self, plan: &mut Plan) {
        self.0.describe_boxed(plan);
    }

    fn reports(&self) -> bool {
        true
    }
}

impl<In, Out> fmt::Debug for BoxStage<In, Out> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoxStage").finish_non_exhaustive()
    }
}
