//! Entering: room, lanes, the lines before both, and making room.

use super::{Job, LaneKey, Number, Oracle, Standing, WakerId, alarm};
use crate::kernel::alarms::{NEVER, Ticks};
use crate::kernel::engine::{Bin, Overflow, Phase};

/// A job that asks to be let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entrant {
    pub(crate) cell: u64,
    pub(crate) lane: Option<LaneKey>,
    /// How long after its acceptance it may be in the system, if not as the pool has it.
    pub(crate) deadline: Option<Ticks>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    ForRoom { entrant: Entrant, waker: WakerId },
    ForLane { entrant: Entrant, waker: WakerId },
    ForPermit { waker: WakerId },
    Accepted(Number),
    Granted,
    Closed { cell: Option<u64> },
}

impl Wait {
    /// The lane of a submitter that waits.
    pub(super) fn lane(&self) -> Option<LaneKey> {
        match self {
            Self::ForRoom { entrant, .. } | Self::ForLane { entrant, .. } => entrant.lane,
            _ => None,
        }
    }
}

/// What becomes of a submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admitted {
    Accepted(Number),
    /// The same, and this cell's job has made room for it.
    Shedding(Number, u64),
    Full,
    Closed,
    /// In line; only of those who wait.
    Waiting,
}

impl Oracle {
    pub(crate) fn has_room(&self) -> bool {
        self.jobs.len() + self.permits < self.limits.capacity
    }

    /// Jobs of a lane, and submitters that it has let into the line for room.
    pub(super) fn held(&self, lane: LaneKey) -> usize {
        let in_line = self.line.iter().filter(|waiter| self.waiters[waiter].lane() == Some(lane)).count();
        self.lanes.get(&lane).map_or(0, |jobs| jobs.len()) + in_line
    }

    fn lane_is_full(&self, lane: Option<LaneKey>) -> bool {
        lane.is_some_and(|lane| self.held(lane) >= self.limits.per_lane)
    }

    pub(crate) fn admit(&mut self, entrant: Entrant) -> Admitted {
        if self.phase > Phase::Open {
            return Admitted::Closed;
        }
        let admitted = self.admit_or_shed(entrant);
        self.balance();
        admitted
    }

    fn admit_or_shed(&mut self, entrant: Entrant) -> Admitted {
        let mut shed = None;
        if self.lane_is_full(entrant.lane) {
            let jobs = entrant.lane.and_then(|lane| self.lanes.get(&lane));
            let oldest = jobs.and_then(|jobs| jobs.iter().find(|job| self.jobs[job].standing == Standing::Queued));
            shed = oldest.copied().and_then(|oldest| self.shed(oldest));
            if shed.is_none() {
                return Admitted::Full;
            }
        }
        if !self.has_room() {
            shed = self.make_room();
        }
        if !self.has_room() {
            return Admitted::Full;
        }
        let number = self.accept(entrant);
        shed.map_or(Admitted::Accepted(number), |shed| Admitted::Shedding(number, shed))
    }

    pub(crate) fn admit_or_wait(&mut self, entrant: Entrant, waiter: usize, waker: WakerId) -> Admitted {
        if self.phase > Phase::Open {
            return Admitted::Closed;
        }
        if let Some(lane) = entrant.lane.filter(|lane| self.held(*lane) >= self.limits.per_lane) {
            self.waiters.insert(waiter, Wait::ForLane { entrant, waker });
            self.lane_lines.entry(lane).or_default().push_back(waiter);
            return Admitted::Waiting;
        }
        if !self.has_room() {
            self.waiters.insert(waiter, Wait::ForRoom { entrant, waker });
            self.line.push(waiter);
            return Admitted::Waiting;
        }
        let number = self.accept(entrant);
        self.balance();
        Admitted::Accepted(number)
    }

    /// A permit; a number stands for nothing.
    pub(crate) fn reserve(&mut self, waiter: usize, waker: WakerId) -> Admitted {
        if self.phase > Phase::Open {
            return Admitted::Closed;
        }
        if !self.has_room() && self.limits.overflow == Overflow::Wait {
            self.waiters.insert(waiter, Wait::ForPermit { waker });
            self.line.push(waiter);
            return Admitted::Waiting;
        }
        let shed = if self.has_room() { None } else { self.make_room() };
        if !self.has_room() {
            return Admitted::Full;
        }
        self.permits += 1;
        self.balance();
        shed.map_or(Admitted::Accepted(0), |shed| Admitted::Shedding(0, shed))
    }

