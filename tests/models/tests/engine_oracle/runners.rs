//! Runners, step by step: whatever a runner of the pool may do next, in any order among them.

use crate::kernel::alarms::NEVER;
use crate::kernel::bell::{Bell, Signal};
use crate::kernel::cell::Cell;
use crate::kernel::engine::{Batch, Bin, Claim, Effects, Ended, Engine, Now, Parking, Sweep, Tempo, Unparkable};
use crate::oracle::{Claims, Number, Oracle, WakerId};
use crate::world::{Manual, STEP, TestCell, World};
use std::sync::Arc;
use std::task::Waker;

/// A runner: what it has claimed, on both sides, and what it is at.
#[derive(Debug)]
pub(crate) struct Runner {
    arrived: bool,
    batch: Batch<TestCell>,
    claims: Claims,
    waker: WakerId,
    current: Option<(Number, TestCell)>,
    lending: bool,
    ended: Vec<(Number, Bin, bool)>,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Arrive,
    Begin,
    End,
    Park,
    Stall,
    Look,
    Lend,
    Turn,
    Rest,
    Leave,
    Linger,
    Lose,
}

/// How long a job may take, as a runner finds: not known, no time, a fifth of what is worth a runner, and more than that.
const PER_JOB: [u64; 4] = [NEVER, 0, 10_250, 60_000];

const BINS: [Bin; 5] = [Bin::Succeeded, Bin::Failed, Bin::Panicked, Bin::TimedOut, Bin::Cancelled];

impl Runner {
    /// A task that the engine has asked for.
    pub(crate) fn new(id: usize, waker_id: WakerId, waker: Waker) -> Self {
        let bell = Arc::new(Bell::new());
        assert!(bell.attend(Some(waker)).is_none());
        Self {
            arrived: false,
            batch: Batch::new(bell),
            claims: Claims::new(id),
            waker: waker_id,
            current: None,
            lending: false,
            ended: Vec::new(),
        }
    }

    /// What is asked of its job is the same on both sides.
    pub(crate) fn compare_bell(&self, oracle: &Oracle) {
        if let Some(expected) = oracle.bells.get(&self.claims.id) {
            let bell = self.batch.bell();
            assert_eq!((bell.signal(), bell.is_swift()), (expected.signal, expected.swift));
            assert_eq!(bell.is_quiet(), expected.signal == Signal::Run && !expected.due);
            let stopped = expected.number.is_some_and(|number| bell.is_stopped(number));
            assert_eq!(stopped, expected.number.is_some() && expected.signal != Signal::Run);
        }
    }

    /// What it may do; the first of them ends its work sooner or later.
    fn steps(&self) -> &'static [Step] {
        match (self.arrived, &self.current, self.claims.len() == 0) {
            (false, ..) => &[Step::Arrive, Step::Arrive, Step::Arrive, Step::Arrive, Step::Arrive, Step::Lose],
            (true, Some(_), _) => {
                const STEPS: [Step; 9] = {
                    use Step::{End, Lend, Look, Lose, Park, Stall};
                    [End, End, Park, Park, Stall, Stall, Look, Lend, Lose]
                };
                &STEPS
            }
            (true, None, false) => &[Step::Begin],
            (true, None, true) if !self.ended.is_empty() => &[Step::Turn, Step::Turn, Step::Turn, Step::Rest],
            (true, None, true) => &[Step::Leave, Step::Turn, Step::Linger],
        }
    }
}

fn ended<'a>(world: &'a World, list: &'a [(Number, Bin, bool)]) -> impl ExactSizeIterator<Item = Ended> + 'a {
    list.iter().map(|(number, bin, attempted)| Ended {
        key: world.tickets[number].key,
        bin: *bin,
        attempted: *attempted,
    })
}

