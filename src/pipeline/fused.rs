//! Stages without a task: each is a few lines inside the poll of whatever is behind it.

use super::blame::Blame;
use super::envelope::Envelope;
use super::ledger::Fate;
use super::node::{Flow, Node};
use super::plan::{Kind, Plan};
use super::scope::{Run, Scope};
use super::stage::Stage;
use super::turn::{FRUITLESS, give_way};
use futures_core::Stream;
use pin_project_lite::pin_project;
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// What a fused stage makes of one item: one other, or nothing.
pub trait Step<T>: Send + 'static {
    /// What comes out.
    type Out: Send + 'static;
    /// The start of the stage's name.
    const KIND: Kind;

    /// `None`: filtered out.
    fn step(&mut self, value: T) -> Option<Self::Out>;
}

macro_rules! steps {
    ($($(#[$meta:meta])* $name:ident<$($generic:ident),*>($($field:ty),*);)*) => {
        $($(#[$meta])*
        #[derive(Clone)]
        pub struct $name<$($generic),*>($(pub(super) $field),*);

        impl<$($generic),*> fmt::Debug for $name<$($generic),*> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        })*
    };
}

steps! {
    /// The step of [`map`](super::Pipeline::map).
    Map<F>(F);
    /// The step of [`filter`](super::Pipeline::filter).
    Filter<F>(F);
    /// The step of [`filter_map`](super::Pipeline::filter_map).
    FilterMap<F>(F);
    /// The step of [`inspect`](super::Pipeline::inspect).
    Inspect<F>(F);
    /// The step of [`scan`](super::Pipeline::scan).
    Scan<Z, F>(Z, F);
}

impl<T, O: Send + 'static, F: FnMut(T) -> O + Send + 'static> Step<T> for Map<F> {
    type Out = O;
    const KIND: Kind = "map";

    #[inline]
    fn step(&mut self, value: T) -> Option<O> {
        Some((self.0)(value))
    }
}

impl<T: Send + 'static, F: FnMut(&T) -> bool + Send + 'static> Step<T> for Filter<F> {
    type Out = T;
    const KIND: Kind = "filter";

    #[inline]
    fn step(&mut self, value: T) -> Option<T> {
        (self.0)(&value).then_some(value)
    }
}

impl<T, O: Send + 'static, F: FnMut(T) -> Option<O> + Send + 'static> Step<T> for FilterMap<F> {
    type Out = O;
    const KIND: Kind = "filter_map";

    #[inline]
    fn step(&mut self, value: T) -> Option<O> {
        (self.0)(value)
    }
}

impl<T: Send + 'static, F: FnMut(&T) + Send + 'static> Step<T> for Inspect<F> {
    type Out = T;
    const KIND: Kind = "inspect";

    #[inline]
    fn step(&mut self, value: T) -> Option<T> {
        (self.0)(&value);
        Some(value)
    }
}

impl<T, O, Z, F> Step<T> for Scan<Z, F>
where
    O: Send + 'static,
    Z: Send + 'static,
    F: FnMut(&mut Z, T) -> O + Send + 'static,
{
    type Out = O;
    const KIND: Kind = "scan";

    #[inline]
    fn step(&mut self, value: T) -> Option<O> {
        Some((self.1)(&mut self.0, value))
    }
}

/// A stage that takes a [`Step`] with each item.
#[derive(Clone, Debug)]
pub struct Fused<P>(pub(super) P);

impl<In: Send + 'static, P: Step<In>> Stage<In> for Fused<P> {
    type Out = P::Out;

    fn attach<S>(self, input: S, scope: Scope) -> impl Stream<Item = Envelope<P::Out>> + Send + 'static
    where
        S: Stream<Item = Envelope<In>> + Send + 'static,
    {
        Stepping {
            input,
            step: self.0,
            node: scope.node(P::KIND, Flow::Through),
            run: scope.run.clone(),
            of: PhantomData,
        }
    }

    fn describe(&self, plan: &mut Plan) {
        plan.stage(P::KIND, "");
    }

    fn reports(&self) -> bool {
        true
    }
}

pin_project! {
    struct Stepping<S, P, In> {
        #[pin]
        input: S,
        step: P,
        node: Arc<Node>,
        run: Arc<Run>,
        of: PhantomData<fn(In)>,
    }
}

impl<In, S, P> Stream for Stepping<S, P, In>
where
    S: Stream<Item = Envelope<In>>,
    P: Step<In>,
{
    type Item = Envelope<P::Out>;

    #[inline]
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        for _ in 0..FRUITLESS {
            let Some(envelope) = ready!(this.input.as_mut().poll_next(cx)) else { return Poll::Ready(None) };
            let (value, ticket) = envelope.into_parts();
            let blame = Blame::of_item(this.node, ticket);
            let made = this.step.step(value);
            let ticket = blame.clear();
            match made {
                Some(value) => return Poll::Ready(Some(Envelope::with(value, ticket))),
                None => {
                    this.node.filtered.add_alone(1);
                    this.run.settle(ticket, Fate::Filtered);
                }
            }
        }
        give_way(cx)
    }
}

