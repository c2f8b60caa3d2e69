//! Running: what runners claim, tell, park and give back.

use super::{Number, Oracle, RunnerId, Standing, WakerId, alarm};
use crate::kernel::alarms::{NEVER, Ticks};
use crate::kernel::bell::Signal;
use crate::kernel::engine::{Bin, Phase, Unparkable};
use std::collections::VecDeque;

/// How a runner is reached: its job, what is asked of that, and whether its time is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bell {
    pub(crate) number: Option<Number>,
    pub(crate) signal: Signal,
    pub(crate) due: bool,
    pub(super) waker: WakerId,
}

impl Bell {
    /// A job becomes the current one, with nothing asked of it; or none does.
    pub(crate) fn renew(&mut self, number: Option<Number>) {
        (self.number, self.signal, self.due) = (number, Signal::Run, false);
    }
}

/// A runner's side: what it has claimed and not started, in order, and how often that had been taken back before.
#[derive(Debug)]
pub(crate) struct Claims {
    pub(crate) id: RunnerId,
    pub(crate) jobs: VecDeque<(Number, u32)>,
    pub(crate) burst: usize,
    busy: bool,
    swift: bool,
}

impl Claims {
    pub(crate) fn new(id: RunnerId) -> Self {
        Self { id, jobs: VecDeque::new(), burst: 1, busy: false, swift: false }
    }

    /// Whether it cannot wait without telling the engine.
    pub(crate) fn must_stall(&self) -> bool {
        self.swift || !self.jobs.is_empty()
    }
}

impl Oracle {
    pub(crate) fn bell(&mut self, runner: RunnerId) -> &mut Bell {
        self.bells.get_mut(&runner).expect("a runner that is here")
    }

    pub(crate) fn arrive(&mut self, claims: &mut Claims, waker: WakerId) {
        self.starting -= 1;
        let bell = Bell { number: None, signal: Signal::Run, due: false, waker };
        self.bells.entry(claims.id).or_insert(bell);
        claims.burst = self.burst;
        self.claim(claims);
        self.balance();
    }

    pub(crate) fn turn(&mut self, ended: &[(Number, Bin, bool)], claims: &mut Claims) {
        self.burst = claims.burst;
        self.count(ended);
        self.claim(claims);
        self.balance();
    }

    pub(crate) fn rest(&mut self, ended: &[(Number, Bin, bool)], claims: &mut Claims) {
        self.count(ended);
        self.note_busy(claims, false);
        self.balance();
    }

    /// Whether the runner may start what it claimed: `false` if the job has been taken back.
    pub(crate) fn start(&mut self, (number, recalls): (Number, u32)) -> bool {
        let Some(job) = self.jobs.get_mut(&number).filter(|job| job.recalls == recalls) else { return false };
        if job.standing == Standing::Taken {
            job.standing = Standing::Started;
        }
        true
    }

    pub(crate) fn park(
        &mut self,
        number: Number,
        due: Ticks,
        ended: &[(Number, Bin, bool)],
        claims: &mut Claims,
    ) -> Result<(), Unparkable> {
        if self.phase == Phase::Aborted {
            return Err(Unparkable::Aborted);
        }
        if self.parked() >= self.limits.max_parked {
            return Err(Unparkable::Full);
        }
        if self.bell(claims.id).signal == Signal::Cancel {
            return Err(Unparkable::Cancelled);
        }
        self.count(ended);
        self.totals.attempts += 1;
        self.totals.retries += 1;
        let job = self.jobs.get_mut(&number).expect("a job");
        (job.standing, job.alarm, job.runner) = (Standing::Parked, Some(due), None);
        self.bell(claims.id).renew(None);
        self.claim(claims);
        self.balance();
        Ok(())
    }

    /// The runner's job waits: what else it has claimed waits for others.
    pub(crate) fn stall(&mut self, number: Number, due: Ticks, ended: &[(Number, Bin, bool)], claims: &mut Claims) {
        (self.burst, claims.burst) = (1, 1);
        self.note_swift(claims, false);
        self.count(ended);
        while let Some((number, recalls)) = claims.jobs.pop_back() {
            let Some(job) = self.jobs.get_mut(&number) else { continue };
            if job.recalls == recalls && job.standing == Standing::Taken {
                (job.standing, job.runner) = (Standing::Queued, None);
                self.queue.push_front(number);
            }
        }
        self.bell(claims.id).due = false;
        let job = self.jobs.get_mut(&number).expect("a job");
        (job.standing, job.alarm) = (Standing::Stalled, alarm(due));
        self.balance();
    }

    pub(crate) fn lend(&mut self) {
        self.lent += 1;
        self.balance();
    }

    pub(crate) fn take_back(&mut self) {
        self.lent -= 1;
    }

    /// Whether it has left.
    pub(crate) fn leave(&mut self, claims: &mut Claims) -> bool {
        self.claim(claims);
        let leaves = claims.jobs.is_empty();
        if leaves {
            self.dismiss(claims);
        }
        self.balance();
        self.note_idle();
        leaves
    }

    pub(crate) fn linger(&mut self, claims: &mut Claims) -> bool {
        let free = self.slots_used() <= self.limits.concurrency;
        let lingers = self.starting == 0 && self.starts_jobs() && free;
        if lingers {
            self.starting += 1;
            self.note_swift(claims, false);
        }
        lingers
    }

    pub(crate) fn lose(&mut self, arrived: bool, ended: &[(Number, Bin, bool)], claims: &mut Claims) {
        self.starting -= usize::from(!arrived);
        self.publishing += ended.len();
        self.count(ended);
        self.dismiss(claims);
        self.note_idle();
    }

    fn dismiss(&mut self, claims: &mut Claims) {
        self.runners -= 1;
        self.note_busy(claims, false);
        self.note_swift(claims, false);
        self.bells.remove(&claims.id);
    }

    fn note_busy(&mut self, claims: &mut Claims, busy: bool) {
        self.active = self.active + usize::from(busy) - usize::from(claims.busy);
        claims.busy = busy;
    }

    fn note_swift(&mut self, claims: &mut Claims, swift: bool) {
        self.swift = self.swift + usize::from(swift) - usize::from(claims.swift);
        claims.swift = swift;
    }

    fn count(&mut self, ended: &[(Number, Bin, bool)]) {
        for (number, bin, attempted) in ended {
            self.totals.attempts += u64::from(*attempted);
            self.end(*number, *bin);
        }
    }

    /// First come, first served.
    fn claim(&mut self, claims: &mut Claims) {
        if !claims.jobs.is_empty() {
            return;
        }
        if self.slots_used() <= self.limits.concurrency && self.starts_jobs() {
            let share = self.queue.len().div_ceil(self.parallelism()).min(claims.burst);
            for number in self.queue.drain(..share) {
                let job = self.jobs.get_mut(&number).expect("a job");
                job.runner = Some(claims.id);
                if claims.jobs.is_empty() {
                    (job.standing, job.alarm) = (Standing::Claimed, None);
                } else {
                    job.standing = Standing::Taken;
                }
                claims.jobs.push_back((number, job.recalls));
            }
        }
        let first = claims.jobs.front().map(|(number, _)| *number);
        self.note_busy(claims, first.is_some());
        if first.is_some() {
            self.bell(claims.id).renew(first);
            self.note_swift(claims, claims.burst > 1);
            self.peak = self.peak.max(self.active);
        }
    }

    /// Whether a job's deadline has passed.
    pub(crate) fn is_late(&self, number: Number) -> bool {
        let deadline = self.jobs[&number].deadline;
        deadline != NEVER && deadline <= self.now
    }
}
