//! gRPC over real sockets: the three kinds of call, their codes, who may call, and what tools ask a server.

use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::StatusCode;
use tokio::sync::mpsc;
use tonic::metadata::MetadataValue;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status, Streaming};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_reflection::pb::{v1, v1alpha};
use user_service::proto::chat_event::Event;
use user_service::proto::user_service_client::UserServiceClient;
use user_service::proto::{ChatEvent, ChatRequest, GetUserRequest, ListUsersRequest, User};
use uuid::Uuid;

use crate::stub::{Mood, Stub};
use crate::support::{App, TOKEN, config, within};

pub(crate) type Client = UserServiceClient<InterceptedService<Channel, fn(Request<()>) -> Result<Request<()>, Status>>>;

/// A connection of its own.
pub(crate) async fn channel(url: &str) -> Channel {
    within(Endpoint::from_shared(url.to_owned()).unwrap().connect()).await.unwrap()
}

/// A client on a connection of its own that shows its token.
pub(crate) async fn connect(url: &str) -> Client {
    let authorize: fn(Request<()>) -> Result<Request<()>, Status> = |mut request| {
        request.metadata_mut().insert("authorization", MetadataValue::from_static(TOKEN));
        Ok(request)
    };
    UserServiceClient::with_interceptor(channel(url).await, authorize)
}

/// As [`connect`], to a service of this test.
pub(crate) async fn client(app: &App) -> Client {
    connect(&url(app)).await
}

pub(crate) fn url(app: &App) -> String {
    format!("http://{}", app.grpc_addr)
}

pub(crate) fn id(id: impl ToString) -> GetUserRequest {
    GetUserRequest { id: id.to_string() }
}

pub(crate) fn text(text: impl Into<String>) -> ChatRequest {
    ChatRequest { text: text.into() }
}

/// Joins the chat: what is said from now on will be heard.
pub(crate) async fn chat(users: &mut Client) -> (mpsc::Sender<ChatRequest>, Streaming<ChatEvent>) {
    let (mouth, speech) = mpsc::channel(16);
    let speech = stream::unfold(speech, |mut speech| async move { Some((speech.recv().await?, speech)) });
    let mut ear = within(users.chat_stream(speech)).await.unwrap().into_inner();
    assert!(matches!(hear(&mut ear).await, Event::Joined(joined) if !joined.participant.is_empty()));
    (mouth, ear)
}

/// The next event.
pub(crate) async fn hear(ear: &mut Streaming<ChatEvent>) -> Event {
    within(ear.message()).await.unwrap().unwrap().event.unwrap()
}

/// The text of the next event, which must be somebody's words.
pub(crate) async fn hear_text(ear: &mut Streaming<ChatEvent>) -> String {
    match hear(ear).await {
        Event::Said(said) => said.text,
        other => panic!("{other:?}"),
    }
}

