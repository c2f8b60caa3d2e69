//! How many items a branch takes at once.

use crate::kernel::channel::Receiver;
use crate::rt::{Instant, now};
use std::time::Duration;

/// A batch that is read within this time has short work, and the next may be larger.
const SHORT: Duration = Duration::from_micros(100);

/// The most that a competing branch takes at once.
const MOST: usize = 64;

/// How many items a branch takes at once.
#[derive(Debug)]
pub(super) enum Pace {
    /// All that are there: they can go nowhere else.
    All,
    /// One: its place is free at once, and what is not taken may still be evicted.
    One,
    /// As many as are read within a short time, so that a branch does not sit on items that an idle one could have.
    Short { most: usize, since: Option<Instant> },
}

impl Pace {
    /// Of a branch that competes with others: one item at first.
    pub(super) fn short() -> Self {
        Self::Short { most: 1, since: None }
    }

    /// The branch has read its batch, if it had one, and comes for the next.
    pub(super) fn before<T>(&mut self, receiver: &mut Receiver<T>) {
        match self {
            Self::All => {}
            Self::One => receiver.take_at_most(1),
            Self::Short { most, since } => {
                let Some(before) = since else { return receiver.take_at_most(*most) };
                let now = now();
                *most = if now.saturating_duration_since(*before) <= SHORT { (*most * 2).min(MOST) } else { 1 };
                *before = now;
                receiver.take_at_most(*most);
            }
        }
    }

    /// It has taken a batch.
    pub(super) fn after(&mut self) {
        if let Self::Short { since: since @ None, .. } = self {
            *since = Some(now());
        }
    }

    /// It has to wait for its next batch: that time is not its own.
    pub(super) fn waits(&mut self) {
        if let Self::Short { since, .. } = self {
            *since = None;
        }
    }
}
