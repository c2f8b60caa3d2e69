//! Ending: cancelling, sweeping out, deadlines, and the wait until nothing is left.

use super::{Job, Number, Oracle, Standing, Timer, WakerId, alarm};
use crate::kernel::alarms::Ticks;
use crate::kernel::bell::Signal;
use crate::kernel::engine::{Bin, Phase};

/// What a cancellation finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// It waited; its cell.
    Waiting(u64),
    Running,
    Ended,
}

impl Oracle {
    pub(super) fn end(&mut self, number: Number, bin: Bin) {
        let job = self.jobs.remove(&number).expect("a job has one outcome");
        let counter = match bin {
            Bin::Succeeded => &mut self.totals.succeeded,
            Bin::Failed => &mut self.totals.failed,
            Bin::Panicked => &mut self.totals.panicked,
            Bin::TimedOut => &mut self.totals.timed_out,
            Bin::Cancelled => &mut self.totals.cancelled,
            Bin::Shed => &mut self.totals.shed,
            Bin::Aborted => &mut self.totals.aborted,
            Bin::Returned => &mut self.totals.returned,
        };
        *counter += 1;
        if let Some(lane) = job.lane {
            self.leave_lane(lane, number);
        }
        self.serve_line();
    }

    /// The cell of a job that waited.
    pub(crate) fn withdraw(&mut self, number: Number) -> Option<u64> {
        let cell = self.unlist(number, Bin::Cancelled)?;
        self.balance();
        Some(cell)
    }

    pub(crate) fn cancel(&mut self, number: Number) -> Found {
        if let Some(cell) = self.withdraw(number) {
            return Found::Waiting(cell);
        }
        let runner = self.jobs.get(&number).and_then(|job| job.runner);
        let bell = runner.and_then(|runner| self.bells.get_mut(&runner)).filter(|bell| bell.number == Some(number));
        let Some(bell) = bell else { return Found::Ended };
        bell.signal = bell.signal.max(Signal::Cancel);
        self.asked.wake.push(bell.waker);
        Found::Running
    }

    pub(super) fn unlist(&mut self, number: Number, bin: Bin) -> Option<u64> {
        let job = *self.jobs.get(&number)?;
        if !matches!(job.standing, Standing::Queued | Standing::Parked | Standing::Taken) {
            return None;
        }
        self.queue.retain(|queued| *queued != number);
        self.trays.values_mut().for_each(|tray| tray.retain(|taken| *taken != number));
        self.publishing += 1;
        self.end(number, bin);
        Some(job.cell)
    }

    pub(crate) fn close(&mut self, phase: Phase) {
        self.phase = self.phase.max(phase);
        self.dismiss_line();
        self.balance();
    }

    /// The cells that waited, in the order of acceptance.
    pub(crate) fn sweep(&mut self, bin: Bin) -> Vec<u64> {
        self.phase = Phase::Aborted;
        self.dismiss_line();
        let numbers: Vec<_> = self.jobs.keys().copied().collect();
        let swept = numbers.into_iter().filter_map(|number| self.unlist(number, bin)).collect();
        for bell in self.bells.values_mut() {
            bell.signal = Signal::Abort;
            self.asked.wake.push(bell.waker);
        }
        self.retire_timer();
        swept
    }

    /// The cells of what has expired, and until when the timer sleeps.
    pub(crate) fn ring(&mut self, waker: WakerId) -> (Vec<u64>, Option<Ticks>) {
        let mut expired = Vec::new();
        loop {
            let due = self.jobs.iter().filter_map(|(number, job)| Some((job.alarm?, *number))).min();
            let Some((_, number)) = due.filter(|(due, _)| *due <= self.now) else { break };
            expired.extend(self.rang(number));
        }
        self.look_around();
        self.balance();
        let until = self.next_due();
        self.timer = until.map_or(Timer::Off, |until| Timer::Asleep { until, waker });
        self.note_idle();
        (expired, until)
    }

    /// The cell of a job that has expired.
    fn rang(&mut self, number: Number) -> Option<u64> {
        let job: &mut Job = self.jobs.get_mut(&number).expect("a job");
        match job.standing {
            Standing::Parked => {
                job.standing = Standing::Queued;
                job.alarm = alarm(job.deadline);
                self.queue.push_back(number);
                None
            }
            Standing::Stalled => {
                job.alarm = None;
                let bell = job.runner.and_then(|runner| self.bells.get_mut(&runner));
                if let Some(bell) = bell.filter(|bell| bell.number == Some(number)) {
                    bell.due = true;
                    self.asked.wake.push(bell.waker);
                }
                None
            }
            // Its runner keeps the time.
            Standing::Started | Standing::Claimed => {
                job.alarm = None;
                None
            }
            Standing::Queued | Standing::Taken => self.unlist(number, Bin::TimedOut),
        }
    }

    fn retire_timer(&mut self) {
        if let (None, Timer::Asleep { waker, .. }) = (self.next_due(), self.timer) {
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

    pub(super) fn note_idle(&mut self) {
        if self.runners == 0 {
            self.retire_timer();
        }
        if self.is_idle() {
            self.asked.wake.extend(self.idlers.values_mut().filter_map(Option::take));
        }
    }
}
