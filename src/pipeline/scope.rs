//! Everything that belongs to one run of a pipeline: its tasks, its workers, its account, and how it ends.

use super::blame::{self, Blamed};
use super::envelope::Ticket;
use super::error::{Cause, Failure};
use super::ledger::{Fate, Ledger};
use super::node::{Flow, Node};
use super::plan::{InvalidPipeline, Kind, Names};
use crate::contain::{Payload, contain, discard};
use crate::kernel::gate::Gate;
use crate::pool::{Shutdown, WorkerPool};
use crate::rt::{self, CancellationToken, Instant, Runtime, TaskSet};
use crate::shim::Mutex;
use crate::shim::atomic::{AtomicBool, Ordering};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// Owns what a run of a pipeline has started.
///
/// A stage gets it in [`attach`](super::Stage::attach). Tasks that are spawned on it are joined before the pipeline has
/// ended, and aborted when it is dropped or cancelled: no task outlives it.
#[derive(Clone)]
pub struct Scope {
    pub(super) run: Arc<Run>,
    names: Names,
    skips_panics: bool,
    /// Whether what is attached next stands directly behind the source.
    at_source: bool,
}

/// One run of a pipeline.
pub(super) struct Run {
    pub(super) ledger: Arc<Ledger>,
    pub(super) started: Instant,
    /// Nothing more is taken from the source; for who looks, and for who waits.
    pub(super) closed: AtomicBool,
    pub(super) closing: CancellationToken,
    /// The bounds, in the order of their entrances.
    pub(super) gates: Mutex<Vec<Arc<Gate>>>,
    pub(super) life: Mutex<Life>,
    nodes: Mutex<Vec<Arc<Node>>>,
    runtime: Runtime,
    tasks: TaskSet,
    workers: Mutex<Vec<Dismissal>>,
}

/// How a run goes on.
#[derive(Debug, Default)]
pub(super) struct Life {
    pub(super) failure: Option<Failure>,
    /// Failures after the first.
    pub(super) later_failures: u64,
    pub(super) cancelled: bool,
    pub(super) closed: bool,
    /// When its last task ended.
    pub(super) ended: Option<Instant>,
    pub(super) unresponsive: usize,
}

/// Ready when nothing more is taken from the source.
pub(super) type Closing = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Ends the workers of a stage; how many handlers did not come to an end.
type Dismissal = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = usize> + Send>> + Send>;

impl Scope {
    /// Inside of a runtime with a timer.
    pub(super) fn new(ledger: Ledger) -> Result<Self, InvalidPipeline> {
        let runtime = Runtime::current().ok_or(InvalidPipeline::NoRuntime)?;
        if let Err(payload) = contain(|| runtime.demand_timer()) {
            discard(payload);
            return Err(InvalidPipeline::NoRuntime);
        }
        let run = Run {
            ledger: Arc::new(ledger),
            started: rt::now(),
            closed: AtomicBool::new(false),
            closing: CancellationToken::new(),
            gates: Mutex::new(Vec::new()),
            life: Mutex::new(Life::default()),
            nodes: Mutex::new(Vec::new()),
            runtime,
            tasks: TaskSet::new(),
            workers: Mutex::new(Vec::new()),
        };
        Ok(Self { run: Arc::new(run), names: Names::default(), skips_panics: false, at_source: true })
    }

