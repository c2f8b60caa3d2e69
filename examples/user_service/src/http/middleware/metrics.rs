//! Counts and times every request.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;

use super::{endpoint, method};
use crate::http::AppState;

pub(super) async fn measure(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let counted = state.metrics.begin(method(&request), endpoint(&request));
    let response = next.run(request).await;
    counted.answered(response.status().as_u16());
    response
}
