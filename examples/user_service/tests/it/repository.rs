//! The repository's contract, on a file and in memory.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use futures_util::future::join_all;
use tempfile::TempDir;
use user_service::domain::{NewUser, Page, User};
use user_service::error::Code;
use user_service::repository::{Database, UserRepository};
use uuid::Uuid;

fn user(email: &str) -> User {
    NewUser::new("Ann", email).unwrap().into_user()
}

async fn open(url: &str) -> Arc<dyn UserRepository> {
    url.parse::<Database>().unwrap().open().await.unwrap()
}

fn file(dir: &TempDir) -> String {
    format!("sqlite:{}/users.db", dir.path().display())
}

/// Runs a test on each kind of database, from empty.
async fn on_each<F: Future<Output = ()>>(test: impl Fn(Arc<dyn UserRepository>) -> F) {
    let dir = tempfile::tempdir().unwrap();
    for url in [file(&dir), "sqlite::memory:".to_owned()] {
        let repository = open(&url).await;
        test(Arc::clone(&repository)).await;
        repository.close().await;
    }
}

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

/// Polls the future `polls` times, as often as it wakes, and drops it.
async fn drop_after<F: Future + Unpin>(polls: usize, mut future: F) {
    let mut polled = 0;
    poll_fn(|cx| {
        if polled == polls {
            return Poll::Ready(());
        }
        polled += 1;
        Pin::new(&mut future).poll(cx).map(drop)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_calls_give_their_connections_back() {
    on_each(|users| async move {
        for i in 0..100 {
            let user = user(&format!("ann{i}@example.com"));
            drop_after(i % 10, users.insert(&user)).await;
            // Whole or not at all: the same user can be written, unless it was.
            let again = users.insert(&user).await;
            assert!(again.is_ok() || users.get(user.id).await.unwrap() == Some(user), "{again:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_file_outlives_its_repository() {
    let dir = tempfile::tempdir().unwrap();
    let ann = user("ann@example.com");
    let first = open(&file(&dir)).await;
    first.insert(&ann).await.unwrap();
    first.close().await;
    assert_eq!(first.get(ann.id).await.unwrap_err().code(), Code::Unavailable);
    let second = open(&file(&dir)).await;
    assert_eq!(second.get(ann.id).await.unwrap(), Some(ann));
    second.close().await;
}

#[tokio::test]
async fn two_processes_share_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (open(&file(&dir)).await, open(&file(&dir)).await);
    let ann = user("ann@example.com");
    one.insert(&ann).await.unwrap();
    assert_eq!(two.get(ann.id).await.unwrap(), Some(ann));
    one.close().await;
    two.close().await;
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