    /// Runs a task that belongs to the pipeline: its end is awaited before the pipeline has ended, and it is dropped at its
    /// next await when the pipeline is cancelled. After that it is dropped at once.
    ///
    /// A panic in it ends the pipeline, as one in a stage does.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let scope = self.clone();
        let node = self.names.name("task", self.run.nodes.lock().len());
        self.run.tasks.spawn(&self.run.runtime, async move {
            if let Err(payload) = rt::contained(task).await {
                scope.run.fail(&node, Cause::panicked(payload));
            }
        });
    }

    pub(super) fn labelled(&self, label: Option<&Arc<str>>, skips_panics: bool) -> Self {
        let names = self.names.labelled(label);
        Self { names, skips_panics: skips_panics || self.skips_panics, ..self.clone() }
    }

    /// Ready when nothing more is taken from the source; only for what stands directly behind it, as others have items before
    /// them.
    pub(super) fn closing(&self) -> Option<Closing> {
        self.at_source.then(|| -> Closing { Box::pin(self.run.closing.clone().cancelled_owned()) })
    }

    /// For what is inside of a pipeline, the outermost or a nested one.
    pub(super) fn inside(&self, gate: Option<Arc<Gate>>) -> Self {
        self.run.gates.lock().extend(gate);
        Self { names: self.names.inside(), at_source: false, ..self.clone() }
    }

    /// Enters the next stage.
    pub(super) fn node(&self, kind: Kind, flow: Flow) -> Arc<Node> {
        let mut nodes = self.run.nodes.lock();
        let node = Node::new(self.names.name(kind, nodes.len()), kind, flow, self.skips_panics);
        nodes.push(node.clone());
        node
    }

    /// The pool belongs to the pipeline: it is shut down at the end, and its handlers awaited.
    pub(super) fn own<J, T, E>(&self, pool: WorkerPool<J, T, E>)
    where
        J: Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        let dismiss: Dismissal = Box::new(move || {
            Box::pin(async move {
                match pool.shutdown(Shutdown::Now).await {
                    Ok(report) => report.unresponsive,
                    Err(_inside) => 0,
                }
            })
        });
        self.run.workers.lock().push(dismiss);
    }
}

impl Run {
    pub(super) fn nodes(&self) -> Vec<Arc<Node>> {
        self.nodes.lock().clone()
    }

    /// Nothing more is taken from the source; what is inside goes on.
    pub(super) fn close(&self) {
        self.life.lock().closed = true;
        self.take_nothing_more();
    }

    /// A stage has all that it wants: what is behind it is cancelled, and the pipeline ends well.
    pub(super) fn cut(&self) {
        self.ledger.torn_down.store(true, Ordering::Relaxed);
        self.take_nothing_more();
    }

    fn take_nothing_more(&self) {
        self.closed.store(true, Ordering::Relaxed);
        self.closing.cancel();
    }

    /// Nothing goes on.
    pub(super) fn cancel(&self) {
        {
            let mut life = self.life.lock();
            life.cancelled = life.ended.is_none();
        }
        self.cut();
        self.tasks.abort_all();
    }

    /// The first failure ends the pipeline; later ones are counted.
    pub(super) fn fail(&self, stage: &Arc<str>, cause: Cause) {
        let late = {
            let mut life = self.life.lock();
            if life.failure.is_some() {
                life.later_failures += 1;
                Some(cause)
            } else {
                life.failure = Some(Failure { stage: stage.clone(), cause });
                None
            }
        };
        discard(late);
        self.cut();
    }

    /// Nobody owns the run any more: ends the tasks that are left, and lets its workers go.
    pub(super) fn abandon(&self) {
        self.tasks.abort_all();
        let workers = std::mem::take(&mut *self.workers.lock());
        drop(workers);
    }

    /// Says what became of an item, or a part of one.
    pub(super) fn settle(&self, ticket: Ticket, fate: Fate) {
        self.ledger.settle(ticket, fate);
    }

    /// A panic has come up from the stages before. Whether they go on.
    pub(super) fn panicked(&self, payload: Payload) -> bool {
        let Some(Blamed { node, ticket }) = blame::take() else {
            self.fail(&SOURCE.into(), Cause::panicked(payload));
            return false;
        };
        node.failed.add(1);
        if let Some(ticket) = ticket {
            self.settle(ticket, Fate::Failed);
        }
        if node.skips_panics {
            discard(payload);
            return true;
        }
        self.fail(&node.name, Cause::panicked(payload));
        false
    }

    /// Waits until every task has ended and every worker has been dismissed.
    pub(super) async fn ended(&self) {
        loop {
            self.tasks.joined().await;
            let dismissals = std::mem::take(&mut *self.workers.lock());
            if dismissals.is_empty() {
                break;
            }
            for dismiss in dismissals {
                let unresponsive = dismiss().await;
                self.life.lock().unresponsive += unresponsive;
            }
        }
        self.life.lock().ended.get_or_insert_with(rt::now);
    }
}

/// The name under which a source's failures are reported.
pub(super) const SOURCE: &str = "source";

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("stages", &self.run.nodes.lock().len()).finish_non_exhaustive()
    }
}
