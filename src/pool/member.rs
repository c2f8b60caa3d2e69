//! The members of a window, and what is handed on of them.

use super::error::RunError;
use super::handle::JobId;
use super::shared::{JobCell, Outcome};
use super::submit::Terms;
use crate::kernel::engine::Ticket;

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
    New(JobCell<J, T, E>, Terms),
    /// The engine has the cell, and has not said yet what becomes of it: maybe it stands in line.
    Offered(Terms),
    Accepted(Ticket),
    Over(Option<JobId>, Ran<J, T, E>),
}

impl<J, T, E, X> Member<J, T, E, X> {
    /// Its number, if it was accepted.
    pub(super) fn id(&self) -> Option<JobId> {
        match &self.stage {
            Stage::New(..) | Stage::Offered(_) => None,
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
