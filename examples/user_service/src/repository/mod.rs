//! Where users are stored: one trait, an implementation for each database, chosen by the URL's scheme.

mod postgres;
mod sqlite;
mod tx;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::stream::BoxStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use uuid::Uuid;

pub use self::tx::{Backend, with_tx};
use crate::domain::{Page, User, UserChange};
use crate::error::{AppError, Code};

/// How long a query waits for a free connection, and the start for the database's first sign of life.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection is used before another one takes its place.
const LIFETIME: Duration = Duration::from_secs(300);
/// How long a connection may lie unused. Never fires: the lifetime is over before.
const IDLE_TIMEOUT: Duration = Duration::from_secs(600);
/// How many connections are kept open. sqlx knows no most number of idle ones; a least number keeps these warm.
const MIN_CONNECTIONS: u32 = 5;

/// Users, row by row, as the database finds them.
pub type UserStream = BoxStream<'static, Result<User, AppError>>;

/// Users in a database. A deleted user is kept and never found; its email is free for another one.
///
/// Every method fails with `TIMEOUT` when a query was cancelled at its limit, with `UNAVAILABLE` when the database
/// is busy, unreachable or out of connections, and with `INTERNAL` on any other fault of the database. All may be
/// dropped at any await: a write is then stored whole or not at all, and the connection is free again.
#[async_trait]
pub trait UserRepository: fmt::Debug + Send + Sync + 'static {
    /// Stores a user. `CONFLICT` when the email is taken.
    async fn insert(&self, user: &User) -> Result<(), AppError>;
    /// Stores all of these users in one transaction, or none of them and says which are in the way.
    async fn insert_batch(&self, users: &[User]) -> Result<(), BatchError>;
    /// The user of this id; `None` when there is none.
    async fn get(&self, id: Uuid) -> Result<Option<User>, AppError>;
    /// One page of users in order of creation.
    async fn list(&self, page: Page) -> Result<Vec<User>, AppError>;
    /// Users in order of creation as one query finds them: `limit` of them, or all, after the first `offset`.
    /// Holds a connection until it ends or is dropped, which stops the query. The time limit is for the wait for
    /// the next row, so a slow reader meets none. Streams hold half of the connections at most; more wait for 5 s
    /// and are `UNAVAILABLE` then.
    fn stream(&self, limit: Option<u32>, offset: u32) -> UserStream;
    /// Changes a user at this time and returns it; `None` when there is none. `CONFLICT` when the new email is taken.
    async fn update(&self, id: Uuid, change: &UserChange, at: DateTime<Utc>) -> Result<Option<User>, AppError>;
    /// Marks a user deleted at this time; whether there was one.
    async fn delete(&self, id: Uuid, at: DateTime<Utc>) -> Result<bool, AppError>;
    /// Asks the database for a sign of life.
    async fn ping(&self) -> Result<(), AppError>;
    /// Waits until all connections are back and closed; later calls fail.
    async fn close(&self);
}

/// Why no user of a batch was stored.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// The users at these places, in rising order, want an email that a stored user has, or one before them in the
    /// batch. The others can be stored.
    #[error("the emails at {0:?} are already taken")]
    Taken(Vec<usize>),
    /// The database failed.
    #[error(transparent)]
    Failed(#[from] AppError),
}

/// A checked `DATABASE_URL`, and how its database is used. Its `Debug` shows nothing of the URL but the kind.
#[derive(Clone)]
pub struct Database {
    kind: Kind,
    limits: Limits,
}

#[derive(Clone)]
enum Kind {
    Sqlite(Box<sqlite::Options>),
    Postgres(Box<sqlx::postgres::PgConnectOptions>),
}

/// The bounds of a repository.
#[derive(Clone, Copy)]
struct Limits {
    query: Duration,
    connections: u32,
}

impl Database {
    /// Cancels each query that runs longer than this; 5 s by default. PostgreSQL counts whole milliseconds.
    #[must_use]
    pub fn query_limit(mut self, limit: Duration) -> Self {
        self.limits.query = limit;
        self
    }

    /// Opens this many connections at most, at least 1; 25 by default. SQLite has one more, the one that writes,
    /// out of these; in memory there is one in all.
    #[must_use]
    pub fn connections(mut self, most: u32) -> Self {
        self.limits.connections = most.max(1);
        self
    }

    /// Opens the database, creates what is missing and brings the schema up to date.
    ///
    /// # Errors
    /// `UNAVAILABLE` or `INTERNAL` when the database cannot be opened, answers not within 5 s, or holds another schema.
    ///
    /// # Cancel safety
    /// Safe: each migration is applied whole or not at all.
    pub async fn open(self) -> Result<Arc<dyn UserRepository>, AppError> {
        Ok(match self.kind {
            Kind::Sqlite(options) => Arc::new(sqlite::SqliteUsers::open(*options, self.limits).await?),
            Kind::Postgres(options) => Arc::new(postgres::PgUsers::open(*options, self.limits).await?),
        })
    }
}

