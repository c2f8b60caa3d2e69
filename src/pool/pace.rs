//! How fast a runner gets through its jobs: how many it claims at once, and when it lets other tasks run.

use super::shared::{PoolClock, ticks};
use crate::kernel::alarms::Ticks;
use crate::kernel::engine::{Now, Tempo};
use crate::rt::Others;
use std::time::Duration;

/// The most jobs that are claimed at once.
const MAX_BURST: usize = 128;

/// After so many jobs a runner lets other tasks run, as tokio's own budget does; after `QUICK` if they took next to no
/// time, so that short jobs do not pay for many rests.
const SERVED: u32 = 128;
const QUICK: u32 = 1024;

/// A batch that takes longer than this is too large; one that takes half as long does not grow any more.
const SHORT: Duration = Duration::from_micros(100);

/// How fast a runner gets through its jobs.
pub(super) struct Pace {
    /// When the batch was claimed, and how many jobs it has; `None` if its length says nothing about jobs being short.
    began: Option<(Ticks, usize)>,
    /// Whether it is worth the reading of a clock to know.
    times: bool,
    /// Whether a job of the batch has waited.
    pub(super) waited: bool,
    /// Jobs since other tasks have last had their turn, and when that was.
    pub(super) served: u32,
    rested: Ticks,
    /// Jobs since the runner last found the queue empty.
    pub(super) spell: u32,
    /// Whether the runtime has one thread: whoever submits runs when the runner does not.
    alone: bool,
}

/// A runner that has found so many jobs in a row looks once more before it leaves: it has overtaken a submitter that is
/// still at it, and the next runner would cost a spawn and the wake-up of a thread.
const LINGER: u32 = 2;

impl Pace {
    pub(super) const fn new(threads: usize) -> Self {
        Self { began: None, times: true, waited: false, served: 0, rested: 0, spell: 0, alone: threads == 1 }
    }

    /// The runner starts anew.
    pub(super) fn restart(&mut self) {
        *self = Self { alone: self.alone, ..Self::new(0) };
    }

    /// Whom to let run, if anybody, before looking once more at a queue that was found empty or was not looked at.
    pub(super) fn others(&mut self, rests: bool) -> Option<Others> {
        let spell = std::mem::take(&mut self.spell);
        if self.alone && !rests {
            return (spell > 0).then_some(Others::Ready);
        }
        (rests || spell >= LINGER).then_some(Others::All)
    }

    /// Chooses how many jobs to claim at once, more while all of a batch together were short, and whether to let other
    /// tasks run first. A job that has waited has done that already.
    #[inline]
    pub(super) fn chooses_rest(&mut self, tempo: &mut Tempo, now: &Now<'_, PoolClock>) -> bool {
        let began = self.began.take();
        self.times = !std::mem::take(&mut self.waited);
        if !self.times {
            (self.served, *tempo) = (0, Tempo::UNKNOWN);
            return false;
        }
        if let Some((began, jobs)) = began {
            let took = now.ticks().saturating_sub(began);
            tempo.per_job = took / jobs as Ticks;
            if took > ticks(SHORT) {
                tempo.burst = 1;
            } else if took <= ticks(SHORT) / 2 {
                tempo.burst = (tempo.burst * 2).min(MAX_BURST);
            }
        }
        let rests =
            self.served >= QUICK || (self.served >= SERVED && now.ticks().saturating_sub(self.rested) > ticks(SHORT));
        if rests {
            (self.served, self.rested) = (0, now.ticks());
        }
        rests
    }

    /// A batch has been claimed: how long it takes will say whether its jobs are short.
    #[inline]
    pub(super) fn claimed(&mut self, jobs: usize, now: &Now<'_, PoolClock>) {
        self.began = self.times.then(|| (now.ticks(), jobs));
    }
}
