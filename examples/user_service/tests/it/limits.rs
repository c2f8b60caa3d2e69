//! Time limits and dropped readers: the query stops, and its connection is free for the next one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use user_service::error::Code;
use user_service::repository::{Database, UserRepository};
use uuid::Uuid;

use crate::databases::{Db, Kind, on};
use crate::postgres;
use crate::support::{until, user, users, within};

/// The time limit of a query in these tests.
const LIMIT: Duration = Duration::from_millis(200);
/// Far longer than a query on a free connection takes, even on a busy machine, and far shorter than the wait for a busy
/// connection, which the pool gives up after 5 s.
const AT_ONCE: Duration = Duration::from_secs(2);
/// Less than a server that is given up takes.
const SOON: Duration = Duration::from_millis(900);
/// Time enough for a query to begin.
const A_WHILE: Duration = Duration::from_millis(100);

/// From now on, whoever asks for a user waits for hours.
async fn make_slow(db: &Db) {
    let view = if db.kind == Kind::Postgres {
        "SELECT gen_random_uuid() AS id, name, email, created_at, updated_at, deleted_at \
         FROM stored, (SELECT pg_sleep(10000) OFFSET 0) AS slow"
    } else {
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) \
         SELECT randomblob(16) AS id, '' AS name, '' AS email, '' AS created_at, '' AS updated_at, NULL AS deleted_at \
         FROM n WHERE i < 0"
    };
    db.execute(&format!("ALTER TABLE users RENAME TO stored; CREATE VIEW users AS {view}")).await;
}

/// How long the next query took: it must be there at once.
async fn ping(users: &Arc<dyn UserRepository>) -> Duration {
    let started = Instant::now();
    within(users.ping()).await.unwrap();
    let waited = started.elapsed();
    assert!(waited < AT_ONCE, "the next query waited {waited:?}");
    waited
}

/// Seen to fail: without the progress handler it never ends, without `statement_timeout` a second later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_at_its_limit_is_cancelled_and_its_connection_is_free() {
    on(&[Kind::File, Kind::Postgres], |db| async move {
        let users = db.open_narrow(LIMIT).await;
        users.insert(&user("ann@example.com")).await.unwrap();
        make_slow(&db).await;
        for _ in 0..3 {
            let started = Instant::now();
            let error = within(users.get(Uuid::now_v7())).await.unwrap_err();
            let took = started.elapsed();
            assert_eq!(error.code(), Code::Timeout, "{error:?}");
            assert!(took >= LIMIT && took < LIMIT + SOON, "{took:?}");
            let next = ping(&users).await;
            println!("{:?}: limit {LIMIT:?}, ended after {took:?}, the next query took {next:?}", db.kind);
        }
        let error = within(users.stream(None, 0).try_next()).await.unwrap_err();
        assert_eq!(error.code(), Code::Timeout, "{error:?}");
        ping(&users).await;
        users.close().await;
    })
    .await;
}

/// A caller who is gone does not leave its query behind.
///
/// Seen to fail: with a `Watch` whose drop does nothing, with `CLOSE_WHEN_DROPPED` off, and without the server's own check.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_query_frees_its_connection() {
    on(&[Kind::File, Kind::Postgres], |db| async move {
        let users = db.open_narrow(Duration::from_secs(60)).await;
        users.insert(&user("ann@example.com")).await.unwrap();
        make_slow(&db).await;
        for _ in 0..3 {
            assert!(tokio::time::timeout(A_WHILE, users.get(Uuid::now_v7())).await.is_err());
            let next = ping(&users).await;
            println!("{:?}: dropped, the next query took {next:?}", db.kind);
        }
        if db.kind == Kind::Postgres {
            until(|| async { busy(&db).await == 0 }).await;
        }
        users.close().await;
    })
    .await;
}

/// Stored in one statement: `count` users.
async fn fill(db: &Db, count: usize) {
    let sql = if db.kind == Kind::Postgres {
        format!(
            "INSERT INTO users SELECT gen_random_uuid(), 'Ann', 'ann' || i || '@example.com', now(), now() \
             FROM generate_series(1, {count}) AS i"
        )
    } else {
        format!(
            "INSERT INTO users WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) \
             SELECT randomblob(16), 'Ann', 'ann' || i || '@example.com', '2026-01-01T00:00:00Z', \
             '2026-01-01T00:00:00Z', NULL FROM n"
        )
    };
    db.execute(&sql).await;
}

/// Statements that are under way on the server, besides the one that asks.
async fn busy(db: &Db) -> i64 {
    let mut connection = <sqlx::PgConnection as sqlx::Connection>::connect(&db.url).await.unwrap();
    let busy = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() \
                AND state <> 'idle'";
    sqlx::query_scalar(busy).fetch_one(&mut connection).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_dropped_midway_stops_its_query() {
    on(&[Kind::File, Kind::Postgres], |db| async move {
        let users = db.open_narrow(Duration::from_secs(60)).await;
        fill(&db, 50_000).await;
        let started = Instant::now();
        let all = users.stream(None, 0).try_fold(0, async |count, _| Ok(count + 1)).await.unwrap();
        let whole = started.elapsed();
        assert_eq!(all, 50_000);
        for rows in [1, 3, 700] {
            let mut stream = users.stream(None, 0);
            for _ in 0..rows {
                within(stream.try_next()).await.unwrap().unwrap();
            }
            drop(stream);
            let next = ping(&users).await;
            println!("{:?}: all rows took {whole:?}; dropped after {rows}, the next query took {next:?}", db.kind);
            assert!(next < whole / 4, "{next:?} of {whole:?}");
            if db.kind == Kind::Postgres {
                until(|| async { busy(&db).await == 0 }).await;
            }
        }
        users.close().await;
    })
    .await;
}

/// A reader may take longer than any query may.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_of_a_stream_meets_no_limit() {
    on(&[Kind::File, Kind::Postgres], |db| async move {
        let users = db.open_narrow(LIMIT).await;
        fill(&db, 3_000).await;
        let (mut stream, mut read) = (users.stream(None, 0), 0);
        while within(stream.try_next()).await.unwrap().is_some() {
            read += 1;
            if read % 1_000 == 1 {
                tokio::time::sleep(LIMIT + A_WHILE).await;
            }
        }
        assert_eq!(read, 3_000);
        drop(stream);
        users.close().await;
    })
    .await;
}

