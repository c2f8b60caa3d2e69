//! Figures for Prometheus: what the edges count as requests pass, and what the parts below say when they are asked.

use std::fmt::{self, Write};
use std::sync::Arc;
use std::time::Instant;

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};

/// The labels of a finished request.
const LABELS: [&str; 3] = ["method", "endpoint", "status"];
/// The status of a request that was dropped without an answer, as its connection was cut; nginx counts them so.
const DROPPED: u16 = 499;
/// The status of a request whose handler panicked.
const PANICKED: u16 = 500;

/// Whether a figure only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows; its name ends in `_total`.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// One number that a part of the service keeps about itself.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    /// The name of the metric.
    pub name: &'static str,
    /// What it counts.
    pub help: &'static str,
    /// Whether it only grows.
    pub kind: Kind,
    /// Its value now.
    pub value: u64,
}

impl Figure {
    /// A number that only grows.
    #[must_use]
    pub const fn counter(name: &'static str, help: &'static str, value: u64) -> Self {
        Self { name, help, kind: Kind::Counter, value }
    }

    /// A number that goes up and down.
    #[must_use]
    pub const fn gauge(name: &'static str, help: &'static str, value: usize) -> Self {
        Self { name, help, kind: Kind::Gauge, value: value as u64 }
    }
}

/// A part of the service that is asked for its figures at every scrape.
pub type Source = Box<dyn Fn() -> Vec<Figure> + Send + Sync>;

/// All metrics of one service. A clone counts into the same.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    seconds: HistogramVec,
    requests: IntCounterVec,
    active: IntGauge,
    connections: IntGauge,
    sources: Arc<[Source]>,
}

impl Metrics {
    /// Metrics that have counted nothing yet, and the parts that count for themselves.
    ///
    /// # Errors
    /// None in practice: when two metrics had one name.
    pub fn new(sources: Vec<Source>) -> Result<Self, prometheus::Error> {
        let seconds = HistogramOpts::new("http_request_duration_seconds", "Seconds to the head of the answer.");
        let metrics = Self {
            registry: Registry::new(),
            seconds: HistogramVec::new(seconds, &LABELS)?,
            requests: IntCounterVec::new(Opts::new("http_requests_total", "Requests that have ended."), &LABELS)?,
            active: IntGauge::new("http_active_requests", "Requests that are being answered.")?,
            connections: IntGauge::new("http_connections", "Connections that are open.")?,
            sources: sources.into(),
        };
        metrics.registry.register(Box::new(metrics.seconds.clone()))?;
        metrics.registry.register(Box::new(metrics.requests.clone()))?;
        metrics.registry.register(Box::new(metrics.active.clone()))?;
        metrics.registry.register(Box::new(metrics.connections.clone()))?;
        Ok(metrics)
    }

    /// Counts a request as active until the returned guard is dropped. `endpoint` is a route's template: each
    /// combination of labels stays in memory.
    #[must_use]
    pub fn begin(&self, method: &'static str, endpoint: &str) -> Request {
        self.active.inc();
        Request { metrics: self.clone(), started: Instant::now(), method, endpoint: endpoint.to_owned(), status: None }
    }

    /// Counts a connection as open until the returned guard is dropped.
    #[must_use]
    pub fn connect(&self) -> Connection {
        self.connections.inc();
        Connection(self.connections.clone())
    }

    /// What the parts of the service say about themselves now.
    pub fn figures(&self) -> impl Iterator<Item = Figure> {
        self.sources.iter().flat_map(|source| source())
    }

    /// The page that Prometheus reads, in its text format.
    ///
    /// # Errors
    /// None in practice: when a metric has no value.
    pub fn page(&self) -> Result<String, prometheus::Error> {
        let mut page = TextEncoder::new().encode_to_string(&self.registry.gather())?;
        for Figure { name, help, kind, value } in self.figures() {
            let kind = if kind == Kind::Counter { "counter" } else { "gauge" };
            // Writing to a string does not fail.
            let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
        }
        Ok(page)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").field("active", &self.active.get()).finish_non_exhaustive()
    }
}

/// A request on its way. It is counted when this is dropped, whichever way it ends.
#[derive(Debug)]
pub struct Request {
    metrics: Metrics,
    started: Instant,
    method: &'static str,
    endpoint: String,
    status: Option<String>,
}

impl Request {
    /// Ends it with an answer of this status.
    pub fn answered(mut self, status: impl ToString) {
        self.status = Some(status.to_string());
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        let unanswered = if std::thread::panicking() { PANICKED } else { DROPPED };
        let status = self.status.take().unwrap_or_else(|| unanswered.to_string());
        let labels = [self.method, &self.endpoint, &status];
        self.metrics.seconds.with_label_values(&labels).observe(self.started.elapsed().as_secs_f64());
        self.metrics.requests.with_label_values(&labels).inc();
        self.metrics.active.dec();
    }
}

/// An open connection.
#[derive(Debug)]
pub struct Connection(IntGauge);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.dec();
    }
}
