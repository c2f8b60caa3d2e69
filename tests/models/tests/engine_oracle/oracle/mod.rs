//! What the engine should do, in vectors: one job after another, nothing shared, nothing fast.

mod ending;
mod entering;
mod running;

pub(crate) use ending::Found;
pub(crate) use entering::{Admitted, Entrant, Wait};
pub(crate) use running::{Bell, Claims};

use crate::kernel::alarms::{NEVER, Ticks};
use crate::kernel::engine::{Limits, Phase, PoolStats, Tempo, Totals};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The number of a job in the order of acceptance.
pub(crate) type Number = u64;
/// The number of a waker.
pub(crate) type WakerId = usize;
/// The number of a runner.
pub(crate) type RunnerId = usize;
/// What jobs of one lane have in common.
pub(crate) type LaneKey = u64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Queued,
    /// A runner has it.
    Claimed,
    /// A runner has taken it along and not started it.
    Taken,
    /// A runner has taken it along and started it.
    Started,
    /// It has begun to wait, and the timer keeps its time.
    Stalled,
    Parked,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Job {
    /// The cell.
    pub(crate) cell: u64,
    pub(crate) standing: Standing,
    pub(crate) deadline: Ticks,
    pub(crate) lane: Option<LaneKey>,
    /// When it is to be looked at again.
    alarm: Option<Ticks>,
    /// Who has it, if somebody does.
    runner: Option<RunnerId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    Off,
    Coming,
    Asleep { until: Ticks, waker: WakerId },
}

/// What an operation should ask for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) runner: bool,
    pub(crate) timer: bool,
    pub(crate) collect: bool,
    /// In ascending order when compared.
    pub(crate) wake: Vec<WakerId>,
}

#[derive(Debug)]
pub(crate) struct Oracle {
    pub(crate) limits: Limits,
    pub(crate) phase: Phase,
    pub(crate) paused: bool,
    pub(crate) now: Ticks,
    pub(crate) jobs: BTreeMap<Number, Job>,
    /// Jobs that may be started, in order.
    queue: VecDeque<Number>,
    /// The jobs of each key in the order of acceptance; the first of them is out, the others wait behind it.
    lanes: BTreeMap<LaneKey, VecDeque<Number>>,
    /// The keys with jobs that wait behind another, in the order in which they came to have any.
    backlogged: Vec<LaneKey>,
    line: Vec<usize>,
    /// Those who wait until a lane holds fewer jobs.
    lane_lines: BTreeMap<LaneKey, VecDeque<usize>>,
    pub(crate) waiters: BTreeMap<usize, Wait>,
    /// Those who wait until the pool is idle: their wakers, or `None` if they have been told.
    pub(crate) idlers: BTreeMap<usize, Option<WakerId>>,
    pub(crate) permits: usize,
    /// The bells of the runners that are here.
    pub(crate) bells: BTreeMap<RunnerId, Bell>,
    /// What those have taken along and not started, in order.
    trays: BTreeMap<RunnerId, VecDeque<Number>>,
    runners: usize,
    starting: usize,
    lent: usize,
    active: usize,
    swift: usize,
    /// How often to look whether swift runners are stuck, and when to look next.
    period: Option<Ticks>,
    patrol: Option<Ticks>,
    tempo: Tempo,
    told: Ticks,
    peak: usize,
    pub(crate) publishing: usize,
    pub(crate) timer: Timer,
    totals: Totals,
    pub(crate) asked: Asked,
}

impl Oracle {
    pub(crate) fn new(limits: Limits, period: Option<Ticks>) -> Self {
        Self {
            limits,
            phase: Phase::Open,
            paused: false,
            now: 0,
            jobs: BTreeMap::new(),
            queue: VecDeque::new(),
            lanes: BTreeMap::new(),
            backlogged: Vec::new(),
            line: Vec::new(),
            lane_lines: BTreeMap::new(),
            waiters: BTreeMap::new(),
            idlers: BTreeMap::new(),
            permits: 0,
            bells: BTreeMap::new(),
            trays: BTreeMap::new(),
            runners: 0,
            starting: 0,
            lent: 0,
            active: 0,
            swift: 0,
            period,
            patrol: None,
            tempo: Tempo::UNKNOWN,
            told: 0,
            peak: 0,
            publishing: 0,
            timer: Timer::Off,
            totals: Totals::default(),
            asked: Asked::default(),
        }
    }

    fn count_jobs(&self, is_one: impl Fn(&Job) -> bool) -> usize {
        self.jobs.values().filter(|job| is_one(job)).count()
    }

    /// The jobs that runners have.
    fn claimed(&self) -> usize {
        self.count_jobs(|job| !matches!(job.standing, Standing::Queued | Standing::Parked))
    }

    fn parked(&self) -> usize {
        self.count_jobs(|job| job.standing == Standing::Parked)
    }

    /// The running jobs whose time the timer keeps.
    fn watched(&self) -> usize {
        self.count_jobs(|job| job.standing == Standing::Stalled && job.alarm.is_some())
    }

    /// The jobs that wait behind another of their key.
    fn behind(&self) -> usize {
        self.lanes.values().map(|jobs| jobs.len() - 1).sum()
    }

    fn slots_used(&self) -> usize {
        self.runners - self.lent
    }

    /// One runner, and one more for each 50 us of queued work, of which each job costs 250 ns to fetch.
    fn parallelism(&self) -> usize {
        let most = self.limits.threads.min(self.limits.concurrency);
        let fetched = self.tempo.per_job.saturating_sub(250);
        (1..most).filter(|runners| fetched.saturating_mul(self.queue.len() as u64) >= 50_000 * *runners as u64).count()
            + 1
    }

