//! The executable itself: start, signals, exit codes, and what it writes to its log.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use reqwest::{Client, StatusCode};
use serde_json::json;
use tonic::Code;
use user_service::proto::GetUserRequest;
use uuid::Uuid;

use crate::databases::{Kind, on};
use crate::grpc;
use crate::support::{DEADLINE, client, within};

/// The executable beside the test's own, in the folder for example targets.
fn executable() -> PathBuf {
    let me = std::env::current_exe().unwrap();
    let path = me.parent().and_then(Path::parent).unwrap().join("examples/user_service");
    assert!(path.exists(), "build it first: cargo build -p flowgate-user-service --example user_service");
    path
}

pub(crate) fn command(dir: &Path) -> Command {
    let mut command = Command::new(executable());
    command
        .current_dir(dir)
        .env_clear()
        .env("HTTP_ADDR", "127.0.0.1:0")
        .env("GRPC_ADDR", "127.0.0.1:0")
        .env("RATE_LIMIT_PER_SECOND", "1000000")
        .stderr(Stdio::piped());
    command
}

/// A running process, killed when dropped.
pub(crate) struct Process {
    child: Child,
    log: BufReader<std::process::ChildStderr>,
    pub(crate) url: String,
    grpc_url: String,
}

impl Process {
    /// Starts it and reads its log up to the address.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut seen = String::new();
        while !seen.contains("listening on ") {
            assert_ne!(log.read_line(&mut seen).unwrap(), 0, "ended before it listened: {seen}");
        }
        let url = seen.rsplit("listening on ").next().unwrap().trim().to_owned();
        let grpc_url = format!("http://{}", seen.split("gRPC on ").nth(1).unwrap().lines().next().unwrap());
        Self { child, log, url, grpc_url }
    }

    async fn create(&self, client: &Client, i: usize) -> StatusCode {
        let body = json!({ "name": "Ann", "email": format!("ann{i}@example.com") });
        client.post(format!("{}/api/v1/users", self.url)).json(&body).send().await.unwrap().status()
    }

    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Reads the log until `text` has been written.
    fn read_until(&mut self, text: &str) -> String {
        let mut seen = String::new();
        while !seen.contains(text) {
            assert_ne!(self.log.read_line(&mut seen).unwrap(), 0, "ended without {text:?}: {seen}");
        }
        seen
    }

    /// Waits for the end: the exit code, and the rest of the log.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let deadline = Instant::now() + DEADLINE;
        while self.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "still running");
            std::thread::sleep(Duration::from_millis(5));
        }
        let mut log = String::new();
        self.log.read_to_string(&mut log).unwrap();
        (self.child.wait().unwrap().code(), log)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_signal_ends_it_with_a_report_and_code_0() {
    let dir = tempfile::tempdir().unwrap();
    for (run, signal) in ["TERM", "INT"].into_iter().enumerate() {
        let process = Process::start(command(dir.path()).env("NOTIFY_FAULT_RATE", "0"));
        let client = client();
        for i in 0..5 {
            assert_eq!(process.create(&client, run * 100 + i).await, StatusCode::CREATED);
        }
        process.signal(signal);
        let (code, log) = process.end();
        assert_eq!(code, Some(0), "{log}");
        assert!(log.contains("everything accounted for") && log.contains("5 accepted: 5 succeeded; "), "{log}");
        // The default database lies in the working directory, and was closed: its write-ahead log is merged and gone.
        assert!(dir.path().join("users.db").exists() && !dir.path().join("users.db-wal").exists());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_user_is_lost_under_load() {
    on(&[Kind::File, Kind::Postgres], |db| async move { stop_under_load(&db.url).await }).await;
}

async fn stop_under_load(database: &str) {
    let dir = tempfile::tempdir().unwrap();
    let command = || {
        let mut command = command(dir.path());
        command.env("DATABASE_URL", database).env("NOTIFY_FAULT_RATE", "0.3").env("NOTIFY_BACKOFF_MS", "1");
        // All clients of the test are one to the rate limit.
        command.env("RATE_LIMIT_PER_SECOND", "1000000").env("RATE_LIMIT_BURST", "1000000");
        command
    };
    let mut process = Process::start(&mut command());
    let users = format!("{}/api/v1/users", process.url);
    let clients = (0..8).map(|c| {
        let users = users.clone();
        tokio::spawn(async move {
            let (client, mut stored) = (client(), Vec::new());
            for i in 0.. {
                let body = json!({ "name": "Ann", "email": format!("ann{c}-{i}@example.com") });
                let Ok(response) = client.post(&users).json(&body).send().await else { break };
                assert_eq!(response.status(), StatusCode::CREATED);
                stored.push(response.headers()["location"].to_str().unwrap().to_owned());
            }
            stored
        })
    });
    let clients: Vec<_> = clients.collect();
    // In the midst of it: some hundred requests have been answered.
    for _ in 0..200 {
        process.read_until("status=201");
    }
    process.signal("TERM");
    let (code, log) = process.end();
    assert_eq!(code, Some(0), "{log}");
    let mut stored = Vec::new();
    for client in clients {
        stored.extend(client.await.unwrap());
    }
    assert!(stored.len() >= 190, "{}", stored.len());
    let process = Process::start(&mut command());
    for location in stored {
        let response = client().get(format!("{}{location}", process.url)).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{location}");
    }
}

// The client goes on, and hears that the connection ends, while the test waits for the process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_ends_an_open_chat_and_code_is_0() {
    let dir = tempfile::tempdir().unwrap();
    let mut process = Process::start(command(dir.path()).env("SHUTDOWN_SECONDS", "10"));
    let mut users = grpc::connect(&process.grpc_url).await;
    let (_mouth, mut ear) = grpc::chat(&mut users).await;
    let asked = users.get_user(GetUserRequest { id: Uuid::nil().to_string() }).await.unwrap_err();
    assert_eq!(asked.code(), Code::NotFound);
    let line = process.read_until("/user.v1.UserService/GetUser");
    assert!(line.contains(r#"code="NOT_FOUND""#) && line.contains("id="), "{line}");
    let told = Instant::now();
    process.signal("TERM");
    assert_eq!(within(ear.message()).await.unwrap_err().code(), Code::Unavailable);
    let (code, log) = process.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("everything accounted for") && log.contains("ChatStream"), "{log}");
    assert!(told.elapsed() < Duration::from_secs(10), "{:?}", told.elapsed());
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let slow = [("NOTIFY_LATENCY_MS", "600000"), ("NOTIFY_TIMEOUT_MS", "600000"), ("SHUTDOWN_SECONDS", "3600")];
    let mut process = Process::start(command(dir.path()).envs(slow));
    assert_eq!(process.create(&client(), 0).await, StatusCode::CREATED);
    process.signal("TERM");
    process.read_until("shutting down");
    process.signal("INT");
    let (code, log) = process.end();
    assert_eq!(code, Some(130), "{log}");
}

#[tokio::test]
async fn work_left_at_the_deadline_is_logged_and_code_1() {
    let dir = tempfile::tempdir().unwrap();
    let slow = [("NOTIFY_LATENCY_MS", "600000"), ("NOTIFY_TIMEOUT_MS", "600000"), ("SHUTDOWN_SECONDS", "1")];
    let process = Process::start(command(dir.path()).envs(slow));
    assert_eq!(process.create(&client(), 0).await, StatusCode::CREATED);
    process.signal("TERM");
    let (code, log) = process.end();
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("welcome not sent") && log.contains("not everything was finished"), "{log}");
}

#[tokio::test]
async fn given_up_welcomes_are_dead_letters_in_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let faults = [("NOTIFY_FAULT_RATE", "1"), ("NOTIFY_MAX_ATTEMPTS", "2"), ("NOTIFY_BACKOFF_MS", "1")];
    let process = Process::start(command(dir.path()).envs(faults));
    assert_eq!(process.create(&client(), 0).await, StatusCode::CREATED);
    process.signal("TERM");
    let (code, log) = process.end();
    assert_eq!(code, Some(0), "{log}");
    let dead = log.lines().find(|line| line.contains("dead letter")).unwrap_or_else(|| panic!("{log}"));
    assert!(dead.contains("user_id=") && dead.contains("after 2 attempts") && !dead.contains("ann0@"), "{dead}");
}

