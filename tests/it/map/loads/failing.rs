//! Loads that fail, and loads that panic, wherever they can.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Context;

use flowgate::{ConcurrentMap, LoadError, LoadSource, Loaded};
use futures::future::join_all;

use super::{Asking, Map, Source, begin, no_task_is_left};
use crate::support::wakers::Call;
use crate::support::{Gate, on_both_runtimes, promptly, settle, soon, until};

/// Neither `Clone`, `Debug` nor `PartialEq`.
struct Opaque(u32);

/// A value or a key that panics where it is told to.
#[derive(Debug)]
struct Touchy {
    id: u32,
    clone: bool,
    drop: bool,
    eq: Option<Arc<AtomicBool>>,
}

impl Touchy {
    fn calm(id: u32) -> Self {
        Self { id, clone: false, drop: false, eq: None }
    }

    fn uncloneable() -> Self {
        Self { id: 1, clone: true, drop: false, eq: None }
    }

    fn undroppable() -> Self {
        Self { id: 1, clone: false, drop: true, eq: None }
    }
}

impl Clone for Touchy {
    fn clone(&self) -> Self {
        assert!(!self.clone, "a value's Clone");
        Self { id: self.id, clone: self.clone, drop: self.drop, eq: self.eq.clone() }
    }
}

impl Drop for Touchy {
    fn drop(&mut self) {
        assert!(!self.drop || std::thread::panicking(), "a value's Drop");
    }
}

impl PartialEq for Touchy {
    fn eq(&self, other: &Self) -> bool {
        let set = |one: &Self| one.eq.as_ref().is_some_and(|eq| eq.load(Ordering::SeqCst));
        assert!(!set(self) && !set(other), "a key's Eq");
        self.id == other.id
    }
}

impl Eq for Touchy {}

impl Hash for Touchy {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // All in one place, so that they are compared.
        state.write_u32(1);
    }
}

fn panicked<V: std::fmt::Debug>(answer: Result<Loaded<V>, LoadError>) -> String {
    match answer.unwrap_err() {
        LoadError::Panicked(message) => message.to_string(),
        other => panic!("{other:?}"),
    }
}

