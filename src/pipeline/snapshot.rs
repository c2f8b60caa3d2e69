//! A pipeline at one moment: what each stage holds, how busy it is, what it waits for, and which one holds up the others.

use super::node::{Edge, Node};
use super::report::{Counts, StageReport};
use super::scope::Run;
use crate::rt;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A running pipeline at one moment. Shown as a table; [`to_mermaid`](Self::to_mermaid) draws it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Snapshot {
    /// Since the start.
    pub elapsed: Duration,
    /// Items taken from the source.
    pub taken: u64,
    /// Items inside, and whether the source waits for room because of [`max_in_flight`](super::Pipeline::max_in_flight) or
    /// [`max_weight`](super::Pipeline::max_weight). One for each pipeline with such a bound, the outermost first.
    pub bounds: Vec<Bound>,
    /// The stages in order.
    pub stages: Vec<StageSnapshot>,
    /// Where outputs wait to be read; `None` if the pipeline was applied to a stream.
    pub output: Option<Queue>,
    /// What holds up the others.
    pub bottleneck: Option<Bottleneck>,
}

/// What is inside of a bounded pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bound {
    /// Items inside.
    pub items: usize,
    /// Their weight.
    pub weight: usize,
    /// Whether the source waits for room.
    pub is_full: bool,
}

/// A stage at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StageSnapshot {
    /// Its name.
    pub name: Arc<str>,
    /// What it does: `map`, `try_map_async` and so on.
    pub kind: &'static str,
    /// Items that it was given.
    pub taken: u64,
    /// Items that it handed on.
    pub out: u64,
    /// Items that it dropped on purpose.
    pub filtered: u64,
    /// Items that it failed for.
    pub failed: u64,
    /// Items that it gave to a dead-letter sink.
    pub dead: u64,
    /// Its workers, if it has any.
    pub workers: Option<StageWorkers>,
    /// Where its items wait for the task behind it, if there is one.
    pub queue: Option<Queue>,
}

/// The workers of a stage at one moment.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct StageWorkers {
    /// Attempts that run.
    pub running: usize,
    /// Items between two attempts.
    pub parked: usize,
    /// Items that are in its pool: running, parked and waiting for a worker.
    pub in_pool: usize,
    /// Items that are done, and not taken by the next stage.
    pub ready: u64,
    /// How many attempts may run at once.
    pub parallelism: usize,
    /// The mean time of an attempt, of the items that were timed: one in 8.
    pub run_time: Option<Duration>,
    /// The mean time that an item spent in the stage without an attempt of it running.
    pub wait_time: Option<Duration>,
    /// The share of its workers' time that was spent on attempts since the start, 0 to 1; estimated from the mean time.
    pub utilisation: f64,
}

/// Where items wait between two tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Queue {
    /// Items that wait, and those that the task behind has taken and not reported as read.
    pub held: usize,
    /// The most that may wait.
    pub capacity: usize,
    /// For how long the task before has waited for room, if it does so now.
    pub blocked_for: Option<Duration>,
}

/// What holds up the others.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Bottleneck {
    /// Outputs are not read as fast as they are made.
    Consumer,
    /// Items do not come as fast as they could be worked on.
    Source,
    /// The stage of this name.
    Stage(Arc<str>),
    /// The workers could do more, and [`max_in_flight`](super::Pipeline::max_in_flight) or
    /// [`max_weight`](super::Pipeline::max_weight) lets nothing more in.
    Bound,
}

