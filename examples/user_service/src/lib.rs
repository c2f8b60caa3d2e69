//! A small user service on flowgate: HTTP over SQLite or PostgreSQL, with welcome notifications on a worker pool.
//!
//! # Layers
//! Each knows those below it and none above it.
//!
//! | layer | job |
//! |---|---|
//! | [`Service`] | wires the layers together; the way up and the way down |
//! | [`config`] | flags and environment, checked |
//! | [`http`], [`grpc`] | the routes or methods, and the server that drives them |
//! | `connections` | the accept loop of both |
//! | [`middleware`] | what every edge asks of a caller: a token, and not too often |
//! | [`users`], [`import`] | the use cases |
//! | [`cache`] | users as they were read last |
//! | [`repository`], [`notify`] | users in a database; welcomes on a pool |
//! | [`metrics`] | figures for Prometheus |
//! | [`domain`], [`error`] | users and their rules; the one error type |
#![forbid(unsafe_code)]
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the lists keep the library's kernels on its shim; this is a program on tokio"
)]

pub mod cache;
pub mod config;
mod connections;
pub mod domain;
pub mod error;
pub mod grpc;
pub mod http;
pub mod import;
mod json;
pub mod metrics;
pub mod middleware;
pub mod notify;
pub mod proto;
pub mod repository;
mod shutdown;
pub mod users;

use std::future::Future;
use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use flowgate::{BuildError, InvalidMap};
use futures_util::FutureExt;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

use crate::cache::UserCache;
pub use crate::config::Config;
pub use crate::error::{AppError, chain};
use crate::grpc::{GrpcServer, GrpcState, Room};
use crate::http::{AppState, HttpServer};
use crate::import::Imports;
use crate::metrics::Metrics;
use crate::middleware::rate_limit::RateLimit;
use crate::notify::{FlakyNotifier, Notifications, Notifier};
use crate::repository::UserRepository;
pub use crate::shutdown::{Outcome, Signals};
use crate::users::Users;

/// What the database's closing may take even when nothing is left of the time to shut down.
const CLOSE_GRACE: Duration = Duration::from_secs(1);

/// What the end of imports may take whose connections were cut.
const CANCEL_GRACE: Duration = Duration::from_millis(500);

