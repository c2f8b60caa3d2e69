//! The metrics page: bounded, honest about requests that end badly, and readable by Prometheus.

use reqwest::{Method, StatusCode};
use user_service::metrics::Metrics;

use crate::stub::{Mood, Stub};
use crate::support::{App, config, until};

/// How many lines the page has.
async fn lines(app: &App) -> usize {
    app.get("/metrics").await.text().await.unwrap().lines().count()
}

// Seen to fail: with the raw path as `endpoint`, the page grows from 130 lines to 4,630.
#[tokio::test]
async fn random_paths_and_methods_do_not_grow_the_page() {
    let app = App::start(config(&[])).await;
    let sweep = async |first: usize, last: usize| {
        for i in first..last {
            app.get(&format!("/{i}")).await;
            app.get(&format!("/api/v1/users/{i}")).await;
            app.get(&format!("/api/v1/users/{i}/x?y={i}")).await;
            let method = Method::from_bytes(format!("BREW{i}").as_bytes()).unwrap();
            app.client.request(method, app.url("/api/v1/users")).send().await.unwrap();
        }
    };
    sweep(0, 1).await;
    lines(&app).await;
    let before = lines(&app).await;
    sweep(1, 101).await;
    assert_eq!(lines(&app).await, before);
    let unmatched = r#"http_requests_total{endpoint="unmatched",method="GET",status="404"}"#;
    assert_eq!(app.metric(unmatched).await, 202.0);
    let other = r#"http_requests_total{endpoint="/api/v1/users",method="OTHER",status="405"}"#;
    assert_eq!(app.metric(other).await, 101.0);
    app.must_be_well().await;
}

#[tokio::test]
async fn requests_are_counted_and_timed_by_route() {
    let app = App::start(config(&[])).await;
    app.create("Ann", "ann@example.com").await;
    let labels = r#"endpoint="/api/v1/users",method="POST",status="201""#;
    assert_eq!(app.metric(&format!("http_requests_total{{{labels}}}")).await, 1.0);
    assert_eq!(app.metric(&format!("http_request_duration_seconds_count{{{labels}}}")).await, 1.0);
    let buckets = ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"];
    let page = app.get("/metrics").await;
    assert_eq!(page.headers()["content-type"], "text/plain; version=0.0.4");
    let page = page.text().await.unwrap();
    let seen: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("http_request_duration_seconds_bucket") && line.contains(labels))
        .map(|line| line.split("le=\"").nth(1).unwrap().split('"').next().unwrap())
        .collect();
    assert_eq!(seen, buckets);
    until(|| async { app.metric("notifications_succeeded_total").await == 1.0 }).await;
    app.must_be_well().await;
}

#[tokio::test]
async fn a_panic_counts_as_500_and_a_client_that_reset_leaves_nothing_open() {
    let stub = Stub::held();
    let (ann, route) = (stub.add("Ann"), r#"endpoint="/api/v1/users/{id}",method="GET""#);
    let app = App::over(config(&[]), stub.clone()).await;
    let request =
        format!("GET /api/v1/users/{} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer dev-token\r\n\r\n", ann.id);
    let stream = app.raw(request).await;
    until(|| async { stub.queries() == 1 }).await;
    assert_eq!(app.metric("http_active_requests").await, 2.0);
    stream.set_zero_linger().unwrap();
    drop(stream);
    stub.set_mood(Mood::Panicking);
    stub.release();
    let panics = format!(r#"http_requests_total{{{route},status="500"}}"#);
    until(|| async { app.metric(&panics).await == 1.0 }).await;
    let panicked = app.get(&format!("/api/v1/users/{}", ann.id)).await;
    assert_eq!(panicked.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(app.metric(&panics).await, 2.0);
    until(|| async { app.metric("http_connections").await == 1.0 }).await;
    assert_eq!(app.metric("http_active_requests").await, 1.0);
    app.must_be_well().await;
}

#[test]
fn every_request_ends_exactly_once() {
    let metrics = Metrics::new(vec![]).unwrap();
    metrics.begin("GET", "/a").answered(200);
    drop(metrics.begin("GET", "/a"));
    let page = metrics.page().unwrap();
    for status in ["200", "499"] {
        assert!(
            page.contains(&format!("http_requests_total{{endpoint=\"/a\",method=\"GET\",status=\"{status}\"}} 1\n"))
        );
    }
    assert!(page.contains("http_active_requests 0\n"));
}
