//! HTTP: the routes under `/api/v1`, the signs of life, and the server that drives them.

mod error;
mod json;
mod middleware;
mod server;
mod users;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use self::error::ApiError;
pub(crate) use self::server::HttpServer;
use crate::error::AppError;
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
    /// How long a client may take to send a header, to send a body, and to take a piece of the answer.
    pub timeout: Duration,
}

/// What the handlers share.
#[derive(Clone, Debug)]
pub(crate) struct AppState {
    users: Users,
    ready: Arc<AtomicBool>,
    body_timeout: Duration,
}

impl AppState {
    pub(crate) fn new(users: Users, body_timeout: Duration) -> Self {
        Self { users, ready: Arc::new(AtomicBool::new(true)), body_timeout }
    }

    /// From now on `/ready` answers 503.
    pub(crate) fn set_not_ready(&self) {
        // Ordering: Relaxed, a flag that publishes nothing else.
        self.ready.store(false, Ordering::Relaxed);
    }
}

/// All routes, with the middleware around them.
pub(crate) fn router(state: AppState) -> Router {
    let routes = Router::new()
        .route("/health", get(health))
        .route("/ready", get(ready))
        .nest("/api/v1/users", users::routes())
        .fallback(async || ApiError::not_found())
        .method_not_allowed_fallback(async || ApiError::method_not_allowed())
        .with_state(state);
    middleware::wrap(routes)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::notify::{FlakyNotifier, Notifications};

    #[tokio::test]
    async fn a_service_on_its_way_down_is_not_ready() {
        let config = Config::from_args(["user_service", "--database-url=sqlite::memory:"]).unwrap();
        let repository = config.database.open().await.unwrap();
        let notifier = FlakyNotifier { latency: Duration::ZERO, fault_rate: 0.0 };
        let notifications = Notifications::new(&config.notify, Arc::new(notifier)).unwrap();
        let state = AppState::new(Users::new(repository, notifications), config.http.timeout);
        assert!(ready(State(state.clone())).await.is_ok());
        state.set_not_ready();
        assert_eq!(ready(State(state)).await.unwrap_err().status, 503);
    }
}
