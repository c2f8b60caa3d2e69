//! Changing a pool while it works: pausing, resuming, resizing.

use super::WorkerPool;
use super::error::BuildError;
use crate::kernel::engine::Effects;

impl<J, T, E> WorkerPool<J, T, E> {
    /// Starts no more attempts until [`resume`](Self::resume). Idempotent; returns at once.
    ///
    /// What runs goes on, which a job does from the moment at which a runner is given it; and so does admission, up to the
    /// capacity. Backoffs and deadlines run on: a job whose deadline
    /// passes meanwhile ends `TimedOut`. [`drain`](Self::drain) waits for the resumption; a
    /// [`shutdown`](Self::shutdown) does not, it starts what was accepted.
    pub fn pause(&self) {
        let mut fx = Effects::default();
        self.shared.engine.pause(&mut fx);
        self.shared.apply(&mut fx);
    }

    /// Starts attempts again. Idempotent; returns at once.
    pub fn resume(&self) {
        let mut fx = Effects::default();
        self.shared.engine.resume(&mut fx);
        self.shared.apply(&mut fx);
    }

    /// Changes how many jobs may be in an attempt at once, 1 to the capacity, which stays. Returns at once.
    ///
    /// More slots are put to use at once. With fewer, no attempt is started until as many as the new number or fewer run;
    /// those that run go on.
    ///
    /// # Errors
    /// [`BuildError::Option`] if the number is out of these bounds; nothing changes.
    pub fn set_concurrency(&self, slots: usize) -> Result<(), BuildError> {
        let capacity = self.capacity();
        if !(1..=capacity).contains(&slots) {
            let allowed = format!("1 to {capacity}, the capacity");
            return Err(BuildError::Option { option: "concurrency", value: slots.to_string(), allowed });
        }
        let mut fx = Effects::default();
        self.shared.engine.set_concurrency(slots, &mut fx);
        if let Some(threads) = &self.shared.threads {
            let need = threads.resize(|| self.shared.engine.snapshot().concurrency);
            self.shared.start_threads(need);
        }
        self.shared.apply(&mut fx);
        Ok(())
    }
}