/// Why the service could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {addr}")]
    Bind {
        /// The address asked for.
        addr: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The gRPC services cannot be described.
    #[error("cannot set up gRPC")]
    Grpc(#[from] grpc::BadDescriptors),
    /// The database cannot be used.
    #[error("cannot use the database")]
    Database(#[source] AppError),
    /// The pool refuses its options.
    #[error("cannot start the notifications")]
    Notifications(#[source] BuildError),
    /// The cache or the rate limit refuses its options.
    #[error("cannot make a table")]
    Table(#[from] InvalidMap),
    /// Two metrics have one name.
    #[error("cannot set up the metrics")]
    Metrics(#[from] prometheus::Error),
}

/// A service that is bound to its addresses, connected to its database, and ready to run.
#[derive(Debug)]
pub struct Service {
    addr: SocketAddr,
    grpc_addr: SocketAddr,
    server: HttpServer,
    grpc: GrpcServer,
    state: AppState,
    repository: Arc<dyn UserRepository>,
    notifications: Notifications,
    shutdown_limit: Duration,
}

impl Service {
    /// Binds the address, opens the database and starts the notifications.
    ///
    /// # Errors
    /// The first of these that fails.
    ///
    /// # Cancel safety
    /// Safe: what was opened is closed again.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let (listener, grpc) = (bind(config.http.addr).await?, bind(config.grpc.addr).await?);
        let repository = config.database.clone().open().await.map_err(StartError::Database)?;
        let notifier = FlakyNotifier { latency: config.notify_latency, fault_rate: config.notify_fault_rate };
        Self::assemble(&config, [listener, grpc], repository, Arc::new(notifier))
    }

    /// As [`start`](Self::start), with another repository and notifier than the configuration names.
    ///
    /// # Errors
    /// When the address cannot be bound or the pool refuses its options.
    ///
    /// # Cancel safety
    /// Safe: what was opened is closed again.
    pub async fn start_with(
        config: Config,
        repository: Arc<dyn UserRepository>,
        notifier: Arc<dyn Notifier>,
    ) -> Result<Self, StartError> {
        let listeners = [bind(config.http.addr).await?, bind(config.grpc.addr).await?];
        Self::assemble(&config, listeners, repository, notifier)
    }

    fn assemble(
        config: &Config,
        [http, grpc]: [TcpListener; 2],
        repository: Arc<dyn UserRepository>,
        notifier: Arc<dyn Notifier>,
    ) -> Result<Self, StartError> {
        let addr = http.local_addr().map_err(|source| StartError::Bind { addr: config.http.addr, source })?;
        let grpc_addr = grpc.local_addr().map_err(|source| StartError::Bind { addr: config.grpc.addr, source })?;
        let notifications = Notifications::new(&config.notify, notifier).map_err(StartError::Notifications)?;
        let room = Room::new();
        let state = state(config, Arc::clone(&repository), notifications.clone(), Arc::clone(&room))?;
        let AppState { users, metrics, tokens, rate_limit, .. } = state.clone();
        let grpc_state = GrpcState { users, room, metrics, tokens, rate_limit };
        let grpc = GrpcServer::new(grpc, grpc_state, &config.grpc)?;
        let server = HttpServer::new(http, http::router(state.clone()), config.http.clone(), state.metrics.clone());
        if config.tokens.has_development_token() {
            tracing::warn!("the development token is accepted: set AUTH_TOKENS");
        }
        // gRPC first: who waits for the other line has read both.
        tracing::info!("gRPC on {grpc_addr}");
        tracing::info!("listening on http://{addr}");
        Ok(Self {
            addr,
            grpc_addr,
            server,
            grpc,
            state,
            repository,
            notifications,
            shutdown_limit: config.shutdown_limit,
        })
    }

    /// The bound address, with the real port where 0 was asked for.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The bound address of gRPC.
    #[must_use]
    pub fn grpc_addr(&self) -> SocketAddr {
        self.grpc_addr
    }

    /// Serves until `stop` is ready, then goes down in order: not ready, accept nothing, finish requests and streams
    /// (streams that are left after half of the time end with `UNAVAILABLE`, imports store what they have taken and report it), drain the notifications, close the database. Returns within the shutdown limit, plus a second for the database,
    /// and tells what became of everything.
    ///
    /// # Cancel safety
    /// Not safe: dropped, it cuts connections and aborts notifications without a report.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> Outcome {
        let stop = stop.shared();
        tokio::join!(self.server.accept_until(stop.clone()), self.grpc.accept_until(stop));
        let deadline = Instant::now() + self.shutdown_limit;
        let end_of_streams = deadline - self.shutdown_limit / 2;
        let remaining = || deadline.saturating_duration_since(Instant::now());
        self.state.set_not_ready();
        self.state.imports.close();
        let cut = tokio::join!(self.server.finish(deadline), self.grpc.finish(end_of_streams, deadline));
        let cut_connections = cut.0 + cut.1;
        let imports = self.state.imports.drain(deadline.max(Instant::now() + CANCEL_GRACE)).await;
        let notifications = self
            .notifications
            .shutdown(remaining())
            .await
            .inspect_err(|error| tracing::error!("the notifications gave no report: {error}"))
            .ok();
        let grace = remaining().max(CLOSE_GRACE);
        let database_closed = tokio::time::timeout(grace, self.repository.close()).await.is_ok();
        let refused = self.notifications.refused();
        let outcome = Outcome { cut_connections, imports, notifications, refused, database_closed };
        outcome.log();
        outcome
    }
}

/// Wires the parts that handlers share, and the figures of each to the metrics.
fn state(
    config: &Config,
    repository: Arc<dyn UserRepository>,
    notifications: Notifications,
    room: Arc<Room>,
) -> Result<AppState, StartError> {
    let cache = UserCache::new(Arc::clone(&repository), &config.cache)?;
    let rate_limit = RateLimit::new(&config.rate_limit)?;
    let imports = Imports::new(Arc::clone(&repository), notifications.clone(), config.imports);
    let sources = (cache.clone(), notifications.clone(), rate_limit.clone(), imports.clone());
    let metrics = Metrics::new(vec![
        Box::new(move || sources.0.figures()),
        Box::new(move || sources.1.figures()),
        Box::new(move || sources.2.figures()),
        Box::new(move || sources.3.figures()),
        Box::new(move || room.figures()),
    ])?;
    Ok(AppState {
        users: Users::new(repository, cache, notifications),
        imports,
        metrics,
        tokens: config.tokens.clone(),
        rate_limit,
        proxies: config.http.proxies,
        body_timeout: config.http.read_timeout,
        ready: Arc::new(AtomicBool::new(true)),
    })
}

/// Listens on `addr`.
async fn bind(addr: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(addr).await.map_err(|source| StartError::Bind { addr, source })
}

/// Writes log lines that `targets` lets through to standard error. Does nothing when a log is set up already.
pub fn init_log(targets: Targets) {
    let lines = tracing_subscriber::fmt::layer().with_ansi(io::stderr().is_terminal()).with_writer(io::stderr);
    // An error means that the process has a log already.
    let _ = tracing_subscriber::registry().with(lines.with_filter(targets)).try_init();
}
