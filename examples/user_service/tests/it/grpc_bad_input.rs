//! Bad input of gRPC: each a code that says what was wrong, never a crash, and the service is well after it.

use std::time::{Duration, Instant};

use futures_util::stream;
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::MetadataValue;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;
use user_service::proto::user_service_client::UserServiceClient;
use user_service::proto::{ChatRequest, GetUserRequest, ListUsersRequest, User};
use uuid::Uuid;

use crate::grpc::{channel, chat, client, id, text, url};
use crate::stub::Stub;
use crate::support::{App, TOKEN, config, read_to_end, until, within};

const LIMIT: usize = 4 * 1024 * 1024;

#[tokio::test]
async fn ids_and_limits() {
    let app = App::start(config(&[])).await;
    let mut users = client(&app).await;
    for bad in ["", " ", "1", "abc", "..%2f", "' OR '1'='1", "\0", "\u{202e}", "😀", &"x".repeat(10_000)] {
        let refused = within(users.get_user(id(bad))).await.unwrap_err();
        assert_eq!((refused.code(), refused.message()), (Code::InvalidArgument, "id: must be a UUID"), "{bad}");
    }
    for missing in [Uuid::nil(), Uuid::now_v7()] {
        assert_eq!(within(users.get_user(id(missing))).await.unwrap_err().code(), Code::NotFound);
    }
    let refused = within(users.list_users(ListUsersRequest { limit: Some(0), offset: 0 })).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::InvalidArgument, "limit: must be 1 or more"));
    app.must_be_well().await;
}

#[tokio::test]
async fn messages_that_are_too_large() {
    let app = App::start(config(&[])).await;
    let mut users = client(&app).await;
    // A tag and a length of four bytes stand before the text.
    let padded = |size: usize| "x".repeat(size - 5);
    let cases =
        [(LIMIT, Code::InvalidArgument), (LIMIT + 1, Code::ResourceExhausted), (3 * LIMIT, Code::ResourceExhausted)];
    for (size, code) in cases {
        let refused = within(users.get_user(id(padded(size)))).await.unwrap_err();
        assert_eq!(refused.code(), code, "{size}: {refused}");
        let speech = stream::iter([text(padded(size))]);
        let mut ear = within(users.chat_stream(speech)).await.unwrap().into_inner();
        assert!(within(ear.message()).await.unwrap().is_some(), "joined");
        assert_eq!(within(ear.message()).await.unwrap_err().code(), code, "{size}");
    }
    app.must_be_well().await;
}

#[tokio::test]
async fn unknown_methods_and_services_share_one_name_in_the_metrics() {
    let app = App::start(config(&[])).await;
    for path in
        ["/user.v1.UserService/Nope", "/user.v2.UserService/GetUser", "/", "/a", "/user.v1.UserService/GetUser/"]
    {
        let mut raw = Grpc::new(channel(&url(&app)).await);
        raw.ready().await.unwrap();
        let mut request = Request::new(id(""));
        request.metadata_mut().insert("authorization", MetadataValue::from_static(TOKEN));
        let codec = ProstCodec::<GetUserRequest, User>::default();
        let refused = within(raw.unary(request, PathAndQuery::try_from(path).unwrap(), codec)).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unimplemented, "{path}");
    }
    let unknown = r#"http_requests_total{endpoint="unknown",method="GRPC",status="UNIMPLEMENTED"}"#;
    assert_eq!(app.metric(unknown).await, 5.0);
    app.must_be_well().await;
}

/// A client that leaves the time limit to the server; tonic's own ends the call by itself.
async fn patient(app: &App, timeout: &str, method: &str) -> Result<(), Status> {
    let connections = legacy::Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let mut users = UserServiceClient::with_origin(connections, url(app).parse().unwrap());
    let mut metadata = tonic::metadata::MetadataMap::new();
    metadata.insert("authorization", MetadataValue::from_static(TOKEN));
    metadata.insert("grpc-timeout", timeout.parse().unwrap());
    let extensions = tonic::Extensions::default();
    if method == "GetUser" {
        let request = Request::from_parts(metadata, extensions, id(Uuid::now_v7()));
        return within(users.get_user(request)).await.map(drop);
    }
    let speech = stream::pending::<ChatRequest>();
    let mut ear = within(users.chat_stream(Request::from_parts(metadata, extensions, speech))).await?.into_inner();
    while within(ear.message()).await?.is_some() {}
    Ok(())
}