    fn starts_jobs(&self) -> bool {
        (!self.paused || self.phase == Phase::Sealed) && self.phase < Phase::Aborted
    }

    fn next_alarm(&self) -> Option<Ticks> {
        self.jobs.values().filter_map(|job| job.alarm).min()
    }

    /// When the timer has something to do.
    fn next_due(&self) -> Option<Ticks> {
        self.next_alarm().into_iter().chain(self.patrol).min()
    }

    /// Whether jobs wait for runners that are thought to be fast.
    fn relies_on_pace(&self) -> bool {
        self.swift > 0 && (self.claimed() > self.active || self.queue.len() > self.starting)
    }

    pub(crate) fn stats(&self) -> PoolStats {
        // A runner whose whole batch has been taken back is busy with nothing until it finds out.
        let running = self.active.min(self.claimed());
        let waited_for = self.waiters.values().filter_map(Wait::lane);
        let lanes: BTreeSet<_> = self.lanes.keys().copied().chain(waited_for).collect();
        let waiting_for_key = self.lane_lines.values().map(VecDeque::len).sum::<usize>();
        PoolStats {
            concurrency: self.limits.concurrency,
            capacity: self.limits.capacity,
            in_system: self.jobs.len(),
            queued: self.queue.len() + self.behind() + self.claimed() - running,
            running,
            parked: self.parked(),
            lent: self.lent,
            reserved: self.permits,
            waiting: self.line.len() + waiting_for_key,
            waiting_for_key,
            lanes: lanes.len(),
            runners: self.runners,
            peak_running: self.peak,
            closed: self.phase > Phase::Open,
            paused: self.paused,
            totals: self.totals,
        }
    }

    /// A runner where one is needed, and a timer that does not oversleep.
    pub(crate) fn balance(&mut self) {
        let wanted = self.queue.len() > self.starting && self.swift + self.starting < self.parallelism();
        if wanted && self.slots_used() < self.limits.concurrency && self.starts_jobs() {
            self.starting += 1;
            self.runners += 1;
            self.asked.runner = true;
        }
        if self.period.is_some() && self.patrol.is_none() && self.relies_on_pace() {
            self.patrol = Some(0);
        }
        let Some(next) = self.next_due() else { return };
        let held_up = self.slots_used() >= self.limits.concurrency || self.claimed() > self.active;
        let waited_for = held_up || self.parked() + self.watched() + self.behind() > 0 || !self.starts_jobs();
        if self.patrol.is_some() || waited_for {
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

    pub(crate) fn pause(&mut self) {
        self.paused = true;
        self.recall_all();
        self.balance();
    }

    pub(crate) fn resume(&mut self) {
        self.paused = false;
        self.balance();
    }

    pub(crate) fn set_concurrency(&mut self, concurrency: usize) {
        let fewer = concurrency < self.limits.concurrency;
        self.limits.concurrency = concurrency;
        if fewer {
            self.recall_all();
        }
        self.balance();
    }

    /// What runners have not started waits again, at the front, in the order of acceptance.
    pub(super) fn recall_all(&mut self) {
        self.trays.values_mut().for_each(VecDeque::clear);
        for (number, job) in self.jobs.iter_mut().rev() {
            if job.standing == Standing::Taken {
                (job.standing, job.runner) = (Standing::Queued, None);
                self.queue.push_front(*number);
            }
        }
    }

    /// What must hold between any two operations.
    pub(crate) fn check(&self) {
        let stats = self.stats();
        assert!(stats.balances(), "{stats:?}");
        assert!(self.jobs.len() + self.permits <= self.limits.capacity, "above capacity: {stats:?}");
        assert!(self.parked() <= self.limits.max_parked, "too many parked: {stats:?}");
        assert!(self.line.is_empty() || !self.has_room(), "somebody waits for room that is there: {stats:?}");
        assert!(!self.is_idle() || self.idlers.values().all(Option::is_none), "idle, and somebody has not been told");
        self.check_lanes();
        let free = self.slots_used() < self.limits.concurrency && self.starts_jobs();
        if !self.queue.is_empty() && free && self.starting == 0 {
            assert!(self.swift >= self.parallelism(), "a job is ready, a slot is free, and nobody comes: {stats:?}");
        }
        let patrolled = self.period.is_none() || !self.relies_on_pace() || self.patrol.is_some();
        assert!(patrolled, "jobs wait for a runner that is thought to be fast, and nobody looks: {stats:?}");
        let is_asked = self.parked() + self.watched() > 0 || self.patrol.is_some();
        if let (Some(next), true) = (self.next_due(), is_asked) {
            let in_time = match self.timer {
                Timer::Off => false,
                Timer::Coming => true,
                Timer::Asleep { until, .. } => until <= next,
            };
            assert!(in_time, "a job waits until {next}, and the timer is {:?}", self.timer);
        }
    }

    fn check_lanes(&self) {
        for (lane, jobs) in &self.lanes {
            assert!(self.held(*lane) <= self.limits.per_lane, "lane {lane} holds too many");
            let behind = jobs
                .iter()
                .skip(1)
                .all(|number| self.jobs[number].standing == Standing::Queued && !self.queue.contains(number));
            assert!(behind, "two jobs of lane {lane} are out: {jobs:?}");
        }
        for (lane, line) in &self.lane_lines {
            let full = self.held(*lane) >= self.limits.per_lane;
            assert!(line.is_empty() || full, "somebody waits for lane {lane}, which has room");
        }
    }
}

/// A deadline as an alarm.
fn alarm(deadline: Ticks) -> Option<Ticks> {
    (deadline != NEVER).then_some(deadline)
}
