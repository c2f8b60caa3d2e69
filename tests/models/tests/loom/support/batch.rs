//! Many jobs at a time, as `submit_batch` and `map` submit them.

use super::{Handle, Job, JobCell, Pool};
use crate::kernel::cell::Cell;
use crate::kernel::engine::{Effects, Ticket};
use crate::shim::Shared;
use std::sync::Arc;

impl Pool {
    /// Submits as many jobs as there is room for, from the front; the others stay. `Err`: closed.
    pub(crate) fn submit_many(self: &Arc<Self>, jobs: &mut Vec<Job>) -> Result<Vec<Handle>, ()> {
        let mut cells = cells(std::mem::take(jobs));
        let (mut tickets, mut fx) = (Vec::new(), Effects::default());
        let admitted = self.engine.admit_many(cells.iter().cloned(), |ticket| tickets.push(ticket), &mut fx);
        self.apply(&mut fx);
        jobs.extend(cells.drain(tickets.len()..).map(|mut cell| Cell::lend(&mut cell)));
        admitted.map(|()| self.handles(cells, &tickets)).map_err(|_| ())
    }

    /// Keeps room for as many jobs, or for as many as there is.
    pub(crate) fn hold(&self, most: usize) -> usize {
        self.engine.hold(most).expect("the pool is open")
    }

    /// Uses such room for jobs, which come back if a shutdown has revoked it.
    pub(crate) fn fill(self: &Arc<Self>, held: usize, jobs: Vec<Job>) -> Result<Vec<Handle>, Vec<Job>> {
        let cells = cells(jobs);
        let (mut tickets, mut fx) = (Vec::new(), Effects::default());
        let filled = self.engine.fill(held, cells.iter().cloned(), |ticket| tickets.push(ticket), &mut fx);
        self.apply(&mut fx);
        match filled {
            Ok(()) => Ok(self.handles(cells, &tickets)),
            Err(_) => Err(cells.into_iter().map(|mut cell| Cell::lend(&mut cell)).collect()),
        }
    }

    fn handles(self: &Arc<Self>, cells: Vec<JobCell>, tickets: &[Ticket]) -> Vec<Handle> {
        assert_eq!(cells.len(), tickets.len());
        cells.into_iter().zip(tickets).map(|(cell, ticket)| Handle::new(self, cell, *ticket)).collect()
    }
}

fn cells(jobs: Vec<Job>) -> Vec<JobCell> {
    jobs.into_iter().map(|job| Shared::plain(Cell::new(job))).collect()
}
