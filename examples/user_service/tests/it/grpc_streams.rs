//! `ListUsers`: straight from the database's cursor, as fast as the client reads and no further; and the way down.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use tonic::{Code, Streaming};
use user_service::proto::{ListUsersRequest, User};
use uuid::Uuid;

use crate::databases::{Kind, on};
use crate::grpc::{Client, client, id};
use crate::service::MockRepository;
use crate::support::{App, config, until, user, users, within};

const ALL: ListUsersRequest = ListUsersRequest { limit: None, offset: 0 };

/// Opens the stream and reads the first of it.
async fn begin(users: &mut Client) -> Streaming<User> {
    let mut list = within(users.list_users(ALL)).await.unwrap().into_inner();
    assert!(within(list.message()).await.unwrap().is_some());
    list
}

#[tokio::test]
async fn a_client_that_is_gone_frees_the_connection() {
    on(&[Kind::File, Kind::Postgres], |db| async move {
        let repository = db.open().await;
        for first in (0..20_000).step_by(500) {
            repository.insert_batch(&users(first, 500)).await.unwrap();
        }
        repository.close().await;
        let mut config = config(&[]);
        config.database = db.database().connections(1);
        let app = App::start(config).await;
        let mut users = client(&app).await;
        let list = begin(&mut users).await;
        // The one connection for reading is in use.
        let mut other = users.clone();
        let mut get = tokio::spawn(async move { other.get_user(id(Uuid::nil())).await });
        assert!(tokio::time::timeout(Duration::from_millis(300), &mut get).await.is_err(), "it waits");
        drop(list);
        assert_eq!(within(get).await.unwrap().unwrap_err().code(), Code::NotFound);
        // Again and again: no connection is lost on the way.
        for _ in 0..20 {
            drop(begin(&mut users).await);
        }
        let all = within(users.list_users(ALL)).await.unwrap().into_inner();
        assert_eq!(within(all.map(Result::unwrap).count()).await, 20_000);
        app.must_be_well().await;
    })
    .await;
}

/// Users without end: how many were asked for, and how many streams are open.
#[derive(Clone, Default)]
struct Endless {
    taken: Arc<AtomicUsize>,
    open: Arc<()>,
}

impl Endless {
    fn repository(&self) -> MockRepository {
        let mut repository = MockRepository::new();
        let (taken, open) = (Arc::clone(&self.taken), Arc::clone(&self.open));
        repository.expect_stream().returning(move |_, _| {
            let (taken, open) = (Arc::clone(&taken), Arc::clone(&open));
            let one = user("ann@example.com");
            let next = move || {
                let _ = &open;
                taken.fetch_add(1, Ordering::SeqCst);
                Ok(one.clone())
            };
            // Gives way now and then, as a database does.
            stream::repeat_with(next)
                .then(|user| async {
                    tokio::task::consume_budget().await;
                    user
                })
                .boxed()
        });
        repository.expect_ping().returning(|| Ok(()));
        repository.expect_close().returning(|| ());
        repository
    }

    fn taken(&self) -> usize {
        self.taken.load(Ordering::SeqCst)
    }

    fn is_open(&self) -> bool {
        // This one, and the repository's.
        Arc::strong_count(&self.open) > 2
    }

    /// Waits until nothing more is asked for.
    async fn until_it_rests(&self) {
        let mut before = usize::MAX;
        until(|| {
            let rests = self.taken() == std::mem::replace(&mut before, self.taken());
            async move {
                tokio::time::sleep(Duration::from_millis(50)).await;
                rests
            }
        })
        .await;
    }
}

/// The client of these tests lets 2 MiB come before it reads, which is about 23,000 users. So many are more than that,
/// and little to hold.
const FEW: usize = 40_000;

/// Seen to fail: with a million places between the query and the client, a million users are read.
#[tokio::test]
async fn a_slow_reader_holds_the_query_back_and_a_dropped_one_ends_it() {
    let endless = Endless::default();
    let app = App::over(config(&[]), endless.repository()).await;
    let mut users = client(&app).await;
    let mut list = begin(&mut users).await;
    endless.until_it_rests().await;
    let ahead = endless.taken();
    assert!(ahead < FEW, "{ahead} users read ahead of a client that does not read");
    for _ in 0..100_000 {
        within(list.message()).await.unwrap().unwrap();
    }
    endless.until_it_rests().await;
    assert!(endless.taken() < 100_000 + FEW && endless.taken() > 100_000, "{}", endless.taken());
    assert!(endless.is_open());
    drop(list);
    until(|| async { !endless.is_open() }).await;
    app.must_be_well().await;
}

/// Seen to fail: with a million places, the query never notices.
#[tokio::test]
async fn a_reader_that_stands_still_loses_its_query() {
    let endless = Endless::default();
    let mut config = config(&[]);
    config.grpc.write_timeout = Duration::from_millis(200);
    let app = App::over(config, endless.repository()).await;
    let mut users = client(&app).await;
    let mut list = begin(&mut users).await;
    until(|| async { !endless.is_open() }).await;
    // What was on its way arrives, and then the reason.
    let end = within(async {
        loop {
            match list.message().await {
                Ok(user) => assert!(user.is_some()),
                Err(status) => break status,
            }
        }
    });
    assert_eq!(end.await.code(), Code::Aborted);
    app.must_be_well().await;
}

#[tokio::test]
async fn on_the_way_down_streams_have_half_of_the_time() {
    let endless = Endless::default();
    let app = App::over(config(&["--shutdown-seconds=2"]), endless.repository()).await;
    let mut users = client(&app).await;
    let mut list = begin(&mut users).await;
    let started = Instant::now();
    let running = app.begin_stop();
    let end = within(async {
        loop {
            match list.message().await {
                Ok(user) => assert!(user.is_some()),
                Err(status) => break status,
            }
        }
    });
    assert_eq!(end.await.code(), Code::Unavailable);
    assert!(started.elapsed() >= Duration::from_millis(900), "{:?}", started.elapsed());
    let outcome = within(running).await.unwrap();
    assert!(outcome.is_clean(), "{outcome}");
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_reader_that_stands_still_is_cut_at_the_deadline_and_that_is_told() {
    let endless = Endless::default();
    let app = App::over(config(&["--shutdown-seconds=1"]), endless.repository()).await;
    let mut users = client(&app).await;
    let list = begin(&mut users).await;
    endless.until_it_rests().await;
    let outcome = within(app.begin_stop()).await.unwrap();
    assert_eq!(outcome.cut_connections, 1, "{outcome}");
    assert!(!outcome.is_clean());
    assert!(!endless.is_open());
    drop(list);
}
