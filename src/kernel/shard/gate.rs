//! Which maps the calling thread is inside of.
//!
//! Code of the user runs under a shard's lock. If it called the same map again it would wait for itself whenever it met
//! the same shard, which depends on a random hash: so it is refused every time, whatever the shard.

use crate::shim::thread_local;
use std::cell::{Cell, RefCell};

thread_local! {
    /// The innermost of them, 0 for none. Without a destructor, so that reading it is one load.
    static INNERMOST: Cell<usize> = const { Cell::new(0) };
    /// The others. Used only where the code of one map calls another map.
    static OUTER: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// The calling thread is inside of a map, until this is dropped.
#[derive(Debug)]
pub(crate) struct Inside {
    before: usize,
}

/// The way into a map that the calling thread is not inside of.
#[derive(Debug)]
pub(crate) struct Door {
    before: usize,
}

/// The way into `map`, unless the calling thread is in it already. A map is named by an address of its own, never 0.
#[inline(always)]
pub(crate) fn find(map: usize) -> Option<Door> {
    let before = INNERMOST.with(Cell::get);
    if before != 0 && is_inside(map) {
        return None;
    }
    Some(Door { before })
}

impl Door {
    /// Goes in. Apart from `find` so that nothing is written before the lock is taken, which would have to wait for it.
    #[inline(always)]
    pub(crate) fn enter(self, map: usize) -> Inside {
        if self.before != 0 {
            nest(self.before);
        }
        INNERMOST.with(|innermost| innermost.set(map));
        Inside { before: self.before }
    }
}

/// Whether the calling thread is inside of `map`.
#[cold]
pub(crate) fn is_inside(map: usize) -> bool {
    INNERMOST.with(Cell::get) == map || OUTER.try_with(|outer| outer.borrow().contains(&map)).unwrap_or(false)
}

impl Drop for Inside {
    #[inline(always)]
    fn drop(&mut self) {
        if self.before != 0 {
            unnest();
        }
        INNERMOST.with(|innermost| innermost.set(self.before));
    }
}

/// Remembers `innermost`, as another map is about to take its place.
#[cold]
fn nest(innermost: usize) {
    let _ = OUTER.try_with(|outer| outer.borrow_mut().push(innermost));
}

/// Forgets what `nest` has remembered.
#[cold]
fn unnest() {
    // A thread that is ending has no list any more, and nothing to take out of it.
    let _ = OUTER.try_with(|outer| outer.borrow_mut().pop());
}
