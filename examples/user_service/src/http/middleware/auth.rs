//! 401 to a client without a token.

use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::error::AppError;
use crate::http::AppState;
use crate::http::error::ApiError;

pub(super) async fn authenticate(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let mut given = request.headers().get_all(AUTHORIZATION).iter().map(HeaderValue::as_bytes);
    // Of two headers, somebody before us may have checked the other.
    let (first, second) = (given.next(), given.next());
    match state.tokens.check(first.filter(|_| second.is_none())) {
        Ok(()) => next.run(request).await,
        Err(refused) => ([(WWW_AUTHENTICATE, "Bearer")], ApiError::from(AppError::from(refused))).into_response(),
    }
}
