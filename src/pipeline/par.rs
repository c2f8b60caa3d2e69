//! How much a stage does at once.

use super::plan::{Kind, Plan};
use crate::pool::Order;
use std::fmt;

/// How many items a stage works on at once, in which order it hands them on, and how many it may hold.
///
/// ```
/// use flowgate::Par;
///
/// // 8 at once; up to 64 taken in and not handed on, so that one slow item does not stop the others.
/// let par = Par::ordered(8).window(64);
/// assert_eq!(par.to_string(), "ordered(8), window 64");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Par {
    pub(super) order: Order,
    pub(super) parallelism: usize,
    window: Option<usize>,
    pub(super) per_key: Option<usize>,
}

impl Par {
    /// Hands on in the order of the input; `n` at once.
    pub const fn ordered(n: usize) -> Self {
        Self { order: Order::Ordered, parallelism: n, window: None, per_key: None }
    }

    /// Hands on as they come; `n` at once.
    pub const fn unordered(n: usize) -> Self {
        Self { order: Order::Unordered, parallelism: n, window: None, per_key: None }
    }

    /// How many items the stage may have taken in and not handed on, `n` or more: those that run, those that wait for a
    /// worker, for another attempt or for an item before them, and those that are done and not taken by the next stage.
    /// Twice the parallelism, if this is not called. It is also the most that the parallelism may be
    /// [set to](super::StageControl::set_parallelism) later.
    pub const fn window(mut self, items: usize) -> Self {
        self.window = Some(items);
        self
    }

    /// How many items of one key a [keyed](super::Pipeline::map_keyed) stage may hold, 1 to the window, which is the
    /// default. The input waits while its next item is of a key that has so many.
    pub const fn per_key(mut self, items: usize) -> Self {
        self.per_key = Some(items);
        self
    }

    /// The window that holds.
    pub(super) fn held(&self) -> usize {
        self.window.unwrap_or(self.parallelism.saturating_mul(2)).min(MOST)
    }

    /// Says what is wrong.
    pub(super) fn check(&self, plan: &mut Plan, kind: Kind, keyed: bool) {
        let n = self.parallelism;
        if !(1..=MOST_AT_ONCE).contains(&n) {
            plan.refuse(kind, "parallelism", n, format!("1 to {MOST_AT_ONCE}"));
            return;
        }
        match self.window {
            Some(window) if !(n..=MOST).contains(&window) => {
                plan.refuse(kind, "window", window, format!("{n}, the parallelism, to {MOST}"));
            }
            _ => {}
        }
        match self.per_key {
            Some(_) if !keyed => plan.refuse(kind, "per_key", "set", "set on a keyed stage only"),
            Some(items) if !(1..=self.held()).contains(&items) => {
                plan.refuse(kind, "per_key", items, format!("1 to {}, the window", self.held()));
            }
            _ => {}
        }
    }
}

/// As many as a pool has slots.
const MOST_AT_ONCE: usize = 1 << 20;
/// As many as a pool holds.
const MOST: usize = 1 << 30;

impl fmt::Display for Par {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = match self.order {
            Order::Ordered => "ordered",
            Order::Unordered => "unordered",
        };
        write!(f, "{order}({}), window {}", self.parallelism, self.held())?;
        match self.per_key {
            Some(items) => write!(f, ", {items} a key"),
            None => Ok(()),
        }
    }
}
