//! Transactions that end one way or the other, whatever becomes of the work inside.

use std::ops::{Deref, DerefMut};

use sqlx::pool::PoolConnection;
use sqlx::{Connection, Pool, Postgres, SqlSafeStr, Sqlite};

use super::map_error;
use crate::error::AppError;

/// What transactions of a database need to know about it.
pub trait Backend: sqlx::Database {
    /// The statement that begins a transaction which writes.
    const BEGIN: &'static str;
    /// Whether a connection is closed when the work on it is dropped midway, rather than used again.
    const CLOSE_WHEN_DROPPED: bool;
}

impl Backend for Sqlite {
    /// A transaction that takes the write lock late fails when another process took it meanwhile.
    const BEGIN: &'static str = "BEGIN IMMEDIATE";
    /// In memory the data would go with the connection.
    const CLOSE_WHEN_DROPPED: bool = false;
}

impl Backend for Postgres {
    const BEGIN: &'static str = "BEGIN";
    /// A statement may still run on the server; and a `BEGIN` dropped before its answer would leave its transaction
    /// open, which swallows what the next user of the connection writes.
    const CLOSE_WHEN_DROPPED: bool = true;
}

/// A pool's connection with work on it. Must be given back with [`release`](Self::release) at the end of the work.
pub(super) struct Lease<DB: Backend> {
    connection: PoolConnection<DB>,
    working: bool,
}

impl<DB: Backend> Lease<DB> {
    pub(super) async fn acquire(pool: &Pool<DB>) -> Result<Self, AppError> {
        Ok(Self { connection: pool.acquire().await.map_err(map_error)?, working: true })
    }

    pub(super) fn release(mut self) {
        self.working = false;
    }
}

impl<DB: Backend> Drop for Lease<DB> {
    fn drop(&mut self) {
        if self.working && DB::CLOSE_WHEN_DROPPED {
            self.connection.close_on_drop();
        }
    }
}

impl<DB: Backend> Deref for Lease<DB> {
    type Target = DB::Connection;

    fn deref(&self) -> &DB::Connection {
        &self.connection
    }
}

impl<DB: Backend> DerefMut for Lease<DB> {
    fn deref_mut(&mut self) -> &mut DB::Connection {
        &mut self.connection
    }
}

/// Does the work in a transaction: commits when it returns `Ok`, rolls back when it returns `Err`, panics or is dropped.
///
/// # Errors
/// The work's own, even when the rollback fails after it (which is logged); otherwise that of the database.
///
/// # Cancel safety
/// Dropped before the commit was sent, nothing is stored. Dropped while it is on its way, everything or nothing is.
pub async fn with_tx<DB: Backend, T, E: From<AppError>>(
    pool: &Pool<DB>,
    work: impl AsyncFnOnce(&mut DB::Connection) -> Result<T, E>,
) -> Result<T, E> {
    let mut lease = Lease::acquire(pool).await?;
    let mut tx = lease.begin_with(DB::BEGIN.into_sql_str()).await.map_err(map_error)?;
    match work(&mut tx).await {
        Ok(value) => {
            tx.commit().await.map_err(map_error)?;
            lease.release();
            Ok(value)
        }
        Err(error) => {
            match tx.rollback().await {
                Ok(()) => lease.release(),
                Err(failed) => tracing::warn!("a rollback failed: {failed}"),
            }
            Err(error)
        }
    }
}
