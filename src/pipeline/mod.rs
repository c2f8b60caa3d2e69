//! [`Pipeline`]: typed stages that fuse where they can and run on workers where they are told to.
//!
//! | stage | bounded by | order | when the consumer leaves, or on cancel | panic, error |
//! |---|---|---|---|---|
//! | `map` `filter` `filter_map` `inspect` `scan` `take` | one item, in the task behind it | kept | dropped with that task | the item's failure; ends the pipeline, or [`skip_panics`](Pipeline::skip_panics) |
//! | `flat_map` `unbatch` | one item and what is left of it | kept | as above | as above |
//! | `batch` | its size; given up when the [bound](Pipeline::max_in_flight) lets nothing more in | kept | what was collected is nacked; handed on by a drain | of the weight: as above |
//! | `buffer` | its size | kept | dropped | - |
//! | `map_async` `try_map_async` | the [window](Par::window), of which so many run | of the input, or as they come: [`Par`] | attempts are dropped at their next await | the item's failure: [`OnError`] |
//! | `map_keyed` `try_map_keyed` | the window | per key, also under retry; and as [`Par`] says | as above | as above; of the key function too |
//! | `map_blocking` `try_map_blocking` | the window, so many threads | as [`Par`] says | a running call ends by itself; what it returns is dropped | as above |
//! | `map_on` | the window, and the shared pool | as [`Par`] says | its jobs are cancelled | as above; retries are the pool's |
//! | the whole | [`max_in_flight`](Pipeline::max_in_flight), [`max_weight`](Pipeline::max_weight) | | tickets nack | the first failure is [`join`](Running::join)'s error |
//!
//! # How it runs
//!
//! [`run`](Pipeline::run) starts one task. It polls the source and the stages, and hands what comes out to whoever reads the
//! [`Running`], many items in one go. Stages with workers send their items to a [`WorkerPool`](crate::WorkerPool) and collect
//! the outcomes, so what runs goes on whether anybody reads or not. [`buffer`](Pipeline::buffer) is a further task between the stages before
//! it and those behind.
//!
//! # No item without a fate
//!
//! Every item of the source ends in exactly one bin of the [`Report`], and [`Running::join`] returns it. An item that becomes
//! several (`flat_map`) is settled when all of them are; a batch settles all of its items. A failed, dead, cancelled or dropped part is
//! the fate of the whole.
//!
//! # Not offered
//!
//! Rate limits: put governor's into a `map_async`, as the example does. Cycles: feed a bounded channel. A `broadcast` whose
//! legs meet again in a `fan_in` can stall by its own shape, when one leg is full and the other is waited for.

mod apply;
mod batch;
mod blame;
mod bounded;
mod contained;
mod control;
mod envelope;
mod error;
mod fused;
mod ledger;
mod node;
mod on_error;
mod par;
mod parallel;
mod plan;
mod pump;
mod report;
mod running;
mod scope;
mod sequence;
mod snapshot;
mod source;
mod stage;
mod start;
mod tasks;
mod turn;
mod work;

pub use apply::Applied;
pub use batch::{Batch, Batching};
pub use control::StageControl;
pub use envelope::{Envelope, Settled, Ticket};
pub use error::{BoxError, PipelineError};
pub use fused::{Filter, FilterMap, FlatMap, Fused, Inspect, Map, Scan, Step, Take};
pub use on_error::{DeadLetter, OnError};
pub use par::Par;
pub use parallel::{OnPool, Parallel};
pub use plan::{InvalidPipeline, Plan};
pub use pump::Buffer;
pub use report::{End, Report, StageReport};
pub use running::{Envelopes, Monitor, Running};
pub use scope::Scope;
pub use sequence::{Restore, Restored, Sequenced, sequence};
pub use snapshot::{Bottleneck, Bound, Queue, Snapshot, StageSnapshot, StageWorkers};
pub use stage::{BoxStage, BoxStream, Chain, Identity, Stage, StageFn, Then, stage_fn};
pub use work::{Async, Blocking, ByKey, Fallible, Lanes, NoLanes, TryAsync, TryBlocking, Work};

use crate::kernel::gate::{Gate, Most};
use bounded::{Bounded, Weigh};
use futures_core::Stream;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// A line of stages that items of type `In` go through.
///
/// It is a value: it does nothing until it is [run](Self::run), a clone runs independently, and it is itself a [`Stage`] of
/// larger ones. Composition is associative, and the empty pipeline is the identity.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use flowgate::{Batch, Par, Pipeline};
/// use futures::{StreamExt as _, stream};
///
/// async fn look_up(word: String) -> (String, usize) {
///     let length = word.len();
///     (word, length)
/// }
///
/// let pipeline = Pipeline::new()
///     .flat_map(|line: &str| line.split(' ').map(String::from).collect::<Vec<_>>()) // fused: no task
///     .filter(|word| word.len() > 2)
///     .map_async(Par::ordered(8).window(64), look_up) // 8 at once, handed on in order
///     .named("look up")
///     .batch(Batch::of(2));
///
/// let mut running = pipeline.run(stream::iter(["to be or not", "to be that is"])).unwrap();
/// let batches: Vec<_> = running.by_ref().collect().await;
/// assert_eq!(batches, [[("not".into(), 3), ("that".into(), 4)]]);
///
/// let report = running.join().await.unwrap();
/// assert_eq!((report.taken, report.settled), (2, 2));
/// assert_eq!(report.stage("look up").unwrap().out, 2);
/// # }
/// ```
///
/// A stage that is given something else than the stage before it makes does not compile:
///
/// ```compile_fail,E0631
/// let lengths = flowgate::Pipeline::new().map(|n: u32| n + 1).map(|word: String| word.len());
/// ```
/// ```
/// let lengths = flowgate::Pipeline::new().map(|n: u32| n.to_string()).map(|word: String| word.len());
/// ```
#[must_use = "a pipeline does nothing until it is run"]
pub struct Pipeline<In, S = Identity> {
    stage: S,
    in_flight: Option<usize>,
    weight: Option<(usize, Weigh<In>)>,
    output: usize,
    of: PhantomData<fn(In)>,
}

