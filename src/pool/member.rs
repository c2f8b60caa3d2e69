//! The members of a window, and what is handed on of them.

use super::error::RunError;
use super::handle::JobId;
use super::shared::{JobCell, Outcome};
use super::submit::Terms;
use crate::kernel::engine::Ticket;
use crate::kernel::slab::Key;

/// In which order outcomes are handed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// In the order of the jobs: an outcome waits for those before it.
    Ordered,
    /// As they come.
    Unordered,
}

/// The outcome of a job, or why there is none.
pub(crate) type Ran<J, T, E> = Result<T, RunError<J, E>>;

/// What a window hands on: the tag, the job's number if it was accepted, the outcome.
pub(crate) struct Delivery<J, T, E, X> {
    pub(crate) tag: X,
    pub(crate) id: Option<JobId>,
    pub(crate) outcome: Ran<J, T, E>,
}

/// A job of a window.
pub(super) struct Member<J, T, E, X> {
    pub(super) tag: X,
    pub(super) stage: Stage<J, T, E>,
}

/// How far it has come, as the window knows.
pub(super) enum Stage<J, T, E> {
    /// Not accepted yet: its cell is with [`Fresh`].
    Fresh,
    Accepted(Ticket),
    Over(Option<JobId>, Ran<J, T, E>),
}

/// A member that is not accepted yet.
pub(super) struct Fresh<J, T, E> {
    pub(super) key: Key,
    /// `None` while the engine has it and has not said what becomes of it: maybe it stands in line.
    pub(super) cell: Option<JobCell<J, T, E>>,
    pub(super) terms: Terms,
}

impl<J, T, E> Fresh<J, T, E> {
    /// Its cell, to be offered to the engine or given up.
    pub(super) fn take_cell(&mut self) -> JobCell<J, T, E> {
        self.cell.take().expect("what was offered comes back before it is offered again")
    }
}

impl<J, T, E, X> Member<J, T, E, X> {
    /// Its number, if it was accepted.
    pub(super) fn id(&self) -> Option<JobId> {
        match &self.stage {
            Stage::Fresh => None,
            Stage::Accepted(ticket) => Some(JobId(ticket.number)),
            Stage::Over(id, _) => *id,
        }
    }

    /// What is handed on of it. `arrived`: its outcome, unless that is here.
    pub(super) fn delivery(self, arrived: Option<Outcome<J, T, E>>) -> Delivery<J, T, E, X> {
        let id = self.id();
        let outcome = match (arrived, self.stage) {
            (Some(outcome), _) => outcome.map_err(RunError::Job),
            (None, Stage::Over(_, outcome)) => outcome,
            (None, _) => unreachable!("a member that is handed on is over"),
        };
        Delivery { tag: self.tag, id, outcome }
    }
}
