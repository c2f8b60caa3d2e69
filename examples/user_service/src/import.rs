//! Importing users from lines of JSON: each import is a flowgate [`Pipeline`], a bounded number of them run at a time.
//!
//! ```text
//! body → lines → parse → validate → batch of 500 → ahead (1 batch) → insert, one transaction each → rejected rows
//! ```
//!
//! One batch is inserted at a time and in order: of two rows with one email the first wins, whichever batches they are in.
//! The pipeline takes a piece of the body only when there is room for its lines, so the sender is as fast as the database.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_stream::stream;
use flowgate::pipeline::{Monitor, Snapshot};
use flowgate::{Attempt, Batch, Par, Pipeline, PipelineError, Running};
use futures_util::{Stream, StreamExt};
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

use crate::domain::{NewUser, User};
use crate::error::{AppError, Code, chain};
use crate::json;
use crate::metrics::Figure;
use crate::notify::Notifications;
use crate::repository::{BatchError, UserRepository};

/// Bytes in a line, at most; of a longer one nothing is held.
const MAX_LINE: usize = 16 * 1024;
/// Rows in a transaction, at most.
const BATCH: usize = 500;
/// A batch that is not full waits no longer than this for its next row.
const BATCH_WAIT: Duration = Duration::from_millis(250);
/// Rows that an import holds, at most: a batch that is inserted, one ahead, one that waits to be reported, one in the making.
const IN_FLIGHT: usize = 4 * BATCH;

/// All imports of the service. A clone is the same.
#[derive(Clone)]
pub struct Imports(Arc<Shared>);

struct Shared {
    repository: Arc<dyn UserRepository>,
    notifications: Notifications,
    places: Arc<Semaphore>,
    most: u32,
    stop: watch::Sender<bool>,
    running: Mutex<BTreeMap<u64, Monitor>>,
    started: AtomicU64,
    refused: AtomicU64,
    rows: Rows,
    given_up: AtomicU64,
}

/// What was done with rows.
#[derive(Debug, Default)]
struct Rows {
    taken: AtomicU64,
    imported: AtomicU64,
    rejected: AtomicU64,
}

impl Rows {
    /// Taken and not done with. Ordering: Relaxed here and below, counts that publish nothing else.
    fn in_flight(&self) -> u64 {
        let done = self.imported.load(Ordering::Relaxed) + self.rejected.load(Ordering::Relaxed);
        self.taken.load(Ordering::Relaxed).saturating_sub(done)
    }
}

/// What became of everything that imports had taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    /// Imports that were begun.
    pub started: u64,
    /// Imports that found as many running as may.
    pub refused: u64,
    /// Imports that run still.
    pub running: usize,
    /// Rows that were taken from bodies.
    pub taken: u64,
    /// Rows that are stored.
    pub imported: u64,
    /// Rows that were rejected.
    pub rejected: u64,
    /// Rows of imports that ended early, of which none was reported as stored.
    pub given_up: u64,
}

/// A row that was not stored.
#[derive(Debug)]
pub struct Rejection {
    /// The number of its line, from 1.
    pub line: u64,
    /// Why.
    pub error: AppError,
}

/// Why an import ended before its body did.
#[derive(Debug)]
pub enum Failure {
    /// The body could not be read on.
    Body(AppError),
    /// The service is going down.
    Stopped,
    /// A batch could not be stored.
    Insert(AppError),
}

/// How an import ended.
#[derive(Debug)]
pub struct Summary {
    /// Rows that are stored.
    pub imported: u64,
    /// Rows that were rejected.
    pub rejected: u64,
    /// What ended it early, and the first line that is in neither number. Rows from there on are not stored; of a batch
    /// whose commit was not answered nobody knows, and sent again, its rows are stored or rejected as taken.
    pub failure: Option<(Failure, u64)>,
}

impl Imports {
    /// At most so many imports at a time, at least 1.
    #[must_use]
    pub fn new(repository: Arc<dyn UserRepository>, notifications: Notifications, most: u32) -> Self {
        let most = most.max(1);
        Self(Arc::new(Shared {
            repository,
            notifications,
            places: Arc::new(Semaphore::new(usize::try_from(most).unwrap_or(Semaphore::MAX_PERMITS))),
            most,
            stop: watch::Sender::new(false),
            running: Mutex::default(),
            started: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            rows: Rows::default(),
            given_up: AtomicU64::new(0),
        }))
    }

