//! 429 to a client that asks too often.

use axum::extract::{Request, State};
use axum::http::header::RETRY_AFTER;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::error::AppError;
use crate::http::AppState;
use crate::http::error::ApiError;
use crate::middleware::rate_limit::{Peer, client};

pub(super) async fn limit(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let Some(&peer) = request.extensions().get::<Peer>() else {
        return ApiError::from(AppError::internal("a request without a peer")).into_response();
    };
    match state.rate_limit.check(client(peer, request.headers(), state.proxies)) {
        Ok(()) => next.run(request).await,
        Err(limited) => ([(RETRY_AFTER, limited.seconds())], ApiError::from(AppError::from(limited))).into_response(),
    }
}
