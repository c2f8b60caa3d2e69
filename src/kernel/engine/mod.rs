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
//! | `Reserved` | nothing yet: `reserve()` was granted | `Queued` (`fill`), free (`release`) |
//! | `Queued` | the cell, listed in `ready` | `Active`, `Taken` (claimed), free (withdrawn, late, swept) |
//! | `Taken` | the cell, and so does the runner that took it along with another | `Suspended`, `Parked`, `Queued` at the front (given back), free (reclaimed, or ended) |
//! | `Active` | nothing: a runner has the cell | `Suspended`, `Parked`, free |
//! | `Suspended` | the cell and the runner's waker: its future returned `Pending` | `Parked`, free |
//! | `Parked` | the cell, with an alarm for the end of the backoff | `Queued` at the back, free |
//!
//! | phase | admits | honours permits | starts jobs |
//! |---|---|---|---|
//! | `Open` | yes | yes | yes |
//! | `Closed` | no | yes | yes |
//! | `Sealed` (a shutdown drains) | no | no | yes |
//! | `Aborted` | no | no | no |
//!
//! A runner is a transient task: *starting* (spawned, not yet here), *running*, *lending* (its job waits for another
//! job of this pool, so its slot may be used by one more runner). The timer is one such task too.
//!
//! # Invariants
//! 1. Places never outnumber `capacity`. While somebody waits in `line`, no place is free: room is handed over by
//!    whoever frees it, so an unpolled waiter holds up nobody.
//! 2. `accepted` equals the sum of all bins plus the places that are not `Reserved`, whenever the lock is free.
//! 3. While jobs are ready and a slot is free, a runner is starting, or (while jobs are short) as many are between two
//!    jobs as the runtime has threads, or the pool is aborted. Submissions start as many at once as there are threads: a
//!    runner that another has started shares its thread until that one awaits. One that leaves looks at `ready` under
//!    the same lock that counts it out.
//! 4. An alarm of a parked job, of a queued one when every slot is taken, or of one taken along has a timer that is starting, awake,
//!    or asleep until no later than that alarm.
//! 5. `publishing` counts outcomes that have been counted here and not yet stored in their cells by someone who is not
//!    counted as a runner; the pool is idle only when it is zero and no runner is left.
//!
//! # Why not the obvious
//! A channel of jobs with parked workers has wake-ups to lose, needs room to take a retry back (the classic
//! self-deadlock), and cannot give up a job in its middle. A semaphore beside the queue would be a second truth to
//! keep in step. One short lock makes every count exact at every instant; transient runners leave no parked worker
//! behind, and a retry keeps its place, so it can neither block nor be refused.
//!
//! # Cost
//! One lock operation a job beside the submitter's, or one for a whole batch of short ones; each O(1), or O(log n) where
//! an alarm is set. 40 bytes a place.

mod admission;
mod batching;
mod ending;
mod ledger;
mod running;
mod timing;

pub(crate) use admission::{Admission, Entry, Waited};
pub(crate) use batching::Closed;
pub(crate) use ending::{Sweep, Swept};
pub(crate) use ledger::Bin;
pub use ledger::{PoolStats, Totals};
pub(crate) use running::{Batch, Claim, Claimed, Ended, Parking};
pub(crate) use timing::{Clock, Expired, Ring};

use super::alarms::{Alarms, NEVER, Positions, SILENT, Ticks};
use super::slab::{Fifo, Key, Slab};
use crate::shim::Mutex;
use admission::Waiter;
use ending::Idler;
use std::task::Waker;
use timing::Timer;

/// The bounds of an engine; all are fixed when it is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How many jobs may run at once.
    pub(crate) concurrency: usize,
    /// How many jobs may be in the system at once.
    pub(crate) capacity: usize,
    /// How many jobs may wait out a backoff at once.
    pub(crate) max_parked: usize,
    /// How many handlers can be polled at the same instant: the runtime's threads.
    pub(crate) parallelism: usize,
    /// How long after its acceptance a job may still be in the system.
    pub(crate) deadline: Option<Ticks>,
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

/// What the caller must do once the lock is free.
#[derive(Debug, Default)]
#[must_use = "runners, timers and waiting tasks depend on it"]
pub(crate) struct Effects {
    /// Spawn one runner.
    pub(crate) start_runner: bool,
    /// Spawn the timer.
    pub(crate) start_timer: bool,
    /// Wake or drop all of these.
    pub(crate) wakers: Vec<Due>,
}

/// What is due to a waker outside the lock.
#[derive(Debug)]
pub(crate) enum Due {
    /// Its task waits for this.
    Wake(Waker),
    /// It is of no more use; dropping it may run user code.
    Drop(Waker),
}

impl Effects {
    fn wake(&mut self, waker: Waker) {
        self.wakers.push(Due::Wake(waker));
    }

    fn drop(&mut self, waker: Waker) {
        self.wakers.push(Due::Drop(waker));
    }

    /// Whether there is nothing to do.
    #[inline]
    pub(crate) fn is_nothing(&self) -> bool {
        !self.start_runner && !self.start_timer && self.wakers.is_empty()
    }
}

