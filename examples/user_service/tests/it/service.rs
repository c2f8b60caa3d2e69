//! The use cases over a repository that does as it is told.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use mockall::predicate::{always, eq};
use user_service::cache::UserCache;
use user_service::domain::{NewUser, Page, User, UserChange};
use user_service::error::{AppError, Code};
use user_service::notify::{FlakyNotifier, Notifications};
use user_service::repository::{BatchError, UserRepository, UserStream};
use user_service::users::Users;
use uuid::Uuid;

use crate::support::{config, user};

mockall::mock! {
    #[derive(Debug)]
    pub(crate) Repository {}

    #[async_trait]
    impl UserRepository for Repository {
        async fn insert(&self, user: &User) -> Result<(), AppError>;
        async fn insert_batch(&self, users: &[User]) -> Result<(), BatchError>;
        async fn get(&self, id: Uuid) -> Result<Option<User>, AppError>;
        async fn list(&self, page: Page) -> Result<Vec<User>, AppError>;
        fn stream(&self, limit: Option<u32>, offset: u32) -> UserStream;
        async fn update(&self, id: Uuid, change: &UserChange, at: DateTime<Utc>) -> Result<Option<User>, AppError>;
        async fn delete(&self, id: Uuid, at: DateTime<Utc>) -> Result<bool, AppError>;
        async fn ping(&self) -> Result<(), AppError>;
        async fn close(&self);
    }
}

/// The use cases over what `expect` makes of a mock. What is not expected panics.
fn over(expect: impl FnOnce(&mut MockRepository)) -> (Users, Notifications) {
    let mut repository = MockRepository::new();
    expect(&mut repository);
    let notifier = FlakyNotifier { latency: Duration::ZERO, fault_rate: 0.0 };
    let notifications = Notifications::new(&config(&[]).notify, Arc::new(notifier)).unwrap();
    let repository: Arc<dyn UserRepository> = Arc::new(repository);
    let cache = UserCache::new(Arc::clone(&repository), &config(&[]).cache).unwrap();
    (Users::new(repository, cache, notifications.clone()), notifications)
}

async fn welcomes(notifications: &Notifications) -> u64 {
    notifications.shutdown(Duration::from_secs(5)).await.unwrap().totals.succeeded
}

fn new() -> NewUser {
    NewUser::new("Ann", "Ann@example.com").unwrap()
}

#[tokio::test]
async fn who_is_stored_is_welcomed() {
    let (users, notifications) = over(|repository| {
        let stored = |user: &User| user.email == "ann@example.com" && user.id.get_version_num() == 7;
        repository.expect_insert().withf(stored).once().returning(|_| Ok(()));
    });
    assert_eq!(users.create(new()).await.unwrap().email, "ann@example.com");
    assert_eq!(welcomes(&notifications).await, 1);
}

#[tokio::test]
async fn who_is_not_stored_is_not_welcomed() {
    for code in [Code::Conflict, Code::Timeout, Code::Unavailable] {
        let (users, notifications) = over(|repository| {
            repository.expect_insert().once().returning(move |_| Err(AppError::new(code, "no")));
        });
        assert_eq!(users.create(new()).await.unwrap_err().code(), code);
        assert_eq!(welcomes(&notifications).await, 0);
    }
}

#[tokio::test]
async fn what_the_repository_does_not_find_is_not_found() {
    let id = Uuid::now_v7();
    let (users, _) = over(|repository| {
        repository.expect_get().with(eq(id)).once().returning(|_| Ok(None));
        repository.expect_update().with(eq(id), always(), always()).once().returning(|_, _, _| Ok(None));
        repository.expect_delete().with(eq(id), always()).once().returning(|_, _| Ok(false));
    });
    let change = UserChange::new(Some("Bea"), None).unwrap();
    assert_eq!(users.get(id).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(users.update(id, &change).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(users.delete(id).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn what_the_repository_finds_is_handed_on_and_so_are_its_errors() {
    let ann = user("ann@example.com");
    let (found, change) = (ann.clone(), UserChange::new(Some("Bea"), None).unwrap());
    let (users, _) = over(|repository| {
        repository.expect_get().once().return_once(move |_| Ok(Some(found)));
        let expected = UserChange::new(Some("Bea"), None).unwrap();
        let update = repository.expect_update().withf(move |_, change, at| *change == expected && *at <= Utc::now());
        update.once().returning(|_, _, _| Err(AppError::new(Code::Conflict, "email: is already taken")));
        repository.expect_delete().once().returning(|_, _| Ok(true));
        repository.expect_list().once().returning(|_| Err(AppError::timeout("57014")));
    });
    assert_eq!(*users.get(ann.id).await.unwrap().0, ann);
    assert_eq!(users.update(ann.id, &change).await.unwrap_err().code(), Code::Conflict);
    users.delete(ann.id).await.unwrap();
    assert_eq!(users.list(Page::new(1, 0).unwrap()).await.unwrap_err().code(), Code::Timeout);
}