/// Runs it to its end: it is not expected to start.
fn fail(command: &mut Command) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = command.output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[test]
fn what_cannot_start_says_why_with_code_1() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let (code, log) = fail(command(dir.path()).env("HTTP_ADDR", &addr));
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains(&format!("cannot listen on {addr}: Address already in use")), "{log}");
    assert!(!dir.path().join("users.db").exists());

    let (code, log) = fail(command(dir.path()).env("DATABASE_URL", "sqlite:missing/users.db"));
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("cannot use the database"), "{log}");

    // Nobody listens there any more.
    drop(taken);
    let url = format!("postgres://ann:hunter2@{addr}/users");
    let (code, log) = fail(command(dir.path()).env("DATABASE_URL", &url));
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("cannot use the database") && log.contains("Connection refused"), "{log}");
    assert!(!log.contains("hunter2"), "{log}");
}

#[test]
fn a_bad_configuration_is_listed_whole_with_code_2_and_without_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let bad = [("HTTP_ADDR", "here"), ("DATABASE_URL", "postgres://ann:hunter2@db:port/users"), ("NOTIFY_QUEUE", "-1")];
    let (code, log) = fail(command(dir.path()).envs(bad).args(["--notify-fault-rate", "NaN"]));
    assert_eq!(code, Some(2), "{log}");
    for name in ["HTTP_ADDR", "DATABASE_URL", "NOTIFY_QUEUE", "NOTIFY_FAULT_RATE"] {
        assert!(log.contains(&format!("  {name}: ")), "{log}");
    }
    assert!(!log.contains("hunter2"), "{log}");

    let help = command(dir.path()).envs(bad).arg("--help").stdout(Stdio::piped()).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(help.contains("DATABASE_URL") && !help.contains("hunter2"), "{help}");
}
