//! The use cases: what the service does with users, whoever asks and wherever they are stored.

use std::sync::Arc;

use uuid::Uuid;

use crate::cache::{Source, UserCache};
use crate::domain::{NewUser, Page, User};
use crate::error::{AppError, Code};
use crate::notify::Notifications;
use crate::repository::UserRepository;

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
    /// `CONFLICT` when the email is taken; `UNAVAILABLE` or `INTERNAL` when the database fails.
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
    /// `NOT_FOUND`; `UNAVAILABLE` or `INTERNAL` when the database fails.
    ///
    /// # Cancel safety
    /// Reads only: safe.
    pub async fn get(&self, id: Uuid) -> Result<(Arc<User>, Source), AppError> {
        let (user, source) = self.cache.get(id).await?;
        let user = user.ok_or_else(|| AppError::new(Code::NotFound, "there is no user of this id"))?;
        Ok((user, source))
    }

    /// One page of users in order of creation.
    ///
    /// # Errors
    /// `UNAVAILABLE` or `INTERNAL` when the database fails.
    ///
    /// # Cancel safety
    /// Reads only: safe.
    pub async fn list(&self, page: Page) -> Result<Vec<User>, AppError> {
        self.repository.list(page).await
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
