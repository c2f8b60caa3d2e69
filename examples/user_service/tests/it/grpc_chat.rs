//! The chat: who leaves, who is slow, and many who say nothing.

use std::io;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::http;
use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use http_body_util::StreamBody;
use hyper::body::Frame;
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;
use tokio::sync::oneshot;
use tonic::Code;
use user_service::proto::chat_event::Event;
use uuid::Uuid;

use crate::grpc::{chat, client, hear, hear_text, id, text, url};
use crate::support::{App, TOKEN, config, until, within};

async fn until_there_are(app: &App, participants: f64) {
    until(|| async { app.metric("chat_participants").await == participants }).await;
}

#[tokio::test]
async fn who_ends_its_side_leaves_and_who_is_cut_off_is_forgotten() {
    let app = App::start(config(&[])).await;
    let mut users = client(&app).await;
    let (ann, mut ann_hears) = chat(&mut users).await;
    let (bob, mut bob_hears) = chat(&mut users).await;
    until_there_are(&app, 2.0).await;

    // What was said before it left reaches the others, and it hears what was said before.
    bob.send(text("to Ann")).await.unwrap();
    assert_eq!(hear_text(&mut ann_hears).await, "to Ann");
    ann.send(text("last words")).await.unwrap();
    drop(ann);
    assert!(within(ann_hears.message()).await.unwrap().is_none());
    assert_eq!(hear_text(&mut bob_hears).await, "last words");
    until_there_are(&app, 1.0).await;

    // A body that fails makes its client reset the call.
    let (fail, failed) = oneshot::channel::<()>();
    let frame = stream::once(async { Err::<Frame<Bytes>, _>(io::Error::other(failed.await.unwrap_err())) });
    let request = http::Request::post(format!("{}/user.v1.UserService/ChatStream", url(&app)))
        .header("content-type", "application/grpc")
        .header("authorization", TOKEN)
        .body(StreamBody::new(frame.boxed()))
        .unwrap();
    let connections = legacy::Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let answer = within(connections.request(request)).await.unwrap();
    until_there_are(&app, 2.0).await;
    drop(fail);
    until_there_are(&app, 1.0).await;
    drop((answer, connections));

    // A connection that is dropped, with all its calls.
    let mut others = client(&app).await;
    let dan = chat(&mut others).await;
    until_there_are(&app, 2.0).await;
    drop((dan, others));
    until_there_are(&app, 1.0).await;

    let (eve, _) = chat(&mut users).await;
    eve.send(text("anybody there?")).await.unwrap();
    assert_eq!(hear_text(&mut bob_hears).await, "anybody there?");
    let cancelled =
        r#"http_requests_total{endpoint="/user.v1.UserService/ChatStream",method="GRPC",status="CANCELLED"}"#;
    until(|| async { app.metric(cancelled).await >= 2.0 }).await;
    drop(bob);
    app.must_be_well().await;
}

/// Seen to fail: with a ring that holds everything, nobody misses anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_participant_lags_alone_and_is_told() {
    const ROUNDS: usize = 40;
    const ROUND: usize = 100;
    let app = App::start(config(&[])).await;
    let (mut users, mut slow) = (client(&app).await, client(&app).await);
    let (ann, _ann_hears) = chat(&mut users).await;
    let (_bob, mut bob_hears) = chat(&mut users).await;
    let (_cid, mut cid_hears) = chat(&mut slow).await;
    // 16 MB, far more than all buffers on the way to Cid can hold. Ann waits for Bob, so that Bob misses nothing.
    for round in 0..ROUNDS {
        for i in 0..ROUND {
            ann.send(text(format!("{:>4096}", round * ROUND + i))).await.unwrap();
        }
        for i in 0..ROUND {
            assert_eq!(hear_text(&mut bob_hears).await.trim(), (round * ROUND + i).to_string());
        }
    }
    let (mut heard, mut missed, mut next) = (0, 0, 0);
    while next < ROUNDS * ROUND {
        match hear(&mut cid_hears).await {
            Event::Said(said) => {
                assert_eq!(said.text.trim(), next.to_string());
                heard += 1;
                next += 1;
            }
            Event::Lagged(lagged) => {
                missed += lagged.missed;
                next += usize::try_from(lagged.missed).unwrap();
            }
            other @ Event::Joined(_) => panic!("{other:?}"),
        }
    }
    assert!(missed > 1_000 && heard + missed == (ROUNDS * ROUND) as u64, "{heard} heard, {missed} missed");
    assert_eq!(app.metric("chat_missed_total").await, missed as f64);
    app.must_be_well().await;
}

/// Seen to fail: where chats are streams like others, they end after 15 s.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_idle_chats_end_with_the_service() {
    let app = App::start(config(&[])).await;
    let mut chats = Vec::new();
    for _ in 0..5 {
        let users = client(&app).await;
        let some = (0..200).map(|_| {
            let mut users = users.clone();
            async move { chat(&mut users).await }
        });
        chats.extend(join_all(some).await);
    }
    until_there_are(&app, 1_000.0).await;
    let mut users = client(&app).await;
    assert_eq!(within(users.get_user(id(Uuid::nil()))).await.unwrap_err().code(), Code::NotFound);
    let (mouth, _) = chats.pop().unwrap();
    mouth.send(text("hello, all of you")).await.unwrap();
    let heard = chats.iter_mut().map(|(_, ear)| hear_text(ear));
    assert!(within(join_all(heard)).await.iter().all(|text| text == "hello, all of you"));
    let asked = Instant::now();
    let running = app.begin_stop();
    let ends = chats.iter_mut().map(|(_, ear)| ear.message());
    let ends = within(join_all(ends)).await;
    assert!(ends.into_iter().all(|end| end.unwrap_err().code() == Code::Unavailable));
    let outcome = within(running).await.unwrap();
    assert!(outcome.is_clean(), "{outcome}");
    // Not after half of the time to shut down, which is for streams that have an end.
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
}

#[tokio::test]
async fn one_connection_has_so_many_calls_at_a_time() {
    let app = App::start(config(&[])).await;
    let users = client(&app).await;
    let some = (0..256).map(|_| {
        let mut users = users.clone();
        async move { chat(&mut users).await }
    });
    let mut chats = join_all(some).await;
    let mut one_more = Box::pin(tokio::spawn({
        let mut users = users.clone();
        async move { users.get_user(id(Uuid::nil())).await }
    }));
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut one_more).await.is_err(), "it waits");
    chats.pop();
    assert_eq!(within(one_more).await.unwrap().unwrap_err().code(), Code::NotFound);
    drop(chats);
    app.must_be_well().await;
}
