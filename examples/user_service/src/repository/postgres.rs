//! Users in PostgreSQL.

use std::future::Future;
use std::time::Duration;

use async_stream::try_stream;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{Connection, query, query_as, query_scalar};
use tokio::time::timeout;
use uuid::Uuid;

use super::tx::{Lease, with_tx};
use super::{
    ACQUIRE_TIMEOUT, BatchError, DELETE, GET, IDLE_TIMEOUT, INSERT, LIFETIME, LIST, Limits, MIN_CONNECTIONS, Row,
    Streams, UPDATE, UserRepository, UserStream, check_batch, map_error,
};
use crate::domain::{Page, User, UserChange};
use crate::error::AppError;

/// How much longer than the server's limit the answer may take. Then the server is taken for dead.
const ANSWER_GRACE: Duration = Duration::from_secs(1);

/// A batch's rows enter the index in one order, whoever sends them: two batches never wait for each other.
const INSERT_BATCH: &str = "INSERT INTO users (id, name, email, created_at, updated_at) \
    SELECT id, name, email, created_at, updated_at \
    FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[]) WITH ORDINALITY \
        AS new (id, name, email, created_at, updated_at, place) \
    ORDER BY email, place \
    ON CONFLICT (email) WHERE deleted_at IS NULL DO NOTHING RETURNING id";
const DECLARE: &str = "DECLARE found NO SCROLL CURSOR FOR SELECT id, name, email, created_at, updated_at FROM users \
    WHERE deleted_at IS NULL ORDER BY id LIMIT $1 OFFSET $2";
/// So many rows of a stream are held here at a time.
const FETCH: &str = "FETCH 500 FROM found";

/// The repository on PostgreSQL.
#[derive(Clone, Debug)]
pub(super) struct PgUsers {
    pool: PgPool,
    query_limit: Duration,
    streams: Streams,
}

impl PgUsers {
    pub(super) async fn open(options: PgConnectOptions, limits: Limits) -> Result<Self, AppError> {
        // Not the pool's connection: the pool would try for 5 s and not say why; and a migration may take its time.
        let connection = timeout(ACQUIRE_TIMEOUT, PgConnection::connect_with(&options)).await;
        let mut connection = connection.map_err(AppError::unavailable)?.map_err(map_error)?;
        sqlx::migrate!("migrations/postgres").run(&mut connection).await.map_err(AppError::internal)?;
        connection.close().await.map_err(map_error)?;
        let options = options.options([("statement_timeout", limits.query.as_millis().max(1).to_string())]);
        let pool = PgPoolOptions::new()
            .max_connections(limits.connections)
            .min_connections(limits.connections.min(MIN_CONNECTIONS))
            .max_lifetime(LIFETIME)
            .idle_timeout(IDLE_TIMEOUT)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .after_connect(|connection, _| Box::pin(notice_a_lost_client(connection)))
            .connect_with(options)
            .await
            .map_err(map_error)?;
        Ok(Self { pool, query_limit: limits.query, streams: Streams::beside(limits.connections) })
    }

    /// Runs statements on one connection. The server ends each at the limit; a server that does not answer is given up.
    async fn run<T>(&self, work: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>) -> Result<T, AppError> {
        let mut lease = Lease::acquire(&self.pool).await?;
        let result = self.in_time(work(&mut lease)).await?;
        lease.release();
        result.map_err(map_error)
    }

    async fn in_time<T>(&self, work: impl Future<Output = T>) -> Result<T, AppError> {
        timeout(self.query_limit + ANSWER_GRACE, work).await.map_err(AppError::timeout)
    }
}

/// Has the server look, while a statement runs, whether its client is still there, and end it if not. Servers on Linux
/// can from version 14 on; on others, a statement whose caller is gone runs on to its limit.
async fn notice_a_lost_client(connection: &mut PgConnection) -> sqlx::Result<()> {
    if let Err(error) = query("SET client_connection_check_interval = '500ms'").execute(connection).await {
        tracing::debug!("the server cannot notice lost clients: {error}");
    }
    Ok(())
}

