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

/// Goes into `map`, unless the calling thread is in it already. A map is named by an address of its own, never 0.
#[inline(always)]
pub(crate) fn enter(map: usize) -> Option<Inside> {
    INNERMOST.with(|innermost| {
        let before = innermost.get();
        if before != 0 && !nest(before, map) {
            return None;
        }
        innermost.set(map);
        Some(Inside { before })
    })
}

/// Whether the calling thread is inside of `map`.
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

/// Remembers `innermost`, as `map` is about to take its place; false if `map` is among those already.
#[cold]
fn nest(innermost: usize, map: usize) -> bool {
    if is_inside(map) {
        return false;
    }
    let _ = OUTER.try_with(|outer| outer.borrow_mut().push(innermost));
    true
}

/// Forgets what `nest` has remembered.
#[cold]
fn unnest() {
    // A thread that is ending has no list any more, and nothing to take out of it.
    let _ = OUTER.try_with(|outer| outer.borrow_mut().pop());
}
