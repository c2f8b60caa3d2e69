//! A stream that is produced by a task of its own, so that its source is let go when the client stops reading: the
//! server asks an answer for more only while the client has room for it.

use std::time::Duration;

use async_stream::try_stream;
use futures_util::{Stream, StreamExt, TryStreamExt};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;
use tonic::Status;
use tracing::Instrument;

use super::error::panicked;
use crate::error::AppError;

/// Items that are read ahead of the client, at most.
const AHEAD: usize = 16;

/// Reads `source` as fast as the client takes it, and drops it when the client is gone, or has taken nothing for as
/// long as `stall` (`ABORTED`). Dropped, the stream ends the task.
pub(super) fn pump<T: Send + 'static>(
    source: impl Stream<Item = Result<T, AppError>> + Send + 'static,
    stall: Duration,
) -> impl Stream<Item = Result<T, Status>> + Send + 'static {
    let (sender, mut items) = mpsc::channel(AHEAD);
    let mut task = JoinSet::new();
    task.spawn(feed(source, sender, stall).in_current_span());
    try_stream! {
        while let Some(item) = items.recv().await {
            yield item;
        }
        ended(task.join_next().await)?;
    }
}

async fn feed<T>(
    source: impl Stream<Item = Result<T, AppError>> + Send,
    sender: mpsc::Sender<T>,
    stall: Duration,
) -> Result<(), Status> {
    let mut source = source.boxed();
    while let Some(item) = source.try_next().await? {
        match timeout(stall, sender.send(item)).await {
            Ok(Ok(())) => {}
            // The client is gone, and so will be this task.
            Ok(Err(_)) => break,
            Err(_) => return Err(Status::aborted("the answer was not read for too long")),
        }
    }
    Ok(())
}

/// How a task ended that works for a call.
pub(super) fn ended(task: Option<Result<Result<(), Status>, JoinError>>) -> Result<(), Status> {
    match task {
        Some(Ok(end)) => end,
        Some(Err(error)) => match error.try_into_panic() {
            Ok(panic) => Err(panicked(panic.as_ref())),
            Err(_) => Err(Status::unavailable("the service is shutting down")),
        },
        None => Ok(()),
    }
}
