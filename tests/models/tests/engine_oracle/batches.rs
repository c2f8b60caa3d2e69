//! Batches at the door, on both sides.

use crate::kernel::engine::{Effects, Phase, Ticket};
use crate::oracle::Entrant;
use crate::world::{TestCell, World};

impl World {
    fn new_cells(&mut self, count: usize) -> (Vec<u64>, Vec<TestCell>) {
        (0..count).map(|_| self.new_cell()).unzip()
    }

    /// The first of `ids` have these tickets, in order; the oracle accepts them one by one.
    fn all_accepted(&mut self, ids: &[u64], tickets: Vec<Ticket>) {
        for (id, ticket) in ids.iter().zip(tickets) {
            let number = self.oracle.accept(Entrant { cell: *id, lane: None, deadline: None });
            self.accepted(ticket, number);
        }
    }

    pub(crate) fn admit_many(&mut self, count: usize, fx: &mut Effects) {
        let (ids, cells) = self.new_cells(count);
        let mut tickets = Vec::new();
        let admitted = self.engine.admit_many(cells.into_iter(), |ticket| tickets.push(ticket), fx);
        assert_eq!(admitted.is_ok(), self.oracle.phase == Phase::Open);
        assert!(admitted.is_ok() || tickets.is_empty());
        if admitted.is_ok() {
            let accepted = tickets.len();
            self.all_accepted(&ids, tickets);
            assert!(accepted == count || !self.oracle.has_room(), "room is left, and jobs too");
            self.oracle.balance();
        }
    }

    pub(crate) fn hold(&mut self, most: usize) {
        let held = self.engine.hold(most);
        assert_eq!(held.is_ok(), self.oracle.phase == Phase::Open);
        let Ok(held) = held else { return };
        self.oracle.permits += held;
        assert!(held == most || !self.oracle.has_room(), "room is left, and not all is kept");
        self.held.push(held);
    }

    pub(crate) fn fill(&mut self, nth: usize, fewer: usize, fx: &mut Effects) {
        if self.held.is_empty() {
            return;
        }
        let held = self.held.swap_remove(nth % self.held.len());
        let (ids, cells) = self.new_cells(held.saturating_sub(fewer));
        let mut tickets = Vec::new();
        let filled = self.engine.fill(held, cells.into_iter(), |ticket| tickets.push(ticket), fx);
        assert_eq!(filled.is_err(), self.oracle.phase > Phase::Closed);
        assert_eq!(tickets.len(), if filled.is_ok() { ids.len() } else { 0 });
        self.oracle.permits -= held;
        self.all_accepted(&ids, tickets);
        self.oracle.serve_line();
        self.oracle.balance();
    }
}
