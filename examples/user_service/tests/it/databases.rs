//! Each kind of database, fresh and empty, for the tests that run on all of them.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, SqliteConnection, raw_sql};
use tempfile::TempDir;
use user_service::repository::{Database, UserRepository};

use crate::postgres;
use crate::support::within;

/// A database of one kind.
pub(crate) struct Db {
    pub(crate) kind: Kind,
    pub(crate) url: String,
    /// The SQLite file lies in here.
    _folder: TempDir,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Memory,
    Postgres,
}

impl Db {
    /// An empty database; `None` where there is no PostgreSQL.
    pub(crate) async fn new(kind: Kind) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let url = match kind {
            Kind::File => format!("sqlite:{}/users.db", folder.path().display()),
            Kind::Memory => "sqlite::memory:".to_owned(),
            Kind::Postgres => postgres::database().await?,
        };
        Some(Self { kind, url, _folder: folder })
    }

    pub(crate) fn database(&self) -> Database {
        self.url.parse().unwrap()
    }

    pub(crate) async fn open(&self) -> Arc<dyn UserRepository> {
        within(self.database().open()).await.unwrap()
    }

    /// With one connection for everything, or in a file of SQLite's, one to read and one to write.
    pub(crate) async fn open_narrow(&self, query_limit: Duration) -> Arc<dyn UserRepository> {
        within(self.database().connections(1).query_limit(query_limit).open()).await.unwrap()
    }

    /// Runs statements on another connection than the repository's. Not in memory.
    pub(crate) async fn execute(&self, sql: &str) {
        if self.kind == Kind::Postgres {
            return postgres::execute(&self.url, sql).await;
        }
        let mut connection = SqliteConnection::connect(&self.url).await.unwrap();
        raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }
}

/// Runs a test on a fresh database of each of these kinds.
pub(crate) async fn on<F: Future<Output = ()>>(kinds: &[Kind], test: impl Fn(Arc<Db>) -> F) {
    for &kind in kinds {
        // Shown when the test fails.
        println!("on {kind:?}");
        if let Some(db) = Db::new(kind).await {
            test(Arc::new(db)).await;
        }
    }
}

/// Runs a test on a repository over each kind of database, from empty.
pub(crate) async fn on_each<F: Future<Output = ()>>(test: impl Fn(Arc<dyn UserRepository>) -> F) {
    let test = &test;
    on(&[Kind::File, Kind::Memory, Kind::Postgres], |db| async move {
        let users = db.open().await;
        test(Arc::clone(&users)).await;
        within(users.close()).await;
    })
    .await;
}