#[tokio::test]
async fn deadlines() {
    let stub = Stub::held();
    let app = App::over(config(&[]), stub.clone()).await;
    for timeout in ["0n", "0m", "1m", "1000u", "00000001m"] {
        for method in ["GetUser", "ChatStream"] {
            let refused = patient(&app, timeout, method).await.unwrap_err();
            assert_eq!(refused.code(), Code::DeadlineExceeded, "{timeout} {method}: {refused}");
        }
    }
    // What nobody waits for is not asked of the database.
    assert!(stub.queries() <= 3, "{}", stub.queries());
    for timeout in ["", "m", "1", "-1m", "1d", "123456789m", "1.5S", "+1S"] {
        let refused = patient(&app, timeout, "GetUser").await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{timeout}: {refused}");
    }
    // Beyond what a clock can count.
    stub.release();
    assert_eq!(patient(&app, "99999999H", "GetUser").await.unwrap_err().code(), Code::NotFound);
    app.must_be_well().await;
}

#[tokio::test]
async fn a_call_that_brings_no_message_is_given_up() {
    let mut config = config(&[]);
    config.grpc.head_timeout = Duration::from_millis(100);
    let app = App::start(config).await;
    let mut raw = Grpc::new(channel(&url(&app)).await);
    raw.ready().await.unwrap();
    let mut request = Request::new(stream::pending::<GetUserRequest>());
    request.metadata_mut().insert("authorization", MetadataValue::from_static(TOKEN));
    let path = PathAndQuery::from_static("/user.v1.UserService/GetUser");
    let codec = ProstCodec::<GetUserRequest, User>::default();
    let started = Instant::now();
    let refused = within(raw.client_streaming(request, path, codec)).await.unwrap_err();
    assert_eq!(refused.code(), Code::DeadlineExceeded, "{refused}");
    assert!(started.elapsed() >= Duration::from_millis(100));
    app.must_be_well().await;
}

#[tokio::test]
async fn a_request_id_is_kept_or_given() {
    let app = App::start(config(&[])).await;
    let mut users = client(&app).await;
    let longest = "x".repeat(128);
    let given = [("abc-123", true), (longest.as_str(), true), ("a b", false), ("", false), ("ä", false)];
    let (long, longer) = ("x".repeat(129), "x".repeat(10_000));
    for (given, kept) in given.into_iter().chain([(long.as_str(), false), (longer.as_str(), false)]) {
        let mut request = Request::new(id(Uuid::nil()));
        request.metadata_mut().insert("x-request-id", MetadataValue::try_from(given.as_bytes()).unwrap());
        let refused = within(users.get_user(request)).await.unwrap_err();
        assert_eq!(refused.code(), Code::NotFound, "{given}");
        let seen = refused.metadata().get("x-request-id").unwrap().to_str().unwrap();
        assert!(if kept { seen == given } else { Uuid::parse_str(seen).is_ok() }, "{given} became {seen}");
    }
    // Beyond all metadata that a call may have: the call fails, the connection does not.
    let mut request = Request::new(id(Uuid::nil()));
    request.metadata_mut().insert("x-request-id", "x".repeat(100_000).parse().unwrap());
    assert!(within(users.get_user(request)).await.is_err());
    assert_eq!(within(users.get_user(id(Uuid::nil()))).await.unwrap_err().code(), Code::NotFound);
    app.must_be_well().await;
}

#[tokio::test]
async fn what_is_not_http2_is_cut_off() {
    let app = App::start(config(&[])).await;
    for bytes in [
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "\0\0\0\0\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nxxxxxxxxxxxxxxxxxxxxx",
    ] {
        let mut stream = within(TcpStream::connect(app.grpc_addr)).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        read_to_end(&mut stream).await;
    }
    until(|| async { app.metric("http_connections").await <= 1.0 }).await;
    app.must_be_well().await;
}

#[tokio::test]
async fn what_may_not_be_said() {
    let app = App::start(config(&[])).await;
    let mut users = client(&app).await;
    let (_mouth, mut witness) = chat(&mut users).await;
    for bad in [String::new(), " \n".to_owned(), "x".repeat(4097)] {
        let (mouth, mut ear) = chat(&mut users).await;
        mouth.send(text(bad)).await.unwrap();
        let refused = within(ear.message()).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().starts_with("text: "), "{refused}");
    }
    let (mouth, _ear) = chat(&mut users).await;
    mouth.send(text("x".repeat(4096))).await.unwrap();
    assert_eq!(crate::grpc::hear_text(&mut witness).await.len(), 4096);
    app.must_be_well().await;
}
