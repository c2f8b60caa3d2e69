//! The body of an import: cut into lines, each of them read as a user; and what was done with them, counted.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_stream::stream;
use futures_util::{Stream, StreamExt};
use serde::Deserialize;

use super::{Failure, Place};
use crate::domain::{NewUser, User};
use crate::error::{AppError, Code};
use crate::json;

/// Bytes in a line, at most; of a longer one nothing is held.
const MAX_LINE: usize = 16 * 1024;

/// A line of the body.
pub(super) struct Line {
    pub(super) number: u64,
    pub(super) text: Result<Vec<u8>, AppError>,
}

/// A line as a user, or why it is none.
pub(super) struct Row {
    pub(super) line: u64,
    pub(super) user: Result<User, AppError>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    name: String,
    email: String,
}

pub(super) fn parse(text: &[u8]) -> Result<Input, AppError> {
    std::str::from_utf8(text).map_err(|_| AppError::new(Code::InvalidInput, "line: must be UTF-8"))?;
    json::parse("line", text)
}

pub(super) fn validate(input: Input) -> Result<User, AppError> {
    Ok(NewUser::new(&input.name, &input.email)?.into_user())
}

/// The lines of a body that are not blank. What ends it early is left with the import, and the line that it broke off
/// in is not handed on.
pub(super) fn lines<B: AsRef<[u8]> + Send>(
    body: impl Stream<Item = Result<B, AppError>> + Send,
    place: Arc<Place>,
) -> impl Stream<Item = Line> + Send {
    stream! {
        let mut body = pin!(body);
        let mut stop = place.imports.0.stop.subscribe();
        let (mut held, mut number) = (Held::default(), 1);
        loop {
            let piece = tokio::select! {
                biased;
                // An error means the same: nobody is left to say so.
                _ = stop.wait_for(|stop| *stop) => Some(Err(Failure::Stopped)),
                piece = body.next() => piece.map(|piece| piece.map_err(Failure::Body)),
            };
            match piece {
                Some(Ok(piece)) => for part in piece.as_ref().split_inclusive(|byte| *byte == b'\n') {
                    held.push(part);
                    if part.ends_with(b"\n") {
                        if let Some(text) = held.take() {
                            place.count(|rows| &rows.taken, 1);
                            yield Line { number, text };
                        }
                        number += 1;
                    }
                },
                Some(Err(failure)) => {
                    *place.failure() = Some(failure);
                    return;
                }
                None => break,
            }
        }
        if let Some(text) = held.take() {
            place.count(|rows| &rows.taken, 1);
            yield Line { number, text };
        }
    }
}

/// The beginning of a line, or that it is too long.
#[derive(Default)]
struct Held {
    text: Vec<u8>,
    is_too_long: bool,
}

impl Held {
    fn push(&mut self, part: &[u8]) {
        self.is_too_long |= self.text.len() + part.trim_ascii_end().len() > MAX_LINE;
        if self.is_too_long {
            self.text = Vec::new();
        } else {
            self.text.extend_from_slice(part);
        }
    }

    /// The line is whole; `None` when it is blank.
    fn take(&mut self) -> Option<Result<Vec<u8>, AppError>> {
        let Self { text, is_too_long } = std::mem::take(self);
        if is_too_long {
            return Some(Err(AppError::new(Code::InvalidInput, format!("line: must have at most {MAX_LINE} bytes"))));
        }
        (!text.trim_ascii().is_empty()).then_some(Ok(text))
    }
}

/// What was done with rows.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) taken: AtomicU64,
    pub(super) imported: AtomicU64,
    pub(super) rejected: AtomicU64,
}

impl Rows {
    /// Taken and not done with. Ordering: Relaxed here and below, counts that publish nothing else.
    pub(super) fn in_flight(&self) -> u64 {
        let done = self.imported.load(Ordering::Relaxed) + self.rejected.load(Ordering::Relaxed);
        self.taken.load(Ordering::Relaxed).saturating_sub(done)
    }
}