#[derive(Debug)]
enum Standing<C> {
    Reserved,
    Queued(C),
    Taken(C),
    Active,
    Suspended(C, Option<Waker>),
    Parked(C),
}

#[derive(Debug)]
struct Place<C> {
    standing: Standing<C>,
    /// The position of its alarm.
    alarm: u32,
    /// The low half of the job's number: tells a stale ticket from this job's.
    number: u32,
}

impl<C> Positions for Slab<Place<C>> {
    fn position(&mut self, owner: Key) -> &mut u32 {
        &mut self.get_mut(owner).expect("an alarm's owner holds its place").alarm
    }
}

/// The scheduler of one pool.
#[derive(Debug)]
pub(crate) struct Engine<C, K> {
    state: Mutex<State<C>>,
    clock: K,
    timed: bool,
}

#[derive(Debug)]
struct State<C> {
    limits: Limits,
    phase: Phase,
    places: Slab<Place<C>>,
    ready: Fifo,
    alarms: Alarms,
    /// Submitters: those in `line` wait for room, the others for their next poll.
    waiters: Slab<Waiter<C>>,
    line: Fifo,
    /// Tasks that wait until the pool is idle.
    idlers: Slab<Idler>,
    timer: Timer,
    /// Runners that exist, starting ones included.
    runners: usize,
    starting: usize,
    lent: usize,
    /// Runners that have a job.
    active: usize,
    /// Jobs whose future is pending.
    suspended: usize,
    /// How many jobs a runner may claim at once, as the last one to tell found. Above one, jobs have been short.
    burst: usize,
    /// Jobs that runners have: one each that runs, and those of a batch before and after it.
    claimed: usize,
    parked: usize,
    reserved: usize,
    publishing: usize,
    peak_running: usize,
    totals: Totals,
}

impl<C: Claimed, K: Clock> Engine<C, K> {
    /// An idle, open engine.
    pub(crate) fn new(limits: Limits, clock: K) -> Self {
        let state = State {
            limits,
            phase: Phase::Open,
            places: Slab::new(),
            ready: Fifo::new(),
            alarms: Alarms::new(),
            waiters: Slab::new(),
            line: Fifo::new(),
            idlers: Slab::new(),
            timer: Timer::Off,
            runners: 0,
            starting: 0,
            lent: 0,
            active: 0,
            suspended: 0,
            burst: 1,
            claimed: 0,
            parked: 0,
            reserved: 0,
            publishing: 0,
            peak_running: 0,
            totals: Totals::default(),
        };
        Self { state: Mutex::new(state), clock, timed: limits.deadline.is_some() }
    }

    /// The time, if any job of this engine has a deadline: reading a clock costs as much as a lock.
    #[inline]
    fn now(&self) -> Ticks {
        if self.timed { self.clock.now() } else { 0 }
    }

    /// The clock that this engine was made with.
    pub(crate) fn clock(&self) -> &K {
        &self.clock
    }
}

impl<C: Claimed> State<C> {
    /// The slots in use: a lender has lent its own.
    #[inline]
    fn slots_used(&self) -> usize {
        self.runners - self.lent
    }

    /// Whether one more runner would find a slot, and a thread to make use of it: while jobs are short and do not
    /// wait, more runners than threads only get in each other's way.
    #[inline]
    fn wants_runner(&self) -> bool {
        let polled = self.runners - self.suspended.min(self.runners);
        self.ready.len() > self.starting
            && self.starting < self.limits.parallelism
            && self.slots_used() < self.limits.concurrency
            && (self.burst == 1 || polled < self.limits.parallelism)
            && self.phase < Phase::Aborted
    }

    /// Restores invariants 3 and 4 after any change.
    #[inline]
    fn balance(&mut self, fx: &mut Effects) {
        if self.wants_runner() {
            self.starting += 1;
            self.runners += 1;
            fx.start_runner = true;
        }
        // Those who wait behind others: for a slot, or for the job that their runner took them along with.
        let behind = self.slots_used() >= self.limits.concurrency || self.claimed > self.active;
        if self.parked > 0 || (behind && !self.alarms.is_empty()) {
            self.arm(fx);
        }
    }

    fn place(&mut self, ticket: Ticket) -> Option<&mut Place<C>> {
        self.places.get_mut(ticket.key).filter(|place| {
            // A number wraps after 2^32 jobs in one place, and a stale ticket's cell says that it is done.
            place.number == ticket.number as u32 && !matches!(place.standing, Standing::Reserved)
        })
    }

    /// Gives the place of a job up, which has no alarm any more, and counts the job's outcome.
    #[inline]
    fn free(&mut self, key: Key, bin: Bin, now: Ticks, fx: &mut Effects) {
        debug_assert!(self.places.get(key).is_some_and(|place| place.alarm == SILENT));
        self.places.remove(key);
        self.totals.count(bin);
        if !self.line.is_empty() {
            self.admit_line(now, fx);
        }
    }

    /// The jobs that have been accepted and have no outcome yet.
    fn in_system(&self) -> usize {
        self.places.len() - self.reserved
    }
}