on_both_runtimes! {
    async fn an_error_is_shared_and_not_stored() {
        let (map, gate, loads) = (Map::new(), Gate::new(), AtomicUsize::new(0));
        let fail = || {
            loads.fetch_add(1, Ordering::SeqCst);
            let gate = gate.clone();
            async move {
                gate.pass().await;
                Err(Opaque(13))
            }
        };
        let all = async {
            tokio::join!(
                map.get_or_try_load(1, fail),
                map.get_or_try_load(1, fail),
                map.get_or_try_load(1, fail),
                async { until("the load is under way", || gate.waiting() == 1).await; gate.open() },
            )
        };
        let (a, b, c, ()) = all.await;
        let errors: Vec<Arc<Opaque>> =
            [a, b, c].into_iter().map(|one| one.err().unwrap().into_failed().unwrap()).collect();
        assert!(errors.iter().all(|error| Arc::ptr_eq(error, &errors[0]) && error.0 == 13));
        // The task of the load hands it over before it ends itself.
        until("nobody else keeps it", || Arc::strong_count(&errors[0]) == 3).await;
        assert_eq!((loads.load(Ordering::SeqCst), map.get(&1)), (1, None));
        let next = map.get_or_try_load(1, || async { Ok::<_, Opaque>(7) }).await.ok().unwrap();
        assert_eq!((next.value, next.source), (7, LoadSource::Load));
        no_task_is_left().await;
    }

    /// Seen to fail: a follower is told that the load was aborted.
    async fn a_follower_with_another_error_type_loads_itself() {
        let (map, gate) = (Map::new(), Gate::new());
        let passing = gate.clone();
        let leader = map.get_or_try_load(1, || async move { passing.pass().await; Err::<u32, _>("text") });
        let follower = map.get_or_try_load(1, || async { Ok::<_, u8>(8) });
        let open = async { until("the load is under way", || gate.waiting() == 1).await; gate.open() };
        let (leader, follower, ()) = tokio::join!(leader, follower, open);
        assert_eq!(leader.unwrap_err().to_string(), "the load failed: text");
        let loaded = follower.unwrap();
        assert_eq!((loaded.value, loaded.source), (8, LoadSource::Load));
        no_task_is_left().await;
    }

    async fn a_value_is_shared_whatever_the_error_type() {
        let (map, gate) = (Map::new(), Gate::new());
        let passing = gate.clone();
        let leader = map.get_or_try_load(1, || async move { passing.pass().await; Ok::<u32, &str>(7) });
        let follower = map.get_or_load(1, || async { 8 });
        let open = async { until("the load is under way", || gate.waiting() == 1).await; gate.open() };
        let (leader, follower, ()) = tokio::join!(leader, follower, open);
        assert_eq!((leader.unwrap().value, follower.unwrap().value), (7, 7));
    }

    async fn a_load_that_panics_tells_all_and_frees_its_key() {
        let (map, source) = (Map::new(), Source::new());
        let gate = source.gate.clone();
        let waiting = join_all((0..4).map(|_| {
            let gate = gate.clone();
            map.get_or_load(1, || async move { gate.pass().await; panic!("out of {}", "paper") })
        }));
        let open = async { until("the load is under way", || gate.waiting() == 1).await; gate.open() };
        let (answers, ()) = tokio::join!(waiting, open);
        for answer in answers {
            assert_eq!(panicked(answer), "out of paper");
        }
        assert_eq!(source.ask(&map, 1, 7).await.unwrap().value, 7);
        no_task_is_left().await;
    }

    async fn a_loader_that_panics_before_its_load_begins_does_the_same() {
        let map = Map::new();
        let loader = || -> std::future::Ready<u32> { panic!("no connection") };
        assert_eq!(panicked(map.get_or_load(1, loader).await), "no connection");
        let odd = || -> std::future::Ready<u32> { std::panic::panic_any(13) };
        assert_eq!(panicked(map.get_or_load(1, odd).await), "its payload is not a text");
        assert_eq!(map.get_or_load(1, || async { 7 }).await.unwrap().value, 7);
        no_task_is_left().await;
    }

    /// Seen to fail: a panic of the spent future counts more than what it returned.
    async fn a_load_that_panics_when_it_is_dropped_is_contained() {
        let map = Map::new();
        // At its end: what it returned stands.
        let local = Touchy::undroppable();
        let load = std::future::poll_fn(move |_| { let _own = &local; std::task::Poll::Ready(7) });
        assert_eq!(map.get_or_load(1, || load).await.unwrap().value, 7);
        // When it is abandoned.
        let local = Touchy::undroppable();
        let load = async move { let _own = local; std::future::pending().await };
        let mut asking: Asking<'_> = Box::pin(map.get_or_load(2, || load));
        begin(&mut asking).await;
        settle().await;
        drop(asking);
        no_task_is_left().await;
        assert_eq!(map.get_or_load(2, || async { 8 }).await.unwrap().value, 8);
    }

    /// Seen to fail: `Clone` is called outside of `contain`.
    async fn a_value_that_cannot_be_cloned_is_a_panic_of_its_load() {
        let map = ConcurrentMap::<u32, Touchy>::new();
        let answer = map.get_or_load(1, || async { Touchy::uncloneable() }).await;
        assert_eq!(panicked(answer), "a value's Clone");
        assert!(map.is_empty());
        assert_eq!(map.get_or_load(1, || async { Touchy::calm(2) }).await.unwrap().value.id, 2);
        no_task_is_left().await;
    }

    /// Seen to fail: the waiters are told before the value is stored.
    async fn a_key_that_cannot_be_compared_when_it_is_stored_is_a_panic_of_its_load() {
        let map = ConcurrentMap::<Touchy, u32>::with_shards(1);
        let (armed, gate) = (Arc::new(AtomicBool::new(false)), Gate::new());
        map.insert(Touchy::calm(1), 1);
        let key = Touchy { id: 2, clone: false, drop: false, eq: Some(armed.clone()) };
        let passing = gate.clone();
        let asking = map.get_or_load(key, || async move { passing.pass().await; 2 });
        let arm = async {
            until("the load is under way", || gate.waiting() == 1).await;
            armed.store(true, Ordering::SeqCst);
            gate.open();
        };
        let (answer, ()) = tokio::join!(asking, arm);
        assert_eq!(panicked(answer), "a key's Eq");
        armed.store(false, Ordering::SeqCst);
        assert_eq!((map.len(), map.get(&Touchy::calm(1))), (1, Some(1)));
        assert_eq!(map.get_or_load(Touchy::calm(2), || async { 3 }).await.unwrap().value, 3);
        no_task_is_left().await;
    }

    async fn a_load_inside_a_closure_of_the_map_is_refused() {
        let map = ConcurrentMap::<u32, u32>::builder().name("users").build().unwrap();
        map.insert(1, 1);
        let there = map.clone();
        let nested = std::panic::AssertUnwindSafe(|| {
            map.update(&1, |_| futures::executor::block_on(there.get_or_load(2, || async { 2 })))
        });
        let payload = std::panic::catch_unwind(nested).unwrap_err();
        let message = payload.downcast_ref::<String>().unwrap();
        assert!(message.contains("\"users\""), "{message}");
        assert_eq!(map.get_or_load(2, || async { 3 }).await.unwrap().value, 3);
    }
}

