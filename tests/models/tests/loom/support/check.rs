//! Runs a model and counts its executions.

use loom::model::Builder;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many times a thread may be preempted, unless `LOOM_MAX_PREEMPTIONS` says otherwise.
const PREEMPTIONS: usize = 3;

/// A model, and the least number of executions that it must have: fewer mean that it no longer sees what it saw.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Model {
    name: &'static str,
    baseline: usize,
    small: bool,
}

impl Model {
    /// A model of any number of threads.
    pub(crate) const fn new(name: &'static str, baseline: usize) -> Self {
        Self { name, baseline, small: false }
    }

    /// A model small enough to be explored without a bound, which is done if `FLOWGATE_DEEP` is 1.
    pub(crate) const fn small(name: &'static str, baseline: usize) -> Self {
        Self { name, baseline, small: true }
    }

    /// Runs `execution` once for each interleaving.
    pub(crate) fn check(self, execution: impl Fn() + Send + Sync + 'static) {
        let mut builder = Builder::new();
        builder.max_branches = 10_000;
        let deep = self.small && std::env::var("FLOWGATE_DEEP").is_ok_and(|deep| deep == "1");
        let asked = builder.preemption_bound;
        builder.preemption_bound = if deep { asked } else { asked.or(Some(PREEMPTIONS)) };

        let executions = Arc::new(AtomicUsize::new(0));
        let counter = executions.clone();
        builder.check(move || {
            counter.fetch_add(1, Ordering::Relaxed);
            execution();
        });

        let (name, seen) = (self.name, executions.load(Ordering::Relaxed));
        // Not `println`, which the test harness keeps to itself when a test succeeds.
        writeln!(std::io::stderr(), "model {name}: {seen} executions").expect("the standard error stream takes a line");
        let compared = std::env::var_os("FLOWGATE_NO_BASELINE").is_none();
        // Without a bound on preemptions loom needs fewer executions for the same interleavings.
        if compared && !deep && asked.is_none_or(|asked| asked >= PREEMPTIONS) {
            assert!(seen >= self.baseline, "model {name}: {seen} executions, fewer than its {}", self.baseline);
        }
    }
}
