//! Latencies of single operations, and their percentiles.

use std::sync::atomic::{AtomicU64, Ordering};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Percentiles of a run, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// The median.
    pub p50: f64,
    /// One operation in a hundred takes longer.
    pub p99: f64,
    /// One operation in a thousand takes longer.
    pub p999: f64,
}

/// One cell an operation, so that recording is one store and disturbs nobody.
#[derive(Debug)]
pub struct Recorder(Vec<AtomicU64>);

impl Recorder {
    /// Room for so many operations.
    #[must_use]
    pub fn new(operations: usize) -> Self {
        Self((0..operations).map(|_| AtomicU64::new(0)).collect())
    }

    /// Stores the latency of an operation; 0 is stored as 1.
    pub fn record(&self, operation: usize, nanos: u64) {
        // Ordering: Relaxed, because whoever reads them has joined the recording threads.
        self.0[operation].store(nanos.max(1), Ordering::Relaxed);
    }

    /// Percentiles of what was recorded, to three digits.
    ///
    /// # Panics
    /// If nothing was.
    #[must_use]
    pub fn percentiles(&self) -> Percentiles {
        let mut histogram = Histogram::<u64>::new(3).expect("three digits are allowed");
        for cell in &self.0 {
            match cell.load(Ordering::Relaxed) {
                0 => {}
                nanos => histogram.record(nanos).expect("the histogram grows by itself"),
            }
        }
        assert!(!histogram.is_empty(), "no latency was recorded");
        let at = |quantile| histogram.value_at_quantile(quantile) as f64;
        Percentiles { p50: at(0.5), p99: at(0.99), p999: at(0.999) }
    }
}
