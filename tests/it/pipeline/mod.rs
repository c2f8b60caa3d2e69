//! Pipelines, by axis.
mod account;
mod acks;
mod bad_input;
mod compose;
mod correct;
mod dead_letters;
mod early_exit;
mod errors;
mod keyed;
mod ordered;
mod panics;
mod pools;
mod restore;

use flowgate::pipeline::{End, Report};
use flowgate::{PipelineError, Running};
use futures::StreamExt as _;

/// Everything that comes out, and how it ended.
async fn all<T>(mut running: Running<T>) -> (Vec<T>, Result<Report, PipelineError>) {
    let items = running.by_ref().collect().await;
    (items, running.join().await)
}

/// Everything that comes out of a run that ends with its source.
async fn completed<T>(running: Running<T>) -> (Vec<T>, Report) {
    let (items, report) = all(running).await;
    let report = report.unwrap();
    assert_eq!((report.end, report.discarded), (End::Completed, 0), "{report}");
    balanced(&report);
    (items, report)
}

/// Everything that comes out of a run that fails.
async fn failed<T>(running: Running<T>) -> (Vec<T>, PipelineError) {
    let (items, report) = all(running).await;
    let error = report.expect_err("it fails");
    assert_eq!(error.report().end, End::Failed, "{error}");
    balanced(error.report());
    (items, error)
}

/// Every item has met one fate.
fn balanced(report: &Report) {
    let Report { taken, settled, filtered, failed, dead, cancelled, requeued, in_flight, .. } = *report;
    assert_eq!(taken, settled + filtered + failed + dead + cancelled + requeued, "{report}");
    assert_eq!(in_flight, 0, "{report}");
    assert!(report.is_balanced(), "{report}");
}

/// The fates of a report, in the order of its fields: settled, filtered, failed, dead, cancelled, requeued.
fn fates(report: &Report) -> [u64; 6] {
    [report.settled, report.filtered, report.failed, report.dead, report.cancelled, report.requeued]
}

/// Runs each scenario on a runtime with one thread and on one with two, with real clocks: for stages on threads, of which a
/// paused clock knows nothing.
macro_rules! on_real_clocks {
    ($($(#[$meta:meta])* async fn $name:ident() $body:block)*) => {$(
        $(#[$meta])*
        mod $name {
            #[allow(unused_imports, reason = "not every scenario needs all of them")]
            use super::*;

            async fn scenario() $body

            #[tokio::test]
            async fn current_thread() {
                $crate::support::promptly(scenario()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn multi_thread() {
                $crate::support::promptly(scenario()).await;
            }
        }
    )*};
}
use on_real_clocks;
