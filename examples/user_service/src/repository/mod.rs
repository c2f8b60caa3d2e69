//! Where users are stored: one trait, an implementation for each database, chosen by the URL's scheme.

mod sqlite;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use crate::domain::{Page, User};
use crate::error::{AppError, Code};

/// How long a query waits for a free connection, and the first one for the database to answer.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// Users in a database.
///
/// Every method fails with `UNAVAILABLE` when the database is busy, unreachable or out of connections, and
/// with `INTERNAL` on any other fault of the database. All may be dropped at any await: a write is then stored
/// whole or not at all.
#[async_trait]
pub trait UserRepository: fmt::Debug + Send + Sync + 'static {
    /// Stores a user. `CONFLICT` when the email is taken.
    async fn insert(&self, user: &User) -> Result<(), AppError>;
    /// The user of this id; `None` when there is none.
    async fn get(&self, id: Uuid) -> Result<Option<User>, AppError>;
    /// One page of users in order of creation.
    async fn list(&self, page: Page) -> Result<Vec<User>, AppError>;
    /// Asks the database for a sign of life.
    async fn ping(&self) -> Result<(), AppError>;
    /// Waits until all connections are back and closed; later calls fail.
    async fn close(&self);
}

/// A checked `DATABASE_URL`. Its `Debug` shows the kind of database and nothing of the URL.
#[derive(Clone)]
pub struct Database(sqlite::Options);

impl Database {
    /// Opens the database, creates what is missing and brings the schema up to date.
    ///
    /// # Errors
    /// `UNAVAILABLE` or `INTERNAL` when the database cannot be opened, answers not within 5 s, or holds another schema.
    ///
    /// # Cancel safety
    /// Safe: each migration is applied whole or not at all.
    pub async fn open(self) -> Result<Arc<dyn UserRepository>, AppError> {
        Ok(Arc::new(sqlite::SqliteUsers::open(self.0).await?))
    }
}

impl FromStr for Database {
    type Err = &'static str;

    /// The error never repeats the URL, which may hold a password.
    fn from_str(url: &str) -> Result<Self, Self::Err> {
        if url.starts_with("sqlite:") {
            sqlite::Options::parse(url).map(Self)
        } else {
            Err("must start with sqlite:, as in sqlite:users.db or sqlite::memory:")
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Database(sqlite)")
    }
}

/// What a database's fault means to the caller.
fn map_error(error: sqlx::Error) -> AppError {
    match &error {
        sqlx::Error::Database(e) if e.is_unique_violation() => AppError::new(Code::Conflict, "email: is already taken"),
        sqlx::Error::Database(e) if sqlite::is_passing(e.as_ref()) => AppError::unavailable(error),
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Io(_) => AppError::unavailable(error),
        _ => AppError::internal(error),
    }
}
