//! Imports over real sockets: what is rejected and why, what becomes of imports that end early, and what they hold.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Bytes;
use futures_util::{StreamExt, stream};
use reqwest::{Body, Response, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::databases::{Kind, on};
use crate::process::{Process, command};
use crate::stub::{Mood, Stub};
use crate::support::{App, client, config, expect_error, read_until, until, within};

const HEAD: &str = "POST /api/v1/users/import HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer dev-token\r\n\
    Content-Type: application/x-ndjson\r\n";
const ALL: &[Kind] = &[Kind::File, Kind::Memory, Kind::Postgres];
const ON_DISK: &[Kind] = &[Kind::File, Kind::Postgres];

fn row(email: &str) -> String {
    json!({ "name": "Ann", "email": email }).to_string()
}

/// So many lines, `ann{first}@example.com` and on.
fn rows(first: usize, count: usize) -> String {
    (first..first + count).map(|i| row(&format!("ann{i}@example.com")) + "\n").collect()
}

async fn send(url: &str, body: impl Into<Body>) -> Response {
    let import = client().post(format!("{url}/api/v1/users/import")).timeout(Duration::from_secs(600));
    import.header("content-type", "application/x-ndjson").body(body).send().await.unwrap()
}

/// Imports a body: the lines of the report.
async fn import(app: &App, body: impl Into<Body>) -> Vec<Value> {
    let answer = send(&app.url(""), body).await;
    assert_eq!(
        (answer.status(), &answer.headers()["content-type"]),
        (StatusCode::OK, &"application/x-ndjson".parse().unwrap())
    );
    parse(&answer.text().await.unwrap())
}

fn parse(report: &str) -> Vec<Value> {
    assert!(report.ends_with('\n'), "{report}");
    report.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn rejected(line: u64, code: &str, message: &str) -> Value {
    json!({ "line": line, "error": { "code": code, "message": message } })
}

fn taken(line: u64) -> Value {
    rejected(line, "CONFLICT", "email: is already taken")
}

fn total(imported: u64, rejected: u64) -> Value {
    json!({ "imported": imported, "rejected": rejected })
}

async fn stored(app: &App) -> usize {
    let page = async |offset: usize| {
        let page: Value = app.get(&format!("/api/v1/users?limit=100&offset={offset}")).await.json().await.unwrap();
        page["users"].as_array().unwrap().len()
    };
    let mut seen = 0;
    loop {
        match page(seen).await {
            0 => return seen,
            more => seen += more,
        }
    }
}

/// A body that is sent as it is written; it ends when the sender is dropped.
fn written() -> (mpsc::UnboundedSender<String>, Body) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let pieces = stream::unfold(receiver, |mut receiver: mpsc::UnboundedReceiver<String>| async {
        Some((Ok::<_, Infallible>(Bytes::from(receiver.recv().await?)), receiver))
    });
    (sender, Body::wrap_stream(pieces))
}

#[tokio::test]
async fn every_bad_row_is_rejected_by_line_and_reason() {
    let long = format!("line: must have at most {} bytes", 16 * 1024);
    let invalid = |line, message| rejected(line, "INVALID_INPUT", message);
    let cases: &[(&[u8], Option<&str>)] = &[
        (br#"{"name":"Ann","email":"ann@example.com"}"#, None),
        (b"not json", Some("line: must be a JSON object")),
        (b"[\"Ann\",\"a@example.com\"]", Some("line: must be a JSON object")),
        (br#"{"name":"Ann"}"#, Some("line: missing field `email` at line 1 column 14")),
        (
            br#"{"name":7,"email":"b@example.com"}"#,
            Some("name: invalid type: integer `7`, expected a string at line 1 column 9"),
        ),
        (br#"{"name":"","email":"b@example.com"}"#, Some("name: must not be empty")),
        (br#"{"name":"Ann","email":"b"}"#, Some("email: must contain an @")),
        (br#"{"name":" ","email":""}"#, Some("name: must not be empty; email: must not be empty")),
        (br#"{"name":"Ann","email":"c@example.com"} {}"#, Some("line: must end after the JSON object")),
        (b"{\"name\":\"A\xFF\",\"email\":\"d@example.com\"}", Some("line: must be UTF-8")),
        (
            b"{\"name\":\"A\0\",\"email\":\"d@example.com\"}",
            Some("name: control character (\\u0000-\\u001F) found while parsing a string at line 1 column 11"),
        ),
        (&[b'x'; 16 * 1024 + 1], Some(&long)),
        (br#"{"name":"Ann","email":"ANN@example.com"}"#, Some("email: is already taken")),
        (br#"{"name":"Bob","email":"bob@example.com"}"#, None),
    ];
    let body = cases.iter().map(|(line, _)| *line).collect::<Vec<_>>().join(&b'\n');
    let expected: Vec<Value> = (1..)
        .zip(cases)
        .filter_map(|(line, (_, reason))| match *reason {
            Some("email: is already taken") => Some(taken(line)),
            reason => reason.map(|reason| invalid(line, reason)),
        })
        .collect();
    let app = App::start(config(&[])).await;
    let mut report = import(&app, body).await;
    assert_eq!(report.pop(), Some(total(2, expected.len() as u64)));
    for (seen, expected) in report.iter().zip(&expected) {
        assert_eq!(seen, expected);
    }
    assert_eq!(report.len(), expected.len());
    app.must_be_well().await;
}

#[tokio::test]
async fn of_rows_with_one_email_the_first_wins() {
    on(ALL, |db| async move {
        let app = App::start(config(&[&format!("--database-url={}", db.url)])).await;
        app.create("Ann", "ann3@example.com").await;
        // Two batches: the second repeats rows of its own, of the first one, and the one that was there before.
        let body = rows(0, 600) + &rows(550, 100) + &rows(3, 1);
        let mut expected = vec![taken(4)];
        expected.extend((601..=650).map(taken));
        expected.extend([taken(701), total(649, 52)]);
        assert_eq!(import(&app, body).await, expected);
        assert_eq!(stored(&app).await, 650);
        app.must_be_well().await;
    })
    .await;
}

#[tokio::test]
async fn bodies_of_every_shape() {
    let app = App::start(config(&[])).await;
    let last_line_unended = format!("{}\n{}", row("a@example.com"), row("b@example.com"));
    let blank_lines = format!("\n\r\n  \n{}\r\n\n{}\n\n", row("c@example.com"), "x");
    for (body, expected) in [
        (String::new(), vec![total(0, 0)]),
        ("\n\n".to_owned(), vec![total(0, 0)]),
        (last_line_unended, vec![total(2, 0)]),
        // Blank lines are passed over, and counted.
        (blank_lines, vec![rejected(6, "INVALID_INPUT", "line: must be a JSON object"), total(1, 1)]),
    ] {
        assert_eq!(import(&app, body).await, expected);
    }
    // Byte by byte, in chunks of their own.
    let bytes = (row("d@example.com") + "\n" + &row("e@example.com")).into_bytes();
    let chunks = stream::iter(bytes.into_iter().map(|byte| Ok::<_, Infallible>(Bytes::from(vec![byte]))));
    assert_eq!(import(&app, Body::wrap_stream(chunks)).await, [total(2, 0)]);
    app.must_be_well().await;
}

#[tokio::test]
async fn a_line_of_10_mib_is_rejected_and_the_next_one_stored() {
    let app = App::start(config(&[])).await;
    let body = format!("{}\n{}\n{}", row("a@example.com"), "x".repeat(10 << 20), row("b@example.com"));
    let long = rejected(2, "INVALID_INPUT", "line: must have at most 16384 bytes");
    assert_eq!(import(&app, body).await, [long, total(2, 1)]);
    app.must_be_well().await;
}

#[tokio::test]
async fn other_content_types_and_callers_are_refused() {
    let app = App::start(config(&[])).await;
    let url = app.url("/api/v1/users/import");
    for content_type in ["application/json", "text/plain", "application/x-ndjsonx"] {
        let answer = app.client.post(&url).header("content-type", content_type).body(rows(0, 1)).send().await.unwrap();
        expect_error(answer, 415, "UNSUPPORTED_MEDIA_TYPE").await;
    }
    expect_error(app.client.post(&url).body(rows(0, 1)).send().await.unwrap(), 415, "UNSUPPORTED_MEDIA_TYPE").await;
    let answer = app.client.get(&url).send().await.unwrap();
    assert_eq!(answer.headers()["allow"], "POST");
    expect_error(answer, 405, "METHOD_NOT_ALLOWED").await;
    let stranger = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer =
        stranger.post(&url).header("content-type", "application/x-ndjson").body(rows(0, 1)).send().await.unwrap();
    expect_error(answer, 401, "UNAUTHORIZED").await;
    // A parameter is no other type.
    let answer = app.client.post(&url).header("content-type", "Application/X-NDJSON; charset=utf-8");
    assert_eq!(parse(&answer.body(rows(0, 1)).send().await.unwrap().text().await.unwrap()), [total(1, 0)]);
    app.must_be_well().await;
}

#[tokio::test]
async fn so_many_imports_at_a_time_and_no_more() {
    let app = App::start(config(&["--imports=1"])).await;
    let (body, first) = written();
    let report = tokio::spawn({
        let url = app.url("");
        async move { send(&url, first).await.text().await.unwrap() }
    });
    body.send(rows(0, 1)).unwrap();
    until(|| async { app.metric("imports_running").await == 1.0 }).await;
    expect_error(send(&app.url(""), rows(1, 1)).await, 503, "UNAVAILABLE").await;
    assert_eq!(app.metric("imports_refused_total").await, 1.0);
    drop(body);
    assert_eq!(parse(&within(report).await.unwrap()), [total(1, 0)]);
    until(|| async { app.metric("imports_running").await == 0.0 }).await;
    assert_eq!(import(&app, rows(1, 1)).await, [total(1, 0)]);
    app.must_be_well().await;
}

#[tokio::test]
async fn the_report_comes_while_the_body_is_sent() {
    let app = App::start(config(&[])).await;
    let (body, pieces) = written();
    body.send("x\n".to_owned()).unwrap();
    let mut report = send(&app.url(""), pieces).await.bytes_stream();
    let first = within(report.next()).await.unwrap().unwrap();
    assert_eq!(
        parse(std::str::from_utf8(&first).unwrap()),
        [rejected(1, "INVALID_INPUT", "line: must be a JSON object")]
    );
    body.send(rows(0, 1)).unwrap();
    drop(body);
    let last = within(report.next()).await.unwrap().unwrap();
    assert_eq!(parse(std::str::from_utf8(&last).unwrap()), [total(1, 1)]);
    app.must_be_well().await;
}

#[tokio::test]
async fn a_client_who_is_gone_ends_its_import_and_what_was_stored_stays() {
    on(ON_DISK, |db| async move {
        let app = App::start(config(&[&format!("--database-url={}", db.url)])).await;
        assert_eq!(import(&app, rows(0, 1)).await, [total(1, 0)]);
        until(|| async { app.metric("imports_running").await == 0.0 }).await;
        let tasks = Handle::current().metrics().num_alive_tasks();
        for (first, stored) in [(1000, 501.0), (2000, 1001.0)] {
            let half = rows(first, 500) + &row("half")[..9];
            let stream = app.raw(format!("{HEAD}Content-Length: 1000000\r\n\r\n{half}")).await;
            until(|| async { app.metric("import_rows_imported_total").await == stored }).await;
            stream.set_zero_linger().unwrap();
            drop(stream);
            until(|| async { app.metric("imports_running").await == 0.0 }).await;
        }
        until(|| async { Handle::current().metrics().num_alive_tasks() <= tasks }).await;
        assert_eq!(app.metric("import_rows_in_flight").await, 0.0);
        assert_eq!(stored(&app).await, 1001);
        app.must_be_well().await;
    })
    .await;
}

#[tokio::test]
async fn a_body_that_breaks_off_or_stops_is_told_and_its_last_line_is_not_imported() {
    let mut limits = config(&[]);
    limits.http.read_timeout = Duration::from_millis(300);
    let app = App::start(limits).await;
    // Nothing arrived: an error like any other.
    let mut stream = app.raw(format!("{HEAD}Content-Length: 40\r\n\r\n")).await;
    let answer = read_until(&mut stream, "TIMEOUT").await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    // Something was stored: the last line tells.
    let begun = format!("{HEAD}Content-Length: 1000\r\n\r\n{}\n{{\"name\"", row("a@example.com"));
    let answer = read_until(&mut app.raw(begun).await, "TIMEOUT").await;
    assert!(
        answer.contains(r#""from":2,"imported":1,"rejected":0"#) && answer.starts_with("HTTP/1.1 200 "),
        "{answer}"
    );
    // The client closes its side in the midst of a chunk, and reads on.
    let line = row("b@example.com") + "\n";
    let mut stream =
        app.raw(format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{line}\r\n40\r\n{{", line.len())).await;
    stream.shutdown().await.unwrap();
    let answer = read_until(&mut stream, "broke off").await;
    assert!(answer.contains(r#""from":2,"imported":1,"rejected":0"#), "{answer}");
    app.must_be_well().await;
}

#[tokio::test]
async fn a_database_that_fails_midway_ends_the_import_with_the_truth() {
    let stub = Stub::held();
    let app = App::over(config(&[]), stub.clone()).await;
    // At once: nothing is stored, and the status says so.
    stub.set_mood(Mood::Failing);
    stub.release_one();
    expect_error(send(&app.url(""), rows(0, 10)).await, 503, "UNAVAILABLE").await;
    for (mood, code) in [(Mood::Failing, "UNAVAILABLE"), (Mood::Panicking, "INTERNAL")] {
        stub.set_mood(Mood::Well);
        let before = stub.len();
        let sent = tokio::spawn({
            let url = app.url("");
            async move { send(&url, rows(0, 1400)).await.text().await.unwrap() }
        });
        stub.release_one();
        until(|| async { stub.len() == before + 500 }).await;
        stub.set_mood(mood);
        stub.release_one();
        let report = within(sent).await.unwrap();
        let last = parse(&report).pop().unwrap();
        assert_eq!(
            (&last["imported"], &last["from"], &last["error"]["code"]),
            (&json!(500), &json!(501), &json!(code))
        );
        assert!(!report.contains("secret"), "{report}");
        assert_eq!(stub.len(), before + 500);
    }
    stub.release();
    stub.set_mood(Mood::Well);
    app.must_be_well().await;
}

#[tokio::test]
async fn the_body_is_read_no_faster_than_batches_are_stored() {
    let stub = Stub::held();
    let app = App::over(config(&[]), stub.clone()).await;
    let stream = within(tokio::net::TcpStream::connect(app.addr)).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let body = rows(0, 500_000);
    writer
        .write_all(format!("{HEAD}Connection: close\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes())
        .await
        .unwrap();
    // What the sockets hold beside the service is far less than the body: the rest stays with the client.
    let mut sent = 0;
    while let Ok(more) = tokio::time::timeout(Duration::from_millis(500), writer.write(&body.as_bytes()[sent..])).await
    {
        sent += more.unwrap();
    }
    assert!(sent < body.len(), "{sent} of {}", body.len());
    // One batch that is inserted, and one ahead.
    assert_eq!(app.metric("import_rows_taken_total").await, 1000.0);
    assert_eq!(app.metric("import_rows_in_flight").await, 1000.0);
    stub.release();
    let rest = async { writer.write_all(&body.as_bytes()[sent..]).await.unwrap() };
    let mut report = String::new();
    let (_, read) = tokio::join!(rest, reader.read_to_string(&mut report));
    read.unwrap();
    assert!(report.contains(r#"{"imported":500000,"rejected":0}"#), "{report}");
    app.must_be_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_ends_an_import_with_a_report_of_what_is_stored() {
    on(ON_DISK, |db| async move {
        let dir = tempfile::tempdir().unwrap();
        let start = || Process::start(command(dir.path()).env("DATABASE_URL", &db.url).env("NOTIFY_FAULT_RATE", "0"));
        let process = start();
        let endless = stream::iter((0..).map(|i| Ok::<_, Infallible>(Bytes::from(rows(i * 100, 100)))));
        // Slow enough that the client has not sent the world before the report of the end reaches it.
        let endless = endless.then(|piece| async {
            tokio::time::sleep(Duration::from_millis(2)).await;
            piece
        });
        let sent = tokio::spawn({
            let url = process.url.clone();
            async move { send(&url, Body::wrap_stream(endless)).await.text().await }
        });
        let imported = async |url: &str| {
            let page = client().get(format!("{url}/metrics")).send().await.unwrap().text().await.unwrap();
            let line = page.lines().find_map(|line| line.strip_prefix("import_rows_imported_total ")).unwrap();
            line.parse::<u64>().unwrap()
        };
        until(|| async { imported(&process.url).await >= 2000 }).await;
        process.signal("TERM");
        let report = within(sent).await.unwrap();
        let (code, log) = process.end();
        assert_eq!(code, Some(0), "{log}");
        let last = parse(&report.unwrap()).pop().unwrap();
        let count = last["imported"].as_u64().unwrap();
        assert_eq!(
            (&last["error"]["code"], &last["from"], &last["rejected"]),
            (&json!("UNAVAILABLE"), &json!(count + 1), &json!(0))
        );
        assert!(count >= 2000, "{last}");
        let accounted = format!("{count} rows taken: {count} stored, 0 rejected, 0 given up");
        assert!(log.contains(&accounted), "{accounted}: {log}");
        // The row before `from` is stored, and the row at it is not.
        let process = start();
        let again = format!("{}{}", rows(0, usize::try_from(count).unwrap()), rows(count.try_into().unwrap(), 1));
        let report = parse(&send(&process.url, again).await.text().await.unwrap());
        assert_eq!(report.last(), Some(&total(1, count)));
        process.signal("TERM");
        assert_eq!(process.end().0, Some(0));
    })
    .await;
}

/// So many rows in the long run: `FLOWGATE_IMPORT_ROWS=100000`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_rows() {
    let count = std::env::var("FLOWGATE_IMPORT_ROWS").map_or(5_000, |text| text.parse().expect("a number"));
    on(ON_DISK, |db| async move {
        let app = App::start(config(&[&format!("--database-url={}", db.url), "--notify-queue=100"])).await;
        let pieces =
            stream::iter((0..count / 100).map(|i| Ok::<_, Infallible>(Bytes::from(rows(i * 100, 99) + "x\n"))));
        let begun = std::time::Instant::now();
        let report = import(&app, Body::wrap_stream(pieces)).await;
        println!("{count} rows in {:?}", begun.elapsed());
        let bad = count / 100;
        assert_eq!(report.last(), Some(&total((count - bad) as u64, bad as u64)));
        let lines: Vec<_> = report.iter().take(bad).map(|line| line["line"].as_u64().unwrap()).collect();
        assert!(lines.iter().copied().eq((1..=bad as u64).map(|i| i * 100)));
        // Welcomes are sent or counted as refused, one for each.
        let outcome = app.stop().await;
        let welcomes = outcome.notifications.as_ref().unwrap().totals.accepted + outcome.refused;
        assert_eq!(welcomes, (count - bad) as u64);
        assert!(outcome.is_clean(), "{outcome}");
    })
    .await;
}

#[tokio::test]
async fn the_page_shows_a_running_import() {
    let stub = Stub::held();
    let app = App::over(config(&[]), stub.clone()).await;
    let page = app.get("/debug/flowgate").await;
    assert_eq!(
        (page.status(), &page.headers()["content-type"]),
        (StatusCode::OK, &"text/html; charset=utf-8".parse().unwrap())
    );
    let page = page.text().await.unwrap();
    // Nothing comes from elsewhere, and the state is filled in.
    assert!(page.contains("\"pipelines\":[]") && !page.contains("{{"), "{page}");
    let elsewhere = page.replace("http://www.w3.org/2000/svg", "");
    assert!(!elsewhere.contains("://") && !elsewhere.contains("src=") && !elsewhere.contains("<link"), "{page}");

    let sent = tokio::spawn({
        let url = app.url("");
        async move { send(&url, rows(0, 1400)).await.text().await.unwrap() }
    });
    let state = async || app.get("/debug/flowgate.json").await.json::<Value>().await.unwrap();
    // One batch is inserted, and one waits ahead of it.
    let is_held = |now: &Value| now["taken"] == 1000 && now["stages"][4]["workers"]["running"] == 1;
    until(|| async { is_held(&state().await["pipelines"][0]) }).await;
    let now = state().await;
    let import = &now["pipelines"][0];
    let names: Vec<_> =
        import["stages"].as_array().unwrap().iter().map(|stage| stage["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["parse", "validate", "batch", "ahead", "insert"]);
    assert_eq!(import["bottleneck"], "insert");
    assert_eq!(import["stages"][4]["workers"]["running"], 1);
    assert_eq!((&import["stages"][0]["out"], &import["stages"][2]["out"]), (&json!(1000), &json!(2)));
    assert_eq!(import["bounds"][0]["items"], 1000);
    assert_eq!(now["figures"]["import_rows_in_flight"], 1000);
    assert_eq!(
        (&now["figures"]["notifications_running"], &now["figures"]["user_cache_entries"]),
        (&json!(0), &json!(0))
    );
    // No user is in it.
    assert!(!now.to_string().contains("example.com"), "{now}");
    stub.release();
    assert_eq!(parse(&within(sent).await.unwrap()), [total(1400, 0)]);
    until(|| async { state().await["pipelines"] == json!([]) }).await;
    app.must_be_well().await;
}

#[tokio::test]
async fn the_page_is_open_on_this_machine_alone() {
    let app = App::start(config(&[])).await;
    let stranger = reqwest::Client::builder().no_proxy().build().unwrap();
    for path in ["/debug/flowgate", "/debug/flowgate.json"] {
        assert_eq!(stranger.get(app.url(path)).send().await.unwrap().status(), StatusCode::OK);
        // Whoever comes through a proxy is not known to be here.
        let forwarded = stranger.get(app.url(path)).header("x-forwarded-for", "127.0.0.1").send().await.unwrap();
        expect_error(forwarded, 401, "UNAUTHORIZED").await;
        let known = app.client.get(app.url(path)).header("x-forwarded-for", "192.0.2.1").send().await.unwrap();
        assert_eq!(known.status(), StatusCode::OK);
    }
    app.must_be_well().await;
    let app = App::start(config(&["--trusted-proxies=1"])).await;
    expect_error(stranger.get(app.url("/debug/flowgate")).send().await.unwrap(), 401, "UNAUTHORIZED").await;
    app.must_be_well().await;
}
