//! Users in SQLite, in a file or in memory.

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_stream::try_stream;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Connection, QueryBuilder, query, query_as};
use uuid::Uuid;

use super::tx::{Lease, with_tx};
use super::{
    ACQUIRE_TIMEOUT, BatchError, DELETE, GET, IDLE_TIMEOUT, INSERT, LIFETIME, LIST, Limits, MIN_CONNECTIONS, Row,
    Streams, UPDATE, UserRepository, UserStream, check_batch, map_error,
};
use crate::domain::{Page, User, UserChange};
use crate::error::AppError;

/// How long a writer waits for one in another process to finish.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How many steps of its virtual machine SQLite takes between two looks at the clock: some tens of microseconds.
const STEPS_PER_LOOK: i32 = 1_000;
/// Rows in one statement of a batch, which takes some milliseconds.
const ROWS_PER_INSERT: usize = 500;

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
        let one = pool().max_connections(1).min_connections(1).idle_timeout(None);
        if self.in_memory {
            // The data live as long as this connection, so it never ends.
            one.max_lifetime(None)
        } else {
            one.max_lifetime(LIFETIME).after_release(|connection, _| Box::pin(is_sound(connection)))
        }
    }

    fn readers(limits: Limits) -> SqlitePoolOptions {
        let most = limits.connections.saturating_sub(1).max(1);
        let readers = pool().max_connections(most).min_connections(most.min(MIN_CONNECTIONS));
        readers.max_lifetime(LIFETIME).idle_timeout(IDLE_TIMEOUT)
    }
}

/// What all connections have in common.
fn pool() -> SqlitePoolOptions {
    // Without the test: SQLite is in this process, and a caller who is dropped during the test would take the
    // connection along, and the data with it where they are in memory.
    SqlitePoolOptions::new().acquire_timeout(ACQUIRE_TIMEOUT).test_before_acquire(false)
}

/// Whether the connection can begin another transaction. When the disk is full, SQLite rolls back by itself; the rollback
/// that sqlx sends then fails, and for sqlx the connection stays in that transaction for ever.
async fn is_sound(connection: &mut SqliteConnection) -> sqlx::Result<bool> {
    // Behind a rollback that may still be on its way.
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}

/// Interrupts the statement on its connection when its time is over, or when this is dropped before `finish`.
struct Watch {
    started: Instant,
    limit: Duration,
    /// In microseconds since the start.
    deadline: Arc<AtomicU64>,
}

/// The statement is over: whatever runs on the connection next is not to be interrupted.
const NEVER: u64 = u64::MAX;

impl Watch {
    async fn start(connection: &mut SqliteConnection, limit: Duration) -> Result<Self, AppError> {
        let watch = Self { started: Instant::now(), limit, deadline: Arc::new(AtomicU64::new(NEVER)) };
        watch.renew();
        let (started, deadline) = (watch.started, Arc::clone(&watch.deadline));
        let mut handle = connection.lock_handle().await.map_err(map_error)?;
        // Ordering: Relaxed here and below, a number that publishes nothing else.
        handle
            .set_progress_handler(STEPS_PER_LOOK, move || micros(started.elapsed()) < deadline.load(Ordering::Relaxed));
        Ok(watch)
    }

    /// The time begins anew.
    fn renew(&self) {
        self.deadline.store(micros(self.started.elapsed() + self.limit), Ordering::Relaxed);
    }

