//! Imports that end early, over real sockets: what is told, what is stored, and that nothing is left.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Bytes;
use futures_util::{StreamExt, stream};
use reqwest::Body;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Handle;

use crate::databases::on;
use crate::import::{HEAD, ON_DISK, import, parse, row, rows, send, stored, total};
use crate::process::{Process, command};
use crate::stub::{Mood, Stub};
use crate::support::{App, client, config, expect_error, read_until, until, within};

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

// Seen to fail: with what was held of the last line handed on, half a line is a rejected row.
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
        answer.contains(r#"{"imported":1,"rejected":0,"from":2,"#) && answer.starts_with("HTTP/1.1 200 "),
        "{answer}"
    );
    // The client closes its side in the midst of a chunk, and reads on.
    let line = row("b@example.com") + "\n";
    let mut stream =
        app.raw(format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{line}\r\n40\r\n{{", line.len())).await;
    stream.shutdown().await.unwrap();
    let answer = read_until(&mut stream, "broke off").await;
    assert!(answer.contains(r#"{"imported":1,"rejected":0,"from":2,"#), "{answer}");
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

// Seen to fail: with room for 1,000 batches ahead and a million rows in flight, all is taken while nothing is stored.
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
    while sent < body.len() {
        let more = writer.write(&body.as_bytes()[sent..]);
        let Ok(more) = tokio::time::timeout(Duration::from_millis(500), more).await else { break };
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

// Seen to fail: when imports are not told to end, they go on, and the report does, too.
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
