//! Errors on the wire: a status, and a body that the middleware completes with the request's id.

use std::borrow::Cow;
use std::error::Error;
use std::sync::Arc;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::error::{AppError, Code};

/// A refused or failed request. Besides the codes of [`Code`] it knows those that only HTTP has.
#[derive(Clone, Debug)]
pub(super) struct ApiError {
    pub(super) status: StatusCode,
    code: &'static str,
    message: Cow<'static, str>,
    pub(super) source: Option<Arc<dyn Error + Send + Sync>>,
}

impl ApiError {
    const fn new(status: StatusCode, code: &'static str, message: &'static str) -> Self {
        Self { status, code, message: Cow::Borrowed(message), source: None }
    }

    pub(super) fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        AppError::new(Code::InvalidInput, message).into()
    }

    pub(super) const fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, Code::NotFound.as_str(), "there is nothing at this path")
    }

    pub(super) const fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "see the Allow header")
    }

    pub(super) const fn not_json() -> Self {
        let message = "the body must be JSON, announced as Content-Type: application/json";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", message)
    }

    pub(super) const fn not_ndjson() -> Self {
        let message = "the body must be lines of JSON, announced as Content-Type: application/x-ndjson";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", message)
    }

    pub(super) const fn too_large() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", "the body must have at most 65536 bytes")
    }

    pub(super) const fn body_timeout() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "TIMEOUT", "the body took too long to arrive")
    }

    /// The body of the answer.
    pub(super) fn render(&self, request_id: &str) -> Json<serde_json::Value> {
        Json(json!({
            "error": { "code": self.code, "message": self.message },
            "request_id": request_id,
        }))
    }
}

impl From<AppError> for ApiError {
    fn from(error: AppError) -> Self {
        let (code, message, source) = error.into_parts();
        let status = match code {
            Code::InvalidInput => StatusCode::BAD_REQUEST,
            Code::Unauthorized => StatusCode::UNAUTHORIZED,
            Code::NotFound => StatusCode::NOT_FOUND,
            Code::Conflict => StatusCode::CONFLICT,
            Code::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Code::Timeout => StatusCode::GATEWAY_TIMEOUT,
            Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self { status, code: code.as_str(), message, source: source.map(Arc::from) }
    }
}

impl IntoResponse for ApiError {
    /// The status alone; the error itself travels as an extension to the middleware that knows the request's id.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
