//! Running: what runners claim, tell, park and give back.

use super::{Number, Oracle, RunnerId, Standing, WakerId, alarm};
use crate::kernel::alarms::{NEVER, Ticks};
use crate::kernel::bell::Signal;
use crate::kernel::engine::{Bin, Phase, Tempo, Unparkable};
use std::collections::VecDeque;

/// How a runner is reached: its job, what is asked of that, and whether its time is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bell {
    pub(crate) number: Option<Number>,
    pub(crate) signal: Signal,
    pub(crate) due: bool,
    pub(super) waker: WakerId,
    pub(crate) swift: bool,
    /// The job that the last patrol found.
    seen: Option<Number>,
}

impl Bell {
    /// A job becomes the current one, with nothing asked of it; or none does.
    pub(crate) fn renew(&mut self, number: Option<Number>) {
        (self.number, self.signal, self.due) = (number, Signal::Run, false);
    }
}

/// A runner's side of what it has claimed and not started.
#[derive(Debug)]
pub(crate) struct Claims {
    pub(crate) id: RunnerId,
    /// The first of what was claimed together: nobody else has it.
    first: Option<Number>,
    /// How many lie on its tray, as far as it knows: some may have been taken back.
    along: usize,
    pub(crate) tempo: Tempo,
    busy: bool,
}

impl Claims {
    pub(crate) fn new(id: RunnerId) -> Self {
        Self { id, first: None, along: 0, tempo: Tempo::UNKNOWN, busy: false }
    }

    pub(crate) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.along
    }
}

impl Oracle {
    pub(crate) fn bell(&mut self, runner: RunnerId) -> &mut Bell {
        self.bells.get_mut(&runner).expect("a runner that is here")
    }

    pub(crate) fn arrive(&mut self, claims: &mut Claims, waker: WakerId) {
        self.starting -= 1;
        let bell = Bell { number: None, signal: Signal::Run, due: false, waker, swift: false, seen: None };
        self.bells.entry(claims.id).or_insert(bell);
        self.trays.entry(claims.id).or_default();
        claims.tempo = self.tempo;
        self.learn(claims.tempo);
        self.claim(claims);
        self.balance();
    }

    fn learn(&mut self, tempo: Tempo) {
        self.tempo = tempo;
        if tempo.per_job != NEVER {
            self.told = self.now;
        }
    }

    /// What was told more than 200 us ago is not believed of runners that have told of nothing since.
    pub(super) fn doubt(&mut self) {
        if self.swift > 0 && self.starting == 0 && self.tempo.per_job != NEVER && self.now > self.told + 200_000 {
            self.tempo = Tempo::UNKNOWN;
        }
    }

    pub(crate) fn turn(&mut self, ended: &[(Number, Bin, bool)], claims: &mut Claims) {
        self.learn(claims.tempo);
        self.count(ended);
        self.claim(claims);
        self.balance();
    }

    pub(crate) fn rest(&mut self, ended: &[(Number, Bin, bool)], claims: &mut Claims) {
        self.count(ended);
        self.note_busy(claims, false);
        self.balance();
    }

    /// What the runner starts next. `None`: what it had taken along has been taken back.
    pub(crate) fn next(&mut self, claims: &mut Claims) -> Option<Number> {
        if claims.first.is_some() {
            return claims.first.take();
        }
        let next = self.tray(claims).pop_front();
        claims.along = if next.is_some() { claims.along - 1 } else { 0 };
        let number = next?;
        self.jobs.get_mut(&number).expect("a job").standing = Standing::Started;
        self.bell(claims.id).renew(next);
        next
    }

    fn tray(&mut self, claims: &Claims) -> &mut VecDeque<Number> {
        self.trays.get_mut(&claims.id).expect("a runner that is here")
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
        (self.tempo, claims.tempo) = (Tempo::UNKNOWN, Tempo::UNKNOWN);
        self.note_swift(claims.id, false);
        self.count(ended);
        claims.along = 0;
        while let Some(number) = self.tray(claims).pop_back() {
            let job = self.jobs.get_mut(&number).expect("a job");
            (job.standing, job.runner) = (Standing::Queued, None);
            self.queue.push_front(number);
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
        let leaves = claims.len() == 0;
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
            self.note_swift(claims.id, false);
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
        self.note_swift(claims.id, false);
        self.bells.remove(&claims.id);
        self.trays.remove(&claims.id);
    }

    fn note_busy(&mut self, claims: &mut Claims, busy: bool) {
        self.active = self.active + usize::from(busy) - usize::from(claims.busy);
        claims.busy = busy;
    }

    fn note_swift(&mut self, runner: RunnerId, swift: bool) {
        if let Some(bell) = self.bells.get_mut(&runner) {
            self.swift = self.swift + usize::from(swift) - usize::from(bell.swift);
            bell.swift = swift;
        }
    }

    /// Whether a runner cannot wait without telling the engine.
    pub(crate) fn must_stall(&self, claims: &Claims) -> bool {
        self.bells.get(&claims.id).is_some_and(|bell| bell.swift) || claims.len() > 0
    }

    /// What runners that are stuck have ended, counted by somebody else.
    pub(crate) fn count_for(&mut self, ended: &[(Number, Bin, bool)]) {
        self.publishing += ended.len();
        self.count(ended);
        self.balance();
    }

    /// A swift runner that has had one job since the last look is not swift, and keeps nothing from others.
    pub(super) fn look_around(&mut self) {
        let Some(period) = self.period.filter(|_| self.patrol.is_some_and(|due| due <= self.now)) else { return };
        let mut stuck = Vec::new();
        for (id, bell) in &mut self.bells {
            let before = std::mem::replace(&mut bell.seen, bell.number);
            if bell.number.is_some() && bell.number == before && bell.swift {
                stuck.push(*id);
            }
        }
        if !stuck.is_empty() {
            stuck.into_iter().for_each(|id| self.note_swift(id, false));
            self.tempo = Tempo::UNKNOWN;
            self.recall_all();
            self.asked.collect = true;
        }
        self.patrol = (self.swift > 0).then_some(self.now + period);
    }

    fn count(&mut self, ended: &[(Number, Bin, bool)]) {
        for (number, bin, attempted) in ended {
            self.totals.attempts += u64::from(*attempted);
            self.end(*number, *bin);
        }
    }

    /// First come, first served.
    fn claim(&mut self, claims: &mut Claims) {
        if claims.len() > 0 {
            return;
        }
        if self.slots_used() <= self.limits.concurrency && self.starts_jobs() {
            let share = self.queue.len().div_ceil(self.parallelism()).min(claims.tempo.burst);
            for number in self.queue.drain(..share) {
                let job = self.jobs.get_mut(&number).expect("a job");
                job.runner = Some(claims.id);
                if claims.first.is_none() {
                    (job.standing, job.alarm) = (Standing::Claimed, None);
                    claims.first = Some(number);
                } else {
                    job.standing = Standing::Taken;
                    claims.along += 1;
                    self.trays.get_mut(&claims.id).expect("a runner that is here").push_back(number);
                }
            }
        }
        self.note_busy(claims, claims.first.is_some());
        if claims.first.is_some() {
            self.bell(claims.id).renew(claims.first);
            self.note_swift(claims.id, claims.tempo.burst > 1);
            self.peak = self.peak.max(self.active);
        }
    }
}