/// How many outputs may wait to be read, if nothing is said.
const OUTPUT: usize = 64;

impl<In: Send + 'static> Pipeline<In> {
    /// Without any stage: what goes in comes out.
    pub fn new() -> Self {
        Self { stage: Identity, in_flight: None, weight: None, output: OUTPUT, of: PhantomData }
    }
}

impl<In: Send + 'static> Default for Pipeline<In> {
    fn default() -> Self {
        Self::new()
    }
}

impl<In: Send + 'static, S: Stage<In>> Pipeline<In, S> {
    /// Puts a stage behind: one of your own, or another pipeline.
    pub fn then<N: Stage<S::Out>>(self, stage: N) -> Pipeline<In, Chain<S, Then<N>>> {
        self.chain(Then(stage))
    }

    fn chain<N>(self, last: N) -> Pipeline<In, Chain<S, N>> {
        let Self { stage, in_flight, weight, output, of } = self;
        Pipeline { stage: Chain::new(stage, last), in_flight, weight, output, of }
    }

    /// How many items of the source may be inside at once, from when they are taken until everything that was made of them is
    /// settled: 1 or more. A place is there before the source is asked for the item.
    pub fn max_in_flight(mut self, items: usize) -> Self {
        self.in_flight = Some(items);
        self
    }

    /// How much the items inside may weigh together, in whatever unit `weigh` gives: 1 or more. An item that is heavier
    /// than that goes alone. Besides those inside, one item may have been taken that waits until it fits.
    pub fn max_weight(mut self, most: usize, weigh: impl Fn(&In) -> usize + Send + Sync + 'static) -> Self {
        self.weight = Some((most, Arc::new(weigh)));
        self
    }

    /// How many outputs may wait to be read from a [`Running`], 1 or more; 64, if this is not called.
    pub fn output_buffer(mut self, items: usize) -> Self {
        self.output = items;
        self
    }

    /// Forgets what it is made of: a short type, and one for all pipelines with the same ends.
    pub fn boxed(self) -> Pipeline<In, BoxStage<In, S::Out>> {
        let Self { stage, in_flight, weight, output, of } = self;
        Pipeline { stage: BoxStage::new(stage), in_flight, weight, output, of }
    }

    /// Says what is wrong with it, without running it.
    ///
    /// # Errors
    /// [`InvalidPipeline`] names the stage and the option.
    pub fn check(&self) -> Result<(), InvalidPipeline> {
        self.plan().check()
    }

    fn plan(&self) -> Plan {
        let mut plan = Plan::default();
        if !(1..=pump::MOST).contains(&self.output) {
            plan.refuse_whole("output_buffer", self.output, format!("1 to {}", pump::MOST));
        }
        self.describe(&mut plan);
        plan
    }

    fn gate(&self) -> Option<Arc<Gate>> {
        let most = Most {
            items: self.in_flight.unwrap_or(usize::MAX),
            weight: self.weight.as_ref().map_or(usize::MAX, |(most, _)| *most),
        };
        (self.in_flight.is_some() || self.weight.is_some()).then(|| Arc::new(Gate::new(most)))
    }
}

impl<In: Send + 'static, S: Stage<In>> Stage<In> for Pipeline<In, S> {
    type Out = S::Out;

    fn attach<I>(self, input: I, scope: Scope) -> impl Stream<Item = Envelope<S::Out>> + Send + 'static
    where
        I: Stream<Item = Envelope<In>> + Send + 'static,
    {
        let gate = self.gate();
        let input = Bounded::new(input, gate.clone(), self.weight.map(|(_, weigh)| weigh), &scope);
        let scope = scope.inside(gate);
        self.stage.attach(input, scope)
    }

    fn describe(&self, plan: &mut Plan) {
        if self.in_flight == Some(0) {
            plan.refuse_whole("max_in_flight", 0, "1 or more");
        }
        if self.weight.as_ref().is_some_and(|(most, _)| *most == 0) {
            plan.refuse_whole("max_weight", 0, "1 or more");
        }
        plan.tracked |= self.in_flight.is_some() || self.weight.is_some();
        plan.inside(self.in_flight, |plan| self.stage.describe(plan));
    }

    fn reports(&self) -> bool {
        true
    }
}

impl<In, S: Clone> Clone for Pipeline<In, S> {
    fn clone(&self) -> Self {
        Self {
            stage: self.stage.clone(),
            in_flight: self.in_flight,
            weight: self.weight.clone(),
            output: self.output,
            of: PhantomData,
        }
    }
}

impl<In: Send + 'static, S: Stage<In>> fmt::Debug for Pipeline<In, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = f.debug_list();
        for stage in &self.plan().stages {
            list.entry(&format_args!("{}: {} {}", stage.name, stage.kind, stage.note));
        }
        list.finish()
    }
}
