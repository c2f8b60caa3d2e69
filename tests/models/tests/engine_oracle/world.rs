//! The engine and the oracle side by side: each operation is done to both, and all that can be seen is compared.

use crate::config;
use crate::kernel::alarms::Ticks;
use crate::kernel::cell::Cell;
use crate::kernel::engine::{Bin, Cancelled, Clock, Due, Effects, Engine, Limits, Phase, Ring, Sweep, Ticket};
use crate::kernel::slab::Key;
use crate::ops::{Op, limits, op};
use crate::oracle::{Found, LaneKey, Number, Oracle, Timer, WakerId};
use crate::runners::Runner;
use crate::shim::Shared;
use crate::wakers::Log;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// A cell that holds its own number.
pub(crate) type TestCell = Shared<Cell<u64, ()>>;

/// The number of a cell that waited.
pub(crate) fn value(mut cell: TestCell) -> u64 {
    Cell::lend(&mut cell)
}

/// Time passes in steps of this; what is parked falls due in between, so that no two alarms are due at once of which
/// the order could be seen.
pub(crate) const STEP: Ticks = 1_000_000;

/// The engine's clock.
#[derive(Debug, Default)]
pub(crate) struct Manual(AtomicU64);

impl Clock for Manual {
    fn now(&self) -> Ticks {
        self.0.load(Ordering::Relaxed)
    }
}

/// Both sides, and what their users hold.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) engine: Engine<TestCell, Manual>,
    pub(crate) oracle: Oracle,
    pub(crate) log: Log,
    wakers: WakerId,
    pub(crate) cells: u64,
    /// All that were ever accepted.
    pub(crate) tickets: BTreeMap<Number, Ticket>,
    pub(crate) lines: Vec<(usize, Key, WakerId)>,
    pub(crate) permits: Vec<Key>,
    /// Room that is kept for batches.
    pub(crate) held: Vec<usize>,
    idlers: Vec<(usize, Option<Key>)>,
    pub(crate) runners: Vec<Runner>,
    pub(crate) unpublished: Vec<usize>,
    /// The last job of each lane that was started.
    pub(crate) started: BTreeMap<LaneKey, Number>,
    ids: usize,
    stamps: u64,
}

impl World {
    fn new(limits: Limits, period: Option<Ticks>) -> Self {
        let engine = Engine::new(limits, Manual::default());
        Self {
            engine: if let Some(period) = period { engine.patrolled(period) } else { engine },
            oracle: Oracle::new(limits, period),
            log: Log::default(),
            wakers: 0,
            cells: 0,
            tickets: BTreeMap::new(),
            lines: Vec::new(),
            permits: Vec::new(),
            held: Vec::new(),
            idlers: Vec::new(),
            runners: Vec::new(),
            unpublished: Vec::new(),
            started: BTreeMap::new(),
            ids: 0,
            stamps: 0,
        }
    }

    pub(crate) fn new_waker(&mut self) -> (WakerId, std::task::Waker) {
        self.wakers += 1;
        (self.wakers, self.log.waker(self.wakers))
    }

    pub(crate) fn new_id(&mut self) -> usize {
        self.ids += 1;
        self.ids
    }

    /// A part of a step of the clock that nothing else has.
    pub(crate) fn stamp(&mut self) -> Ticks {
        self.stamps += 1;
        self.stamps
    }

    /// Compares what both ask for, and does it.
    pub(crate) fn settle(&mut self, mut fx: Effects) {
        let mut asked = std::mem::take(&mut self.oracle.asked);
        asked.wake.sort_unstable();
        for due in std::mem::take(&mut fx.wakers) {
            match due {
                Due::Wake(waker) => waker.wake(),
                Due::Ring(bell) => bell.waker().expect("a runner that is here has a waker").wake(),
                Due::Drop(waker) => drop(waker),
            }
        }
        let start_runner = std::mem::take(&mut fx.start_runner);
        let start_timer = std::mem::take(&mut fx.start_timer);
        let collect = std::mem::take(&mut fx.collect);
        let done = (start_runner, start_timer, collect, self.log.take());
        assert_eq!(done, (asked.runner, asked.timer, asked.collect, asked.wake));
        if start_runner {
            let (id, (waker_id, waker)) = (self.new_id(), self.new_waker());
            self.runners.push(Runner::new(id, waker_id, waker));
        }
        self.compare();
        if collect {
            let mut fx = Effects::default();
            self.collect(&mut fx);
            self.settle(fx);
        }
    }

