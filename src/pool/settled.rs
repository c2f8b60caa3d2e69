//! Jobs that a runner has ended, and has not told of yet.

use super::shared::{JobCell, Outcome};
use crate::kernel::engine::Ended;

/// In the order in which they ended. A list of slots that are used again: into one that is known to be empty a job is
/// written where it stays, while one that is pushed to a vector is put together elsewhere first and then moved.
pub(super) struct Settled<J, T, E> {
    slots: Vec<Slot<J, T, E>>,
    len: usize,
}

struct Slot<J, T, E> {
    ended: Ended,
    end: Option<End<J, T, E>>,
}

/// A job that has ended, to be published once it is counted.
pub(super) struct End<J, T, E> {
    pub(super) cell: JobCell<J, T, E>,
    pub(super) outcome: Outcome<J, T, E>,
}

impl<J, T, E> Settled<J, T, E> {
    pub(super) const fn new() -> Self {
        Self { slots: Vec::new(), len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a job, which is counted as `ended` says.
    #[inline(always)]
    pub(super) fn push(&mut self, ended: Ended, cell: JobCell<J, T, E>, outcome: Outcome<J, T, E>) {
        if self.len == self.slots.len() {
            self.slots.push(Slot { ended, end: None });
        }
        let slot = &mut self.slots[self.len];
        slot.ended = ended;
        if slot.end.is_some() {
            unreachable!("what was taken out is gone");
        }
        slot.end = Some(End { cell, outcome });
        self.len += 1;
    }

    /// What the engine is to count.
    pub(super) fn ended(&self) -> impl ExactSizeIterator<Item = Ended> + '_ {
        self.slots[..self.len].iter().map(|slot| slot.ended)
    }

    /// Takes all out, in order.
    #[inline]
    pub(super) fn drain(&mut self) -> impl Iterator<Item = End<J, T, E>> + '_ {
        let len = std::mem::take(&mut self.len);
        self.slots[..len].iter_mut().filter_map(|slot| slot.end.take())
    }

    /// Moves all of `other` to the end.
    pub(super) fn append(&mut self, other: &mut Self) {
        if self.is_empty() {
            return std::mem::swap(self, other);
        }
        for nth in 0..std::mem::take(&mut other.len) {
            let Slot { ended, end } = &mut other.slots[nth];
            if let Some(End { cell, outcome }) = end.take() {
                self.push(*ended, cell, outcome);
            }
        }
    }
}