impl World {
    /// Lets one of the runners, if there is one, take one of the steps that it may.
    pub(crate) fn run(&mut self, runner: usize, step: usize, choice: usize) {
        if self.runners.is_empty() {
            return;
        }
        let mut runner = self.runners.remove(runner % self.runners.len());
        let steps = runner.steps();
        let step = match steps[step % steps.len()] {
            // The pool ends with it, so most cases should do without.
            Step::Lose if !choice.is_multiple_of(8) => steps[0],
            step => step,
        };
        let mut fx = Effects::default();
        let mut stays = true;
        match step {
            Step::Arrive => {
                self.engine.arrive(&mut runner.batch, &mut fx);
                self.oracle.arrive(&mut runner.claims, runner.waker);
                runner.arrived = true;
            }
            Step::Begin => self.begin(&mut runner),
            Step::End => self.end(&mut runner, BINS[choice % BINS.len()]),
            Step::Park => self.park(&mut runner, choice, &mut fx),
            Step::Stall => self.stall(&mut runner, choice, &mut fx),
            Step::Look => {
                let due = std::mem::take(&mut self.oracle.bell(runner.claims.id).due);
                assert_eq!(runner.batch.bell().take_due(), due);
            }
            Step::Lend => self.lend(&mut runner, &mut fx),
            Step::Turn => {
                let tempo = Tempo { burst: 1 + choice % 3, per_job: PER_JOB[choice / 3 % PER_JOB.len()] };
                (runner.batch.tempo, runner.claims.tempo) = (tempo, tempo);
                let now = Now::unread(self.engine.clock());
                self.engine.turn(ended(self, &runner.ended), &mut runner.batch, &now, &mut fx);
                self.oracle.turn(&runner.ended, &mut runner.claims);
                runner.ended.clear();
            }
            Step::Rest => {
                self.engine.rest(ended(self, &runner.ended), &mut runner.batch, &mut fx);
                self.oracle.rest(&runner.ended, &mut runner.claims);
                runner.ended.clear();
            }
            Step::Leave => {
                let left = self.engine.leave(&mut runner.batch, &mut fx);
                assert_eq!(left, self.oracle.leave(&mut runner.claims));
                stays = !left;
            }
            Step::Linger => {
                let lingers = self.engine.linger(&mut runner.batch);
                assert_eq!(lingers, self.oracle.linger(&mut runner.claims));
                runner.arrived = !lingers;
            }
            Step::Lose => {
                self.lose(&mut runner, &mut fx);
                stays = false;
            }
        }
        self.compare_claims(&runner);
        self.settle(fx);
        if stays {
            self.runners.push(runner);
        }
    }

    /// It knows of as much that it has claimed on both sides.
    fn compare_claims(&self, runner: &Runner) {
        assert_eq!(runner.batch.len(), runner.claims.len());
        assert_eq!(runner.batch.is_empty(), runner.claims.len() == 0);
        assert_eq!(runner.batch.tempo, runner.claims.tempo);
        assert_eq!(Engine::<TestCell, Manual>::must_stall(&runner.batch), self.oracle.must_stall(&runner.claims));
    }

    /// Starts the next claimed job, unless all have been taken back.
    fn begin(&mut self, runner: &mut Runner) {
        runner.current = self.next(runner);
        if let Some((number, _)) = runner.current {
            self.note_start(number);
        }
    }

    /// The next claimed job, which is the same on both sides.
    fn next(&mut self, runner: &mut Runner) -> Option<(Number, TestCell)> {
        let claim = runner.batch.next();
        let number = self.oracle.next(&mut runner.claims);
        assert_eq!(claim.as_ref().map(|claim| claim.ticket.number), number);
        let (Claim { ticket, mut cell, deadline }, number) = (claim?, number?);
        let job = self.oracle.jobs[&number];
        assert_eq!((Cell::lend(&mut cell), deadline), (job.cell, job.deadline));
        assert_eq!(*self.tickets.entry(number).or_insert(ticket), ticket);
        Some((number, cell))
    }

    /// Jobs of one lane run one at a time, in the order of acceptance.
    fn note_start(&mut self, number: Number) {
        let Some(lane) = self.oracle.jobs[&number].lane else { return };
        let before = self.started.insert(lane, number);
        assert!(before.is_none_or(|before| before <= number), "job {number} after {before:?} in lane {lane}");
        let mut running = self.runners.iter().filter_map(|runner| runner.current.as_ref());
        let other = running.find(|(other, _)| self.oracle.jobs[other].lane == Some(lane));
        assert!(other.is_none(), "job {number} beside {other:?} in lane {lane}");
    }

