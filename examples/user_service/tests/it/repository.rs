//! The repository's contract, the same on SQLite in a file and in memory, and on PostgreSQL.

use std::slice::from_ref;
use std::time::Duration;

use futures_util::TryStreamExt;
use futures_util::future::join_all;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};
use user_service::domain::{self, NewUser, Page, User, UserChange};
use user_service::error::Code;
use user_service::repository::{BatchError, Database};
use uuid::Uuid;

use crate::databases::{Kind, on, on_each};
use crate::support::{drop_after, user, users};

#[tokio::test]
async fn what_is_stored_is_read_back_whole() {
    on_each(|users| async move {
        let ann = NewUser::new("Añn 😀 '; DROP TABLE users; --", "ann@example.com").unwrap().into_user();
        users.insert(&ann).await.unwrap();
        assert_eq!(users.get(ann.id).await.unwrap(), Some(ann));
        assert_eq!(users.get(Uuid::now_v7()).await.unwrap(), None);
        users.ping().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_taken_email_is_a_conflict_and_changes_nothing() {
    on_each(|users| async move {
        let (first, second) = (user("ann@example.com"), user("ann@example.com"));
        users.insert(&first).await.unwrap();
        assert_eq!(users.insert(&second).await.unwrap_err().code(), Code::Conflict);
        assert_eq!(users.list(Page::new(100, 0).unwrap()).await.unwrap(), [first]);
    })
    .await;
}

#[tokio::test]
async fn pages_follow_the_order_of_creation() {
    on_each(|users| async move {
        let all: Vec<User> = (0..25).map(|i| user(&format!("ann{i}@example.com"))).collect();
        for user in all.iter().rev() {
            users.insert(user).await.unwrap();
        }
        for (limit, offset) in [(10, 0), (10, 10), (10, 20), (1, 24), (100, 0)] {
            let (from, to) = (offset as usize, (offset + limit).min(25) as usize);
            assert_eq!(users.list(Page::new(limit, offset).unwrap()).await.unwrap(), all[from..to]);
        }
        assert_eq!(users.list(Page::new(10, 25).unwrap()).await.unwrap(), []);
        assert_eq!(users.list(Page::new(10, u32::MAX).unwrap()).await.unwrap(), []);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_writers_lose_nothing() {
    on_each(|users| async move {
        let all: Vec<User> = (0..80).map(|i| user(&format!("ann{i}@example.com"))).collect();
        let written = join_all(all.iter().map(|user| users.insert(user))).await;
        assert!(written.iter().all(Result::is_ok), "{written:?}");
        assert_eq!(users.list(Page::new(100, 0).unwrap()).await.unwrap(), all);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_want_one_email_one_gets_it() {
    on_each(|users| async move {
        let rivals: Vec<User> = (0..40).map(|_| user("ann@example.com")).collect();
        let written = join_all(rivals.iter().map(|user| users.insert(user))).await;
        assert_eq!(written.iter().filter(|result| result.is_ok()).count(), 1);
        assert!(written.iter().filter_map(|result| result.as_ref().err()).all(|e| e.code() == Code::Conflict));
    })
    .await;
}

fn all() -> Page {
    Page::new(100, 0).unwrap()
}

fn change(name: Option<&str>, email: Option<&str>) -> UserChange {
    UserChange::new(name, email).unwrap()
}

#[tokio::test]
async fn a_change_keeps_what_it_does_not_name() {
    on_each(|users| async move {
        let mut ann = user("ann@example.com");
        users.insert(&ann).await.unwrap();
        let changes = [(Some("Bea"), None), (None, Some("bea@example.com")), (Some("Cleo"), Some("cleo@example.com"))];
        for (name, email) in changes {
            ann.name = name.map_or(ann.name, str::to_owned);
            ann.email = email.map_or(ann.email, str::to_owned);
            ann.updated_at = domain::now();
            let changed = users.update(ann.id, &change(name, email), ann.updated_at).await.unwrap();
            assert_eq!((changed, users.get(ann.id).await.unwrap()), (Some(ann.clone()), Some(ann.clone())));
        }
        assert_eq!(users.update(Uuid::now_v7(), &change(Some("X"), None), domain::now()).await.unwrap(), None);
        // To its own email, and to one that is taken.
        let own = change(None, Some("cleo@example.com"));
        assert!(users.update(ann.id, &own, ann.updated_at).await.unwrap().is_some());
        let dan = user("dan@example.com");
        users.insert(&dan).await.unwrap();
        let refused = users.update(ann.id, &change(Some("X"), Some("dan@example.com")), domain::now()).await;
        assert_eq!(refused.unwrap_err().code(), Code::Conflict);
        assert_eq!(users.list(all()).await.unwrap(), [ann, dan]);
    })
    .await;
}

#[tokio::test]
async fn a_deleted_user_is_gone_and_its_email_is_free() {
    on_each(|users| async move {
        let (ann, bob) = (user("ann@example.com"), user("bob@example.com"));
        users.insert(&ann).await.unwrap();
        users.insert(&bob).await.unwrap();
        assert!(users.delete(ann.id, domain::now()).await.unwrap());
        assert!(!users.delete(ann.id, domain::now()).await.unwrap());
        assert!(!users.delete(Uuid::now_v7(), domain::now()).await.unwrap());
        assert_eq!(users.get(ann.id).await.unwrap(), None);
        assert_eq!(users.update(ann.id, &change(Some("X"), None), domain::now()).await.unwrap(), None);
        assert_eq!(users.list(all()).await.unwrap(), from_ref(&bob));
        assert_eq!(users.stream(None, 0).try_collect::<Vec<_>>().await.unwrap(), from_ref(&bob));
        // Free for a new user, who lives and dies beside the deleted one.
        for _ in 0..2 {
            let next = user("ann@example.com");
            users.insert(&next).await.unwrap();
            assert_eq!(users.insert(&user("ann@example.com")).await.unwrap_err().code(), Code::Conflict);
            assert!(users.delete(next.id, domain::now()).await.unwrap());
        }
        users.insert_batch(&[user("ann@example.com")]).await.unwrap();
        let to_taken = change(None, Some("ann@example.com"));
        assert_eq!(users.update(bob.id, &to_taken, domain::now()).await.unwrap_err().code(), Code::Conflict);
    })
    .await;
}

fn taken(result: Result<(), BatchError>) -> Vec<usize> {
    match result {
        Err(BatchError::Taken(places)) => places,
        other => panic!("{other:?}"),
    }
}

/// Seen to fail: with a commit in place of the rollback.
#[tokio::test]
async fn a_batch_is_stored_whole_or_not_at_all() {
    on_each(|repository| async move {
        repository.insert_batch(&[]).await.unwrap();
        repository.insert_batch(&users(0, 3)).await.unwrap();
        // In the way: two of the stored ones, and the second of two alike.
        let batch = [users(10, 2), users(0, 2), users(12, 2), users(13, 2)].concat();
        assert_eq!(taken(repository.insert_batch(&batch).await), [2, 3, 6]);
        assert_eq!(repository.list(all()).await.unwrap().len(), 3);
        let rest: Vec<User> = [0, 1, 4, 5, 7].map(|i| batch[i].clone()).to_vec();
        repository.insert_batch(&rest).await.unwrap();
        assert_eq!(repository.list(all()).await.unwrap().len(), 8);
        // Many at once, and what is in the way comes last.
        let mut many = users(100, 2_000);
        many.push(user("ann0@example.com"));
        assert_eq!(taken(repository.insert_batch(&many).await), [2_000]);
        assert_eq!(repository.list(all()).await.unwrap().len(), 8);
        many.pop();
        repository.insert_batch(&many).await.unwrap();
        assert_eq!(repository.stream(None, 8).try_collect::<Vec<_>>().await.unwrap(), many);
    })
    .await;
}

/// Seen to fail: on PostgreSQL without the order of the rows, as a deadlock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_that_meet_do_not_wait_for_each_other_in_a_circle() {
    on_each(|repository| async move {
        for round in 0..10 {
            let batches = (0..8).map(|i| {
                let mut batch = users(round * 1_000, 400);
                if i % 2 == 0 {
                    batch.reverse();
                }
                batch
            });
            let batches: Vec<_> = batches.collect();
            let stored = join_all(batches.iter().map(|batch| repository.insert_batch(batch))).await;
            assert_eq!(stored.iter().filter(|result| result.is_ok()).count(), 1);
            for refused in stored.into_iter().filter(Result::is_err) {
                assert_eq!(taken(refused).len(), 400);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_stream_gives_users_in_order_of_creation() {
    on_each(|repository| async move {
        let all = users(0, 1_203);
        repository.insert_batch(&all).await.unwrap();
        for (limit, offset) in
            [(None, 0), (None, 1_200), (None, 2_000), (Some(0), 0), (Some(7), 5), (Some(u32::MAX), 1)]
        {
            let found: Vec<User> = repository.stream(limit, offset).try_collect().await.unwrap();
            let (from, most) = ((offset as usize).min(all.len()), limit.map_or(usize::MAX, |limit| limit as usize));
            assert_eq!(found, all[from..][..most.min(all.len() - from)], "{limit:?} {offset}");
        }
    })
    .await;
}

/// Seen to fail: on PostgreSQL with `CLOSE_WHEN_DROPPED` off, where a `BEGIN` without an owner took in what came after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_calls_give_their_connections_back_and_lose_nothing_acknowledged() {
    on(&[Kind::File, Kind::Memory, Kind::Postgres], |db| async move {
        let narrow = db.open_narrow(Duration::from_secs(5)).await;
        let mut acknowledged = Vec::new();
        for i in 0..100 {
            let one = user(&format!("ann{i}@example.com"));
            drop_after(i % 10, narrow.insert(&one)).await;
            // Whole or not at all: the same user can be written, unless it was.
            let again = narrow.insert(&one).await;
            assert!(again.is_ok() || narrow.get(one.id).await.unwrap() == Some(one.clone()), "{again:?}");
            acknowledged.push(one);
            let batch = [user(&format!("bob{i}@example.com")), user(&format!("bea{i}@example.com"))];
            drop_after(i % 20, narrow.insert_batch(&batch)).await;
            let stored = (narrow.get(batch[0].id).await.unwrap(), narrow.get(batch[1].id).await.unwrap());
            assert_eq!(stored.0.is_some(), stored.1.is_some());
            let last = user(&format!("cleo{i}@example.com"));
            narrow.insert(&last).await.unwrap();
            acknowledged.push(last);
        }
        if db.kind == Kind::Memory {
            return narrow.close().await;
        }
        narrow.close().await;
        let fresh = db.open().await;
        for user in acknowledged {
            assert_eq!(fresh.get(user.id).await.unwrap(), Some(user));
        }
        fresh.close().await;
    })
    .await;
}

/// As on a full disk: SQLite ends the transaction, and sqlx does not know.
///
/// Seen to fail: without `is_sound`.
#[tokio::test]
async fn a_transaction_that_the_database_ended_does_not_stop_the_next_one() {
    on(&[Kind::File], |db| async move {
        let repository = db.open().await;
        db.execute(
            "CREATE TRIGGER full BEFORE INSERT ON users WHEN NEW.email = 'full@example.com' \
             BEGIN SELECT RAISE(ROLLBACK, 'as if the disk were full'); END",
        )
        .await;
        for i in 0..3 {
            let batch = [user(&format!("ann{i}@example.com")), user("full@example.com")];
            let failed = repository.insert_batch(&batch).await;
            assert!(matches!(&failed, Err(BatchError::Failed(error)) if error.code() == Code::Internal), "{failed:?}");
            let dropped = [user(&format!("bob{i}@example.com")), user("full@example.com")];
            drop_after(2 + i, repository.insert_batch(&dropped)).await;
            repository.insert_batch(&batch[..1]).await.unwrap();
        }
        assert_eq!(repository.list(all()).await.unwrap().len(), 3);
        repository.close().await;
    })
    .await;
}

#[tokio::test]
async fn users_outlive_their_repository() {
    on(&[Kind::File, Kind::Postgres], |db| async move {
        let ann = user("ann@example.com");
        let first = db.open().await;
        first.insert(&ann).await.unwrap();
        first.close().await;
        assert_eq!(first.get(ann.id).await.unwrap_err().code(), Code::Unavailable);
        let second = db.open().await;
        assert_eq!(second.get(ann.id).await.unwrap(), Some(ann));
        second.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_share_a_database() {
    on(&[Kind::File, Kind::Postgres], |db| async move {
        let (one, two) = tokio::join!(db.open(), db.open());
        let ann = user("ann@example.com");
        one.insert(&ann).await.unwrap();
        assert_eq!(two.get(ann.id).await.unwrap(), Some(ann));
        let (left, right) = (users(0, 40), users(20, 40));
        let left = join_all(left.iter().map(|user| one.insert(user)));
        let right = join_all(right.iter().map(|user| two.insert(user)));
        let (left, right) = tokio::join!(left, right);
        let stored = left.iter().chain(&right).filter(|result| result.is_ok()).count();
        assert_eq!((stored, two.list(all()).await.unwrap().len()), (60, 61));
        one.close().await;
        two.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_file_of_the_first_schema_keeps_its_users() {
    on(&[Kind::File], |db| async move {
        let options = db.url.parse::<SqliteConnectOptions>().unwrap().create_if_missing(true);
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        let mut first = sqlx::migrate!("migrations/sqlite");
        first.migrations.to_mut().truncate(1);
        first.run(&mut connection).await.unwrap();
        let ann = user("ann@example.com");
        let insert = "INSERT INTO users (id, name, email, created_at, updated_at) VALUES (?, ?, ?, ?, ?)";
        let insert = sqlx::query(insert).bind(ann.id).bind(&ann.name).bind(&ann.email).bind(ann.created_at);
        insert.bind(ann.updated_at).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        let users = db.open().await;
        assert_eq!(users.get(ann.id).await.unwrap(), Some(ann));
        users.close().await;
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_opened_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("noise.db"), [7; 4096]).unwrap();
    for name in ["missing/users.db", "noise.db", "."] {
        let url = format!("sqlite:{}/{name}", dir.path().display());
        assert!(url.parse::<Database>().unwrap().open().await.is_err(), "{name}");
    }
}
