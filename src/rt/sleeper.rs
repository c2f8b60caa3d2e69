//! Waits with an end where there is no runtime to end them.

use super::{Instant, now, park, spawn_thread};
use crate::shim::Mutex;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant as Moment};

/// Wakes tasks of foreign executors at a moment. Its one thread exists only while somebody waits.
#[derive(Debug)]
pub(crate) struct Sleeper {
    name: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By moment, then in the order in which they came.
    sleeps: BTreeMap<(Moment, u64), Waker>,
    next: u64,
    /// Wakes the thread, if there is one.
    thread: Option<Waker>,
    /// A thread is being started, or looks before it sleeps.
    awake: bool,
}

impl Sleeper {
    /// Its thread will be called `name`.
    pub(super) fn new(name: String) -> Arc<Self> {
        Arc::new(Self { name, state: Mutex::default() })
    }

    /// A future that is ready at `deadline`.
    pub(super) fn sleep_until(self: &Arc<Self>, deadline: Instant) -> ThreadSleep {
        let left = deadline.saturating_duration_since(now());
        ThreadSleep { sleeper: self.clone(), until: moment_after(left), entry: None }
    }

    /// Has `waker` woken at `until`.
    fn enter(self: &Arc<Self>, until: Moment, waker: Waker) -> (Moment, u64) {
        let mut state = self.state.lock();
        let key = (until, state.next);
        state.next += 1;
        let earliest = state.sleeps.first_key_value().is_none_or(|(first, _)| key < *first);
        state.sleeps.insert(key, waker);
        let (wake, start) = if state.awake || !earliest {
            (None, false)
        } else {
            state.awake = true;
            let thread = state.thread.take();
            let start = thread.is_none();
            (thread, start)
        };
        drop(state);
        if let Some(thread) = wake {
            thread.wake();
        }
        if start {
            self.start();
        }
        key
    }

    fn start(self: &Arc<Self>) {
        let sleeper = self.clone();
        if spawn_thread(&self.name, move || sleeper.run()).is_err() {
            // Whoever waits is woken now and comes back: a wait that polls is better than one that never ends.
            let woken = {
                let mut state = self.state.lock();
                state.awake = false;
                std::mem::take(&mut state.sleeps)
            };
            woken.into_values().for_each(crate::contain::wake);
        }
    }

    fn run(&self) {
        loop {
            let mut due = Vec::new();
            let until = {
                let mut state = self.state.lock();
                let now = Moment::now();
                while let Some(first) = state.sleeps.first_entry().filter(|first| first.key().0 <= now) {
                    due.push(first.remove());
                }
                let until = state.sleeps.first_key_value().map(|((until, _), _)| *until);
                state.awake = !due.is_empty();
                if due.is_empty() {
                    state.thread = until.is_some().then(park::thread_waker);
                }
                until
            };
            if due.is_empty() {
                match until {
                    None => return,
                    until => park::park_until(until),
                }
            }
            due.into_iter().for_each(crate::contain::wake);
        }
    }
}

/// `left` from now; far away, if there is no such moment.
pub(super) fn moment_after(left: Duration) -> Moment {
    const FAR: Duration = Duration::from_secs(86_400 * 365 * 30);
    let now = Moment::now();
    now.checked_add(left).unwrap_or(now + FAR)
}

/// Ready at a moment of the system's clock.
#[derive(Debug)]
pub(crate) struct ThreadSleep {
    sleeper: Arc<Sleeper>,
    until: Moment,
    entry: Option<(Moment, u64)>,
}

impl ThreadSleep {
    fn forget(&mut self) {
        let Some(key) = self.entry.take() else { return };
        let mut state = self.sleeper.state.lock();
        let waker = state.sleeps.remove(&key);
        // The last to go takes the thread along.
        let thread = if state.sleeps.is_empty() { state.thread.take() } else { None };
        state.awake |= thread.is_some();
        drop(state);
        crate::contain::discard(waker);
        if let Some(thread) = thread {
            thread.wake();
        }
    }
}

impl Future for ThreadSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.forget();
        if Moment::now() >= self.until {
            return Poll::Ready(());
        }
        if !park::wake_at(cx.waker(), self.until) {
            let entry = self.sleeper.enter(self.until, cx.waker().clone());
            self.entry = Some(entry);
        }
        Poll::Pending
    }
}

impl Drop for ThreadSleep {
    fn drop(&mut self) {
        self.forget();
    }
}