    /// Sheds whoever has waited longest.
    fn make_room(&mut self) -> Option<u64> {
        let behind = self.backlogged.first().map(|lane| self.lanes[lane][1]);
        let oldest = self.queue.front().copied().or(behind)?;
        self.shed(oldest)
    }

    fn shed(&mut self, oldest: Number) -> Option<u64> {
        if self.limits.overflow == Overflow::DropOldest { self.unlist(oldest, Bin::Shed) } else { None }
    }

    pub(crate) fn accept(&mut self, entrant: Entrant) -> Number {
        let Entrant { cell, lane, deadline } = entrant;
        let number = self.totals.accepted;
        self.totals.accepted += 1;
        let deadline = deadline.or(self.limits.deadline).map_or(NEVER, |deadline| self.now + deadline);
        let standing = Standing::Queued;
        let job = Job { cell, standing, deadline, lane, alarm: alarm(deadline), runner: None };
        self.jobs.insert(number, job);
        let Some(lane) = lane else {
            self.queue.push_back(number);
            self.doubt();
            return number;
        };
        let jobs = self.lanes.entry(lane).or_default();
        jobs.push_back(number);
        match jobs.len() {
            1 => self.queue.push_back(number),
            2 => self.backlogged.push(lane),
            _ => {}
        }
        self.doubt();
        number
    }

    /// A job of a lane has gone: the next one is out, and one more may come in.
    pub(super) fn leave_lane(&mut self, lane: LaneKey, number: Number) {
        let jobs = self.lanes.get_mut(&lane).expect("a lane with a job");
        let was_out = jobs.front() == Some(&number);
        jobs.retain(|job| *job != number);
        let next = jobs.front().copied();
        if jobs.len() <= 1 {
            self.backlogged.retain(|backlogged| *backlogged != lane);
        }
        match next {
            Some(next) if was_out => self.queue.push_back(next),
            Some(_) => {}
            None => _ = self.lanes.remove(&lane),
        }
        self.serve_lane(lane);
    }

    /// Lets those who wait for a lane into the line for room, as long as the lane has room.
    fn serve_lane(&mut self, lane: LaneKey) {
        while self.held(lane) < self.limits.per_lane {
            let Some(waiter) = self.lane_lines.get_mut(&lane).and_then(|line| line.pop_front()) else { return };
            match self.waiters[&waiter] {
                Wait::ForLane { entrant, waker } => self.waiters.insert(waiter, Wait::ForRoom { entrant, waker }),
                other => panic!("in the line of a lane: {other:?}"),
            };
            self.line.push(waiter);
        }
    }

    pub(crate) fn leave_line(&mut self, waiter: usize) -> Wait {
        self.line.retain(|other| *other != waiter);
        self.lane_lines.values_mut().for_each(|line| line.retain(|other| *other != waiter));
        let wait = self.waiters.remove(&waiter).expect("a waiter");
        if let Some(lane) = wait.lane() {
            self.serve_lane(lane);
        }
        wait
    }

    pub(crate) fn serve_line(&mut self) {
        while !self.line.is_empty() && self.has_room() {
            let waiter = self.line.remove(0);
            let (waker, ended) = match self.waiters[&waiter] {
                Wait::ForRoom { entrant, waker } => (waker, Wait::Accepted(self.accept(entrant))),
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
        let of_lanes = std::mem::take(&mut self.lane_lines).into_values().flatten();
        for waiter in of_lanes.chain(std::mem::take(&mut self.line)) {
            let (waker, cell) = match self.waiters[&waiter] {
                Wait::ForRoom { entrant, waker } | Wait::ForLane { entrant, waker } => (waker, Some(entrant.cell)),
                Wait::ForPermit { waker } => (waker, None),
                other => panic!("in line: {other:?}"),
            };
            self.waiters.insert(waiter, Wait::Closed { cell });
            self.asked.wake.push(waker);
        }
    }
}