/// Slow readers leave connections for everybody else. Seen to fail: without `Streams::enter`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_nobody_reads_do_not_take_every_connection() {
    on(&[Kind::File, Kind::Postgres], |db| async move {
        let users = within(db.database().connections(5).open()).await.unwrap();
        fill(&db, 3_000).await;
        let mut streams: Vec<_> = (0..6).map(|_| users.stream(None, 0)).collect();
        for stream in &mut streams[..2] {
            within(stream.try_next()).await.unwrap().unwrap();
        }
        for stream in &mut streams[2..] {
            assert!(tokio::time::timeout(A_WHILE, stream.try_next()).await.is_err());
        }
        ping(&users).await;
        assert_eq!(within(users.get(Uuid::now_v7())).await.unwrap(), None);
        // Who goes leaves a place.
        drop(streams.remove(0));
        within(streams[1].try_next()).await.unwrap().unwrap();
        drop(streams);
        users.close().await;
    })
    .await;
}

/// A server that stops to answer in the midst of a query, as behind a broken network, is given up with its connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_falls_silent_is_given_up() {
    on(&[Kind::Postgres], |db| async move {
        let (url, silence) = postgres::behind_a_network(&db.url).await;
        let users = url.parse::<Database>().unwrap().connections(1).query_limit(LIMIT);
        let users = within(users.open()).await.unwrap();
        make_slow(&db).await;
        let started = Instant::now();
        let unplug = async {
            tokio::time::sleep(LIMIT / 2).await;
            silence.send_replace(());
        };
        let (error, ()) = within(async { tokio::join!(users.get(Uuid::now_v7()), unplug) }).await;
        let took = started.elapsed();
        assert_eq!(error.unwrap_err().code(), Code::Timeout);
        assert!(took > LIMIT * 2 && took < LIMIT + Duration::from_secs(2), "{took:?}");
        let next = ping(&users).await;
        println!("silent after {:?}, given up after {took:?}, the next query took {next:?}", LIMIT / 2);
        users.close().await;
    })
    .await;
}

/// As after a restart of the server. Seen to fail: with `test_before_acquire(false)`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_the_server_ended_fail_no_call() {
    on(&[Kind::Postgres], |db| async move {
        let users = db.open().await;
        let end_all = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity \
                       WHERE datname = current_database() AND pid <> pg_backend_pid()";
        for _ in 0..3 {
            db.execute(end_all).await;
            for _ in 0..10 {
                within(users.ping()).await.unwrap();
            }
        }
        users.close().await;
    })
    .await;
}

/// A row that another transaction holds is waited for no longer than the limit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_waits_for_a_lock_is_cancelled() {
    on(&[Kind::Postgres], |db| async move {
        let users = db.open_narrow(LIMIT).await;
        let mut holder = <sqlx::PgConnection as sqlx::Connection>::connect(&db.url).await.unwrap();
        sqlx::raw_sql("BEGIN; LOCK TABLE users").execute(&mut holder).await.unwrap();
        let batch = crate::support::users(0, 3);
        let error = within(users.insert_batch(&batch)).await.unwrap_err();
        assert!(error.to_string().contains("too long"), "{error:?}");
        assert_eq!(within(users.insert(&batch[0])).await.unwrap_err().code(), Code::Timeout);
        ping(&users).await;
        sqlx::raw_sql("ROLLBACK").execute(&mut holder).await.unwrap();
        within(users.insert_batch(&batch)).await.unwrap();
        users.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_batch_that_takes_too_long_is_not_stored() {
    on(&[Kind::File, Kind::Memory], |db| async move {
        let repository = db.open_narrow(Duration::from_millis(1)).await;
        let error = repository.insert_batch(&users(0, 20_000)).await.unwrap_err();
        assert!(error.to_string().contains("too long"), "{error:?}");
        assert_eq!(repository.get(Uuid::now_v7()).await.unwrap(), None);
        within(repository.insert(&user("ann0@example.com"))).await.unwrap();
        repository.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_server_that_refuses_is_told_at_once() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("postgres://ann:hunter2@127.0.0.1:{port}/users");
    let started = Instant::now();
    let error = within(url.parse::<Database>().unwrap().open()).await.unwrap_err();
    let told = user_service::chain(&error);
    assert!(started.elapsed() < Duration::from_secs(2) && told.contains("refused"), "{told}");
    assert!(error.code() == Code::Unavailable && !told.contains("hunter2"), "{told}");
}

/// Its clock moves on by itself while nothing happens.
#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_is_given_up_after_5_s() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgres://ann@{}/users", silent.local_addr().unwrap());
    let started = tokio::time::Instant::now();
    let error = url.parse::<Database>().unwrap().open().await.unwrap_err();
    assert_eq!((error.code(), started.elapsed().as_secs()), (Code::Unavailable, 5));
}