#[async_trait]
impl UserRepository for PgUsers {
    async fn insert(&self, user: &User) -> Result<(), AppError> {
        let insert = query(INSERT).bind(user.id).bind(&user.name).bind(&user.email);
        let insert = insert.bind(user.created_at).bind(user.updated_at);
        self.run(async |connection| insert.execute(connection).await.map(drop)).await
    }

    async fn insert_batch(&self, users: &[User]) -> Result<(), BatchError> {
        let insert = query_scalar(INSERT_BATCH)
            .bind(users.iter().map(|user| user.id).collect::<Vec<_>>())
            .bind(users.iter().map(|user| user.name.as_str()).collect::<Vec<_>>())
            .bind(users.iter().map(|user| user.email.as_str()).collect::<Vec<_>>())
            .bind(users.iter().map(|user| user.created_at).collect::<Vec<_>>())
            .bind(users.iter().map(|user| user.updated_at).collect::<Vec<_>>());
        let stored = with_tx(&self.pool, async |connection| {
            let stored = self.in_time(insert.fetch_all(connection)).await?.map_err(map_error)?;
            check_batch(users, stored)
        });
        stored.await
    }

    async fn get(&self, id: Uuid) -> Result<Option<User>, AppError> {
        let get = query_as::<_, Row>(GET).bind(id);
        let row = self.run(async |connection| get.fetch_optional(connection).await).await?;
        Ok(row.map(User::from))
    }

    async fn list(&self, page: Page) -> Result<Vec<User>, AppError> {
        let list = query_as::<_, Row>(LIST).bind(i64::from(page.limit())).bind(i64::from(page.offset()));
        let rows = self.run(async |connection| list.fetch_all(connection).await).await?;
        Ok(rows.into_iter().map(User::from).collect())
    }

    /// Reads through a cursor, some rows at a time: between them nothing runs on the server, so a slow reader meets
    /// no limit, and a reader who is gone leaves little to stop.
    fn stream(&self, limit: Option<u32>, offset: u32) -> UserStream {
        let users = self.clone();
        Box::pin(try_stream! {
            let _place = users.streams.enter().await?;
            let mut lease = Lease::acquire(&users.pool).await?;
            let mut tx = users.in_time(lease.begin_with("BEGIN READ ONLY")).await?.map_err(map_error)?;
            let declare = query(DECLARE).bind(limit.map(i64::from)).bind(i64::from(offset));
            users.in_time(declare.execute(&mut *tx)).await?.map_err(map_error)?;
            loop {
                let rows = users.in_time(query_as::<_, Row>(FETCH).fetch_all(&mut *tx)).await?.map_err(map_error)?;
                if rows.is_empty() {
                    break;
                }
                for row in rows {
                    yield User::from(row);
                }
            }
            users.in_time(tx.rollback()).await?.map_err(map_error)?;
            lease.release();
        })
    }

    async fn update(&self, id: Uuid, change: &UserChange, at: DateTime<Utc>) -> Result<Option<User>, AppError> {
        let update = query_as::<_, Row>(UPDATE).bind(id).bind(change.name()).bind(change.email()).bind(at);
        let row = self.run(async |connection| update.fetch_optional(connection).await).await?;
        Ok(row.map(User::from))
    }

    async fn delete(&self, id: Uuid, at: DateTime<Utc>) -> Result<bool, AppError> {
        let delete = query(DELETE).bind(id).bind(at);
        let done = self.run(async |connection| delete.execute(connection).await).await?;
        Ok(done.rows_affected() == 1)
    }

    async fn ping(&self) -> Result<(), AppError> {
        self.run(async |connection| query("SELECT 1").execute(connection).await.map(drop)).await
    }

    async fn close(&self) {
        self.pool.close().await;
    }
}
