//! # What
//! [`Engine`] decides, for one pool, who is admitted, who runs, who waits and for how long, and counts what
//! became of everyone. It knows jobs only as cells of type `C` that it keeps, moves and hands out; handlers,
//! hooks, values and wake-ups happen outside.
//!
//! # States
//! A *place* is a permit: a job holds the same one from acceptance to outcome.
//!
//! | place | holds | next |
//! |---|---|---|
//! | `Reserved` | nothing yet: `reserve()` was granted | `Queued` (`redeem`), free (`release`) |
//! | `Queued` | the cell; listed in `ready`, or in its lane behind another job of its key | `Active`, `Taken` (claimed), free (withdrawn, late, shed, swept) |
//! | `Taken` | nothing: a runner took it along with another; the cell is on its tray, unless it has started it | `Active` (it waits), `Parked`, `Queued` at the front (given back, recalled), free (withdrawn, late, ended) |
//! | `Active` | nothing: a runner has the cell, and is reached by its bell | `Parked`, free |
//! | `Parked` | the cell, with an alarm for the end of the backoff | `Queued` at the back, free |
//!
//! | phase | admits | honours permits | starts jobs |
//! |---|---|---|---|
//! | `Open` | yes | yes | yes, unless paused |
//! | `Closed` | no | yes | yes, unless paused |
//! | `Sealed` (a shutdown drains) | no | no | yes |
//! | `Aborted` | no | no | no |
//!
//! A runner is a transient task: *starting* (spawned, not yet here), *here*, *lending* (its job waits for another
//! job of this pool, so its slot may be used by one more runner). It is *swift* while its jobs are short and do not
//! wait. The timer is a transient task too.
//!
//! # Invariants
//! 1. Places, and those kept for batches to come, never outnumber `capacity`. While somebody waits in `line`, no place is free: room is handed over by
//!    whoever frees it, so an unpolled waiter holds up nobody.
//! 2. `accepted` equals the sum of all bins plus the places that are not `Reserved`, whenever the lock is free.
//! 3. While jobs are ready, a slot is free and the pool is neither paused nor aborted, a runner is starting, or as many
//!    swift ones as can be of use at once are here: not more than the runtime's threads or the slots, nor than what is queued
//!    is worth (see [`Tempo`]), as more would only get in each other's way. One that leaves looks at `ready` under the same lock that counts it out.
//! 4. An alarm of a parked job, of a running one, of one taken along, or of a queued one that no free slot will take soon
//!    has a timer that is starting, awake, or asleep until no later than that alarm.
//! 5. `publishing` counts outcomes that have been counted here and not yet stored in their cells by someone who is not
//!    counted as a runner; the pool is idle only when it is zero and no runner is left.
//! 6. Of the jobs of one lane at most one is out of the lane's queue: ready, claimed, running or parked. So they end in
//!    the order of acceptance, and no key has more than one job in `ready`.
//! 7. In a patrolled engine no job waits for a swift runner, claimed, ready or ended, without the timer looking every period
//!    whether that runner has been with one job since the last look. If so, it is no longer swift, and has nothing taken along.
//!
//! # Why not the obvious
//! A channel of jobs with parked workers has wake-ups to lose, needs room to take a retry back (the classic
//! self-deadlock), and cannot give up a job in its middle. A semaphore beside the queue would be a second truth to
//! keep in step. One short lock makes every count exact at every instant; transient runners leave no parked worker
//! behind, and a retry keeps its place, so it can neither block nor be refused.
//!
//! # Cost
//! One lock operation a job beside the submitter's, or one for a whole batch of short ones, and then one of its tray for
//! each; all O(1), or O(log n) where an alarm is set that comes in no order. 40 bytes a place.

mod admission;
mod batching;
mod claims;
mod control;
mod effects;
mod ending;
mod lanes;
mod ledger;
mod line;
mod running;
mod tempo;
mod timing;
mod tray;

pub(crate) use admission::{Admission, Entry, Overflow, Request, Reservation};
pub(crate) use batching::Closed;
pub(crate) use claims::Batch;
pub(crate) use effects::{Due, Effects};
pub(crate) use ending::{Cancelled, Sweep};
pub(crate) use lanes::LaneId;
pub(crate) use ledger::Bin;
pub use ledger::{PoolStats, Totals};
pub(crate) use line::Waited;
pub(crate) use running::{Ended, Parking, Unparkable};
pub(crate) use tempo::Tempo;
pub(crate) use timing::{Clock, Expired, Now, Ring};
pub(crate) use tray::Claim;

use super::alarms::{Alarms, NEVER, Ticks};
use super::slab::{Fifo, Key, Link, Slab};
use crate::shim::{Mutex, MutexGuard};
use ending::Idler;
use lanes::Lanes;
use line::Waiter;
use timing::Timer;
use tray::Here;

