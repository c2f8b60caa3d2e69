//! The waits of a pool for threads outside any runtime.

use crate::pool::error::{ReserveError, RunError, SubmitError, WouldDeadlock};
use crate::pool::{JobHandle, Permit, Report, Shutdown, WorkerPool};
use crate::rt;
use std::time::Duration;

/// For threads outside the runtime. Each is its async twin, and blocks the thread instead of awaiting; do not call one from
/// async code, where it would block the runtime's thread.
impl<J, T, E> WorkerPool<J, T, E> {
    /// [`submit_timeout`](Self::submit_timeout), blocking the thread until there is room, but no longer than `timeout`.
    ///
    /// # Errors
    /// As [`submit_timeout`](Self::submit_timeout).
    pub fn blocking_submit_timeout(&self, job: J, timeout: Duration) -> Result<JobHandle<J, T, E>, SubmitError<J>> {
        rt::block_on(self.submit_timeout(job, timeout))
    }

    /// [`reserve`](Self::reserve), blocking the thread until there is room.
    ///
    /// # Errors
    /// As [`reserve`](Self::reserve).
    pub fn blocking_reserve(&self) -> Result<Permit<J, T, E>, ReserveError> {
        rt::block_on(self.reserve())
    }

    /// [`run`](Self::run), blocking the thread until the job has its result.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn blocking_run(&self, job: J) -> Result<T, RunError<J, E>> {
        rt::block_on(self.run(job))
    }

    /// [`drain`](Self::drain), blocking the thread until the pool has been empty.
    ///
    /// # Errors
    /// As [`drain`](Self::drain).
    pub fn blocking_drain(&self) -> Result<(), WouldDeadlock> {
        rt::block_on(self.drain())
    }

    /// [`shutdown`](Self::shutdown), blocking the thread until the pool has ended as `how` says.
    ///
    /// # Errors
    /// As [`shutdown`](Self::shutdown).
    pub fn blocking_shutdown(&self, how: Shutdown) -> Result<Report<J, E>, WouldDeadlock> {
        rt::block_on(self.shutdown(how))
    }
}