/// The stage of [`take`](super::Pipeline::take).
#[derive(Clone, Copy, Debug)]
pub struct Take(pub(super) u64);

impl<In: Send + 'static> Stage<In> for Take {
    type Out = In;

    fn attach<S>(self, input: S, scope: Scope) -> impl Stream<Item = Envelope<In>> + Send + 'static
    where
        S: Stream<Item = Envelope<In>> + Send + 'static,
    {
        let node = scope.node("take", Flow::Counted);
        Taking { input: Some(Box::pin(input)), left: self.0, node, run: scope.run.clone() }
    }

    fn describe(&self, plan: &mut Plan) {
        plan.stage("take", self.0);
    }

    fn reports(&self) -> bool {
        true
    }
}

struct Taking<S> {
    /// `None` once there were enough.
    input: Option<Pin<Box<S>>>,
    left: u64,
    node: Arc<Node>,
    run: Arc<Run>,
}

impl<S: Stream> Stream for Taking<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let this = &mut *self;
        if this.left > 0 {
            let Some(input) = &mut this.input else { return Poll::Ready(None) };
            let next = ready!(input.as_mut().poll_next(cx));
            if next.is_some() {
                this.left -= 1;
                this.node.out.add_alone(1);
            }
            if this.left > 0 {
                return Poll::Ready(next);
            }
            this.enough();
            return Poll::Ready(next);
        }
        this.enough();
        Poll::Ready(None)
    }
}

impl<S> Taking<S> {
    /// What is behind is let go with its last item handed on: nobody waits for it.
    fn enough(&mut self) {
        if let Some(input) = self.input.take() {
            self.run.cut();
            crate::contain::discard(input);
        }
    }
}

/// The stage of [`flat_map`](super::Pipeline::flat_map).
pub struct FlatMap<F, I> {
    f: F,
    kind: Kind,
    of: PhantomData<fn() -> I>,
}

impl<F, I> FlatMap<F, I> {
    pub(super) fn new(kind: Kind, f: F) -> Self {
        Self { f, kind, of: PhantomData }
    }
}

impl<F: Clone, I> Clone for FlatMap<F, I> {
    fn clone(&self) -> Self {
        Self::new(self.kind, self.f.clone())
    }
}

impl<F, I> fmt::Debug for FlatMap<F, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlatMap").finish_non_exhaustive()
    }
}

impl<In, F, I> Stage<In> for FlatMap<F, I>
where
    In: Send + 'static,
    F: FnMut(In) -> I + Send + 'static,
    I: IntoIterator<Item: Send + 'static, IntoIter: Send + 'static> + 'static,
{
    type Out = I::Item;

    fn attach<S>(self, input: S, scope: Scope) -> impl Stream<Item = Envelope<I::Item>> + Send + 'static
    where
        S: Stream<Item = Envelope<In>> + Send + 'static,
    {
        let node = scope.node(self.kind, Flow::Counted);
        Flattening { input, f: self.f, parts: None, node, run: scope.run.clone() }
    }

    fn describe(&self, plan: &mut Plan) {
        plan.tracked = true;
        plan.stage(self.kind, "");
    }

    fn reports(&self) -> bool {
        true
    }
}

/// What is left of an item, and its ticket.
struct Parts<I: Iterator> {
    left: I,
    ticket: super::Ticket,
    /// Nothing has come of it yet.
    fresh: bool,
}

pin_project! {
    struct Flattening<S, F, I: IntoIterator> {
        #[pin]
        input: S,
        f: F,
        parts: Option<Parts<I::IntoIter>>,
        node: Arc<Node>,
        run: Arc<Run>,
    }
}

impl<In, S, F, I> Stream for Flattening<S, F, I>
where
    S: Stream<Item = Envelope<In>>,
    F: FnMut(In) -> I,
    I: IntoIterator,
{
    type Item = Envelope<I::Item>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        for _ in 0..FRUITLESS {
            // Taken out while its iterator runs: a panic there ends the item, not the stage.
            if let Some(Parts { mut left, ticket, fresh }) = this.parts.take() {
                let blame = Blame::of_item(this.node, ticket);
                let next = left.next();
                let Some(value) = next else {
                    drop(left);
                    let ticket = blame.clear();
                    this.node.filtered.add_alone(u64::from(fresh));
                    this.run.settle(ticket, Fate::Filtered);
                    continue;
                };
                let ticket = blame.clear();
                this.node.out.add_alone(1);
                let part = ticket.split();
                *this.parts = Some(Parts { left, ticket, fresh: false });
                return Poll::Ready(Some(Envelope::with(value, part)));
            }
            let Some(envelope) = ready!(this.input.as_mut().poll_next(cx)) else { return Poll::Ready(None) };
            let (value, ticket) = envelope.into_parts();
            let blame = Blame::of_item(this.node, ticket);
            let left = (this.f)(value).into_iter();
            *this.parts = Some(Parts { left, ticket: blame.clear(), fresh: true });
        }
        give_way(cx)
    }
}