/// The bounds of an engine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How many jobs may run at once; the one bound that can be changed.
    pub(crate) concurrency: usize,
    /// How many jobs may be in the system at once.
    pub(crate) capacity: usize,
    /// How many jobs may wait out a backoff at once.
    pub(crate) max_parked: usize,
    /// How many jobs of one key may be in the system at once.
    pub(crate) per_lane: usize,
    /// How many handlers can be polled at the same instant: the runtime's threads.
    pub(crate) threads: usize,
    /// How long after its acceptance a job may still be in the system.
    pub(crate) deadline: Option<Ticks>,
    /// What becomes of a submission for which there is no room.
    pub(crate) overflow: Overflow,
}

/// How far the pool has been closed. Only ever grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Admits jobs.
    Open,
    /// Admits none but those with a permit.
    Closed,
    /// Admits none.
    Sealed,
    /// Admits and starts none.
    Aborted,
}

/// The name of an accepted job: its place, and its number in the order of acceptance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(crate) key: Key,
    pub(crate) number: u64,
}

#[derive(Debug)]
enum Standing<C> {
    Reserved,
    Queued(C),
    Taken(Key, u32),
    Active(Key),
    Parked(C),
}

#[derive(Debug)]
struct Place<C> {
    standing: Standing<C>,
    /// Its alarm, if one is set.
    alarm: Link,
    /// The low half of the job's number: tells a stale ticket from this job's.
    number: u32,
    /// Its lane, if it has a key.
    lane: Link,
}

impl<C> Place<C> {
    fn reserved() -> Self {
        Self { standing: Standing::Reserved, alarm: Link::NONE, number: 0, lane: Link::NONE }
    }
}

/// The number of a job of which its place keeps the low half, if so many had been accepted when the last one was.
#[inline]
fn number(latest: u64, low: u32) -> u64 {
    latest - u64::from((latest as u32).wrapping_sub(low))
}

/// The scheduler of one pool.
#[derive(Debug)]
pub(crate) struct Engine<C, K> {
    state: Apart<Mutex<State<C>>>,
    clock: K,
    /// Whether every job has a deadline, so that whoever submits one reads the clock before it takes the lock.
    timed: bool,
}

/// Keeps its content's lines of cache apart from whatever stands beside it.
#[derive(Debug)]
#[repr(align(128))]
struct Apart<T>(T);

/// In this order, and behind its lock: what every step of a job changes fills three lines of cache, what most only look at
/// the next two. A processor that takes the lock over from another one has to fetch each line that it touches.
#[derive(Debug)]
#[repr(C)]
struct State<C> {
    ready: Fifo,
    places: Slab<Place<C>>,
    /// Jobs that runners have: one each that runs, and those of a batch before and after it.
    claimed: usize,
    /// Runners that have a job.
    active: usize,
    /// Runners whose jobs have been short and have not waited.
    swift: usize,
    starting: usize,
    /// Runners that exist, starting ones included.
    runners: usize,
    lent: usize,
    peak_running: usize,
    /// When a runner has last told of its tempo.
    told: Ticks,
    tempo: Tempo,
    /// When to look next whether swift runners are.
    patrol: Ticks,
    /// Room that is kept for batches of jobs to come, and has no places yet.
    held: usize,
    totals: Totals,
    limits: Limits,
    /// How often to look whether swift runners are, if handlers may block.
    period: Option<Ticks>,
    phase: Phase,
    paused: bool,
    line: Fifo,
    /// Running jobs whose time the timer keeps.
    watched: usize,
    parked: usize,
    reserved: usize,
    publishing: usize,
    alarms: Alarms,
    timer: Timer,
    /// The runners that are here.
    here: Slab<Here<C>>,
    lanes: Lanes,
    /// Submitters: those in `line` wait for room, those in a lane's own line for that, the others for their next poll.
    waiters: Slab<Waiter<C>>,
    /// Tasks that wait until the pool is idle.
    idlers: Slab<Idler>,
}

impl<C, K: Clock> Engine<C, K> {
    /// An idle, open engine.
    pub(crate) fn new(limits: Limits, clock: K) -> Self {
        let state = State {
            limits,
            phase: Phase::Open,
            paused: false,
            places: Slab::new(),
            ready: Fifo::new(),
            lanes: Lanes::new(),
            alarms: Alarms::new(),
            waiters: Slab::new(),
            line: Fifo::new(),
            idlers: Slab::new(),
            timer: Timer::Off,
            here: Slab::new(),
            runners: 0,
            starting: 0,
            lent: 0,
            active: 0,
            swift: 0,
            period: None,
            patrol: NEVER,
            tempo: Tempo::UNKNOWN,
            told: 0,
            claimed: 0,
            watched: 0,
            parked: 0,
            reserved: 0,
            held: 0,
            publishing: 0,
            peak_running: 0,
            totals: Totals::default(),
        };
        Self { state: Apart(Mutex::new(state)), clock, timed: limits.deadline.is_some() }
    }

