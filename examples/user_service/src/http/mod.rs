//! HTTP: the routes under `/api/v1`, the signs of life, the metrics, and the server that drives them.

mod debug;
mod error;
mod import;
mod json;
mod middleware;
mod server;
mod timeouts;
mod users;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use self::error::ApiError;
pub(crate) use self::server::HttpServer;
use crate::error::AppError;
use crate::import::Imports;
use crate::metrics::Metrics;
use crate::middleware::auth::Tokens;
use crate::middleware::rate_limit::RateLimit;
use crate::users::Users;

/// How long the database may take to give a sign of life.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// The server's address and limits.
#[derive(Clone, Debug)]
pub struct Options {
    /// The address to listen on.
    pub addr: SocketAddr,
    /// Open connections at most.
    pub max_connections: usize,
    /// How long a client may take to send a header from its first byte on, and again to send a body.
    pub read_timeout: Duration,
    /// How long a client may take to take a piece of the answer.
    pub write_timeout: Duration,
    /// How long a connection may wait for its next request to begin.
    pub idle_timeout: Duration,
    /// How many proxies of our own stand before the service and append to `X-Forwarded-For`; with 0 it is not read.
    pub proxies: usize,
}

/// What handlers and middleware share.
#[derive(Clone, Debug)]
pub(crate) struct AppState {
    pub(crate) users: Users,
    pub(crate) imports: Imports,
    pub(crate) metrics: Metrics,
    pub(crate) tokens: Tokens,
    pub(crate) rate_limit: RateLimit,
    pub(crate) proxies: usize,
    pub(crate) body_timeout: Duration,
    pub(crate) ready: Arc<AtomicBool>,
}

impl AppState {
    /// From now on `/ready` answers 503.
    pub(crate) fn set_not_ready(&self) {
        // Ordering: Relaxed, a flag that publishes nothing else.
        self.ready.store(false, Ordering::Relaxed);
    }
}

/// All routes, with the middleware around them.
pub(crate) fn router(state: AppState) -> Router {
    let open = Router::new()
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .merge(debug::routes())
        .method_not_allowed_fallback(async || ApiError::method_not_allowed());
    let guarded = Router::new()
        .nest("/api/v1/users", users::routes())
        .fallback(async || ApiError::not_found())
        .method_not_allowed_fallback(async || ApiError::method_not_allowed());
    middleware::observe(open.merge(middleware::guard(guarded, &state)), &state).with_state(state)
}

/// The process lives.
async fn health() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// The service can do its work: it is not shutting down, and the database answers.
async fn ready(State(state): State<AppState>) -> Result<Json<Value>, ApiError> {
    // Ordering: Relaxed, as in `set_not_ready`.
    if !state.ready.load(Ordering::Relaxed) {
        return Err(AppError::unavailable("shutting down").into());
    }
    let ping = tokio::time::timeout(PING_TIMEOUT, state.users.ping()).await;
    ping.map_err(AppError::unavailable)??;
    Ok(Json(json!({ "status": "ready" })))
}

/// The figures, as Prometheus reads them.
async fn metrics(State(state): State<AppState>) -> Result<Response, ApiError> {
    let page = state.metrics.page().map_err(AppError::internal)?;
    Ok(([(CONTENT_TYPE, prometheus::TEXT_FORMAT)], page).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::notify::{FlakyNotifier, Notifications};

    #[tokio::test]
    async fn a_service_on_its_way_down_is_not_ready() {
        let config = Config::from_args(["user_service", "--database-url=sqlite::memory:"]).unwrap();
        let repository = config.database.clone().open().await.unwrap();
        let notifier = FlakyNotifier { latency: Duration::ZERO, fault_rate: 0.0 };
        let notifications = Notifications::new(&config.notify, Arc::new(notifier)).unwrap();
        let state = crate::state(&config, repository, notifications, crate::grpc::Room::new()).unwrap();
        assert!(ready(State(state.clone())).await.is_ok());
        state.set_not_ready();
        assert_eq!(ready(State(state)).await.unwrap_err().status, 503);
    }
}
