//! Runners, step by step: whatever a runner of the pool may do next, in any order among them.

use crate::kernel::engine::{Batch, Bin, Effects, Ended, Parking, Sweep};
use crate::oracle::{Claims, Number};
use crate::world::{STEP, World};

/// A runner: what it has claimed, on both sides, and what it is at.
#[derive(Debug)]
pub(crate) struct Runner {
    arrived: bool,
    batch: Batch<u64>,
    claims: Claims,
    current: Option<Number>,
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
        match (self.arrived, self.current, self.claims.numbers.is_empty()) {
            (false, ..) => &[Step::Arrive, Step::Arrive, Step::Arrive, Step::Arrive, Step::Arrive, Step::Lose],
            (true, Some(_), _) => {
                &[Step::End, Step::End, Step::Park, Step::Park, Step::Suspend, Step::Suspend, Step::Lend, Step::Lose]
            }
            (true, None, false) => &[Step::Begin],
            (true, None, true) if !self.ended.is_empty() => &[Step::Turn],
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
                runner.batch.claims.pop_front().expect("a claim");
                runner.current = Some(number);
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
            let job = self.oracle.jobs[number];
            assert_eq!((claim.ticket.number, claim.cell, claim.deadline), (*number, job.cell, job.deadline));
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
        runner.ended.extend(runner.current.take().map(|number| (number, bin, true)));
    }

    fn park(&mut self, runner: &mut Runner, choice: usize, fx: &mut Effects) {
        self.take_back(runner);
        let number = runner.current.take().expect("a current job");
        let job = self.oracle.jobs[&number];
        // In between two steps of the clock, and another moment for each job.
        let due = self.oracle.now + (choice as u64 % 4) * STEP + 1 + number;
        let parking = Parking { ticket: self.tickets[&number], cell: job.cell, due, deadline: job.deadline };
        let parked = self.engine.park(parking, ended(self, &runner.ended), &mut runner.batch, fx);
        if self.oracle.park(number, due, &runner.ended, &mut runner.claims) {
            assert_eq!(parked, Ok(()));
            runner.ended.clear();
        } else {
            assert_eq!(parked, Err((self.oracle.phase, job.cell)));
            runner.ended.push((number, Bin::Failed, true));
        }
    }

    fn suspend(&mut self, runner: &mut Runner, fx: &mut Effects) {
        let number = runner.current.expect("a current job");
        let (waker_id, waker) = self.new_waker();
        let suspended = (self.tickets[&number], self.oracle.jobs[&number].cell, waker);
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
        let attempted = runner.current.is_some();
        self.end(runner, Bin::Aborted);
        if !attempted {
            debug_assert!(runner.current.is_none());
        }
        runner.ended.extend(runner.claims.numbers.drain(..).map(|number| (number, Bin::Aborted, false)));
        runner.batch.claims.clear();
        self.engine.lose_runner(runner.arrived, ended(self, &runner.ended), &runner.batch, fx);
        self.oracle.lose(runner.arrived, &runner.ended, &runner.claims);
        self.sweep(Sweep::Abandon, fx);
    }
}