    /// Counts what runners have ended, in their stead.
    pub(crate) fn collect(&mut self, fx: &mut Effects) {
        let all: Vec<_> = self.runners.iter_mut().flat_map(|runner| runner.ended.drain(..)).collect();
        if !all.is_empty() {
            let ended: Vec<_> = ended(self, &all).collect();
            self.engine.count_for(ended.into_iter(), fx);
            self.oracle.count_for(&all);
            self.unpublished.push(all.len());
        }
    }

    fn take_back(&mut self, runner: &mut Runner) {
        if std::mem::take(&mut runner.lending) {
            self.engine.take_back();
            self.oracle.take_back();
        }
    }

    fn end(&mut self, runner: &mut Runner, bin: Bin) {
        self.take_back(runner);
        if let Some((number, _)) = runner.current.take() {
            runner.ended.push((number, bin, true));
            runner.batch.bell().end();
            self.oracle.bell(runner.claims.id).renew(None);
        }
    }

    fn park(&mut self, runner: &mut Runner, choice: usize, fx: &mut Effects) {
        self.take_back(runner);
        let (number, mut cell) = runner.current.take().expect("a current job");
        let job = self.oracle.jobs[&number];
        Cell::give_back(&mut cell, job.cell);
        let due = self.oracle.now + (choice as u64 % 4) * STEP + self.stamp();
        let parking = Parking { ticket: self.tickets[&number], cell, due, deadline: job.deadline };
        let parked = self.engine.park(parking, ended(self, &runner.ended), &mut runner.batch, fx);
        let expected = self.oracle.park(number, due, &runner.ended, &mut runner.claims);
        assert_eq!(parked.as_ref().map_err(|(why, _)| *why), expected.as_ref().map_err(|why| *why));
        let Err((why, mut cell)) = parked else { return runner.ended.clear() };
        assert_eq!(Cell::lend(&mut cell), job.cell);
        runner.current = Some((number, cell));
        self.end(runner, if why == Unparkable::Cancelled { Bin::Cancelled } else { Bin::Failed });
    }

    /// The job begins to wait, or is given another time to end.
    fn stall(&mut self, runner: &mut Runner, choice: usize, fx: &mut Effects) {
        let number = runner.current.as_ref().expect("a current job").0;
        let limit = match choice % 3 {
            0 => NEVER,
            steps => self.oracle.now + steps as u64 * STEP + self.stamp(),
        };
        let due = self.oracle.jobs[&number].deadline.min(limit);
        self.engine.stall(self.tickets[&number], due, ended(self, &runner.ended), &mut runner.batch, fx);
        self.oracle.stall(number, due, &runner.ended, &mut runner.claims);
        runner.ended.clear();
    }

    fn lend(&mut self, runner: &mut Runner, fx: &mut Effects) {
        if runner.lending {
            return self.take_back(runner);
        }
        runner.lending = true;
        self.engine.lend(fx);
        self.oracle.lend();
    }

    /// The runtime drops it; the pool ends with it.
    fn lose(&mut self, runner: &mut Runner, fx: &mut Effects) {
        self.end(runner, Bin::Aborted);
        drop(runner.batch.bell().attend(None));
        // Before it has arrived it has no tray, and has claimed nothing.
        while runner.claims.len() > 0 {
            let next = self.next(runner);
            runner.ended.extend(next.map(|(number, _)| (number, Bin::Aborted, false)));
        }
        let ended: Vec<_> = ended(self, &runner.ended).collect();
        self.engine.lose_runner(runner.arrived, ended.into_iter(), &mut runner.batch, fx);
        self.oracle.lose(runner.arrived, &runner.ended, &mut runner.claims);
        self.unpublished.push(runner.ended.len());
        self.sweep(Sweep::Abandon, fx);
    }
}
