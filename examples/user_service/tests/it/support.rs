//! A service on a free port, clients for it, and deadlines.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use user_service::domain::{NewUser, User};
use user_service::notify::{FlakyNotifier, Notifier};
use user_service::repository::UserRepository;
use user_service::{Config, Outcome, Service};

/// A token that the service accepts on loopback addresses.
pub(crate) const TOKEN: &str = "Bearer dev-token";
/// What no wait in these tests should come near.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// The future's output; panics when the deadline passes first.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("the deadline passed")
}

/// Asks again and again until the answer is yes; panics when the deadline passes first.
pub(crate) async fn until<F: Future<Output = bool>>(mut condition: impl FnMut() -> F) {
    within(async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// A user of this email, not stored yet.
pub(crate) fn user(email: &str) -> User {
    NewUser::new("Ann", email).unwrap().into_user()
}

/// So many users, `ann{first}@example.com` and on.
pub(crate) fn users(first: usize, count: usize) -> Vec<User> {
    (first..first + count).map(|i| user(&format!("ann{i}@example.com"))).collect()
}

/// Polls the future `polls` times, as often as it wakes, and drops it.
pub(crate) async fn drop_after(polls: usize, future: impl Future) {
    let mut future = Box::pin(future);
    let mut polled = 0;
    poll_fn(|cx| {
        if polled == polls {
            return Poll::Ready(());
        }
        polled += 1;
        future.as_mut().poll(cx).map(drop)
    })
    .await;
}

/// A configuration that no environment variable of the machine can disturb: free port, memory, notifier that never fails.
pub(crate) fn config(more: &[&str]) -> Config {
    let base = [
        "user_service",
        "--http-addr=127.0.0.1:0",
        "--grpc-addr=127.0.0.1:0",
        "--database-url=sqlite::memory:",
        "--log=off",
    ];
    let notify = ["--notify-latency-ms=0", "--notify-fault-rate=0", "--notify-backoff-ms=1"];
    let rates = ["--rate-limit-per-second=1000000", "--rate-limit-burst=1000000"];
    // A flag that is given twice is an error: those in `more` replace the ones here.
    let name = |flag: &str| flag.split('=').next().unwrap().to_owned();
    let replaced = |flag: &&&str| !more.iter().any(|m| name(m) == name(flag));
    let args = base.iter().chain(&notify).chain(&rates).filter(replaced).chain(more);
    Config::from_args(args.copied()).unwrap()
}

/// A client that shows its token, with a connection for each request: none is held idle under a bound of one.
pub(crate) fn client() -> Client {
    let token = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(TOKEN))]);
    let client = Client::builder().no_proxy().timeout(DEADLINE).default_headers(token);
    client.pool_max_idle_per_host(0).build().unwrap()
}

/// A running service.
pub(crate) struct App {
    pub(crate) addr: SocketAddr,
    pub(crate) grpc_addr: SocketAddr,
    pub(crate) client: Client,
    stop: oneshot::Sender<()>,
    running: JoinHandle<Outcome>,
}

impl App {
    pub(crate) async fn start(config: Config) -> Self {
        Self::run(Service::start(config).await.unwrap())
    }

    /// A service over another repository than the configuration names.
    pub(crate) async fn over(config: Config, repository: impl UserRepository) -> Self {
        let notifier = FlakyNotifier { latency: config.notify_latency, fault_rate: config.notify_fault_rate };
        Self::run(Service::start_with(config, Arc::new(repository), Arc::new(notifier)).await.unwrap())
    }

    /// A service with another notifier than the flaky one, in memory.
    pub(crate) async fn announcing(config: Config, notifier: impl Notifier) -> Self {
        let repository = config.database.clone().open().await.unwrap();
        Self::run(Service::start_with(config, repository, Arc::new(notifier)).await.unwrap())
    }

    fn run(service: Service) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (addr, grpc_addr) = (service.addr(), service.grpc_addr());
        let running = tokio::spawn(service.run(async { drop(stopped.await) }));
        Self { addr, grpc_addr, client: client(), stop, running }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.client.get(self.url(path)).send().await.unwrap()
    }

    /// A figure of the metrics page, labels included in its name; 0 when it is not there.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let page = self.get("/metrics").await.text().await.unwrap();
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    pub(crate) async fn post(&self, body: impl Into<reqwest::Body>) -> Response {
        let request = self.client.post(self.url("/api/v1/users")).header("content-type", "application/json");
        request.body(body).send().await.unwrap()
    }

    /// Creates a user, who must be acceptable.
    pub(crate) async fn create(&self, name: &str, email: &str) -> Value {
        let response = self.post(json!({ "name": name, "email": email }).to_string()).await;
        assert_eq!(response.status(), StatusCode::CREATED);
        response.json().await.unwrap()
    }

    /// Creates users `first..last` with a few clients at once.
    pub(crate) async fn create_many(&self, first: usize, last: usize) {
        let ids: Vec<usize> = (first..last).collect();
        for some in ids.chunks(16) {
            let bodies =
                some.iter().map(|i| json!({ "name": "Ann", "email": format!("ann{i}@example.com") }).to_string());
            let answers = futures_util::future::join_all(bodies.map(|body| self.post(body))).await;
            assert!(answers.iter().all(|answer| answer.status() == StatusCode::CREATED));
        }
    }

    /// Opens a connection and writes `bytes` to it.
    pub(crate) async fn raw(&self, bytes: impl AsRef<[u8]>) -> TcpStream {
        let mut stream = within(TcpStream::connect(self.addr)).await.unwrap();
        stream.write_all(bytes.as_ref()).await.unwrap();
        stream
    }

    /// Asks the service to stop and does not wait.
    pub(crate) fn begin_stop(self) -> JoinHandle<Outcome> {
        self.stop.send(()).unwrap();
        self.running
    }

    /// Stops the service.
    pub(crate) async fn stop(self) -> Outcome {
        drop(self.client);
        self.stop.send(()).unwrap();
        within(self.running).await.unwrap()
    }

    /// The service still answers, and goes down with everything accounted for.
    pub(crate) async fn must_be_well(self) {
        assert_eq!(self.get("/health").await.status(), StatusCode::OK);
        until(|| async { self.get("/ready").await.status() == StatusCode::OK }).await;
        let outcome = self.stop().await;
        assert!(outcome.is_clean(), "{outcome}");
    }
}

/// All that the other side sends until it closes. A reset counts as a close.
pub(crate) async fn read_to_end(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    let _ = within(stream.read_to_end(&mut bytes)).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads until `text` has arrived.
pub(crate) async fn read_until(stream: &mut TcpStream, text: &str) -> String {
    let mut seen = String::new();
    while !seen.contains(text) {
        let mut buffer = [0; 4096];
        let n = within(stream.read(&mut buffer)).await.unwrap();
        assert_ne!(n, 0, "closed before {text:?} came; so far: {seen}");
        seen.push_str(&String::from_utf8_lossy(&buffer[..n]));
    }
    seen
}

/// The answer is an error in the one shape that errors have; returns its message.
pub(crate) async fn expect_error(response: Response, status: u16, code: &str) -> String {
    let (seen, id) = (response.status().as_u16(), response.headers()["x-request-id"].to_str().unwrap().to_owned());
    let body: Value = response.json().await.unwrap();
    assert_eq!((seen, body["error"]["code"].as_str()), (status, Some(code)), "{body}");
    assert_eq!(body["request_id"], json!(id));
    assert_eq!(body.as_object().unwrap().len(), 2, "{body}");
    assert_eq!(body["error"].as_object().unwrap().len(), 2, "{body}");
    body["error"]["message"].as_str().unwrap().to_owned()
}
