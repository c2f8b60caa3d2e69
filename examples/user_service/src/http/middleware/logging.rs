//! One line per answered request, and the request's id on every line that it causes.

use std::time::Instant;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument;

use super::endpoint;
use crate::error::chain;
use crate::http::error::ApiError;
use crate::middleware::request_id::RequestId;

pub(super) async fn log(request: Request, next: Next) -> Response {
    let id = request.extensions().get::<RequestId>().map(tracing::field::display);
    let span = tracing::info_span!("request", id);
    answer(request, next).instrument(span).await
}

/// The cause of an error is in its line, and nowhere else.
async fn answer(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let route = endpoint(&request).to_owned();
    let response = next.run(request).await;
    let status = response.status().as_u16();
    let elapsed = started.elapsed();
    match response.extensions().get::<ApiError>().and_then(|error| error.source.as_deref()) {
        Some(source) => tracing::error!(%method, route, status, ?elapsed, "answered: {}", chain(source)),
        None => tracing::info!(%method, route, status, ?elapsed, "answered"),
    }
    response
}
