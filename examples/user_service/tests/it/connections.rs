//! Slow, rude and vanishing clients; faults of the database; the way down with work in flight.

use std::future::pending;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use reqwest::StatusCode;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use user_service::domain::{Page, User, UserChange};
use user_service::repository::{BatchError, UserRepository, UserStream};
use user_service::{AppError, Config};
use uuid::Uuid;

use crate::stub::Stub;
use crate::support::{App, config, expect_error, read_to_end, read_until, until, within};

const HEAD: &str = "POST /api/v1/users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer dev-token\r\n\
                    Content-Type: application/json\r\n";
const BODY: &str = r#"{"name":"Ann","email":"ann@example.com"}"#;

/// One connection at a time: whoever is served next proves that the one before was let go.
fn one_at_a_time(timeout: Duration) -> Config {
    let mut config = config(&["--http-max-connections=1"]);
    config.http.read_timeout = timeout;
    config.http.write_timeout = timeout;
    config.http.idle_timeout = timeout;
    config
}

#[tokio::test]
async fn a_slow_header_is_cut_off() {
    let app = App::start(one_at_a_time(Duration::from_millis(200))).await;
    for bytes in ["", "GET /health HT", "GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: "] {
        let mut stream = app.raw(bytes).await;
        assert_eq!(read_to_end(&mut stream).await, "");
    }
    app.must_be_well().await;
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let app = App::start(one_at_a_time(Duration::from_millis(200))).await;
    let mut stream = app.raw("GET /health HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(read_to_end(&mut stream).await.ends_with(r#"{"status":"ok"}"#));
    app.must_be_well().await;
}

#[tokio::test]
async fn a_header_has_less_time_than_a_connection_may_be_idle() {
    let (short, long) = (Duration::from_millis(200), Duration::from_secs(600));
    let mut limits = one_at_a_time(short);
    limits.http.idle_timeout = long;
    let app = App::start(limits).await;
    // On a connection that has served before, too, and although a byte comes now and then.
    let mut stream = app.raw("GET /health HTTP/1.1\r\nHost: x\r\n\r\n").await;
    read_until(&mut stream, "ok").await;
    let (mut reader, mut writer) = stream.into_split();
    let drip = async {
        while writer.write_all(b"G").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let begun = tokio::time::Instant::now();
    tokio::select! {
        rest = read_to_end(&mut reader) => assert_eq!(rest, ""),
        () = drip => {}
    }
    assert!(begun.elapsed() >= short);
    drop((reader, writer));
    // An idle one is not cut off after the header's time: it is the only one, and still answers.
    let mut idle = app.raw("").await;
    tokio::time::sleep(3 * short).await;
    idle.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    assert!(read_to_end(&mut idle).await.starts_with("HTTP/1.1 200 "));
    app.must_be_well().await;
}

#[tokio::test]
async fn an_answer_may_take_longer_than_a_connection_may_be_idle() {
    let stub = Stub::held();
    let ann = stub.add("Ann");
    let mut limits = one_at_a_time(Duration::from_millis(100));
    limits.http.write_timeout = Duration::from_secs(15);
    let app = App::over(limits, stub.clone()).await;
    let path = format!("/api/v1/users/{}", ann.id);
    let read = app.get(&path);
    let release = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        stub.release();
    };
    let (answer, ()) = tokio::join!(read, release);
    assert_eq!(answer.status(), StatusCode::OK);
    app.must_be_well().await;
}

#[tokio::test]
async fn a_slow_body_is_a_timeout() {
    let app = App::start(one_at_a_time(Duration::from_millis(200))).await;
    for framing in ["Content-Length: 40\r\n\r\n{\"name\":", "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"nam\r\n"] {
        let answer = read_to_end(&mut app.raw(format!("{HEAD}{framing}")).await).await;
        assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains(r#""code":"TIMEOUT""#), "{answer}");
    }
    app.must_be_well().await;
}

#[tokio::test]
async fn a_client_that_never_reads_is_cut_off() {
    let app = App::start(one_at_a_time(Duration::from_millis(500))).await;
    for i in 0..100 {
        app.create(&"😀".repeat(200), &format!("ann{i}@example.com")).await;
    }
    let requests =
        "GET /api/v1/users?limit=100 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer dev-token\r\n\r\n".repeat(200);
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut rude = within(socket.connect(app.addr)).await.unwrap();
    rude.write_all(requests.as_bytes()).await.unwrap();
    // It is being served, and holds the only place.
    within(rude.readable()).await.unwrap();
    app.must_be_well().await;
    drop(rude);
}

#[tokio::test]
async fn a_client_gone_mid_request_leaves_nothing_behind() {
    let app = App::start(one_at_a_time(Duration::from_secs(15))).await;
    for framing in
        ["", "Content-Length: 40\r\n\r\n", "Content-Length: 40\r\n\r\n{\"name\":", "Transfer-Encoding: chunked\r\n\r\n"]
    {
        drop(app.raw(format!("{HEAD}{framing}")).await);
    }
    for _ in 0..20 {
        drop(app.raw(format!("{HEAD}Content-Length: {}\r\n\r\n{BODY}", BODY.len())).await);
    }
    app.must_be_well().await;
}

#[tokio::test]
async fn a_half_closed_client_gets_its_answer() {
    let app = App::start(config(&[])).await;
    let mut stream = app.raw(format!("{HEAD}Content-Length: {}\r\n\r\n{BODY}", BODY.len())).await;
    stream.shutdown().await.unwrap();
    assert!(read_to_end(&mut stream).await.starts_with("HTTP/1.1 201 "));
    app.must_be_well().await;
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let app = App::start(config(&[])).await;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer dev-token\r\n\r\n");
    let last = "GET /ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answers = read_to_end(&mut app.raw(get("/health") + &get("/nothing") + last).await).await;
    let statuses: Vec<&str> = answers.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
    assert_eq!(statuses, ["200", "404", "200"], "{answers}");
    app.must_be_well().await;
}

#[tokio::test]
async fn connections_beyond_the_bound_wait() {
    let app = App::start(one_at_a_time(Duration::from_secs(15))).await;
    let mut first = app.raw("GET /health HTTP/1.1\r\nHost: x\r\n\r\n").await;
    read_until(&mut first, "ok").await;
    let mut second = app.raw("GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    // Time enough for an answer, had it been accepted.
    for _ in 0..100 {
        first.write_all(b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        read_until(&mut first, "ready").await;
    }
    let mut byte = [0];
    assert_eq!(second.try_read(&mut byte).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    drop(first);
    assert!(read_to_end(&mut second).await.ends_with(r#"{"status":"ok"}"#));
    app.must_be_well().await;
}

#[tokio::test]
async fn a_request_in_flight_is_finished_on_the_way_down() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("--database-url=sqlite:{}/users.db", dir.path().display());
    let app = App::start(config(&[&url])).await;
    let addr = app.addr;
    let mut stream = app.raw(format!("{HEAD}Expect: 100-continue\r\nContent-Length: {}\r\n\r\n", BODY.len())).await;
    // The handler has begun to read.
    read_until(&mut stream, "100 Continue\r\n\r\n").await;
    let stopping = app.begin_stop();
    until(|| async { TcpStream::connect(addr).await.is_err() }).await;
    assert!(!stopping.is_finished());
    stream.write_all(BODY.as_bytes()).await.unwrap();
    let answer = read_to_end(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    let outcome = within(stopping).await.unwrap();
    assert!(outcome.is_clean(), "{outcome}");
    assert_eq!(outcome.notifications.as_ref().unwrap().totals.succeeded, 1);

    let app = App::start(config(&[&url])).await;
    let page = app.get("/api/v1/users").await.json::<Value>().await.unwrap();
    assert_eq!(page["users"][0]["email"], "ann@example.com");
    app.must_be_well().await;
}

#[tokio::test]
async fn connections_without_a_request_do_not_hold_up_the_way_down() {
    let app = App::start(config(&[])).await;
    let silent = app.raw("").await;
    let mut idle = app.raw("GET /health HTTP/1.1\r\nHost: x\r\n\r\n").await;
    read_until(&mut idle, "ok").await;
    let outcome = app.stop().await;
    assert!(outcome.is_clean(), "{outcome}");
    drop((silent, idle));
}

/// A database that fails in every way at once.
#[derive(Debug)]
struct Broken;

#[async_trait]
impl UserRepository for Broken {
    async fn insert(&self, _: &User) -> Result<(), AppError> {
        pending().await
    }
    async fn insert_batch(&self, _: &[User]) -> Result<(), BatchError> {
        pending().await
    }
    async fn get(&self, _: Uuid) -> Result<Option<User>, AppError> {
        panic!("the repository panics")
    }
    async fn list(&self, _: Page) -> Result<Vec<User>, AppError> {
        Err(AppError::internal("secret: disk 7 is on fire"))
    }
    fn stream(&self, _: Option<u32>, _: u32) -> UserStream {
        Box::pin(futures_util::stream::pending())
    }
    async fn update(&self, _: Uuid, _: &UserChange, _: DateTime<Utc>) -> Result<Option<User>, AppError> {
        Err(AppError::timeout("secret: SELECT pg_sleep(10)"))
    }
    async fn delete(&self, _: Uuid, _: DateTime<Utc>) -> Result<bool, AppError> {
        Err(AppError::unavailable("secret: 10.1.2.3"))
    }
    async fn ping(&self) -> Result<(), AppError> {
        Err(AppError::unavailable("secret: no route to host"))
    }
    async fn close(&self) {}
}

#[tokio::test]
async fn faults_below_are_errors_without_details_and_the_service_lives() {
    let app = App::over(config(&[]), Broken).await;
    for _ in 0..3 {
        let id = Uuid::now_v7();
        let panicked = app.get(&format!("/api/v1/users/{id}")).await;
        assert_eq!(expect_error(panicked, 500, "INTERNAL").await, "internal error");
        let failed = app.get("/api/v1/users").await;
        assert_eq!(expect_error(failed, 500, "INTERNAL").await, "internal error");
        let url = app.url(&format!("/api/v1/users/{id}"));
        let slow = app.client.patch(&url).header("content-type", "application/json").body(BODY).send().await.unwrap();
        assert!(!expect_error(slow, 504, "TIMEOUT").await.contains("secret"));
        let busy = app.client.delete(&url).send().await.unwrap();
        assert!(!expect_error(busy, 503, "UNAVAILABLE").await.contains("secret"));
        let down = expect_error(app.get("/ready").await, 503, "UNAVAILABLE").await;
        assert!(!down.contains("secret"));
        assert_eq!(app.get("/health").await.status(), StatusCode::OK);
    }
    let outcome = app.stop().await;
    assert!(outcome.is_clean(), "{outcome}");
}

#[tokio::test]
async fn a_hung_request_is_cut_at_the_deadline_and_reported() {
    let mut config = config(&[]);
    config.shutdown_limit = Duration::from_millis(300);
    let app = App::over(config, Broken).await;
    let head = format!("{HEAD}Expect: 100-continue\r\nContent-Length: {}\r\n\r\n", BODY.len());
    let mut stream = app.raw(head).await;
    read_until(&mut stream, "100 Continue\r\n\r\n").await;
    stream.write_all(BODY.as_bytes()).await.unwrap();
    let outcome = app.stop().await;
    assert_eq!((outcome.cut_connections, outcome.is_clean()), (1, false), "{outcome}");
    assert_eq!(read_to_end(&mut stream).await, "");
}
