//! A repository in a map, whose queries are counted and can be held up, fail or panic.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::{StreamExt, stream};
use tokio::sync::Semaphore;
use user_service::AppError;
use user_service::domain::{NewUser, Page, User, UserChange};
use user_service::repository::{BatchError, UserRepository, UserStream};
use uuid::Uuid;

/// What the next queries for one user, or batches of them, do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Well,
    Failing,
    Panicking,
}

#[derive(Clone, Debug)]
pub(crate) struct Stub(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    users: Mutex<HashMap<Uuid, User>>,
    mood: Mutex<Mood>,
    queries: AtomicU64,
    gate: Semaphore,
}

impl Stub {
    /// Answers at once.
    pub(crate) fn new() -> Self {
        let stub = Self::held();
        stub.release();
        stub
    }

    /// Reads at once, and answers when released.
    pub(crate) fn held() -> Self {
        let (users, mood, gate) = (Mutex::default(), Mutex::new(Mood::Well), Semaphore::new(0));
        Self(Arc::new(Inner { users, mood, queries: AtomicU64::new(0), gate }))
    }

    /// Lets all queries answer from now on.
    pub(crate) fn release(&self) {
        self.0.gate.add_permits(Semaphore::MAX_PERMITS / 2);
    }

    /// Lets one query answer.
    pub(crate) fn release_one(&self) {
        self.0.gate.add_permits(1);
    }

    pub(crate) fn set_mood(&self, mood: Mood) {
        *self.0.mood.lock().unwrap() = mood;
    }

    /// Stores a user under its id, whatever was there.
    pub(crate) fn put(&self, user: &User) {
        self.0.users.lock().unwrap().insert(user.id, user.clone());
    }

    /// Stores a new user.
    pub(crate) fn add(&self, name: &str) -> User {
        let user = NewUser::new(name, "ann@example.com").unwrap().into_user();
        self.put(&user);
        user
    }

    /// How many users are stored.
    pub(crate) fn len(&self) -> usize {
        self.0.users.lock().unwrap().len()
    }

    /// How many queries for one user have begun.
    pub(crate) fn queries(&self) -> u64 {
        self.0.queries.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl UserRepository for Stub {
    async fn insert(&self, user: &User) -> Result<(), AppError> {
        self.put(user);
        Ok(())
    }

    async fn get(&self, id: Uuid) -> Result<Option<User>, AppError> {
        let seen = self.0.users.lock().unwrap().get(&id).cloned();
        self.0.queries.fetch_add(1, Ordering::SeqCst);
        self.0.gate.acquire().await.unwrap().forget();
        let mood = *self.0.mood.lock().unwrap();
        match mood {
            Mood::Well => Ok(seen),
            Mood::Failing => Err(AppError::unavailable("secret: the disk is full")),
            Mood::Panicking => panic!("the repository panics"),
        }
    }

    async fn list(&self, _: Page) -> Result<Vec<User>, AppError> {
        Ok(self.0.users.lock().unwrap().values().cloned().collect())
    }

    async fn insert_batch(&self, users: &[User]) -> Result<(), BatchError> {
        self.0.gate.acquire().await.unwrap().forget();
        let mood = *self.0.mood.lock().unwrap();
        match mood {
            Mood::Well => {}
            Mood::Failing => return Err(AppError::unavailable("secret: the disk is full").into()),
            Mood::Panicking => panic!("the repository panics"),
        }
        users.iter().for_each(|user| self.put(user));
        Ok(())
    }

    fn stream(&self, _: Option<u32>, _: u32) -> UserStream {
        let users: Vec<_> = self.0.users.lock().unwrap().values().cloned().map(Ok).collect();
        stream::iter(users).boxed()
    }

    async fn update(&self, id: Uuid, change: &UserChange, at: DateTime<Utc>) -> Result<Option<User>, AppError> {
        let mut users = self.0.users.lock().unwrap();
        let Some(user) = users.get_mut(&id) else { return Ok(None) };
        user.name = change.name().unwrap_or(&user.name).to_owned();
        user.email = change.email().unwrap_or(&user.email).to_owned();
        user.updated_at = at;
        Ok(Some(user.clone()))
    }

    async fn delete(&self, id: Uuid, _: DateTime<Utc>) -> Result<bool, AppError> {
        Ok(self.0.users.lock().unwrap().remove(&id).is_some())
    }

    async fn ping(&self) -> Result<(), AppError> {
        Ok(())
    }

    async fn close(&self) {}
}