/// How many calls of this method have ended with this code.
async fn counted(app: &App, method: &str, code: &str) -> f64 {
    app.metric(&format!(r#"http_requests_total{{endpoint="{method}",method="GRPC",status="{code}"}}"#)).await
}

async fn list(users: &mut Client, limit: Option<u32>, offset: u32) -> Result<Vec<User>, Status> {
    within(users.list_users(ListUsersRequest { limit, offset })).await?.into_inner().try_collect().await
}

#[tokio::test]
async fn get_list_and_chat() {
    let app = App::start(config(&[])).await;
    let mut users = client(&app).await;
    let mut stored = Vec::new();
    for name in ["Ann", "Bob", "Cid"] {
        stored.push(app.create(name, &format!("{name}@example.com")).await["id"].as_str().unwrap().to_owned());
    }
    let ann = within(users.get_user(id(&stored[0]))).await.unwrap().into_inner();
    assert_eq!(
        (ann.id.as_str(), ann.name.as_str(), ann.email.as_str()),
        (stored[0].as_str(), "Ann", "ann@example.com")
    );
    assert!(ann.created_at.is_some_and(|at| at.seconds > 1_700_000_000 && Some(at) == ann.updated_at));

    let ids = |users: Vec<User>| users.into_iter().map(|user| user.id).collect::<Vec<_>>();
    assert_eq!(ids(list(&mut users, None, 0).await.unwrap()), stored);
    assert_eq!(ids(list(&mut users, Some(1), 1).await.unwrap()), stored[1..2]);
    assert_eq!(ids(list(&mut users, Some(u32::MAX), u32::MAX).await.unwrap()), [""; 0]);

    let (ann, mut ann_hears) = chat(&mut users).await;
    let (bob, mut bob_hears) = chat(&mut users).await;
    ann.send(text("hello")).await.unwrap();
    assert_eq!(hear_text(&mut bob_hears).await, "hello");
    bob.send(text("hi")).await.unwrap();
    // Its own words do not come back to it.
    assert_eq!(hear_text(&mut ann_hears).await, "hi");
    drop((ann, bob));
    assert!(within(ann_hears.message()).await.unwrap().is_none());
    assert!(within(bob_hears.message()).await.unwrap().is_none());
    assert_eq!(counted(&app, "/user.v1.UserService/GetUser", "OK").await, 1.0);
    assert_eq!(counted(&app, "/user.v1.UserService/ListUsers", "OK").await, 3.0);
    assert_eq!(counted(&app, "/user.v1.UserService/ChatStream", "OK").await, 2.0);
    app.must_be_well().await;
}

#[tokio::test]
async fn faults_of_the_database_and_panics_have_codes_and_no_details() {
    let stub = Stub::new();
    let app = App::over(config(&[]), stub.clone()).await;
    let mut users = client(&app).await;
    let cases = [(Mood::Failing, Code::Unavailable), (Mood::Panicking, Code::Internal)];
    for (mood, code) in cases {
        let user = stub.add("Ann");
        stub.set_mood(mood);
        let refused = within(users.get_user(id(user.id))).await.unwrap_err();
        assert_eq!(refused.code(), code, "{refused}");
        assert!(!refused.message().contains("secret") && !refused.message().contains("panic"), "{refused}");
        assert!(refused.metadata().get("x-request-id").is_some());
    }
    stub.set_mood(Mood::Well);
    let user = stub.add("Ann");
    assert_eq!(within(users.get_user(id(user.id))).await.unwrap().into_inner().name, "Ann");
    assert_eq!(counted(&app, "/user.v1.UserService/GetUser", "INTERNAL").await, 1.0);
    app.must_be_well().await;
}

#[tokio::test]
async fn a_token_is_needed_but_for_health_and_reflection() {
    let app = App::start(config(&[])).await;
    let channel = channel(&url(&app)).await;
    let mut users = UserServiceClient::new(channel.clone());
    let tokens: [&[&str]; 5] = [&[], &["Bearer wrong"], &["Basic dev-token"], &["Bearer "], &[TOKEN, TOKEN]];
    for given in tokens {
        let mut request = Request::new(id(Uuid::nil()));
        for token in given {
            request.metadata_mut().append("authorization", token.parse().unwrap());
        }
        assert_eq!(within(users.get_user(request)).await.unwrap_err().code(), Code::Unauthenticated, "{given:?}");
        let chat = within(users.chat_stream(stream::pending())).await.unwrap_err();
        assert_eq!(chat.code(), Code::Unauthenticated);
    }
    assert_eq!(check(channel.clone(), "").await.unwrap(), ServingStatus::Serving);
    assert_eq!(list_services(channel).await.len(), 3);
    app.must_be_well().await;
}

#[tokio::test]
async fn one_allowance_for_http_and_grpc() {
    let app = App::start(config(&["--rate-limit-per-second=1", "--rate-limit-burst=2"])).await;
    let mut users = client(&app).await;
    assert_eq!(app.get("/api/v1/users").await.status(), StatusCode::OK);
    assert_eq!(within(users.get_user(id(Uuid::nil()))).await.unwrap_err().code(), Code::NotFound);
    // Enough to outrun what comes back in the meantime.
    let mut codes = Vec::new();
    for _ in 0..50 {
        codes.push(within(users.get_user(id(Uuid::nil()))).await.unwrap_err().code());
    }
    assert!(codes.contains(&Code::ResourceExhausted), "{codes:?}");
    assert_eq!(check(channel(&url(&app)).await, "").await.unwrap(), ServingStatus::Serving);
    app.must_be_well().await;
}

async fn check(channel: Channel, service: &str) -> Result<ServingStatus, Status> {
    let request = HealthCheckRequest { service: service.to_owned() };
    Ok(within(HealthClient::new(channel).check(request)).await?.into_inner().status())
}

/// What `grpcurl list` asks for.
async fn list_services(channel: Channel) -> Vec<String> {
    use v1::server_reflection_client::ServerReflectionClient;
    use v1::server_reflection_request::MessageRequest;
    use v1::server_reflection_response::MessageResponse;
    let request = v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let asked = stream::iter([request]);
    let mut answers =
        within(ServerReflectionClient::new(channel).server_reflection_info(asked)).await.unwrap().into_inner();
    match within(answers.message()).await.unwrap().unwrap().message_response {
        Some(MessageResponse::ListServicesResponse(list)) => list.service.into_iter().map(|s| s.name).collect(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn reflection_knows_the_services_and_their_messages() {
    use v1alpha::server_reflection_client::ServerReflectionClient;
    use v1alpha::server_reflection_request::MessageRequest;
    use v1alpha::server_reflection_response::MessageResponse;
    let app = App::start(config(&[])).await;
    let channel = channel(&url(&app)).await;
    let mut services = list_services(channel.clone()).await;
    services.sort_unstable();
    assert_eq!(services, ["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "user.v1.UserService"]);

    let symbol = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::FileContainingSymbol("user.v1.UserService.ListUsers".to_owned())),
    };
    let asked = stream::iter([symbol]);
    let mut answers =
        within(ServerReflectionClient::new(channel).server_reflection_info(asked)).await.unwrap().into_inner();
    let answer = within(answers.message()).await.unwrap().unwrap().message_response;
    let Some(MessageResponse::FileDescriptorResponse(files)) = answer else { panic!("{answer:?}") };
    assert!(files.file_descriptor_proto.iter().any(|file| file.windows(10).any(|word| word == b"ChatStream")));
    app.must_be_well().await;
}

#[tokio::test]
async fn health_tells_and_watchers_hear_the_end() {
    let app = App::start(config(&[])).await;
    let channel = channel(&url(&app)).await;
    assert_eq!(check(channel.clone(), "").await.unwrap(), ServingStatus::Serving);
    assert_eq!(check(channel.clone(), "user.v1.UserService").await.unwrap(), ServingStatus::Serving);
    assert_eq!(check(channel.clone(), "user.v2").await.unwrap_err().code(), Code::NotFound);
    let request = HealthCheckRequest { service: "user.v1.UserService".to_owned() };
    let mut watch = within(HealthClient::new(channel).watch(request)).await.unwrap().into_inner();
    let first = within(watch.next()).await.unwrap();
    assert_eq!(first.unwrap().status(), ServingStatus::Serving);
    let running = app.begin_stop();
    let status = |answer: Option<Result<HealthCheckResponse, Status>>| answer.unwrap().map(|answer| answer.status());
    assert_eq!(status(within(watch.next()).await).unwrap(), ServingStatus::NotServing);
    assert_eq!(status(within(watch.next()).await).unwrap_err().code(), Code::Unavailable);
    assert!(within(running).await.unwrap().is_clean());
}
