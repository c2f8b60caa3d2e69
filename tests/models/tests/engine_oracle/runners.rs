//! Runners, step by step: whatever a runner of the pool may do next, in any order among them.

use crate::kernel::engine::{Batch, Bin, Effects, Ended, Parking, Sweep};
use crate::oracle::{Claims, Number};
use crate::world::{STEP, TestCell, World};

/// A runner: what it has claimed, on both sides, and what it is at.
#[derive(Debug)]
pub(crate) struct Runner {
    arrived: bool,
    batch: Batch<TestCell>,
    claims: Claims,
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
    Suspend,
    Lend,
    Turn,
    Pause,
    Leave,
    Linger,
    Lose,
}

const BINS: [Bin; 5] = [Bin::Succeeded, Bin::Failed, Bin::Panicked, Bin::TimedOut, Bin::Cancelled];

impl Default for Runner {
    fn default() -> Self {
        Self {
            arrived: false,
            batch: Batch::new(),
            claims: Claims::default(),
            current: None,
            lending: false,
            ended: Vec::new(),
        }
    }
}

impl Runner {
    /// What it may do; the first of them ends its work sooner or later.
    fn steps(&self) -> &'static [Step] {
        match (self.arrived, &self.current, self.claims.numbers.is_empty()) {
            (false, ..) => &[Step::Arrive, Step::Arrive, Step::Arrive, Step::Arrive, Step::Arrive, Step::Lose],
            (true, Some(_), _) => {
                &[Step::End, Step::End, Step::Park, Step::Park, Step::Suspend, Step::Suspend, Step::Lend, Step::Lose]
            }
            (true, None, false) => &[Step::Begin],
            (true, None, true) if !self.ended.is_empty() => &[Step::Turn, Step::Turn, Step::Turn, Step::Pause],
            (true, None, true) => &[Step::Leave, Step::Turn, Step::Linger],
        }
    }
}

fn ended<'a>(world: &'a World, list: &'a [(Number, Bin, bool)]) -> impl Iterator<Item = Ended> + 'a {
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
        let step = steps[step % steps.len()];
        let mut fx = Effects::default();
        let mut stays = true;
        match step {
            Step::Arrive => {
                self.engine.arrive(&mut runner.batch, &mut fx);
                self.oracle.arrive(&mut runner.claims);
                runner.arrived = true;
            }
            Step::Begin => {
                let number = runner.claims.numbers.pop_front().expect("a claim");
                let claim = runner.batch.claims.pop_front().expect("a claim");
                let started = claim.cell.start().is_some();
                assert_eq!(started, self.oracle.start(number));
                runner.current = started.then_some((number, claim.cell));
            }
            Step::End => self.end(&mut runner, BINS[choice % BINS.len()]),
            Step::Park => self.park(&mut runner, choice, &mut fx),
            Step::Suspend => self.suspend(&mut runner, &mut fx),
            Step::Lend => self.lend(&mut runner, &mut fx),
            Step::Turn => {
                let burst = 1 + choice % 3;
                (runner.batch.burst, runner.claims.burst) = (burst, burst);
                self.engine.turn(ended(self, &runner.ended), &mut runner.batch, &mut fx);
                self.oracle.turn(&runner.ended, &mut runner.claims);
                runner.ended.clear();
            }
            Step::Pause => {
                self.engine.pause(ended(self, &runner.ended), &mut runner.batch, &mut fx);
                self.oracle.pause(&runner.ended, &mut runner.claims);
                runner.ended.clear();
            }
            Step::Leave => {
                let left = self.engine.leave(&mut runner.batch, &mut fx);
                assert_eq!(left, self.oracle.leave(&mut runner.claims));
                stays = !left;
            }
            Step::Linger => {
                let lingers = self.engine.linger();
                assert_eq!(lingers, self.oracle.linger());
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

    /// What it has claimed is the same on both sides, in the same order.
    fn compare_claims(&mut self, runner: &Runner) {
        assert_eq!(runner.batch.claims.len(), runner.claims.numbers.len());
        for (claim, number) in runner.batch.claims.iter().zip(&runner.claims.numbers) {
            assert_eq!(claim.ticket.number, *number);
            if let Some(job) = self.oracle.jobs.get(number) {
                assert_eq!(claim.deadline, job.deadline);
            }
            let known = self.tickets.entry(*number).or_insert(claim.ticket);
            assert_eq!(*known, claim.ticket);
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
        runner.ended.extend(runner.current.take().map(|(number, _)| (number, bin, true)));
    }

    fn park(&mut self, runner: &mut Runner, choice: usize, fx: &mut Effects) {
        self.take_back(runner);
        let (number, cell) = runner.current.take().expect("a current job");
        let job = self.oracle.jobs[&number];
        cell.give_back(job.cell);
        // In between two steps of the clock, and another moment for each job.
        let due = self.oracle.now + (choice as u64 % 4) * STEP + 1 + number;
        let parking = Parking { ticket: self.tickets[&number], cell, due, deadline: job.deadline };
        let parked = self.engine.park(parking, ended(self, &runner.ended), &mut runner.batch, fx);
        let parked = parked.map_err(|(phase, cell)| (phase, cell.lend()));
        if self.oracle.park(number, due, &runner.ended, &mut runner.claims) {
            assert_eq!(parked, Ok(()));
            runner.ended.clear();
        } else {
            assert_eq!(parked, Err((self.oracle.phase, job.cell)));
            runner.ended.push((number, Bin::Failed, true));
        }
    }

    fn suspend(&mut self, runner: &mut Runner, fx: &mut Effects) {
        let (number, cell) = runner.current.clone().expect("a current job");
        let (waker_id, waker) = self.new_waker();
        let suspended = (self.tickets[&number], cell, waker);
        let aborted = self.engine.suspend(suspended, ended(self, &runner.ended), &mut runner.batch, fx);
        assert_eq!(aborted, self.oracle.suspend(number, waker_id, &runner.ended, &mut runner.claims));
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
        for (claim, number) in runner.batch.claims.drain(..).zip(runner.claims.numbers.drain(..)) {
            let started = claim.cell.start().is_some();
            assert_eq!(started, self.oracle.start(number));
            runner.ended.extend(started.then_some((number, Bin::Aborted, false)));
        }
        let ended: Vec<_> = ended(self, &runner.ended).collect();
        self.engine.lose_runner(runner.arrived, ended.into_iter(), &runner.batch, fx);
        self.oracle.lose(runner.arrived, &runner.ended, &runner.claims);
        self.unpublished.push(runner.ended.len());
        self.sweep(Sweep::Abandon, fx);
    }
}
