//! The engine and the oracle side by side: each operation is done to both, and all that can be seen is compared.

use crate::config;
use crate::kernel::alarms::Ticks;
use crate::kernel::cell::Cell;
use crate::kernel::engine::{
    Admission, Bin, Clock, Due, Effects, Engine, Entry, Limits, Phase, Ring, Sweep, Swept, Ticket, Waited,
};
use crate::kernel::slab::Key;
use crate::oracle::{Number, Oracle, Timer, Wait, WakerId};
use crate::runners::Runner;
use crate::wakers::Log;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

/// A cell that holds its own number.
pub(crate) type TestCell = Arc<Cell<u64, ()>>;

/// Time passes in steps of this; what is parked falls due in between, so that no two alarms are due at once.
pub(crate) const STEP: Ticks = 1_000;

/// The engine's clock.
#[derive(Debug, Default)]
pub(crate) struct Now(AtomicU64);

impl Clock for Now {
    fn now(&self) -> Ticks {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Admit,
    AdmitOrWait,
    Reserve,
    PollWait(usize, bool),
    LeaveLine(usize),
    Fill(usize),
    Release(usize),
    AdmitMany(usize),
    ReserveMany(usize),
    /// So many permits for fewer jobs, by as many.
    FillMany(usize, usize),
    /// One of the steps that a runner can take.
    Run(usize, usize, usize),
    Pass(u64),
    Ring,
    Withdraw(usize),
    Nudge(usize),
    Publish,
    PollIdle(usize),
    LeaveIdlers(usize),
    Close(bool),
    Sweep(bool),
}

fn op() -> impl Strategy<Value = Op> {
    let n = any::<usize>;
    prop_oneof![
        8 => Just(Op::Admit),
        4 => Just(Op::AdmitOrWait),
        2 => Just(Op::Reserve),
        2 => (n(), any::<bool>()).prop_map(|(waiter, other)| Op::PollWait(waiter, other)),
        2 => n().prop_map(Op::LeaveLine),
        2 => n().prop_map(Op::Fill),
        1 => n().prop_map(Op::Release),
        3 => (0..6_usize).prop_map(Op::AdmitMany),
        2 => (0..4_usize).prop_map(Op::ReserveMany),
        2 => (0..4_usize, 0..3_usize).prop_map(|(permits, fewer)| Op::FillMany(permits, fewer)),
        36 => (n(), n(), n()).prop_map(|(runner, step, choice)| Op::Run(runner, step, choice)),
        3 => (0..6_u64).prop_map(Op::Pass),
        4 => Just(Op::Ring),
        3 => n().prop_map(Op::Withdraw),
        2 => n().prop_map(Op::Nudge),
        4 => Just(Op::Publish),
        2 => n().prop_map(Op::PollIdle),
        1 => n().prop_map(Op::LeaveIdlers),
        1 => any::<bool>().prop_map(Op::Close),
        1 => any::<bool>().prop_map(Op::Sweep),
    ]
}

fn limits() -> impl Strategy<Value = Limits> {
    (1..=3_usize, 0..=3_usize, 0..=4_usize, 1..=3_usize, proptest::option::of(1..6_u64)).prop_map(
        |(concurrency, queue, parked, threads, deadline)| {
            let capacity = concurrency + queue;
            let (max_parked, parallelism) = (parked.min(capacity), threads.min(concurrency));
            let deadline = deadline.map(|steps| steps * STEP);
            Limits { concurrency, capacity, max_parked, parallelism, deadline }
        },
    )
}

/// Both sides, and what their users hold.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) engine: Engine<TestCell, Now>,
    pub(crate) oracle: Oracle,
    log: Log,
    wakers: WakerId,
    cells: u64,
    /// All that were ever accepted.
    pub(crate) tickets: BTreeMap<Number, Ticket>,
    lines: Vec<(usize, Key, WakerId)>,
    pub(crate) permits: Vec<Key>,
    idlers: Vec<(usize, Option<Key>)>,
    pub(crate) runners: Vec<Runner>,
    pub(crate) unpublished: Vec<usize>,
    ids: usize,
}

impl World {
    fn new(limits: Limits) -> Self {
        Self {
            engine: Engine::new(limits, Now::default()),
            oracle: Oracle::new(limits),
            log: Log::default(),
            wakers: 0,
            cells: 0,
            tickets: BTreeMap::new(),
            lines: Vec::new(),
            permits: Vec::new(),
            idlers: Vec::new(),
            runners: Vec::new(),
            unpublished: Vec::new(),
            ids: 0,
        }
    }

    pub(crate) fn new_waker(&mut self) -> (WakerId, std::task::Waker) {
        self.wakers += 1;
        (self.wakers, self.log.waker(self.wakers))
    }

    pub(crate) fn new_cell(&mut self) -> (u64, TestCell) {
        self.cells += 1;
        (self.cells, Arc::new(Cell::new(self.cells)))
    }