/// Wakers are the user's: one that calls the map when it is woken or dropped meets no lock, and one that panics keeps
/// nobody else waiting.
///
/// Seen to fail: wakers are woken outside of `contain`.
#[tokio::test(start_paused = true)]
async fn wakers_may_call_the_map_and_panic() {
    let (map, source) = (Map::new(), Source::new());
    let called = Arc::new(AtomicUsize::new(0));
    let (there, counted) = (map.clone(), called.clone());
    let calls = Call::waker(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        assert_eq!(there.get(&1), Some(7), "it is stored before anybody is told");
        panic!("a waker");
    });
    let mut asking: Vec<_> = (0..3).map(|_| source.ask(&map, 1, 7)).collect();
    for one in &mut asking[..2] {
        assert!(one.as_mut().poll(&mut Context::from_waker(&calls)).is_pending());
    }
    begin(&mut asking[2]).await;
    source.gate.open();
    assert_eq!(soon(asking.pop().unwrap()).await.unwrap().value, 7);
    assert_eq!(called.load(Ordering::SeqCst), 2);
    for one in asking {
        assert_eq!(one.await.unwrap().value, 7);
    }
    no_task_is_left().await;
}

/// A loader that blocks on its own key, before it returns a future: it is refused like a load that does.
///
/// Seen to fail: the loader is called outside of its flight's scope; it hangs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loader_that_blocks_on_its_own_key_is_refused() {
    let map = Map::new();
    let blocks = || {
        let inner = futures::executor::block_on(map.get_or_load(1, || async { 1 }));
        assert!(matches!(inner, Err(LoadError::Recursive)));
        async { 7 }
    };
    assert_eq!(promptly(map.get_or_load(1, blocks)).await.unwrap().value, 7);
    no_task_is_left().await;
}

#[test]
fn errors_say_what_happened() {
    let says = |error: LoadError<std::num::ParseIntError>| error.to_string();
    let failed = LoadError::Failed(Arc::new("x".parse::<u32>().unwrap_err()));
    assert_eq!(says(failed.clone()), "the load failed: invalid digit found in string");
    assert_eq!(says(LoadError::Panicked("boom".into())), "the load panicked: boom");
    assert_eq!(says(LoadError::Recursive), "the load that was asked for waits for the one that asked");
    assert_eq!(says(LoadError::Aborted), "the runtime of the load has shut down");
    assert_eq!(says(LoadError::NoRuntime), "a load needs a tokio runtime, and the caller is not inside one");
    assert_eq!(format!("{:?}", LoadError::<u8>::Recursive), "Recursive");
    assert_eq!(format!("{:?}", LoadError::Failed(Arc::new(1))), "Failed(1)");
    assert!(std::error::Error::source(&failed).is_none(), "the message has it already");
    assert!(LoadError::<u8>::Aborted.into_failed().is_none());
}