    /// Begins to import the lines of a body, which arrives in pieces; an error ends the import, with what came before it
    /// stored. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// `UNAVAILABLE` when as many imports run as may, and on the way down.
    pub fn start<B>(&self, body: impl Stream<Item = Result<B, AppError>> + Send + 'static) -> Result<Import, AppError>
    where
        B: AsRef<[u8]> + Send + 'static,
    {
        let permit = Arc::clone(&self.0.places).try_acquire_owned().map_err(|_| {
            self.0.refused.fetch_add(1, Ordering::Relaxed);
            AppError::new(Code::Unavailable, "as many imports run as may, try again later")
        })?;
        // After the place was taken: who closes waits for all places.
        if *self.0.stop.borrow() {
            return Err(stopped());
        }
        let id = self.0.started.fetch_add(1, Ordering::Relaxed) + 1;
        let place = Arc::new(Place::new(id, self.clone(), permit));
        let storing = Arc::clone(&place);
        let pipeline = Pipeline::new()
            .map(|Line { number, text }: Line| (number, text.and_then(|text| parse(&text))))
            .named("parse")
            .map(|(line, input)| Row { line, user: input.and_then(validate) })
            .named("validate")
            .batch(Batch::of(BATCH).within(BATCH_WAIT))
            .named("batch")
            .buffer(1)
            .named("ahead")
            // Fails fast and holds one batch: after one that failed, none is begun.
            .try_map_async(Par::ordered(1).window(1), move |mut batch: Attempt<Vec<Row>>| {
                let place = Arc::clone(&storing);
                async move { place.store(std::mem::take(&mut *batch)).await }
            })
            .named("insert")
            .output_buffer(1)
            .max_in_flight(IN_FLIGHT);
        let running = pipeline.run(lines(body, Arc::clone(&place))).map_err(AppError::internal)?;
        self.running().insert(id, running.monitor());
        Ok(Import { running, place })
    }

    /// Lets running imports take nothing more, and no other one begin. What they hold is stored and reported.
    pub fn close(&self) {
        self.0.stop.send_replace(true);
    }

    /// Closes, waits until no import runs, but not beyond the deadline, and tells what became of all rows.
    ///
    /// # Cancel safety
    /// The imports stay closed; calling again goes on waiting.
    pub async fn drain(&self, deadline: Instant) -> Totals {
        self.close();
        // An error means that some run still, which the totals tell.
        let _ = tokio::time::timeout_at(deadline, self.0.places.acquire_many(self.0.most)).await;
        self.totals()
    }

    /// What became of all rows so far.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let Shared { rows, started, refused, given_up, .. } = &*self.0;
        Totals {
            started: started.load(Ordering::Relaxed),
            refused: refused.load(Ordering::Relaxed),
            running: self.running().len(),
            taken: rows.taken.load(Ordering::Relaxed),
            imported: rows.imported.load(Ordering::Relaxed),
            rejected: rows.rejected.load(Ordering::Relaxed),
            given_up: given_up.load(Ordering::Relaxed),
        }
    }

    /// The running imports at this moment, by their numbers.
    #[must_use]
    pub fn snapshots(&self) -> Vec<(u64, Snapshot)> {
        self.running().iter().filter_map(|(id, monitor)| Some((*id, monitor.snapshot()?))).collect()
    }

    /// What the imports count about themselves.
    #[must_use]
    pub fn figures(&self) -> Vec<Figure> {
        let totals = self.totals();
        let in_flight = self.0.rows.in_flight().saturating_sub(totals.given_up);
        let in_flight = usize::try_from(in_flight).unwrap_or(usize::MAX);
        vec![
            Figure::gauge("imports_running", "Imports that run.", totals.running),
            Figure::counter("imports_started_total", "Imports that were begun.", totals.started),
            Figure::counter("imports_refused_total", "Imports that found as many running as may.", totals.refused),
            Figure::counter("import_rows_taken_total", "Rows that were taken from bodies.", totals.taken),
            Figure::counter("import_rows_imported_total", "Rows that were stored.", totals.imported),
            Figure::counter("import_rows_rejected_total", "Rows that were rejected.", totals.rejected),
            Figure::counter("import_rows_given_up_total", "Rows of imports that ended early.", totals.given_up),
            Figure::gauge("import_rows_in_flight", "Rows that were taken and not done with.", in_flight),
        ]
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<u64, Monitor>> {
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Imports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Imports").field(&self.totals()).finish()
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { started, refused, running, taken, imported, rejected, given_up } = self;
        write!(f, "{started} begun, {refused} refused, {running} cut; {taken} rows taken: {imported} stored, ")?;
        write!(f, "{rejected} rejected, {given_up} given up")
    }
}

/// An import that runs. Dropped, it is cancelled.
#[derive(Debug)]
pub struct Import {
    running: Running<Vec<Rejection>>,
    place: Arc<Place>,
}

impl Import {
    /// The rows of the next batch that were rejected, after the others were stored; `None` at the end.
    ///
    /// # Cancel safety
    /// Safe: nothing is lost.
    pub async fn next(&mut self) -> Option<Vec<Rejection>> {
        self.running.next().await
    }

