//! Tempo: how fast jobs are run, as runners find it, and how many runners that makes use of.

use super::{Clock, NEVER, Now, State, Ticks};

/// What a job costs more if another processor runs it, which has to fetch it from this one's caches: a shorter one is done
/// sooner here.
const FARE: Ticks = 250;

/// So much work, the fares taken off, is worth the waking of another thread.
const WORTH: Ticks = 50_000;

/// For so long what a runner has told is believed: the longest that a batch of short jobs takes, twice.
const TRUSTED: Ticks = 200_000;

/// How fast jobs are run, as the last runner to tell has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tempo {
    /// The most jobs that a runner claims at once; it is swift if that is more than one.
    pub(crate) burst: usize,
    /// How long a job takes, or [`NEVER`] if nobody knows.
    pub(crate) per_job: Ticks,
}

impl Tempo {
    /// One job at a time, until more is known.
    pub(crate) const UNKNOWN: Self = Self { burst: 1, per_job: NEVER };

    /// How many runners so many jobs are worth: one at least.
    #[inline]
    fn worth(self, jobs: usize) -> usize {
        let work = self.per_job.saturating_sub(FARE).saturating_mul(jobs as u64);
        usize::try_from(work / WORTH).unwrap_or(usize::MAX).saturating_add(1)
    }
}

impl<C> State<C> {
    /// A runner tells of its tempo.
    #[inline]
    pub(super) fn learn<K: Clock>(&mut self, tempo: Tempo, now: &Now<'_, K>) {
        self.tempo = tempo;
        // A tempo that nobody knows makes no difference, and is not worth the reading of a clock.
        if tempo.per_job != NEVER {
            self.told = now.ticks();
        }
    }

    /// A job was admitted, and the swift runners that are here are thought to be enough for it. If none of them has told of
    /// anything for too long, they are with a job that takes its time, and others are to come.
    #[inline]
    pub(super) fn doubt<K: Clock>(&mut self, now: &Now<'_, K>) {
        if self.swift > 0 && self.starting == 0 && self.tempo.per_job != NEVER {
            self.forget_if_old(now.ticks());
        }
    }

    fn forget_if_old(&mut self, now: Ticks) {
        if now.saturating_sub(self.told) > TRUSTED {
            self.tempo = Tempo::UNKNOWN;
        }
    }

    /// How many swift runners are of use at the same instant: as many as can be polled, if what is queued is worth them.
    #[inline]
    pub(super) fn parallelism(&self) -> usize {
        let most = self.limits.threads.min(self.limits.concurrency);
        self.tempo.worth(self.ready.len()).min(most)
    }
}
