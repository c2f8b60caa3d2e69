//! 429 to a client that asks too often.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, HeaderName};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::error::AppError;
use crate::http::AppState;
use crate::http::error::ApiError;
use crate::middleware::rate_limit::Client;

/// The header in which each proxy appends the address that it was called from.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address at the other end of the connection; the server puts it into every request.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) struct Peer(pub(in crate::http) IpAddr);

pub(super) async fn limit(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let Some(&Peer(peer)) = request.extensions().get::<Peer>() else {
        return ApiError::from(AppError::internal("a request without a peer")).into_response();
    };
    match state.rate_limit.check(client(peer, request.headers(), state.proxies)) {
        Ok(()) => next.run(request).await,
        Err(limited) => ([(RETRY_AFTER, limited.seconds())], ApiError::from(AppError::from(limited))).into_response(),
    }
}

/// The peer; or, behind `proxies` of our own, the address that the first of them was called from, which stands that
/// many places from the end. What stands before it came from the client, who can write anything.
fn client(peer: IpAddr, headers: &HeaderMap, proxies: usize) -> Client {
    let lines = headers.get_all(FORWARDED_FOR).into_iter().rev();
    let mut named = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    let forwarded = proxies.checked_sub(1).and_then(|skipped| named.nth(skipped));
    let address = forwarded.and_then(|text| std::str::from_utf8(text).ok()?.trim().parse().ok());
    Client::from(address.unwrap_or(peer))
}
