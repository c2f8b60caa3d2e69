//! The kernels' shim over loom: every lock operation and every atomic one is a point at which loom may switch threads.

pub(crate) use loom::sync::{Arc as Shared, MutexGuard};

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
