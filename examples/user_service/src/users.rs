//! The use cases: what the service does with users, whoever asks and wherever they are stored.

use std::sync::Arc;

use uuid::Uuid;

use crate::cache::{Source, UserCache};
use crate::domain::{self, NewUser, Page, User, UserChange};
use crate::error::{AppError, Code};
use crate::notify::Notifications;
use crate::repository::{UserRepository, UserStream};

/// The use cases over one repository. A clone works on the same one.
#[derive(Clone, Debug)]
pub struct Users {
    repository: Arc<dyn UserRepository>,
    cache: UserCache,
    notifications: Notifications,
}

impl Users {
    /// Use cases over `repository` that read users through `cache` and announce new ones through `notifications`.
    #[must_use]
    pub fn new(repository: Arc<dyn UserRepository>, cache: UserCache, notifications: Notifications) -> Self {
        Self { repository, cache, notifications }
    }

    /// Stores a new user and hands the welcome to the notifications, which may refuse it: the user stays.
    ///
    /// # Errors
    /// `CONFLICT` when the email is taken; `TIMEOUT`, `UNAVAILABLE` or `INTERNAL` when the database fails.
    ///
    /// # Cancel safety
    /// Dropped before the commit, nothing is stored. Dropped between the commit and its answer, the user is
    /// stored without a welcome, and nobody was told that it exists.
    pub async fn create(&self, new: NewUser) -> Result<User, AppError> {
        let user = new.into_user();
        self.cache.write(user.id, self.repository.insert(&user)).await?;
        self.notifications.welcome(&user);
        Ok(user)
    }

    /// The user of this id, and whether the cache had it.
    ///
    /// # Errors
    /// `NOT_FOUND`; `TIMEOUT`, `UNAVAILABLE` or `INTERNAL` when the database fails.
    ///
    /// # Cancel safety
    /// Reads only: safe.
    pub async fn get(&self, id: Uuid) -> Result<(Arc<User>, Source), AppError> {
        let (user, source) = self.cache.get(id).await?;
        Ok((user.ok_or_else(not_found)?, source))
    }

    /// One page of users in order of creation.
    ///
    /// # Errors
    /// `TIMEOUT`, `UNAVAILABLE` or `INTERNAL` when the database fails.
    ///
    /// # Cancel safety
    /// Reads only: safe.
    pub async fn list(&self, page: Page) -> Result<Vec<User>, AppError> {
        self.repository.list(page).await
    }

    /// Users in order of creation, as the database finds them: `limit` of them, all where it is `None`, after the
    /// first `offset`. Dropped, the stream stops its query.
    ///
    /// # Errors
    /// The stream ends with `TIMEOUT`, `UNAVAILABLE` or `INTERNAL` when the database fails.
    #[must_use]
    pub fn stream(&self, limit: Option<u32>, offset: u32) -> UserStream {
        self.repository.stream(limit, offset)
    }

    /// Changes a user.
    ///
    /// # Errors
    /// `NOT_FOUND`; `CONFLICT` when the new email is taken; `TIMEOUT`, `UNAVAILABLE` or `INTERNAL` when the database fails.
    ///
    /// # Cancel safety
    /// The change is stored whole or not at all.
    pub async fn update(&self, id: Uuid, change: &UserChange) -> Result<User, AppError> {
        let user = self.cache.write(id, self.repository.update(id, change, domain::now())).await?;
        user.ok_or_else(not_found)
    }

    /// Deletes a user: nobody finds it from now on, and its email is free.
    ///
    /// # Errors
    /// `NOT_FOUND`, also when it was deleted before; `TIMEOUT`, `UNAVAILABLE` or `INTERNAL` when the database fails.
    ///
    /// # Cancel safety
    /// The user is deleted or not; again, it is deleted or `NOT_FOUND`.
    pub async fn delete(&self, id: Uuid) -> Result<(), AppError> {
        let deleted = self.cache.write(id, self.repository.delete(id, domain::now())).await?;
        if deleted { Ok(()) } else { Err(not_found()) }
    }

    /// Asks the database for a sign of life.
    ///
    /// # Errors
    /// `UNAVAILABLE` or `INTERNAL` when it gives none.
    ///
    /// # Cancel safety
    /// Reads only: safe.
    pub async fn ping(&self) -> Result<(), AppError> {
        self.repository.ping().await
    }
}

fn not_found() -> AppError {
    AppError::new(Code::NotFound, "there is no user of this id")
}