impl FromStr for Database {
    type Err = &'static str;

    /// The error never repeats the URL, which may hold a password.
    fn from_str(url: &str) -> Result<Self, Self::Err> {
        let kind = if url.starts_with("sqlite:") {
            Kind::Sqlite(Box::new(sqlite::Options::parse(url)?))
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let options = url.parse().map_err(|_| "is not a valid PostgreSQL URL")?;
            Kind::Postgres(Box::new(options))
        } else {
            return Err(
                "must start with sqlite: or postgres://, as in sqlite:users.db or postgres://ann@localhost/users",
            );
        };
        let limits = Limits { query: Duration::from_secs(5), connections: 25 };
        Ok(Self { kind, limits })
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Sqlite(_) => "Database(sqlite)",
            Kind::Postgres(_) => "Database(postgres)",
        })
    }
}

/// Room for so many streams that slow readers leave connections for everybody else.
#[derive(Clone, Debug)]
struct Streams(Arc<Semaphore>);

impl Streams {
    fn beside(connections: u32) -> Self {
        let half = usize::try_from(connections / 2).unwrap_or(Semaphore::MAX_PERMITS);
        Self(Arc::new(Semaphore::new(half.max(1))))
    }

    async fn enter(&self) -> Result<OwnedSemaphorePermit, AppError> {
        let permit = timeout(ACQUIRE_TIMEOUT, Arc::clone(&self.0).acquire_owned()).await;
        permit.map_err(AppError::unavailable)?.map_err(AppError::internal)
    }
}

/// A stored row, in the columns that both databases name alike.
#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    name: String,
    email: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<Row> for User {
    fn from(Row { id, name, email, created_at, updated_at }: Row) -> Self {
        Self { id, name, email, created_at, updated_at }
    }
}

// Statements that both databases read alike.
const INSERT: &str = "INSERT INTO users (id, name, email, created_at, updated_at) VALUES ($1, $2, $3, $4, $5)";
const GET: &str = "SELECT id, name, email, created_at, updated_at FROM users WHERE id = $1 AND deleted_at IS NULL";
const LIST: &str = "SELECT id, name, email, created_at, updated_at FROM users WHERE deleted_at IS NULL \
    ORDER BY id LIMIT $1 OFFSET $2";
const UPDATE: &str = "UPDATE users SET name = COALESCE($2, name), email = COALESCE($3, email), updated_at = $4 \
    WHERE id = $1 AND deleted_at IS NULL RETURNING id, name, email, created_at, updated_at";
const DELETE: &str = "UPDATE users SET deleted_at = $2 WHERE id = $1 AND deleted_at IS NULL";

/// What a batch's insert left out is in the way of it.
fn check_batch(users: &[User], mut stored: Vec<Uuid>) -> Result<(), BatchError> {
    stored.sort_unstable();
    let taken: Vec<usize> = (0..users.len()).filter(|&i| stored.binary_search(&users[i].id).is_err()).collect();
    if taken.is_empty() { Ok(()) } else { Err(BatchError::Taken(taken)) }
}

/// What a database's fault means to the caller.
fn map_error(error: sqlx::Error) -> AppError {
    let code = match &error {
        sqlx::Error::Database(e) if e.is_unique_violation() => Code::Conflict,
        sqlx::Error::Database(e) => e.code().map_or(Code::Internal, |code| meaning(&code)),
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Io(_) => Code::Unavailable,
        _ => Code::Internal,
    };
    match code {
        Code::Conflict => AppError::new(code, "email: is already taken"),
        Code::Timeout => AppError::timeout(error),
        Code::Unavailable => AppError::unavailable(error),
        _ => AppError::internal(error),
    }
}

/// SQLite's codes are numbers, of which the low byte counts; PostgreSQL's have five characters.
fn meaning(code: &str) -> Code {
    let sqlite = code.parse::<u32>().ok().filter(|_| code.len() < 5).map(|code| code & 0xFF);
    match (sqlite, code) {
        // SQLITE_INTERRUPT, query_canceled.
        (Some(9), _) | (_, "57014") => Code::Timeout,
        // SQLITE_BUSY, SQLITE_LOCKED.
        (Some(5 | 6), _) => Code::Unavailable,
        // serialization_failure, deadlock_detected, too_many_connections; shutdown, crash or start of the server.
        (_, "40001" | "40P01" | "53300" | "57P01" | "57P02" | "57P03") => Code::Unavailable,
        _ => Code::Internal,
    }
}
