//! JSON bodies: bounded in size and time while they arrive, and refused by the name of the field that is wrong.

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;

use super::AppState;
use super::error::ApiError;
use crate::json::parse;

/// Bytes in a body, at most.
const MAX_BODY: usize = 64 * 1024;
/// Bytes of a body that is too large that are read and thrown away, so that its sender gets to see the refusal;
/// beyond these the connection is closed under it.
const MAX_DISCARD: usize = 4 * 1024 * 1024;

/// The request's body as a `T`, which must be a JSON object.
pub(super) struct JsonObject<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<AppState> for JsonObject<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        if !is_json(&parts.headers) {
            return Err(ApiError::not_json());
        }
        if declared_length(&parts.headers) > MAX_BODY && parts.headers.contains_key(EXPECT) {
            return Err(ApiError::too_large());
        }
        let body = tokio::time::timeout(state.body_timeout, read(body)).await;
        let body = body.map_err(|_| ApiError::body_timeout())??;
        Ok(Self(parse("body", &body)?))
    }
}

/// Whether the body is announced as `application/json` or as a format on top of it (`+json`).
fn is_json(headers: &HeaderMap) -> bool {
    let essence = essence(headers);
    essence.is_some_and(|e| e == "application/json" || (e.starts_with("application/") && e.ends_with("+json")))
}

/// The announced type of the body in lower case, without its parameters.
pub(super) fn essence(headers: &HeaderMap) -> Option<String> {
    let announced = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    announced.and_then(|value| value.split(';').next()).map(|e| e.trim().to_ascii_lowercase())
}

/// The announced length of the body; 0 where there is none.
fn declared_length(headers: &HeaderMap) -> usize {
    headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(0)
}

/// Reads the body and holds at most [`MAX_BODY`] bytes of it.
async fn read(mut body: Body) -> Result<Bytes, ApiError> {
    let mut held = Vec::new();
    let mut seen = 0_usize;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| ApiError::invalid("body: broke off"))?;
        let Some(data) = frame.data_ref() else { continue };
        seen = seen.saturating_add(data.len());
        if seen <= MAX_BODY {
            held.extend_from_slice(data);
        } else if seen > MAX_DISCARD {
            break;
        }
    }
    if seen > MAX_BODY { Err(ApiError::too_large()) } else { Ok(held.into()) }
}
