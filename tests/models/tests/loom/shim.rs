//! The kernels' shim over loom: every lock operation and every atomic one is a point at which loom may switch threads.

pub(crate) use loom::sync::MutexGuard;
use std::ops::Deref;

/// A reference whose count is looked at.
///
/// The models of the cell, of the inbox and of cells that go round have loom's, for which each change of the count and each
/// look at it is a point at which threads switch. Those of the engine have std's: there the count only says whether the lock
/// of a cell is taken, and these points, at every submission and every handle that is dropped, would make the suite take a
/// fifth longer.
#[derive(Debug)]
pub(crate) enum Shared<T> {
    Seen(loom::sync::Arc<T>),
    Plain(std::sync::Arc<T>),
}

impl<T> Shared<T> {
    pub(crate) fn new(value: T) -> Self {
        Self::Seen(loom::sync::Arc::new(value))
    }

    /// One whose count loom does not see.
    pub(crate) fn plain(value: T) -> Self {
        Self::Plain(std::sync::Arc::new(value))
    }

    pub(crate) fn get_mut(this: &mut Self) -> Option<&mut T> {
        match this {
            Self::Seen(this) => loom::sync::Arc::get_mut(this),
            Self::Plain(this) => std::sync::Arc::get_mut(this),
        }
    }

    pub(crate) fn try_unwrap(this: Self) -> Result<T, Self> {
        match this {
            Self::Seen(this) => loom::sync::Arc::try_unwrap(this).map_err(Self::Seen),
            Self::Plain(this) => std::sync::Arc::try_unwrap(this).map_err(Self::Plain),
        }
    }

    /// At this moment, without a switch of threads.
    pub(crate) fn strong_count(this: &Self) -> usize {
        match this {
            Self::Seen(this) => loom::sync::Arc::strong_count(this),
            Self::Plain(this) => std::sync::Arc::strong_count(this),
        }
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Seen(this) => Self::Seen(this.clone()),
            Self::Plain(this) => Self::Plain(this.clone()),
        }
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Self::Seen(this) => this,
            Self::Plain(this) => this,
        }
    }
}

/// loom's thread-locals, which know no `const` beginnings.
macro_rules! per_thread {
    ($($(#[$meta:meta])* static $name:ident: $type:ty = const { $init:expr };)*) => {
        loom::thread_local! { $($(#[$meta])* static $name: $type = $init;)* }
    };
}
pub(crate) use per_thread as thread_local;

/// loom's lock with the interface of the library's: no poisoning.
#[derive(Debug)]
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().expect("loom's locks are not poisoned")
    }

    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().expect("loom's locks are not poisoned")
    }

    pub(crate) fn into_inner(self) -> T {
        self.0.into_inner().expect("loom's locks are not poisoned")
    }
}

/// Atomics and their orderings.
pub(crate) mod atomic {
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    /// loom's word, whose stores are swaps.
    ///
    /// loom keeps a partial order of what is written to a word: a read-modify-write may read what a store of another thread
    /// has overwritten, and still be seen after it, which no machine does. A chain of swaps has one order. What that hides is
    /// little: a store that others do not see yet is, to them, one that has not been executed.
    #[derive(Debug)]
    pub(crate) struct AtomicU64(loom::sync::atomic::AtomicU64);

    impl AtomicU64 {
        pub(crate) fn new(value: u64) -> Self {
            Self(loom::sync::atomic::AtomicU64::new(value))
        }

        pub(crate) fn load(&self, order: Ordering) -> u64 {
            self.0.load(order)
        }

        pub(crate) fn store(&self, value: u64, order: Ordering) {
            self.0.swap(value, order);
        }

        pub(crate) fn fetch_or(&self, value: u64, order: Ordering) -> u64 {
            self.0.fetch_or(value, order)
        }

        pub(crate) fn fetch_and(&self, value: u64, order: Ordering) -> u64 {
            self.0.fetch_and(value, order)
        }

        pub(crate) fn fetch_update(
            &self,
            set: Ordering,
            fetch: Ordering,
            update: impl FnMut(u64) -> Option<u64>,
        ) -> Result<u64, u64> {
            self.0.fetch_update(set, fetch, update)
        }
    }
}

pub(crate) use std::thread::panicking;
