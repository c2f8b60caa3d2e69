//! Many jobs at a time, as `submit_batch` and `map` submit them.

use super::{Handle, Job, JobCell, Pool};
use crate::kernel::cell::Cell;
use crate::kernel::engine::{Effects, Ticket};
use crate::kernel::slab::Key;
use crate::shim::Shared;
use std::sync::Arc;

impl Pool {
    /// Submits as many jobs as there is room for, from the front; the others stay. `Err`: closed.
    pub(crate) fn submit_many(self: &Arc<Self>, jobs: &mut Vec<Job>) -> Result<Vec<Handle>, ()> {
        let mut cells = cells(std::mem::take(jobs));
        let (mut tickets, mut fx) = (Vec::new(), Effects::default());
        let admitted = self.engine.admit_many(cells.iter().cloned(), &mut tickets, &mut fx);
        self.apply(&mut fx);
        jobs.extend(cells.drain(tickets.len()..).map(|mut cell| Cell::lend(&mut cell)));
        admitted.map(|()| self.handles(cells, &tickets)).map_err(|_| ())
    }

    /// Takes places for as many jobs, or as many as there are.
    pub(crate) fn reserve_many(&self, most: usize) -> Vec<Key> {
        let mut permits = Vec::new();
        self.engine.reserve_many(most, &mut permits).expect("the pool is open");
        permits
    }

    /// Uses places for jobs, which come back if a shutdown has revoked them.
    pub(crate) fn fill_many(self: &Arc<Self>, permits: Vec<Key>, jobs: Vec<Job>) -> Result<Vec<Handle>, Vec<Job>> {
        let cells = cells(jobs);
        let (mut tickets, mut fx) = (Vec::new(), Effects::default());
        let filled = self.engine.fill_many(permits.into_iter(), cells.iter().cloned(), &mut tickets, &mut fx);
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
