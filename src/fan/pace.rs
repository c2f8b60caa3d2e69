//! How many items a branch takes at once.

use crate::kernel::channel::Receiver;
use crate::kernel::pacing::{BATCH, Pacing};
use crate::rt::{Instant, now};

/// How many items a branch takes at once.
#[derive(Debug)]
pub(super) enum Pace {
    /// All that are there: they can go nowhere else.
    All,
    /// One: its place is free at once, and what is not taken may still be evicted.
    One,
    /// As many as are read within a short time, so that a branch does not sit on items that an idle one could have.
    Short(Pacing<Instant>),
}

impl Pace {
    /// Of a branch that competes with others: one item at first.
    pub(super) fn short() -> Self {
        let mut pacing = Pacing::new(BATCH);
        pacing.held();
        Self::Short(pacing)
    }

    /// The branch has read its batch, if it had one, and comes for the next.
    pub(super) fn before<T>(&mut self, receiver: &mut Receiver<T>) {
        match self {
            Self::All => {}
            Self::One => receiver.take_at_most(1),
            Self::Short(pacing) => {
                pacing.done(now);
                receiver.take_at_most(pacing.size());
            }
        }
    }

    /// It has taken a batch.
    pub(super) fn after(&mut self) {
        if let Self::Short(pacing) = self {
            pacing.resume(now);
        }
    }

    /// It has to wait for its next batch: that time is not its own, and its pace is still what it was.
    pub(super) fn waits(&mut self) {
        if let Self::Short(pacing) = self {
            pacing.held();
        }
    }
}
