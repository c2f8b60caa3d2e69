//! `GET /debug/flowgate`: the pool, the running imports and the cache at this moment, as a page that renews itself each
//! second, and as the JSON that it reads. Neither shows anything about a user.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderValue};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use flowgate::pipeline::{Queue, Snapshot, StageSnapshot};
use serde_json::{Map, Value, json};

use super::AppState;
use super::error::ApiError;
use crate::error::AppError;
use crate::middleware::rate_limit::{FORWARDED_FOR, Peer};

/// Everything that the page needs is in it, but for the state.
const PAGE: &str = include_str!("debug.html");
/// It loads nothing, and asks nobody but the service.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; frame-ancestors 'none'";

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/debug/flowgate", get(page)).route("/debug/flowgate.json", get(data))
}

async fn page(State(state): State<AppState>, peer: Extension<Peer>, headers: HeaderMap) -> Result<Response, ApiError> {
    authorize(&state, &peer, &headers)?;
    // In a script nothing but this could end it early.
    let first = view(&state).to_string().replace('<', "\\u003c");
    let headers = [(CONTENT_SECURITY_POLICY, POLICY), (CACHE_CONTROL, "no-store")];
    Ok((headers, Html(PAGE.replace("{{STATE}}", &first))).into_response())
}

async fn data(State(state): State<AppState>, peer: Extension<Peer>, headers: HeaderMap) -> Result<Response, ApiError> {
    authorize(&state, &peer, &headers)?;
    Ok(([(CACHE_CONTROL, "no-store")], Json(view(&state))).into_response())
}

/// Open to callers on this machine; others show a token. Behind a proxy everybody seems to be on this machine.
fn authorize(state: &AppState, Peer(peer): &Peer, headers: &HeaderMap) -> Result<(), ApiError> {
    let is_proxied = state.proxies > 0 || headers.contains_key(FORWARDED_FOR);
    if peer.to_canonical().is_loopback() && !is_proxied {
        return Ok(());
    }
    Ok(state.tokens.check(headers.get(AUTHORIZATION).map(HeaderValue::as_bytes)).map_err(AppError::from)?)
}

fn view(state: &AppState) -> Value {
    let figures: Map<_, _> =
        state.metrics.figures().map(|figure| (figure.name.to_owned(), json!(figure.value))).collect();
    let pipelines: Vec<_> = state.imports.snapshots().iter().map(|(id, snapshot)| pipeline(*id, snapshot)).collect();
    json!({ "figures": figures, "pipelines": pipelines })
}

fn pipeline(id: u64, snapshot: &Snapshot) -> Value {
    let bounds = snapshot.bounds.iter().map(|bound| json!({ "items": bound.items, "is_full": bound.is_full }));
    json!({
        "import": id,
        "seconds": snapshot.elapsed.as_secs_f64(),
        "taken": snapshot.taken,
        "bounds": bounds.collect::<Vec<_>>(),
        "stages": snapshot.stages.iter().map(stage).collect::<Vec<_>>(),
        "output": snapshot.output.as_ref().map(queue),
        "bottleneck": snapshot.bottleneck.as_ref().map(ToString::to_string),
    })
}

fn stage(stage: &StageSnapshot) -> Value {
    let workers = stage.workers.map(|workers| {
        json!({
            "running": workers.running,
            "parallelism": workers.parallelism,
            "run_seconds": workers.run_time.map(|time| time.as_secs_f64()),
            "utilisation": workers.utilisation,
        })
    });
    json!({
        "name": &*stage.name,
        "kind": stage.kind,
        "taken": stage.taken,
        "out": stage.out,
        "failed": stage.failed,
        "workers": workers,
        "queue": stage.queue.as_ref().map(queue),
    })
}

fn queue(queue: &Queue) -> Value {
    json!({
        "held": queue.held,
        "capacity": queue.capacity,
        "blocked_seconds": queue.blocked_for.map(|time| time.as_secs_f64()),
    })
}