    fn finish(self) {
        self.deadline.store(NEVER, Ordering::Relaxed);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if self.deadline.load(Ordering::Relaxed) != NEVER {
            self.deadline.store(0, Ordering::Relaxed);
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(NEVER)
}

/// Runs one statement within the limit.
///
/// Not for a write in a transaction: interrupted, it makes SQLite roll the transaction back by itself, which costs
/// the connection (see `is_sound`), and in memory there is but one.
async fn watched<T>(
    connection: &mut SqliteConnection,
    limit: Duration,
    statement: impl AsyncFnOnce(&mut SqliteConnection) -> sqlx::Result<T>,
) -> Result<T, AppError> {
    let watch = Watch::start(connection, limit).await?;
    let result = statement(connection).await;
    watch.finish();
    result.map_err(map_error)
}

/// The repository on SQLite.
#[derive(Debug)]
pub(super) struct SqliteUsers {
    writer: SqlitePool,
    /// In memory, the writer itself: there is one connection.
    readers: SqlitePool,
    query_limit: Duration,
    streams: Streams,
}

impl SqliteUsers {
    pub(super) async fn open(options: Options, limits: Limits) -> Result<Self, AppError> {
        let writer = options.writer().connect_with(options.connect.clone()).await.map_err(map_error)?;
        // In one transaction, so that of two processes that start at once the second one finds the work done.
        let migrated = with_tx(&writer, async |connection| {
            sqlx::migrate!("migrations/sqlite").run(connection).await.map_err(AppError::internal)
        });
        migrated.await?;
        let readers = if options.in_memory {
            writer.clone()
        } else {
            Options::readers(limits).connect_with(options.connect).await.map_err(map_error)?
        };
        let streams = Streams::beside(readers.options().get_max_connections());
        Ok(Self { writer, readers, query_limit: limits.query, streams })
    }

    /// Runs one statement, which is a transaction of its own, on a connection of this pool.
    async fn run<T>(
        &self,
        pool: &SqlitePool,
        statement: impl AsyncFnOnce(&mut SqliteConnection) -> sqlx::Result<T>,
    ) -> Result<T, AppError> {
        let mut lease = Lease::acquire(pool).await?;
        let result = watched(&mut lease, self.query_limit, statement).await;
        lease.release();
        result
    }
}

#[async_trait]
impl UserRepository for SqliteUsers {
    async fn insert(&self, user: &User) -> Result<(), AppError> {
        let insert = query(INSERT).bind(user.id).bind(&user.name).bind(&user.email);
        let insert = insert.bind(user.created_at).bind(user.updated_at);
        self.run(&self.writer, async |connection| insert.execute(connection).await.map(drop)).await
    }

    async fn insert_batch(&self, users: &[User]) -> Result<(), BatchError> {
        let stored = with_tx(&self.writer, async |connection| {
            let (started, mut stored) = (Instant::now(), Vec::with_capacity(users.len()));
            for rows in users.chunks(ROWS_PER_INSERT) {
                // In place of `watched`: see there.
                if started.elapsed() > self.query_limit {
                    return Err(AppError::timeout("the batch is too large for the time limit").into());
                }
                let mut insert = QueryBuilder::new("INSERT INTO users (id, name, email, created_at, updated_at) ");
                insert.push_values(rows, |mut row, user| {
                    row.push_bind(user.id).push_bind(&user.name).push_bind(&user.email);
                    row.push_bind(user.created_at).push_bind(user.updated_at);
                });
                insert.push(" ON CONFLICT (email) WHERE deleted_at IS NULL DO NOTHING RETURNING id");
                let insert = insert.build_query_scalar::<Uuid>().persistent(false);
                stored.extend(insert.fetch_all(&mut *connection).await.map_err(map_error)?);
            }
            check_batch(users, stored)
        });
        stored.await
    }

    async fn get(&self, id: Uuid) -> Result<Option<User>, AppError> {
        let get = query_as::<_, Row>(GET).bind(id);
        let row = self.run(&self.readers, async |connection| get.fetch_optional(connection).await).await?;
        Ok(row.map(User::from))
    }

    async fn list(&self, page: Page) -> Result<Vec<User>, AppError> {
        let list = query_as::<_, Row>(LIST).bind(page.limit()).bind(page.offset());
        let rows = self.run(&self.readers, async |connection| list.fetch_all(connection).await).await?;
        Ok(rows.into_iter().map(User::from).collect())
    }

    fn stream(&self, limit: Option<u32>, offset: u32) -> UserStream {
        let (pool, query_limit, streams) = (self.readers.clone(), self.query_limit, self.streams.clone());
        Box::pin(try_stream! {
            let _place = streams.enter().await?;
            let mut lease = Lease::acquire(&pool).await?;
            let watch = Watch::start(&mut lease, query_limit).await?;
            // A negative limit is none.
            let list = query_as::<_, Row>(LIST).bind(limit.map_or(-1, i64::from)).bind(offset);
            let mut rows = list.fetch(&mut *lease);
            while let Some(row) = { watch.renew(); rows.try_next().await.map_err(map_error)? } {
                yield User::from(row);
            }
            drop(rows);
            watch.finish();
            lease.release();
        })
    }

    async fn update(&self, id: Uuid, change: &UserChange, at: DateTime<Utc>) -> Result<Option<User>, AppError> {
        let update = query_as::<_, Row>(UPDATE).bind(id).bind(change.name()).bind(change.email()).bind(at);
        let row = self.run(&self.writer, async |connection| update.fetch_optional(connection).await).await?;
        Ok(row.map(User::from))
    }

    async fn delete(&self, id: Uuid, at: DateTime<Utc>) -> Result<bool, AppError> {
        let delete = query(DELETE).bind(id).bind(at);
        let done = self.run(&self.writer, async |connection| delete.execute(connection).await).await?;
        Ok(done.rows_affected() == 1)
    }

    async fn ping(&self) -> Result<(), AppError> {
        self.run(&self.readers, async |connection| query("SELECT 1").execute(connection).await.map(drop)).await
    }

    async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}
