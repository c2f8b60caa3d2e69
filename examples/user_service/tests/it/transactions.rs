//! `with_tx`: whatever becomes of the work inside, all of it is stored or nothing, and the connection is usable.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::SqlitePoolOptions;
use sqlx::{Executor, PgPool, Pool};
use user_service::AppError;
use user_service::error::Code;
use user_service::repository::{Backend, with_tx};

use crate::postgres;
use crate::support::{drop_after, within};

const INSERT: &str = "INSERT INTO numbers VALUES (1)";

/// Rows stored, as another connection would see them.
async fn count<DB: Backend>(pool: &Pool<DB>) -> usize
where
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    let mut connection = within(pool.acquire()).await.unwrap();
    connection.fetch_all("SELECT * FROM numbers").await.unwrap().len()
}

/// All that the transaction promises on one connection, the same on both databases.
async fn contract<DB: Backend>(pool: Pool<DB>)
where
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    pool.acquire().await.unwrap().execute("CREATE TABLE numbers (n INTEGER)").await.unwrap();

    let stored = with_tx(&pool, async |tx| {
        tx.execute(INSERT).await.unwrap();
        tx.execute(INSERT).await.unwrap();
        Ok::<_, AppError>(7)
    });
    assert_eq!((stored.await.unwrap(), count(&pool).await), (7, 2));

    let failed = with_tx(&pool, async |tx| {
        tx.execute(INSERT).await.unwrap();
        Err::<(), _>(AppError::new(Code::Conflict, "the first error"))
    });
    assert_eq!((failed.await.unwrap_err().to_string().as_str(), count(&pool).await), ("the first error", 2));

    let panicked = with_tx(&pool, async |tx| -> Result<(), AppError> {
        tx.execute(INSERT).await.unwrap();
        panic!("in the midst of it")
    });
    assert!(AssertUnwindSafe(panicked).catch_unwind().await.is_err());
    assert_eq!(count(&pool).await, 2);

    // A rollback that fails, as the transaction is over already.
    let failed = with_tx(&pool, async |tx| {
        tx.execute("ROLLBACK").await.unwrap();
        Err::<(), _>(AppError::new(Code::Conflict, "the first error"))
    });
    assert_eq!(failed.await.unwrap_err().to_string(), "the first error");
}

/// Dropped after each of its polls: stored whole or not at all, and what comes next on the connection is stored.
async fn dropped<DB: Backend>(pool: Pool<DB>, observer: Pool<DB>)
where
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    pool.acquire().await.unwrap().execute("CREATE TABLE numbers (n INTEGER)").await.unwrap();
    let both = async |tx: &mut DB::Connection| {
        tx.execute(INSERT).await.unwrap();
        tx.execute(INSERT).await.unwrap();
        Ok::<_, AppError>(())
    };
    let (mut dropped, mut acknowledged) = (0, 0);
    for polls in (0..30).chain(0..30) {
        drop_after(polls, with_tx(&pool, both)).await;
        dropped += 2;
        within(pool.acquire()).await.unwrap().execute("INSERT INTO numbers VALUES (1), (1)").await.unwrap();
        acknowledged += 2;
        let seen = count(&observer).await;
        assert!(seen % 2 == 0 && (acknowledged..=acknowledged + dropped).contains(&seen), "{polls}: {seen}");
        within(with_tx(&pool, both)).await.unwrap();
        acknowledged += 2;
    }
}

async fn sqlite() -> sqlx::SqlitePool {
    // As the repository's: a connection that is dropped during its test would take the data along.
    let one = SqlitePoolOptions::new().max_connections(1).test_before_acquire(false);
    one.connect("sqlite::memory:").await.unwrap()
}

#[tokio::test]
async fn on_sqlite() {
    contract(sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_on_sqlite() {
    let one = sqlite().await;
    dropped(one.clone(), one).await;
}

async fn postgres() -> Option<(PgPool, PgPool)> {
    let url = postgres::database().await?;
    let one = || PgPoolOptions::new().max_connections(1).connect(&url);
    Some((one().await.unwrap(), one().await.unwrap()))
}

#[tokio::test]
async fn on_postgres() {
    let Some((pool, _)) = postgres().await else { return };
    contract(pool).await;
}

/// Seen to fail: with `CLOSE_WHEN_DROPPED` off, where a `BEGIN` without an owner took in what came after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_on_postgres() {
    let Some((pool, observer)) = postgres().await else { return };
    dropped(pool, observer).await;
}

/// The connection breaks inside: the rollback cannot succeed, and the first error is the one that is told.
#[tokio::test]
async fn a_broken_connection_does_not_hide_the_first_error() {
    let Some((pool, _)) = postgres().await else { return };
    let failed = with_tx(&pool, async |tx| {
        // The server ends this very connection.
        let ended = tx.execute("SELECT pg_terminate_backend(pg_backend_pid())").await;
        assert!(ended.is_err());
        Err::<(), _>(AppError::new(Code::Conflict, "the first error"))
    });
    assert_eq!(within(failed).await.unwrap_err().to_string(), "the first error");
    within(pool.acquire()).await.unwrap().execute("SELECT 1").await.unwrap();
}