impl Snapshot {
    pub(super) fn of(run: &Run, output: Option<&Arc<Edge>>) -> Self {
        let nodes = run.nodes();
        let counts = Counts::of(&nodes);
        let taken = run.ledger.taken.get();
        let now = rt::now();
        let elapsed = now.saturating_duration_since(run.started);
        let queue = |edge: &Edge| {
            edge.look().map(|(held, since)| Queue {
                held: held.queued + held.taken,
                capacity: held.capacity,
                blocked_for: since.map(|since| now.saturating_duration_since(since)),
            })
        };
        let bounds = run.gates.lock().iter().map(|gate| gate.inside()).collect::<Vec<_>>();
        let stages = nodes
            .iter()
            .zip(counts.reports(taken))
            .map(|(node, report)| StageSnapshot {
                workers: workers(node, &report, elapsed),
                queue: node.edge.get().and_then(|edge| queue(edge)),
                kind: node.kind,
                name: report.name,
                taken: report.taken,
                out: report.out,
                filtered: report.filtered,
                failed: report.failed,
                dead: report.dead,
            })
            .collect();
        let mut snapshot = Self {
            elapsed,
            taken,
            bounds: bounds
                .into_iter()
                .map(|inside| Bound { items: inside.items, weight: inside.weight, is_full: inside.starved })
                .collect(),
            stages,
            output: output.and_then(|edge| queue(edge)),
            bottleneck: None,
        };
        snapshot.bottleneck = snapshot.find_bottleneck();
        snapshot
    }

    /// The last place that is full while the next one is not: everything before it waits for it.
    fn find_bottleneck(&self) -> Option<Bottleneck> {
        if self.taken == 0 {
            return None;
        }
        if self.output.is_some_and(|output| output.blocked_for.is_some()) {
            return Some(Bottleneck::Consumer);
        }
        let busy = self.stages.iter().rev().find(|stage| stage.workers.is_some_and(|workers| workers.is_busy()));
        if let Some(stage) = busy {
            return Some(Bottleneck::Stage(stage.name.clone()));
        }
        // A queue is full and nobody with workers is: what is fused behind it does not keep up.
        let full = self.stages.iter().rposition(|stage| stage.queue.is_some_and(|queue| queue.blocked_for.is_some()));
        if let Some(at) = full {
            let behind = self.stages.get(at + 1);
            return Some(behind.map_or(Bottleneck::Consumer, |stage| Bottleneck::Stage(stage.name.clone())));
        }
        if self.bounds.iter().any(|bound| bound.is_full) {
            let works = self.stages.iter().filter_map(|stage| stage.workers).any(|workers| workers.in_pool > 0);
            // What nobody works on waits to be read, or to be acknowledged.
            return Some(if works { Bottleneck::Bound } else { Bottleneck::Consumer });
        }
        Some(Bottleneck::Source)
    }

    /// The stage of this name.
    #[must_use]
    pub fn stage(&self, name: &str) -> Option<&StageSnapshot> {
        self.stages.iter().find(|stage| &*stage.name == name)
    }

    /// A flowchart in mermaid's language: counts on the edges, the bottleneck marked.
    #[must_use]
    pub fn to_mermaid(&self) -> String {
        let mut lines = vec![String::from("flowchart LR"), String::from("    source([source])")];
        let mut before = String::from("source");
        let mut passed = self.taken;
        for (n, stage) in self.stages.iter().enumerate() {
            let id = format!("s{}", n + 1);
            let load = stage
                .workers
                .map_or(String::new(), |workers| format!("<br/>{}/{} running", workers.running, workers.parallelism));
            lines.push(format!("    {id}[\"{}{load}\"]", escape(&stage.name)));
            lines.push(format!("    {before} -->|{passed}| {id}"));
            for (what, count) in [("failed", stage.failed), ("dead", stage.dead)] {
                if count > 0 {
                    lines.push(format!("    {id} -.->|{count}| {id}{what}({what})"));
                }
            }
            (before, passed) = (id, stage.out);
        }
        lines.push(format!("    {before} -->|{passed}| out([output])"));
        let marked = match &self.bottleneck {
            Some(Bottleneck::Source | Bottleneck::Bound) => Some(String::from("source")),
            Some(Bottleneck::Consumer) => Some(String::from("out")),
            Some(Bottleneck::Stage(name)) => {
                self.stages.iter().position(|stage| stage.name == *name).map(|n| format!("s{}", n + 1))
            }
            None => None,
        };
        if let Some(id) = marked {
            lines.push(format!("    style {id} stroke:#d33,stroke-width:3px"));
        }
        lines.join("\n") + "\n"
    }
}

