//! The outermost layer: whatever happens inside, there is an answer with the request's id.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use axum::extract::Request;
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;

use crate::error::AppError;
use crate::http::error::ApiError;
use crate::middleware::request_id::RequestId;

const REQUEST_ID: HeaderName = HeaderName::from_static(RequestId::HEADER);

/// Names the request, for the layers inside and in the answer. A panic is an answer of 500 and a log line; the
/// process lives on. Errors get their body here, where the id is known.
pub(super) async fn recover(mut request: Request, next: Next) -> Response {
    let id = RequestId::accept(request.headers().get(REQUEST_ID).map(HeaderValue::as_bytes));
    request.extensions_mut().insert(id.clone());
    // Unwind safety: the handler's own state dies with it, and what it shares is behind locks and transactions.
    let response = AssertUnwindSafe(next.run(request)).catch_unwind().await.unwrap_or_else(|panic| {
        tracing::error!(%id, "a handler panicked: {}", message(panic.as_ref()));
        ApiError::from(AppError::internal("panic")).into_response()
    });
    complete(response, &id)
}

/// Writes the id, and the body where the answer is an error.
fn complete(mut response: Response, id: &RequestId) -> Response {
    if let Some(error) = response.extensions_mut().remove::<ApiError>() {
        let mut rendered = error.render(id.as_str()).into_response();
        *rendered.status_mut() = error.status;
        // The outer headers stay: a 405 has its Allow there.
        let mut headers = response.into_parts().0.headers;
        headers.remove(CONTENT_LENGTH);
        headers.extend(std::mem::take(rendered.headers_mut()));
        *rendered.headers_mut() = headers;
        response = rendered;
    }
    // An id is printable ASCII, which every header may hold.
    if let Ok(id) = HeaderValue::try_from(id.as_str()) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
