//! How fast a runner gets through its jobs: how many it claims at once, and when it lets other tasks run.

use super::shared::{PoolClock, ticks};
use crate::kernel::alarms::Ticks;
use crate::kernel::engine::Now;
use std::time::Duration;

/// The most jobs that are claimed at once.
const MAX_BURST: usize = 32;

/// After so many jobs a runner lets other tasks run, as tokio's own budget does; after `QUICK` if they took next to no
/// time, so that short jobs do not pay for many rests.
const SERVED: u32 = 128;
const QUICK: u32 = 1024;

/// A batch that takes longer than this is too large.
const SHORT: Duration = Duration::from_micros(100);

/// How fast a runner gets through its jobs.
pub(super) struct Pace {
    /// The most jobs that it claims at once.
    most: usize,
    /// When the batch was claimed; `None` if its length says nothing about jobs being short.
    began: Option<Ticks>,
    /// Whether a job of the batch has waited.
    pub(super) waited: bool,
    /// Jobs since other tasks have last had their turn, and when that was.
    pub(super) served: u32,
    rested: Ticks,
    /// Jobs since the runner last found the queue empty.
    pub(super) spell: u32,
}

impl Pace {
    /// A handler on a thread may block without telling anybody, so jobs are not taken along behind it.
    pub(super) fn new(on_thread: bool) -> Self {
        let most = if on_thread { 1 } else { MAX_BURST };
        Self { most, began: None, waited: false, served: 0, rested: 0, spell: 0 }
    }

    /// Chooses how many jobs to claim at once, more while all of a batch together were short, and whether to let other
    /// tasks run first. A job that has waited has done that already.
    #[inline]
    pub(super) fn chooses_rest(&mut self, burst: &mut usize, now: &Now<'_, PoolClock>) -> bool {
        if std::mem::take(&mut self.waited) {
            (self.began, self.served, *burst) = (None, 0, 1);
            return false;
        }
        let now = now.ticks();
        let short = self.began.is_some_and(|began| now.saturating_sub(began) <= ticks(SHORT));
        *burst = if short { (*burst * 2).min(self.most) } else { 1 };
        self.began = Some(now);
        let rests = self.served >= QUICK || (self.served >= SERVED && now.saturating_sub(self.rested) > ticks(SHORT));
        if self.served == 0 || rests {
            (self.served, self.rested) = (0, now);
        }
        rests
    }
}