    /// The same for handlers that may block without telling anybody: looks every so often whether one does.
    pub(crate) fn patrolled(self, period: Ticks) -> Self {
        self.lock().period = Some(period);
        self
    }

    #[inline]
    fn lock(&self) -> MutexGuard<'_, State<C>> {
        self.state.0.lock()
    }

    /// The clock that this engine was made with.
    pub(crate) fn clock(&self) -> &K {
        &self.clock
    }

    /// The time, to be read if it is asked for.
    #[inline]
    fn now(&self) -> Now<'_, K> {
        Now::unread(&self.clock)
    }
}

impl<C> State<C> {
    /// The slots in use: a lender has lent its own.
    #[inline]
    fn slots_used(&self) -> usize {
        self.runners - self.lent
    }

    /// Whether jobs may be started.
    #[inline]
    fn starts_jobs(&self) -> bool {
        // A shutdown that drains does not wait for a resumption that may never come.
        (!self.paused || self.phase == Phase::Sealed) && self.phase < Phase::Aborted
    }

    /// Whether one more runner would find a job, a slot, and a thread to make use of it.
    #[inline]
    fn wants_runner(&self) -> bool {
        self.ready.len() > self.starting
            && self.swift + self.starting < self.parallelism()
            && self.slots_used() < self.limits.concurrency
            && self.starts_jobs()
    }

    /// Restores invariants 3 and 4 after any change.
    #[inline]
    fn balance(&mut self, fx: &mut Effects) {
        if self.wants_runner() {
            self.starting += 1;
            self.runners += 1;
            fx.start_runner = true;
        }
        self.watch_pace();
        if self.patrol != NEVER || (!self.alarms.is_empty() && self.needs_timer()) {
            self.arm(fx);
        }
    }

    /// Whether an alarm may concern a job that nobody looks at soon: one that waits behind others, for a slot, for its
    /// key, or for the job that its runner took it along with; one that is parked; or one that runs and waits.
    fn needs_timer(&self) -> bool {
        self.parked > 0
            || self.watched > 0
            || self.slots_used() >= self.limits.concurrency
            || self.claimed > self.active
            || self.lanes.queued() > 0
            || !self.starts_jobs()
    }

    fn place(&mut self, ticket: Ticket) -> Option<&mut Place<C>> {
        self.places.get_mut(ticket.key).filter(|place| {
            // A number wraps after 2^32 jobs in one place, and a stale ticket's cell says that it is done.
            place.number == ticket.number as u32 && !matches!(place.standing, Standing::Reserved)
        })
    }

    /// The number of the job at a place that keeps its low half: the job is one of the last 2^32 that were accepted.
    #[inline]
    fn number(&self, low: u32) -> u64 {
        number(self.totals.accepted - 1, low)
    }

    /// Gives the place of a job up, which is in no list any more, and counts the job's outcome.
    #[inline]
    fn free<K: Clock>(&mut self, key: Key, bin: Bin, now: &Now<'_, K>, fx: &mut Effects) {
        let lane = self.places.get(key).map_or(Link::NONE, |place| place.lane);
        self.places.remove(key);
        self.totals.count(bin);
        if let Some(lane) = lane.get() {
            self.leave_lane(lane, key);
        }
        if !self.line.is_empty() {
            self.admit_line(now, fx);
        }
    }

    /// Takes the alarm of a place out, if it has one.
    #[inline]
    fn silence(&mut self, key: Key) {
        if !self.alarms.is_empty() {
            let alarm = self.places.get_mut(key).and_then(|place| place.alarm.take());
            if let Some(alarm) = alarm {
                self.alarms.clear(alarm);
            }
        }
    }

    /// Sets the alarm of a place that has none.
    #[inline]
    fn set_alarm(&mut self, owner: Key, due: Ticks, deadline: Ticks) {
        let alarm = self.alarms.set(super::alarms::Alarm { due, deadline, owner });
        let place = self.places.get_mut(owner).expect("an alarm's owner holds its place");
        debug_assert!(place.alarm.get().is_none(), "an owner has one alarm at most");
        place.alarm = alarm.into();
    }

    /// The jobs that have been accepted and have no outcome yet.
    fn in_system(&self) -> usize {
        self.places.len() - self.reserved
    }
}