    /// Waits for the end.
    ///
    /// # Cancel safety
    /// Dropped, it cancels the import.
    pub async fn finish(self) -> Summary {
        let Self { running, place } = self;
        let failed = running.join().await.err().map(|error| Failure::Insert(cause(error)));
        let failure = failed.or_else(|| place.failure().take());
        Summary {
            imported: place.rows.imported.load(Ordering::Relaxed),
            rejected: place.rows.rejected.load(Ordering::Relaxed),
            failure: failure.map(|failure| (failure, place.line.load(Ordering::Relaxed) + 1)),
        }
    }
}

/// The stage's own error; anything else is a fault of the service.
fn cause(error: PipelineError) -> AppError {
    let text = error.to_string();
    let source = error.into_source().and_then(|source| source.downcast::<AppError>().ok());
    source.map_or_else(|| AppError::internal(text), |error| *error)
}

/// An import's place among those that may run, and its own counts. Whatever works for the import has a share of it, so
/// that the place is free when nothing does any more.
#[derive(Debug)]
struct Place {
    id: u64,
    imports: Imports,
    rows: Rows,
    /// The last line that was done with.
    line: AtomicU64,
    failure: Mutex<Option<Failure>>,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    fn new(id: u64, imports: Imports, permit: OwnedSemaphorePermit) -> Self {
        let (rows, line, failure) = (Rows::default(), AtomicU64::new(0), Mutex::default());
        Self { id, imports, rows, line, failure, _permit: permit }
    }

    fn failure(&self) -> MutexGuard<'_, Option<Failure>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, count: impl Fn(&Rows) -> &AtomicU64, rows: usize) {
        for all in [&self.rows, &self.imports.0.rows] {
            count(all).fetch_add(rows as u64, Ordering::Relaxed);
        }
    }

    /// Stores those users of a batch that can be, in one transaction, and returns the other rows.
    async fn store(&self, rows: Vec<Row>) -> Result<Vec<Rejection>, AppError> {
        let Shared { repository, notifications, .. } = &*self.imports.0;
        let last = rows.last().map_or(0, |row| row.line);
        let (mut lines, mut users, mut rejected) = (Vec::new(), Vec::new(), Vec::new());
        for Row { line, user } in rows {
            match user {
                Ok(user) => {
                    lines.push(line);
                    users.push(user);
                }
                Err(error) => rejected.push(Rejection { line, error }),
            }
        }
        while !users.is_empty() {
            match repository.insert_batch(&users).await {
                Ok(()) => break,
                Err(BatchError::Taken(places)) => {
                    for place in places.into_iter().rev() {
                        users.remove(place);
                        let error = AppError::new(Code::Conflict, "email: is already taken");
                        rejected.push(Rejection { line: lines.remove(place), error });
                    }
                }
                Err(BatchError::Failed(error)) => return Err(error),
            }
        }
        self.count(|rows| &rows.imported, users.len());
        self.count(|rows| &rows.rejected, rejected.len());
        self.line.store(last, Ordering::Relaxed);
        notifications.welcome_all(&users);
        rejected.sort_unstable_by_key(|rejection| rejection.line);
        Ok(rejected)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.imports.running().remove(&self.id);
        let given_up = self.rows.in_flight();
        self.imports.0.given_up.fetch_add(given_up, Ordering::Relaxed);
        let Rows { imported, rejected, .. } = &self.rows;
        tracing::info!(import = self.id, ?imported, ?rejected, given_up, "import ended");
    }
}

impl Failure {
    /// The code and the message that the caller is told.
    #[must_use]
    pub fn told(&self) -> (Code, String) {
        match self {
            Self::Body(error) | Self::Insert(error) => (error.code(), error.to_string()),
            Self::Stopped => (Code::Unavailable, self.to_string()),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body(error) | Self::Insert(error) => f.write_str(&chain(error)),
            Self::Stopped => f.write_str("the service is shutting down"),
        }
    }
}

impl From<Failure> for AppError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Body(error) | Failure::Insert(error) => error,
            Failure::Stopped => stopped(),
        }
    }
}

fn stopped() -> AppError {
    AppError::new(Code::Unavailable, Failure::Stopped.to_string())
}

/// A line of the body.
struct Line {
    number: u64,
    text: Result<Vec<u8>, AppError>,
}

/// A line as a user, or why it is none.
struct Row {
    line: u64,
    user: Result<User, AppError>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    name: String,
    email: String,
}

fn parse(text: &[u8]) -> Result<Input, AppError> {
    std::str::from_utf8(text).map_err(|_| AppError::new(Code::InvalidInput, "line: must be UTF-8"))?;
    json::parse("line", text)
}

fn validate(input: Input) -> Result<User, AppError> {
    Ok(NewUser::new(&input.name, &input.email)?.into_user())
}

/// The lines of a body that are not blank. What ends it early is left with the import, and the line that it broke off
/// in is not handed on.
fn lines<B: AsRef<[u8]> + Send>(
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