    fn compare(&self) {
        assert_eq!(self.engine.snapshot(), self.oracle.stats());
        assert_eq!(self.engine.phase(), self.oracle.phase);
        self.runners.iter().for_each(|runner| runner.compare_bell(&self.oracle));
        self.oracle.check();
    }

    fn apply(&mut self, op: Op) {
        let mut fx = Effects::default();
        match op {
            Op::Admit(terms) => self.admit(terms, &mut fx),
            Op::AdmitOrWait(terms) => self.admit_or_wait(terms, &mut fx),
            Op::Reserve => self.reserve(&mut fx),
            Op::PollWait(n, other) => self.poll_wait(n, other),
            Op::LeaveLine(n) => self.leave_line(n, &mut fx),
            Op::Redeem(n) => self.redeem(n, &mut fx),
            Op::Release(n) => self.release(n, &mut fx),
            Op::AdmitMany(n) => self.admit_many(n, &mut fx),
            Op::Hold(n) => self.hold(n),
            Op::Fill(nth, fewer) => self.fill(nth, fewer, &mut fx),
            Op::Run(n, step, choice) => return self.run(n, step, choice),
            Op::Pass(steps) => {
                self.oracle.now += steps * STEP;
                self.engine.clock().0.store(self.oracle.now, Ordering::Relaxed);
            }
            Op::Ring => self.ring(&mut fx),
            Op::RingTwice(steps) => {
                return [Op::Ring, Op::Pass(steps), Op::Ring].into_iter().for_each(|op| self.apply(op));
            }
            Op::Cancel(n) => self.cancel(n, &mut fx),
            Op::Withdraw(n) => self.withdraw(n, &mut fx),
            Op::Publish => {
                if let Some(count) = self.unpublished.pop() {
                    self.engine.published(count, &mut fx);
                    self.oracle.published(count);
                }
            }
            Op::PollIdle(n) => self.poll_idle(n),
            Op::LeaveIdlers(n) => {
                if !self.idlers.is_empty() {
                    let (id, key) = self.idlers.swap_remove(n % self.idlers.len());
                    self.oracle.idlers.remove(&id);
                    key.into_iter().for_each(|key| self.engine.leave_idlers(key));
                }
            }
            Op::Pause | Op::Resume | Op::SetConcurrency(_) | Op::Close(_) => self.control(op, &mut fx),
            Op::Sweep(give_back) => self.sweep(if give_back { Sweep::Return } else { Sweep::Abandon }, &mut fx),
        }
        self.settle(fx);
    }

    fn control(&mut self, op: Op, fx: &mut Effects) {
        match op {
            Op::Pause => {
                self.engine.pause(fx);
                self.oracle.pause();
            }
            Op::Resume => {
                self.engine.resume(fx);
                self.oracle.resume();
            }
            Op::SetConcurrency(n) => {
                let concurrency = 1 + n % self.oracle.limits.capacity;
                self.engine.set_concurrency(concurrency, fx);
                self.oracle.set_concurrency(concurrency);
            }
            Op::Close(seal) => {
                let phase = if seal { Phase::Sealed } else { Phase::Closed };
                self.engine.close(phase, fx);
                self.oracle.close(phase);
            }
            other => unreachable!("not a change to the pool: {other:?}"),
        }
    }

    fn ring(&mut self, fx: &mut Effects) {
        if self.oracle.timer == Timer::Off {
            return;
        }
        let (waker_id, waker) = self.new_waker();
        let mut expired = Vec::new();
        let next = self.engine.ring(self.oracle.now, waker, &mut expired, fx);
        let (cells, until) = self.oracle.ring(waker_id);
        let mut expired: Vec<_> = expired.into_iter().map(|expired| value(expired.cell)).collect();
        expired.sort_unstable();
        let mut expected = cells;
        expected.sort_unstable();
        assert_eq!(expired, expected);
        assert_eq!(next, until.map_or(Ring::Leave, Ring::SleepUntil));
        self.unpublished.extend((!expired.is_empty()).then_some(expired.len()));
    }