fn escape(name: &str) -> String {
    name.replace('"', "#quot;")
}

fn workers(node: &Node, report: &StageReport, elapsed: Duration) -> Option<StageWorkers> {
    let load = node.workers.get()?.load();
    let run_time = node.times.run.mean();
    let wait_time = run_time.zip(node.times.whole.mean()).map(|(run, whole)| whole.saturating_sub(run));
    let done = report.out + report.failed + report.dead;
    let inside = report.taken.saturating_sub(done);
    let worked = run_time.unwrap_or_default().as_secs_f64() * done as f64;
    let had = elapsed.as_secs_f64() * load.slots as f64;
    Some(StageWorkers {
        running: load.running,
        parked: load.parked,
        in_pool: load.in_system,
        ready: inside.saturating_sub(load.in_system as u64),
        parallelism: load.slots,
        run_time,
        wait_time,
        utilisation: if had > 0.0 { (worked / had).min(1.0) } else { 0.0 },
    })
}

impl StageWorkers {
    /// Whether all of them work, and more is there for them.
    fn is_busy(&self) -> bool {
        self.parallelism > 0 && self.running >= self.parallelism
    }
}

impl fmt::Display for Bottleneck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Consumer => f.pad("the consumer"),
            Self::Source => f.pad("the source"),
            Self::Stage(name) => f.pad(name),
            Self::Bound => f.pad("the bound on what is in flight"),
        }
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<24} {:>10} {:>10} {:>8} {:>6} {:>9} {:>6} {:>9} {:>9}  waits",
            "stage", "in", "out", "filtered", "failed", "running", "busy", "run", "wait"
        )?;
        for stage in &self.stages {
            write!(
                f,
                "{:<24} {:>10} {:>10} {:>8} {:>6}",
                stage.name,
                stage.taken,
                stage.out,
                stage.filtered,
                stage.failed + stage.dead
            )?;
            match stage.workers {
                Some(workers) => write!(
                    f,
                    " {:>9} {:>5.0}% {:>9} {:>9}",
                    format!("{}/{}", workers.running, workers.parallelism),
                    workers.utilisation * 100.0,
                    Took(workers.run_time).to_string(),
                    Took(workers.wait_time).to_string()
                )?,
                None => write!(f, " {:>9} {:>6} {:>9} {:>9}", "", "", "", "")?,
            }
            match (stage.queue, stage.workers) {
                (Some(queue), _) => writeln!(f, "  {queue}")?,
                (None, Some(workers)) if workers.ready > 0 => writeln!(f, "  {} ready", workers.ready)?,
                _ => writeln!(f)?,
            }
        }
        if let Some(output) = self.output {
            writeln!(f, "{:<24} {output}", "output")?;
        }
        for bound in &self.bounds {
            let full = if bound.is_full { ", the source waits for room" } else { "" };
            writeln!(f, "{:<24} {} items, weight {}{full}", "in flight", bound.items, bound.weight)?;
        }
        match &self.bottleneck {
            Some(bottleneck) => write!(f, "{:<24} {bottleneck}", "bottleneck"),
            None => write!(f, "{:<24} nothing taken yet", "bottleneck"),
        }
    }
}

impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} held", self.held, self.capacity)?;
        match self.blocked_for {
            Some(time) => write!(f, ", blocked for {time:.1?}"),
            None => Ok(()),
        }
    }
}

/// A mean time, if there is one.
struct Took(Option<Duration>);

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(time) => write!(f, "{time:.1?}"),
            None => f.write_str("-"),
        }
    }
}
