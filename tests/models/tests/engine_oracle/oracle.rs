//! What the engine should do, in vectors: one job after another, nothing shared, nothing fast.

use crate::kernel::alarms::{NEVER, Ticks};
use crate::kernel::engine::{Bin, Limits, Phase, PoolStats, Totals};
use std::collections::{BTreeMap, VecDeque};

/// The number of a job in the order of acceptance.
pub(crate) type Number = u64;
/// The number of a waker.
pub(crate) type WakerId = usize;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Queued,
    /// A runner has it.
    Claimed,
    /// A runner has taken it along and not started it.
    Taken,
    /// A runner has taken it along and started it.
    Started,
    /// Its future is pending; the waker, unless it has been used.
    Suspended(Option<WakerId>),
    Parked,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Job {
    /// The cell.
    pub(crate) cell: u64,
    pub(crate) standing: Standing,
    pub(crate) deadline: Ticks,
    /// When it is to be looked at again, if it waits.
    alarm: Option<Ticks>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    ForRoom { cell: u64, waker: WakerId },
    ForPermit { waker: WakerId },
    Accepted(Number),
    Granted,
    Closed { cell: Option<u64> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    Off,
    Coming,
    Asleep { until: Ticks, waker: WakerId },
}

/// What a runner has claimed and not started, in order.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    pub(crate) numbers: VecDeque<Number>,
    pub(crate) burst: usize,
    busy: bool,
}

/// What an operation should ask for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) runner: bool,
    pub(crate) timer: bool,
    /// In ascending order when compared.
    pub(crate) wake: Vec<WakerId>,
}

#[derive(Debug)]
pub(crate) struct Oracle {
    limits: Limits,
    pub(crate) phase: Phase,
    pub(crate) now: Ticks,
    pub(crate) jobs: BTreeMap<Number, Job>,
    queue: VecDeque<Number>,
    line: Vec<usize>,
    pub(crate) waiters: BTreeMap<usize, Wait>,
    /// Those who wait until the pool is idle: their wakers, or `None` if they have been told.
    pub(crate) idlers: BTreeMap<usize, Option<WakerId>>,
    pub(crate) permits: usize,
    runners: usize,
    starting: usize,
    lent: usize,
    active: usize,
    burst: usize,
    peak: usize,
    pub(crate) publishing: usize,
    pub(crate) timer: Timer,
    totals: Totals,
    pub(crate) asked: Asked,
}