    pub(crate) fn accepted(&mut self, ticket: Ticket, number: Number) {
        assert_eq!(ticket.number, number);
        self.tickets.insert(number, ticket);
    }

    /// Compares what both ask for, and does it.
    pub(crate) fn settle(&mut self, fx: Effects) {
        let mut asked = std::mem::take(&mut self.oracle.asked);
        asked.wake.sort_unstable();
        for due in fx.wakers {
            match due {
                Due::Wake(waker) => waker.wake(),
                Due::Drop(waker) => drop(waker),
            }
        }
        let done = (fx.start_runner, fx.start_timer, self.log.take());
        assert_eq!(done, (asked.runner, asked.timer, asked.wake));
        if fx.start_runner {
            self.runners.push(Runner::default());
        }
        self.compare();
    }

    fn compare(&self) {
        assert_eq!(self.engine.snapshot(), self.oracle.stats());
        assert_eq!(self.engine.phase(), self.oracle.phase);
        self.oracle.check();
    }

    fn apply(&mut self, op: Op) {
        let mut fx = Effects::default();
        match op {
            Op::Admit => self.admit(&mut fx),
            Op::AdmitOrWait => self.admit_or_wait(&mut fx),
            Op::Reserve => self.reserve(&mut fx),
            Op::PollWait(n, other) => self.poll_wait(n, other),
            Op::LeaveLine(n) => self.leave_line(n, &mut fx),
            Op::Fill(n) => self.fill(n, &mut fx),
            Op::Release(n) => self.release(n, &mut fx),
            Op::AdmitMany(n) => self.admit_many(n, &mut fx),
            Op::ReserveMany(n) => self.reserve_many(n),
            Op::FillMany(permits, fewer) => self.fill_many(permits, fewer, &mut fx),
            Op::Run(n, step, choice) => return self.run(n, step, choice),
            Op::Pass(steps) => {
                self.oracle.now += steps * STEP;
                self.engine.clock().0.store(self.oracle.now, Ordering::Relaxed);
            }
            Op::Ring => self.ring(&mut fx),
            Op::Withdraw(n) => self.withdraw(n, &mut fx),
            Op::Nudge(n) => {
                if let Some((number, ticket)) = self.nth_ticket(n) {
                    self.engine.nudge(ticket, &mut fx);
                    self.oracle.nudge(number);
                }
            }
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
            Op::Close(seal) => {
                let phase = if seal { Phase::Sealed } else { Phase::Closed };
                self.engine.close(phase, &mut fx);
                self.oracle.phase = self.oracle.phase.max(phase);
                self.oracle.dismiss_line();
                self.oracle.balance();
            }
            Op::Sweep(give_back) => self.sweep(if give_back { Sweep::Return } else { Sweep::Abandon }, &mut fx),
        }
        self.settle(fx);
    }

    fn admit(&mut self, fx: &mut Effects) {
        let (id, cell) = self.new_cell();
        match self.engine.admit(cell, fx) {
            Admission::Accepted(ticket) => {
                assert!(self.oracle.phase == Phase::Open && self.oracle.has_room());
                let number = self.oracle.accept(id);
                self.oracle.balance();
                self.accepted(ticket, number);
            }
            Admission::Full(back) => assert!(back.lend() == id && !self.oracle.has_room()),
            Admission::Closed(back) => assert!(back.lend() == id && self.oracle.phase > Phase::Open),
        }
    }

    fn admit_or_wait(&mut self, fx: &mut Effects) {
        let (id, cell) = self.new_cell();
        let (waker_id, waker) = self.new_waker();
        match self.engine.admit_or_wait(cell, waker, fx) {
            Entry::Accepted(ticket) => {
                assert!(self.oracle.phase == Phase::Open && self.oracle.has_room());
                let number = self.oracle.accept(id);
                self.oracle.balance();
                self.accepted(ticket, number);
            }
            Entry::Waiting(key) => {
                assert!(self.oracle.phase == Phase::Open && !self.oracle.has_room());
                self.in_line(key, waker_id, Wait::ForRoom { cell: id, waker: waker_id });
            }
            Entry::Closed(back) => assert!(back.lend() == id && self.oracle.phase > Phase::Open),
        }
    }

    fn in_line(&mut self, key: Key, waker: WakerId, wait: Wait) {
        self.ids += 1;
        self.oracle.stand_in_line(self.ids, wait);
        self.lines.push((self.ids, key, waker));
    }

    fn reserve(&mut self, fx: &mut Effects) {
        let (waker_id, waker) = self.new_waker();
        match self.engine.reserve_or_wait(waker, fx) {
            None => assert!(self.oracle.phase > Phase::Open),
            Some(Ok(permit)) => {
                assert!(self.oracle.phase == Phase::Open && self.oracle.has_room());
                self.oracle.permits += 1;
                self.permits.push(permit);
            }
            Some(Err(key)) => {
                assert!(self.oracle.phase == Phase::Open && !self.oracle.has_room());
                self.in_line(key, waker_id, Wait::ForPermit { waker: waker_id });
            }
        }
    }

