//! Asking for a value: the future that callers hold.
//!
//! Written out, and not an `async fn`: that would keep the loader three times, and callers hold many of these.

use super::super::inner::Inner;
use super::error::{LoadError, LoadSource, Loaded};
use super::scope;
use super::task::{self, Landing};
use super::waiter::Waiter;
use super::{Flight, Load, Shared};
use crate::contain::contain;
use crate::kernel::waits::FlightId;
use crate::rt::Runtime;
use crate::shim::atomic::{AtomicU64, Ordering};
use std::future::Future;
use std::hash::{BuildHasher, Hash};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// A caller that asks for a value.
pub(super) struct Ask<'a, K, V, S, F, Fut: Future, E> {
    /// The seat in a flight. Declared first, and so given up before anything of the user's is dropped.
    waiter: Option<Waiter<V>>,
    map: &'a Arc<Inner<K, V, S>>,
    /// `None` once the caller leads a flight, or has its answer.
    question: Option<Question<K, F>>,
    /// Turns what the loader's future returns into a result. The future itself is not wrapped, so that a panic of its
    /// `Drop` comes after what it returned.
    read: fn(Fut::Output) -> Result<V, E>,
}

struct Question<K, F> {
    key: K,
    /// `None` until the first poll.
    hash: Option<u64>,
    loader: F,
}

/// Nothing of it is pinned.
impl<K, V, S, F, Fut: Future, E> Unpin for Ask<'_, K, V, S, F, Fut, E> {}

impl<'a, K, V, S, F, Fut: Future, E> Ask<'a, K, V, S, F, Fut, E> {
    pub(super) fn new(map: &'a Arc<Inner<K, V, S>>, key: K, loader: F, read: fn(Fut::Output) -> Result<V, E>) -> Self {
        Self { waiter: None, map, question: Some(Question { key, hash: None, loader }), read }
    }
}

impl<K, V, S, F, Fut, E> Future for Ask<'_, K, V, S, F, Fut, E>
where
    K: Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
    S: BuildHasher + Send + Sync + 'static,
    F: FnOnce() -> Fut,
    Fut: Future + Send + 'static,
    Fut::Output: Send,
    E: Send + Sync + 'static,
{
    type Output = Result<Loaded<V>, LoadError<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            if let Some(waiter) = &mut this.waiter {
                let answer = ready!(Pin::new(waiter).poll(cx));
                this.waiter = None;
                let Ok(outcome) = answer else { return Poll::Ready(Err(LoadError::Recursive)) };
                let source = if this.question.is_none() { LoadSource::Load } else { LoadSource::Shared };
                // A follower of a load that brings it nothing makes its own.
                if let Some(read) = outcome.read(source) {
                    this.question = None;
                    return Poll::Ready(read);
                }
            }
            let question = this.question.take().expect("a load that has given its answer is not polled again");
            match question.look_up(this.map) {
                Found::Value(value) => return Poll::Ready(Ok(Loaded { value, source: LoadSource::Hit })),
                Found::NoRuntime => return Poll::Ready(Err(LoadError::NoRuntime)),
                Found::Led(led, loader) => {
                    this.waiter = Some(led.waiter);
                    match scope::within(led.landing.id(), || contain(loader)) {
                        Ok(load) => led.runtime.spawn(task::run(led.landing, load, this.read)),
                        Err(payload) => led.landing.panicked(payload),
                    }
                }
                Found::Followed(waiter, question) => {
                    this.waiter = Some(waiter);
                    this.question = Some(question);
                }
            }
        }
    }
}

/// What a look-up finds.
enum Found<K, V, S, F> {
    Value(V),
    /// The load is somebody else's.
    Followed(Waiter<V>, Question<K, F>),
    /// The load is the caller's to start.
    Led(Led<K, V, S>, F),
    NoRuntime,
}

/// A flight that was just entered into its shard.
struct Led<K, V, S> {
    waiter: Waiter<V>,
    landing: Landing<K, V, S>,
    runtime: Runtime,
}

impl<K: Eq + Hash, F> Question<K, F> {
    /// The value, or a seat in the flight that loads it, which may be a new one.
    fn look_up<V, S>(self, map: &Arc<Inner<K, V, S>>) -> Found<K, V, S, F>
    where
        V: Clone + Send + Sync + 'static,
        S: BuildHasher,
    {
        map.expect_outside();
        let hash = self.hash.unwrap_or_else(|| map.hash(&self.key));
        // Declared before the lock, and so dropped after it.
        let abandoned;
        let Self { key, loader, .. } = self;
        let mut lock = map.lock(hash);
        if let Some((_, value)) = lock.get(hash, |other| *other == key, || map.now()) {
            return Found::Value(value.clone());
        }
        let known = lock.flight(hash, |other| *other == key).and_then(Flight::load);
        if let Some(load) = &known {
            if let Some(seat) = load.shared.join() {
                return Found::Followed(Waiter::new(load.clone(), seat), Question { key, hash: Some(hash), loader });
            }
        }
        abandoned = known.and_then(|load| lock.end(hash, |flight| flight.is(&load)));
        let Some(runtime) = Runtime::current() else { return Found::NoRuntime };
        let (shared, leader) = Shared::new();
        let load = Arc::new(Load { id: next_id(), shared });
        lock.begin(hash, key, Flight::new(load.clone()));
        // From here on the flight has its landing.
        let landing = Landing::new(map, load.clone(), hash);
        drop(lock);
        drop(abandoned);
        Found::Led(Led { waiter: Waiter::new(load, leader), landing, runtime }, loader)
    }
}

/// A name for a flight.
fn next_id() -> FlightId {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    // Ordering: Relaxed. The numbers only have to differ.
    NEXT.fetch_add(1, Ordering::Relaxed)
}
