//! What the models share: jobs whose fate is recorded, and the pool around the engine, task by task as in `src/pool`.

mod batch;
mod board;
mod check;
mod clock;
mod control;
mod desk;
mod handle;
mod job;
mod map;
mod opening;
mod parker;
mod pool;
mod runner;
mod timer;
mod window;

pub(crate) use board::{Answer as LoadAnswer, Board, Loader, Nested, REFUSED};
pub(crate) use check::Model;
pub(crate) use clock::Manual;
pub(crate) use handle::{Answer, Handle, Terms};
pub(crate) use job::{Act, Job, JobCell, Outcome};
pub(crate) use map::Map;
pub(crate) use opening::{claimed, opened, swift};
pub(crate) use parker::Parker;
pub(crate) use pool::{Launch, Pool, limits};
pub(crate) use runner::Runner;
pub(crate) use timer::Timer;
pub(crate) use window::Window;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A lock that loom does not see: for records, never held across anything that loom does.
#[derive(Debug, Default)]
pub(crate) struct Plain<T>(Mutex<T>);

impl<T> Plain<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