impl Oracle {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            phase: Phase::Open,
            now: 0,
            jobs: BTreeMap::new(),
            queue: VecDeque::new(),
            line: Vec::new(),
            waiters: BTreeMap::new(),
            idlers: BTreeMap::new(),
            permits: 0,
            runners: 0,
            starting: 0,
            lent: 0,
            active: 0,
            burst: 1,
            peak: 0,
            publishing: 0,
            timer: Timer::Off,
            totals: Totals::default(),
            asked: Asked::default(),
        }
    }

    /// The jobs that runners have.
    fn claimed(&self) -> usize {
        self.jobs.values().filter(|job| !matches!(job.standing, Standing::Queued | Standing::Parked)).count()
    }

    pub(crate) fn stats(&self) -> PoolStats {
        // A runner whose whole batch has been taken back is busy with nothing until it finds out.
        let running = self.active.min(self.claimed());
        PoolStats {
            concurrency: self.limits.concurrency,
            capacity: self.limits.capacity,
            in_system: self.jobs.len(),
            queued: self.queue.len() + self.claimed() - running,
            running,
            parked: self.parked(),
            lent: self.lent,
            reserved: self.permits,
            waiting: self.line.len(),
            runners: self.runners,
            peak_running: self.peak,
            closed: self.phase > Phase::Open,
            totals: self.totals,
        }
    }

    pub(crate) fn has_room(&self) -> bool {
        self.jobs.len() + self.permits < self.limits.capacity
    }

    pub(crate) fn accept(&mut self, cell: u64) -> Number {
        let number = self.totals.accepted;
        self.totals.accepted += 1;
        let deadline = self.limits.deadline.map_or(NEVER, |deadline| self.now + deadline);
        let alarm = (deadline != NEVER).then_some(deadline);
        self.jobs.insert(number, Job { cell, standing: Standing::Queued, deadline, alarm });
        self.queue.push_back(number);
        number
    }

    pub(crate) fn stand_in_line(&mut self, waiter: usize, wait: Wait) {
        self.line.push(waiter);
        self.waiters.insert(waiter, wait);
    }

    pub(crate) fn leave_line(&mut self, waiter: usize) -> Wait {
        self.line.retain(|other| *other != waiter);
        self.waiters.remove(&waiter).expect("a waiter")
    }

    pub(crate) fn serve_line(&mut self) {
        while !self.line.is_empty() && self.has_room() {
            let waiter = self.line.remove(0);
            let (waker, ended) = match self.waiters[&waiter] {
                Wait::ForRoom { cell, waker } => (waker, Wait::Accepted(self.accept(cell))),
                Wait::ForPermit { waker } => {
                    self.permits += 1;
                    (waker, Wait::Granted)
                }
                other => panic!("in line: {other:?}"),
            };
            self.waiters.insert(waiter, ended);
            self.asked.wake.push(waker);
        }
    }

    pub(crate) fn dismiss_line(&mut self) {
        for waiter in std::mem::take(&mut self.line) {
            let (waker, cell) = match self.waiters[&waiter] {
                Wait::ForRoom { cell, waker } => (waker, Some(cell)),
                Wait::ForPermit { waker } => (waker, None),
                other => panic!("in line: {other:?}"),
            };
            self.waiters.insert(waiter, Wait::Closed { cell });
            self.asked.wake.push(waker);
        }
    }

    fn parked(&self) -> usize {
        self.jobs.values().filter(|job| job.standing == Standing::Parked).count()
    }

    fn slots_used(&self) -> usize {
        self.runners - self.lent
    }

    fn next_alarm(&self) -> Option<Ticks> {
        self.jobs.values().filter_map(|job| job.alarm).min()
    }

    /// A runner where one is needed, and a timer that does not oversleep.
    pub(crate) fn balance(&mut self) {
        let pending = self.jobs.values().filter(|job| matches!(job.standing, Standing::Suspended(_))).count();
        let needed = self.burst == 1 || self.runners < self.limits.parallelism + pending;
        let wanted = self.queue.len() > self.starting && self.starting < self.limits.parallelism;
        let free = self.slots_used() < self.limits.concurrency;
        if wanted && needed && free && self.phase < Phase::Aborted {
            self.starting += 1;
            self.runners += 1;
            self.asked.runner = true;
        }
        let Some(next) = self.next_alarm() else { return };
        if self.parked() > 0 || self.slots_used() >= self.limits.concurrency {
            match self.timer {
                Timer::Off => {
                    self.timer = Timer::Coming;
                    self.asked.timer = true;
                }
                Timer::Asleep { until, waker } if next < until => {
                    self.timer = Timer::Coming;
                    self.asked.wake.push(waker);
                }
                Timer::Coming | Timer::Asleep { .. } => {}
            }
        }
    }

    pub(crate) fn arrive(&mut self, claims: &mut Claims) {
        self.starting -= 1;
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

    pub(crate) fn pause(&mut self, ended: &[(Number, Bin, bool)], claims: &mut Claims) {
        self.count(ended);
        self.active -= usize::from(std::mem::take(&mut claims.busy));
        self.balance();
    }

    /// Whether the runner may: `false` if the job has been taken back.
    pub(crate) fn start(&mut self, number: Number) -> bool {
        let Some(job) = self.jobs.get_mut(&number) else { return false };
        if job.standing == Standing::Taken {
            job.standing = Standing::Started;
        }
        true
    }

    /// `false`: it cannot be parked.
    pub(crate) fn park(
        &mut self,
        number: Number,
        due: Ticks,
        ended: &[(Number, Bin, bool)],
        claims: &mut Claims,
    ) -> bool {
        if self.phase == Phase::Aborted || self.parked() >= self.limits.max_parked {
            return false;
        }
        self.count(ended);
        self.totals.attempts += 1;
        self.totals.retries += 1;
        let job = self.jobs.get_mut(&number).expect("a job");
        (job.standing, job.alarm) = (Standing::Parked, Some(due));
        self.claim(claims);
        self.balance();
        true
    }

    /// Whether the pool has been aborted.
    pub(crate) fn suspend(
        &mut self,
        number: Number,
        waker: WakerId,
        ended: &[(Number, Bin, bool)],
        claims: &mut Claims,
    ) -> bool {
        let job = self.jobs.get_mut(&number).expect("a job");
        (job.standing, job.alarm) = (Standing::Suspended(Some(waker)), None);
        (self.burst, claims.burst) = (1, 1);
        self.count(ended);
        while let Some(number) = claims.numbers.pop_back() {
            // One that has been taken back is gone.
            if let Some(job) = self.jobs.get_mut(&number) {
                job.standing = Standing::Queued;
                self.queue.push_front(number);
            }
        }
        self.balance();
        self.phase == Phase::Aborted
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
        let leaves = claims.numbers.is_empty();
        self.runners -= usize::from(leaves);
        self.balance();
        self.note_idle();
        leaves
    }

    pub(crate) fn linger(&mut self) -> bool {
        let lingers = self.starting == 0 && self.phase < Phase::Aborted;
        self.starting += usize::from(lingers);
        lingers
    }

    pub(crate) fn lose(&mut self, arrived: bool, ended: &[(Number, Bin, bool)], claims: &Claims) {
        self.starting -= usize::from(!arrived);
        self.active -= usize::from(claims.busy);
        self.publishing += ended.len();
        self.count(ended);
        self.runners -= 1;
        self.note_idle();
    }

    fn count(&mut self, ended: &[(Number, Bin, bool)]) {
        for (number, bin, attempted) in ended {
            self.totals.attempts += u64::from(*attempted);
            self.end(*number, *bin);
        }
    }

    fn end(&mut self, number: Number, bin: Bin) {
        self.jobs.remove(&number).expect("a job has one outcome");
        let counter = match bin {
            Bin::Succeeded => &mut self.totals.succeeded,
            Bin::Failed => &mut self.totals.failed,
            Bin::Panicked => &mut self.totals.panicked,
            Bin::TimedOut => &mut self.totals.timed_out,
            Bin::Cancelled => &mut self.totals.cancelled,
            Bin::Aborted => &mut self.totals.aborted,
            Bin::Returned => &mut self.totals.returned,
        };
        *counter += 1;
        self.serve_line();
    }

    /// First come, first served.
    fn claim(&mut self, claims: &mut Claims) {
        if !claims.numbers.is_empty() {
            return;
        }
        if self.slots_used() <= self.limits.concurrency {
            let share = self.queue.len().div_ceil(self.limits.parallelism).min(claims.burst);
            for number in self.queue.drain(..share) {
                let job = self.jobs.get_mut(&number).expect("a job");
                if claims.numbers.is_empty() {
                    (job.standing, job.alarm) = (Standing::Claimed, None);
                } else {
                    job.standing = Standing::Taken;
                }
                claims.numbers.push_back(number);
            }
        }
        let busy = !claims.numbers.is_empty();
        self.active = self.active + usize::from(busy) - usize::from(claims.busy);
        self.peak = self.peak.max(self.active);
        claims.busy = busy;
    }

    /// The cell of a job that waited.
    pub(crate) fn withdraw(&mut self, number: Number) -> Option<u64> {
        let cell = self.unlist(number, Bin::Cancelled)?;
        self.balance();
        Some(cell)
    }

    fn unlist(&mut self, number: Number, bin: Bin) -> Option<u64> {
        let job = *self.jobs.get(&number)?;
        if !matches!(job.standing, Standing::Queued | Standing::Parked | Standing::Taken) {
            return None;
        }
        self.queue.retain(|queued| *queued != number);
        self.publishing += 1;
        self.end(number, bin);
        Some(job.cell)
    }

    pub(crate) fn nudge(&mut self, number: Number) {
        if let Some(Job { standing: Standing::Suspended(waker), .. }) = self.jobs.get_mut(&number) {
            self.asked.wake.extend(waker.take());
        }
    }

    /// The cells that waited, in the order of acceptance, and how many pending jobs there are.
    pub(crate) fn sweep(&mut self, bin: Bin) -> (Vec<u64>, usize) {
        self.phase = Phase::Aborted;
        self.dismiss_line();
        let (mut waiting, mut running) = (Vec::new(), 0);
        for number in self.jobs.keys().copied().collect::<Vec<_>>() {
            let cell = self.jobs[&number].cell;
            if self.unlist(number, bin).is_some() {
                waiting.push(cell);
            } else if matches!(self.jobs[&number].standing, Standing::Suspended(_)) {
                running += 1;
                self.nudge(number);
            }
        }
        self.retire_timer();
        (waiting, running)
    }

    /// The cells of what has expired, and until when the timer sleeps.
    pub(crate) fn ring(&mut self, waker: WakerId) -> (Vec<u64>, Option<Ticks>) {
        let mut expired = Vec::new();
        while self.phase < Phase::Aborted {
            let due = self.jobs.iter().filter_map(|(number, job)| Some((job.alarm?, *number))).min();
            let Some((_, number)) = due.filter(|(due, _)| *due <= self.now) else { break };
            let job = self.jobs.get_mut(&number).expect("a job");
            match job.standing {
                Standing::Parked => {
                    job.standing = Standing::Queued;
                    job.alarm = (job.deadline != NEVER).then_some(job.deadline);
                    self.queue.push_back(number);
                }
                // Its runner keeps the time.
                Standing::Started => job.alarm = None,
                _ => expired.extend(self.unlist(number, Bin::TimedOut)),
            }
        }
        self.balance();
        let until = self.next_alarm();
        self.timer = until.map_or(Timer::Off, |until| Timer::Asleep { until, waker });
        self.note_idle();
        (expired, until)
    }

    fn retire_timer(&mut self) {
        if let (None, Timer::Asleep { waker, .. }) = (self.next_alarm(), self.timer) {
            self.timer = Timer::Coming;
            self.asked.wake.push(waker);
        }
    }

    pub(crate) fn published(&mut self, count: usize) {
        self.publishing -= count;
        self.note_idle();
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.jobs.is_empty() && self.runners == 0 && self.publishing == 0
    }

    fn note_idle(&mut self) {
        if self.runners == 0 {
            self.retire_timer();
        }
        if self.is_idle() {
            self.asked.wake.extend(self.idlers.values_mut().filter_map(Option::take));
        }
    }

    /// What must hold between any two operations.
    pub(crate) fn check(&self) {
        let stats = self.stats();
        assert!(stats.balances(), "{stats:?}");
        assert!(self.jobs.len() + self.permits <= self.limits.capacity, "above capacity: {stats:?}");
        assert!(self.line.is_empty() || !self.has_room(), "somebody waits for room that is there: {stats:?}");
        assert!(!self.is_idle() || self.idlers.values().all(Option::is_none), "idle, and somebody has not been told");
        let slot_free = self.slots_used() < self.limits.concurrency && self.phase < Phase::Aborted;
        if !self.queue.is_empty() && slot_free && self.burst == 1 {
            assert!(self.starting > 0, "a job is ready, a slot is free, and nobody comes: {stats:?}");
        }
        if let (Some(next), true) = (self.next_alarm(), self.parked() > 0) {
            let in_time = match self.timer {
                Timer::Off => false,
                Timer::Coming => true,
                Timer::Asleep { until, .. } => until <= next,
            };
            assert!(in_time, "a job is parked until {next}, and the timer is {:?}", self.timer);
        }
    }
}
