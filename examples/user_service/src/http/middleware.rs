//! Around every handler, outermost first: the request's id and the shape of errors, recovery from panics, the log.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use tracing::Instrument;
use uuid::Uuid;

use super::error::ApiError;
use crate::error::{AppError, chain};

/// The header that carries a request's id, both ways.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// A given id longer than this is replaced.
const MAX_REQUEST_ID_BYTES: usize = 128;

/// Wraps the routes in all of it.
pub(super) fn wrap(routes: Router) -> Router {
    routes.layer(from_fn(log)).layer(from_fn(recover)).layer(from_fn(identify))
}

/// Takes the request's id or gives it one, names it in the answer, and writes the body of every error.
async fn identify(request: Request, next: Next) -> Response {
    let (id, header) = request_id(&request);
    let span = tracing::info_span!("request", %id);
    let mut response = next.run(request).instrument(span).await;
    if let Some(error) = response.extensions_mut().remove::<ApiError>() {
        let mut rendered = error.render(&id).into_response();
        *rendered.status_mut() = error.status;
        // The outer headers stay: a 405 has its Allow there.
        let (parts, _) = response.into_parts();
        let mut headers = parts.headers;
        headers.remove(axum::http::header::CONTENT_LENGTH);
        headers.extend(std::mem::take(rendered.headers_mut()));
        *rendered.headers_mut() = headers;
        response = rendered;
    }
    response.headers_mut().insert(REQUEST_ID, header);
    response
}

/// The given id where it is short and printable, else a new one.
fn request_id(request: &Request) -> (String, HeaderValue) {
    let given = request.headers().get(REQUEST_ID);
    let given = given.filter(|id| (1..=MAX_REQUEST_ID_BYTES).contains(&id.len()));
    let given = given.and_then(|id| Some((id.to_str().ok()?.to_owned(), id.clone())));
    given.filter(|(id, _)| id.bytes().all(|b| b.is_ascii_graphic())).unwrap_or_else(|| {
        let id = Uuid::now_v7().to_string();
        let header = HeaderValue::try_from(&id).unwrap_or(HeaderValue::from_static("none"));
        (id, header)
    })
}

/// A panic in a handler is an answer of 500 and a log line; the process lives on.
async fn recover(request: Request, next: Next) -> Response {
    // Unwind safety: the handler's own state dies with it, and what it shares is behind locks and transactions.
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(panic) => {
            tracing::error!("a handler panicked: {}", panic_message(panic.as_ref()));
            ApiError::from(AppError::internal("panic")).into_response()
        }
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// One line per answered request: the route's template, never the raw path.
async fn log(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let route = route.as_ref().map_or("unmatched", MatchedPath::as_str);
    let status = response.status().as_u16();
    let elapsed = started.elapsed();
    let source = response.extensions().get::<ApiError>().and_then(|error| error.source.as_deref());
    match source {
        Some(source) => tracing::error!(%method, route, status, ?elapsed, "answered: {}", chain(source)),
        None => tracing::info!(%method, route, status, ?elapsed, "answered"),
    }
    response
}