    fn poll_wait(&mut self, n: usize, other_task: bool) {
        if self.lines.is_empty() {
            return;
        }
        let at = n % self.lines.len();
        let (id, key, mut waker_id) = self.lines[at];
        let mut waker = self.log.waker(waker_id);
        if other_task {
            (waker_id, waker) = self.new_waker();
        }
        match self.engine.poll_wait(key, &waker) {
            Poll::Pending => {
                match self.oracle.waiters.get_mut(&id) {
                    Some(Wait::ForRoom { waker, .. } | Wait::ForPermit { waker }) => *waker = waker_id,
                    over => panic!("pending, and {over:?}"),
                }
                self.lines[at].2 = waker_id;
            }
            Poll::Ready(waited) => {
                self.lines.swap_remove(at);
                self.waited(id, waited);
            }
        }
    }

    fn leave_line(&mut self, n: usize, fx: &mut Effects) {
        if !self.lines.is_empty() {
            let (id, key, _) = self.lines.swap_remove(n % self.lines.len());
            let waited = self.engine.leave_line(key, fx);
            self.waited(id, waited);
        }
    }

    fn waited(&mut self, id: usize, waited: Waited<TestCell>) {
        match (waited, self.oracle.leave_line(id)) {
            (Waited::Accepted(ticket), Wait::Accepted(number)) => self.accepted(ticket, number),
            (Waited::Granted(permit), Wait::Granted) => self.permits.push(permit),
            (Waited::Closed(back), Wait::Closed { cell }) => assert_eq!(back.map(|back| back.lend()), cell),
            (Waited::Left(back), Wait::ForRoom { cell, .. }) => assert_eq!(back.map(|back| back.lend()), Some(cell)),
            (Waited::Left(back), Wait::ForPermit { .. }) => assert!(back.is_none()),
            (waited, expected) => panic!("{waited:?} instead of {expected:?}"),
        }
    }

    fn fill(&mut self, n: usize, fx: &mut Effects) {
        if self.permits.is_empty() {
            return;
        }
        let permit = self.permits.swap_remove(n % self.permits.len());
        let (id, cell) = self.new_cell();
        let filled = self.engine.fill(permit, cell, fx).map_err(|back| back.lend());
        self.oracle.permits -= 1;
        if self.oracle.phase > Phase::Closed {
            assert_eq!(filled, Err(id));
            self.oracle.serve_line();
        } else {
            let number = self.oracle.accept(id);
            self.oracle.balance();
            self.accepted(filled.expect("a permit that is honoured"), number);
        }
    }

    fn release(&mut self, n: usize, fx: &mut Effects) {
        if !self.permits.is_empty() {
            self.engine.release(self.permits.swap_remove(n % self.permits.len()), fx);
            self.oracle.permits -= 1;
            self.oracle.serve_line();
            self.oracle.balance();
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
        let mut expired: Vec<_> = expired.into_iter().map(|expired| expired.cell.lend()).collect();
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

    fn withdraw(&mut self, n: usize, fx: &mut Effects) {
        if let Some((number, ticket)) = self.nth_ticket(n) {
            let withdrawn = self.engine.withdraw(ticket, fx).map(|cell| cell.lend());
            assert_eq!(withdrawn, self.oracle.withdraw(number));
            self.unpublished.extend(withdrawn.map(|_| 1));
        }
    }

    pub(crate) fn sweep(&mut self, sweep: Sweep, fx: &mut Effects) {
        let swept = self.engine.sweep(sweep, fx);
        let bin = if sweep == Sweep::Return { Bin::Returned } else { Bin::Aborted };
        let (mut waiting, mut running) = (Vec::new(), 0);
        for swept in swept {
            match swept {
                Swept::Waiting(cell) => waiting.push(cell.lend()),
                Swept::Running(_) => running += 1,
            }
        }
        // What waited comes in the order of acceptance.
        let (expected, pending) = self.oracle.sweep(bin);
        assert_eq!((&waiting, running), (&expected, pending));
        self.unpublished.push(waiting.len());
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
        self.apply(Op::Ring);
        let stats = self.engine.snapshot();
        assert_eq!((stats.in_system, stats.reserved, stats.runners, stats.lent), (0, 0, 0, 0), "{stats:?}");
        assert!(self.oracle.is_idle() && self.oracle.timer == Timer::Off);
        assert_eq!(stats.totals.accepted, stats.totals.ended());
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_engine_does_what_the_oracle_says(limits in limits(), ops in vec(op(), 0..=60)) {
        let mut world = World::new(limits);
        for op in ops {
            world.apply(op);
        }
        world.finish();
    }
}
