//! Welcomes: each one accounted for, whatever the notifier does, and never in the way of a user.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use tokio::sync::Semaphore;
use user_service::notify::{Notifier, NotifyError, Welcome};

use crate::support::{App, config, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_a_fault_rate_of_one_half_every_welcome_has_its_outcome() {
    let app = App::start(config(&["--notify-fault-rate=0.5", "--notify-queue=1000", "--notify-latency-ms=1"])).await;
    app.create_many(0, 300).await;
    let outcome = app.stop().await;
    assert!(outcome.is_clean(), "{outcome}");
    let totals = &outcome.notifications.as_ref().unwrap().totals;
    assert_eq!((totals.accepted, outcome.refused), (300, 0));
    assert_eq!(totals.succeeded + totals.failed, 300);
    // 300 fair coins: fewer than 50 or more than 250 first failures come once in 10^30 runs.
    assert!(totals.retries > 0 && totals.succeeded > 50, "{outcome}");
}

/// Sends nothing before it is let.
struct Held {
    gate: Arc<Semaphore>,
    sent: Arc<Mutex<HashSet<String>>>,
}

#[async_trait]
impl Notifier for Held {
    async fn welcome(&self, welcome: &Welcome) -> Result<(), NotifyError> {
        self.gate.acquire().await.map_err(|_| NotifyError)?.forget();
        self.sent.lock().unwrap().insert(welcome.email.clone());
        Ok(())
    }
}

#[tokio::test]
async fn a_full_queue_refuses_the_welcome_and_not_the_user() {
    let (gate, sent) = (Arc::new(Semaphore::new(0)), Arc::default());
    let held = Held { gate: Arc::clone(&gate), sent: Arc::clone(&sent) };
    let limits = ["--notify-concurrency=1", "--notify-queue=2", "--notify-timeout-ms=600000"];
    let app = App::announcing(config(&limits), held).await;
    app.create_many(0, 10).await;
    let page = app.get("/api/v1/users").await.json::<Value>().await.unwrap();
    assert_eq!(page["users"].as_array().unwrap().len(), 10);
    gate.add_permits(3);
    until(|| async { sent.lock().unwrap().len() == 3 }).await;
    let outcome = app.stop().await;
    assert!(outcome.is_clean(), "{outcome}");
    assert_eq!((outcome.refused, outcome.notifications.as_ref().unwrap().totals.accepted), (7, 3));
}

#[tokio::test]
async fn what_the_deadline_leaves_undone_is_reported_one_by_one() {
    let held = Held { gate: Arc::new(Semaphore::new(0)), sent: Arc::default() };
    let mut config = config(&["--notify-concurrency=2", "--notify-queue=100", "--notify-timeout-ms=600000"]);
    config.shutdown_limit = Duration::from_millis(300);
    let app = App::announcing(config, held).await;
    app.create_many(0, 10).await;
    let outcome = app.stop().await;
    assert!(!outcome.is_clean(), "{outcome}");
    let report = outcome.notifications.as_ref().unwrap();
    assert_eq!((report.totals.accepted, report.unstarted.len(), report.aborted.len()), (10, 8, 2));
}
