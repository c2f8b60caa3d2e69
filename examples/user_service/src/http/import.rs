//! `POST /api/v1/users/import`: users as lines of JSON, and a report that is sent while the import runs.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use async_stream::{stream, try_stream};
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures_util::Stream;
use http_body_util::BodyExt;
use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::AppState;
use super::error::ApiError;
use super::json::essence;
use crate::error::{AppError, Code};
use crate::import::{Failure, Import, Rejection, Summary};

/// The type of the body and of the report.
const NDJSON: &str = "application/x-ndjson";
/// After an early end the rest of the body is read and thrown away, so that its sender gets to see the report: for so
/// long, and so many bytes. Beyond these the connection is closed under it.
const LINGER: Duration = Duration::from_secs(1);
const MAX_DISCARD: usize = 4 * 1024 * 1024;

/// The body, which the import reads and, after an early end, this does.
type Shared = Arc<Mutex<Body>>;

/// The answer begins with the first batch: what fails before is an error like any other.
pub(super) async fn import(State(state): State<AppState>, request: Request) -> Result<Response, ApiError> {
    if essence(request.headers()).is_none_or(|essence| essence != NDJSON) {
        return Err(ApiError::not_ndjson());
    }
    let body = Arc::new(Mutex::new(request.into_body()));
    let mut import = state.imports.start(pieces(Arc::clone(&body), state.body_timeout))?;
    let answer = match import.next().await {
        Some(rejected) => Body::from_stream(report(import, rejected, body)),
        None => match import.finish().await {
            Summary { imported: 0, rejected: 0, failure: Some((failure, _)) } => {
                discard(&body).await;
                return Err(refusal(failure));
            }
            summary => Body::from(last_line(&summary)),
        },
    };
    Ok(([(CONTENT_TYPE, NDJSON)], answer).into_response())
}

/// The body as it arrives. Each piece has the whole time that a client has for a body.
fn pieces(body: Shared, limit: Duration) -> impl Stream<Item = Result<Bytes, AppError>> + Send {
    try_stream! {
        let slow = |_| AppError::new(Code::Timeout, "the body took too long to arrive");
        while let Some(frame) = timeout(limit, async { body.lock().await.frame().await }).await.map_err(slow)? {
            let frame = frame.map_err(|_| AppError::new(Code::InvalidInput, "body: broke off"))?;
            if let Ok(data) = frame.into_data() {
                yield data;
            }
        }
    }
}

/// A line for each rejected row, batch by batch, and one with the totals.
fn report(
    mut import: Import,
    first: Vec<Rejection>,
    body: Shared,
) -> impl Stream<Item = Result<Bytes, Infallible>> + Send {
    stream! {
        let mut batch = Some(first);
        while let Some(rejected) = batch {
            if !rejected.is_empty() {
                yield Ok(lines(rejected).into());
            }
            batch = import.next().await;
        }
        let summary = import.finish().await;
        yield Ok(last_line(&summary).into());
        if summary.failure.is_some() {
            discard(&body).await;
        }
    }
}

fn lines(rejected: Vec<Rejection>) -> String {
    let lines = rejected.into_iter().map(|Rejection { line, error }| {
        let (code, message, _) = error.into_parts();
        json!({ "line": line, "error": { "code": code.as_str(), "message": message } }).to_string() + "\n"
    });
    lines.collect()
}

/// The totals. Of an import that ended early they hold for all lines before `from`.
fn last_line(summary: &Summary) -> String {
    let mut line = json!({ "imported": summary.imported, "rejected": summary.rejected });
    if let Some((failure, from)) = &summary.failure {
        tracing::warn!(from, "import ended early: {failure}");
        let (code, message) = failure.told();
        line["from"] = json!(from);
        line["error"] = json!({ "code": code.as_str(), "message": message });
    }
    line.to_string() + "\n"
}

/// Nothing was stored or rejected.
fn refusal(failure: Failure) -> ApiError {
    match failure {
        Failure::Body(error) if error.code() == Code::Timeout => ApiError::body_timeout(),
        failure => AppError::from(failure).into(),
    }
}

async fn discard(body: &Mutex<Body>) {
    let rest = async {
        let (mut body, mut seen) = (body.lock().await, 0);
        while let Some(Ok(frame)) = body.frame().await {
            seen += frame.data_ref().map_or(0, Bytes::len);
            if seen > MAX_DISCARD {
                return;
            }
        }
    };
    // Whether it came to its end or not, the answer is given.
    let _ = timeout(LINGER, rest).await;
}
