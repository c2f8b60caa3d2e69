//! Batches of jobs at the door: many are accepted, or room for many is kept and used, in one lock operation.

use super::admission::Entrant;
use super::{Clock, Effects, Engine, Phase, Ticket};

/// Nothing is admitted any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed;

impl<C, K: Clock> Engine<C, K> {
    /// Accepts jobs as long as there are some and there is room, and tells each one's ticket before it takes the next.
    ///
    /// Takes no cell that it does not accept. With somebody in line there is no room: those come first.
    pub(crate) fn admit_many(
        &self,
        mut cells: impl Iterator<Item = C>,
        mut accepted: impl FnMut(Ticket),
        fx: &mut Effects,
    ) -> Result<(), Closed> {
        let now = self.now_for(None);
        let mut state = self.lock();
        if state.phase > Phase::Open {
            return Err(Closed);
        }
        while state.has_room() {
            let Some(cell) = cells.next() else { break };
            accepted(state.accept(Entrant::plain(cell), &now));
        }
        state.balance(fx);
        Ok(())
    }

    /// Keeps as much room as there is, for `most` jobs at most, without waiting. Returns for how many.
    pub(crate) fn hold(&self, most: usize) -> Result<usize, Closed> {
        let mut state = self.lock();
        if state.phase > Phase::Open {
            return Err(Closed);
        }
        let held = most.min(state.limits.capacity - state.places.len() - state.held);
        state.held += held;
        Ok(held)
    }

    /// Uses room that was kept for jobs, in order, tells each one's ticket, and gives back what is left over. There are not
    /// more jobs than room was `held` for.
    ///
    /// If a shutdown has revoked it, all is given back and no cell is taken.
    pub(crate) fn fill(
        &self,
        held: usize,
        cells: impl Iterator<Item = C>,
        mut accepted: impl FnMut(Ticket),
        fx: &mut Effects,
    ) -> Result<(), Closed> {
        let now = self.now_for(None);
        let mut state = self.lock();
        let revoked = state.phase > Phase::Closed;
        state.held -= held;
        if !revoked {
            for cell in cells.take(held) {
                accepted(state.accept(Entrant::plain(cell), &now));
            }
        }
        state.admit_line(&now, fx);
        state.balance(fx);
        if revoked { Err(Closed) } else { Ok(()) }
    }
}