    fn nth_ticket(&self, n: usize) -> Option<(Number, Ticket)> {
        let n = n % self.tickets.len().max(1);
        self.tickets.iter().nth(n).map(|(number, ticket)| (*number, *ticket))
    }

    fn cancel(&mut self, n: usize, fx: &mut Effects) {
        if let Some((number, ticket)) = self.nth_ticket(n) {
            let found = match self.engine.cancel(ticket, fx) {
                Cancelled::Waiting(cell) => Found::Waiting(value(cell)),
                Cancelled::Running => Found::Running,
                Cancelled::Ended => Found::Ended,
            };
            assert_eq!(found, self.oracle.cancel(number));
            self.unpublished.extend(matches!(found, Found::Waiting(_)).then_some(1));
        }
    }

    fn withdraw(&mut self, n: usize, fx: &mut Effects) {
        if let Some((number, ticket)) = self.nth_ticket(n) {
            let withdrawn = self.engine.withdraw(ticket, fx).map(value);
            assert_eq!(withdrawn, self.oracle.withdraw(number));
            self.unpublished.extend(withdrawn.map(|_| 1));
        }
    }

    pub(crate) fn sweep(&mut self, sweep: Sweep, fx: &mut Effects) {
        let swept: Vec<_> = self.engine.sweep(sweep, fx).into_iter().map(value).collect();
        let bin = if sweep == Sweep::Return { Bin::Returned } else { Bin::Aborted };
        // In the order of acceptance.
        assert_eq!(swept, self.oracle.sweep(bin));
        self.unpublished.push(swept.len());
    }

    fn poll_idle(&mut self, n: usize) {
        let (waker_id, waker) = self.new_waker();
        let new = n % (self.idlers.len() + 1) == self.idlers.len();
        if new {
            self.ids += 1;
            self.idlers.push((self.ids, None));
        }
        let at = n % self.idlers.len().max(1);
        let at = if new { self.idlers.len() - 1 } else { at };
        let (id, key) = &mut self.idlers[at];
        let ready = self.engine.poll_idle(key, &waker).is_ready();
        let expected = match self.oracle.idlers.get(id) {
            None => self.oracle.is_idle(),
            Some(waiting) => waiting.is_none(),
        };
        assert_eq!(ready, expected);
        if ready {
            self.oracle.idlers.remove(id);
            self.idlers.swap_remove(at);
        } else {
            self.oracle.idlers.insert(*id, Some(waker_id));
        }
    }

    /// Sweeps the pool out and lets everybody finish: nothing is left.
    fn finish(&mut self) {
        let mut fx = Effects::default();
        self.sweep(Sweep::Return, &mut fx);
        self.settle(fx);
        while !self.runners.is_empty() {
            self.run(0, 0, 0);
        }
        while let Some(held) = self.held.last().copied() {
            let mut fx = Effects::default();
            self.fill(self.held.len() - 1, held, &mut fx);
            self.settle(fx);
        }
        for permit in std::mem::take(&mut self.permits) {
            let mut fx = Effects::default();
            self.engine.release(permit, &mut fx);
            self.oracle.permits -= 1;
            self.settle(fx);
        }
        while !self.lines.is_empty() {
            self.apply(Op::LeaveLine(0));
        }
        for permit in 0..self.permits.len() {
            self.apply(Op::Release(permit));
        }
        while !self.unpublished.is_empty() {
            self.apply(Op::Publish);
        }
        // The last look at swift runners finds none.
        self.apply(Op::Pass(5));
        self.apply(Op::Ring);
        let stats = self.engine.snapshot();
        let left = (stats.in_system, stats.reserved, stats.runners, stats.lent, stats.lanes);
        assert_eq!(left, (0, 0, 0, 0, 0), "{stats:?}");
        assert!(self.oracle.is_idle() && self.oracle.timer == Timer::Off);
        assert_eq!(stats.totals.accepted, stats.totals.ended());
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_engine_does_what_the_oracle_says(
        limits in limits(),
        period in proptest::option::of(1..4_u64),
        ops in vec(op(), 0..=60),
    ) {
        let mut world = World::new(limits, period.map(|steps| steps * STEP));
        for op in ops {
            world.apply(op);
        }
        world.finish();
    }
}
