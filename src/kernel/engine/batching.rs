//! Batches of jobs at the door: many are accepted, or many places granted and filled, in one lock operation.

use super::admission::Entrant;
use super::{Clock, Effects, Engine, Key, Phase, Ticket};

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
        let mut state = self.state.lock();
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

    /// Grants as many places as there are, up to `most`, without waiting.
    pub(crate) fn reserve_many(&self, most: usize, permits: &mut Vec<Key>) -> Result<(), Closed> {
        let mut state = self.state.lock();
        if state.phase > Phase::Open {
            return Err(Closed);
        }
        for _ in 0..most {
            if !state.has_room() {
                break;
            }
            permits.push(state.grant());
        }
        Ok(())
    }

    /// Uses permits for jobs, in order, and gives back those that are left over. There are not more jobs than permits.
    ///
    /// If a shutdown has revoked them, all are given back and no cell is taken.
    pub(crate) fn fill_many(
        &self,
        mut permits: impl Iterator<Item = Key>,
        cells: impl Iterator<Item = C>,
        tickets: &mut Vec<Ticket>,
        fx: &mut Effects,
    ) -> Result<(), Closed> {
        let now = self.now_for(None);
        let mut state = self.state.lock();
        let revoked = state.phase > Phase::Closed;
        if !revoked {
            for (cell, permit) in cells.zip(&mut permits) {
                tickets.push(state.seat(permit, cell, &now));
            }
        }
        for permit in permits {
            state.release(permit, &now, fx);
        }
        state.balance(fx);
        if revoked { Err(Closed) } else { Ok(()) }
    }
}
