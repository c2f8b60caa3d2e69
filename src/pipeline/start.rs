//! Starting a pipeline.

use super::Pipeline;
use super::apply::Applied;
use super::envelope::Envelope;
use super::error::BoxError;
use super::ledger::Ledger;
use super::node::Edge;
use super::plan::InvalidPipeline;
use super::pump::pump;
use super::running::Running;
use super::scope::Scope;
use super::source::{Entry, Fallible, Owing, Plain, Source};
use super::stage::Stage;
use futures_core::Stream;
use std::sync::Arc;

impl<In: Send + 'static, S: Stage<In>> Pipeline<In, S> {
    /// Runs it on the items of a stream. It starts now, whether the outputs are read or not.
    ///
    /// # Errors
    /// [`InvalidPipeline`] names the stage and the option that cannot be honoured, or says that there is no runtime.
    pub fn run<I>(self, source: I) -> Result<Running<S::Out>, InvalidPipeline>
    where
        I: Stream<Item = In> + Send + 'static,
    {
        self.start::<Plain, I>(source, false)
    }

    /// Runs it on a stream of results: the first error ends the pipeline, as a failure of the stage `source`.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn try_run<I, E>(self, source: I) -> Result<Running<S::Out>, InvalidPipeline>
    where
        I: Stream<Item = Result<In, E>> + Send + 'static,
        E: Into<BoxError> + 'static,
    {
        self.start::<Fallible<E>, I>(source, false)
    }

    /// Runs it on items with tickets of their own: a ticket is acknowledged when everything that was made of its item has been
    /// handed on or filtered out, and nacked if anything else became of it.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_envelopes<I>(self, source: I) -> Result<Running<S::Out>, InvalidPipeline>
    where
        I: Stream<Item = Envelope<In>> + Send + 'static,
    {
        self.start::<Owing, I>(source, true)
    }

    fn start<N, I>(self, source: I, tracked: bool) -> Result<Running<S::Out>, InvalidPipeline>
    where
        N: Entry<In>,
        I: Stream<Item = N::Item> + Send + 'static,
    {
        let scope = self.scope(tracked)?;
        let source = Source::<In, I, N>::new(source, &scope);
        let (capacity, output) = (self.output, Arc::<Edge>::default());
        let stages = self.attach(source, scope.clone());
        let items = pump(stages, capacity, output.clone(), &scope);
        Ok(Running::new(items, output, scope))
    }

    /// Puts it into ordinary code of streams: what comes out, as a stream of results.
    ///
    /// Nothing is taken from `source` while nobody polls, but what was taken by stages with workers goes on. The first failure
    /// is the last item. There is no task beside those of its stages, so a pipeline of fused stages costs what a
    /// chain of stream adapters does.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use flowgate::Pipeline;
    /// use futures::{TryStreamExt as _, stream};
    ///
    /// let even = Pipeline::new().filter(|n: &u32| n % 2 == 0).map(|n| n * 10);
    /// let tens: Vec<u32> = even.apply(stream::iter(0..5)).unwrap().try_collect().await.unwrap();
    /// assert_eq!(tens, [0, 20, 40]);
    /// # }
    /// ```
    pub fn apply<I>(
        self,
        source: I,
    ) -> Result<Applied<impl Stream<Item = Envelope<S::Out>> + Send + use<In, S, I>>, InvalidPipeline>
    where
        I: Stream<Item = In> + Send + 'static,
    {
        let scope = self.scope(false)?;
        let source = Source::<In, I, Plain>::new(source, &scope);
        let stages = self.attach(source, scope.clone());
        Ok(Applied::new(stages, scope))
    }

    /// Everything that it starts belongs to this.
    fn scope(&self, tracked: bool) -> Result<Scope, InvalidPipeline> {
        let plan = self.plan();
        plan.check()?;
        Scope::new(Ledger::new(tracked || plan.tracked))
    }
}
