//! Users in SQLite, in a file or in memory.

use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::error::DatabaseError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use uuid::Uuid;

use super::{ACQUIRE_TIMEOUT, UserRepository, map_error};
use crate::domain::{Page, User};
use crate::error::AppError;

/// How long a writer waits for one in another process to finish.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection is used before another one takes its place.
const LIFETIME: Duration = Duration::from_secs(300);

/// Where the database lies and how it is opened.
#[derive(Clone)]
pub(super) struct Options {
    connect: SqliteConnectOptions,
    in_memory: bool,
}

impl Options {
    pub(super) fn parse(url: &str) -> Result<Self, &'static str> {
        let path = url.trim_start_matches("sqlite:").trim_start_matches("//");
        let (file, parameters) = path.split_once('?').unwrap_or((path, ""));
        let in_memory = file == ":memory:";
        if file.is_empty() || parameters.split('&').any(|p| p == "mode=memory") {
            return Err("must name a file, as in sqlite:users.db, or be sqlite::memory:");
        }
        let connect = SqliteConnectOptions::from_str(url).map_err(|_| "is not a valid SQLite URL")?;
        let connect = if in_memory {
            connect
        } else {
            // Full: a commit that was acknowledged survives a power cut.
            connect.create_if_missing(true).journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full)
        };
        Ok(Self { connect: connect.busy_timeout(BUSY_TIMEOUT), in_memory })
    }

    /// The one connection that writes.
    ///
    /// SQLite knows one writer at a time, and those who wait for its lock poll for it: under load, some never get it.
    /// Writers that wait for one connection instead are served in order.
    fn writer(&self) -> SqlitePoolOptions {
        // In memory the data live as long as this connection, so it never ends.
        let lifetime = (!self.in_memory).then_some(LIFETIME);
        pool().max_connections(1).min_connections(1).max_lifetime(lifetime)
    }

    /// The connections that read. sqlx knows no number of them to keep idle; a minimum of 5 keeps 5 warm.
    fn readers() -> SqlitePoolOptions {
        pool().max_connections(24).min_connections(5).max_lifetime(LIFETIME)
    }
}

/// What all connections have in common. No idle timeout: a useful one is longer than their lifetime.
fn pool() -> SqlitePoolOptions {
    // Without the test: SQLite is in this process, and a caller who is dropped during the test would take the
    // connection along, and the data with it where they are in memory.
    SqlitePoolOptions::new().acquire_timeout(ACQUIRE_TIMEOUT).test_before_acquire(false).idle_timeout(None)
}

/// The repository on SQLite.
#[derive(Debug)]
pub(super) struct SqliteUsers {
    writer: SqlitePool,
    /// In memory, the writer itself: there is one connection.
    readers: SqlitePool,
}

impl SqliteUsers {
    pub(super) async fn open(options: Options) -> Result<Self, AppError> {
        let writer = options.writer().connect_with(options.connect.clone()).await.map_err(map_error)?;
        sqlx::migrate!("migrations/sqlite").run(&writer).await.map_err(AppError::internal)?;
        let readers = if options.in_memory {
            writer.clone()
        } else {
            Options::readers().connect_with(options.connect).await.map_err(map_error)?
        };
        Ok(Self { writer, readers })
    }
}

#[async_trait]
impl UserRepository for SqliteUsers {
    async fn insert(&self, user: &User) -> Result<(), AppError> {
        // Immediate: a transaction that takes the write lock late fails when another process took it meanwhile.
        let mut tx = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(map_error)?;
        sqlx::query("INSERT INTO users (id, name, email, created_at, updated_at) VALUES (?, ?, ?, ?, ?)")
            .bind(user.id)
            .bind(&user.name)
            .bind(&user.email)
            .bind(user.created_at)
            .bind(user.updated_at)
            .execute(&mut *tx)
            .await
            .map_err(map_error)?;
        tx.commit().await.map_err(map_error)
    }

    async fn get(&self, id: Uuid) -> Result<Option<User>, AppError> {
        let row = sqlx::query_as::<_, Row>("SELECT id, name, email, created_at, updated_at FROM users WHERE id = ?")
            .bind(id)
            .fetch_optional(&self.readers)
            .await
            .map_err(map_error)?;
        Ok(row.map(into_user))
    }

    async fn list(&self, page: Page) -> Result<Vec<User>, AppError> {
        let rows = sqlx::query_as::<_, Row>(
            "SELECT id, name, email, created_at, updated_at FROM users ORDER BY id LIMIT ? OFFSET ?",
        )
        .bind(page.limit())
        .bind(page.offset())
        .fetch_all(&self.readers)
        .await
        .map_err(map_error)?;
        Ok(rows.into_iter().map(into_user).collect())
    }

    async fn ping(&self) -> Result<(), AppError> {
        sqlx::query("SELECT 1").execute(&self.readers).await.map(|_| ()).map_err(map_error)
    }

    async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

type Row = (Uuid, String, String, DateTime<Utc>, DateTime<Utc>);

fn into_user((id, name, email, created_at, updated_at): Row) -> User {
    User { id, name, email, created_at, updated_at }
}

/// SQLITE_BUSY and SQLITE_LOCKED, whose low byte is 5 or 6 in every extended code.
pub(super) fn is_passing(error: &dyn DatabaseError) -> bool {
    let code = error.code().and_then(|code| code.parse::<u32>().ok());
    code.is_some_and(|code| matches!(code & 0xFF, 5 | 6))
}
