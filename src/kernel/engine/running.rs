//! Running: what a runner asks of the engine between its attempts, and during one.

use super::claims::{Claim, Here, Tray};
use super::{Bin, Clock, Effects, Engine, Link, NEVER, Now, Phase, Standing, State, Tempo, Ticket, Ticks, number};
use crate::kernel::bell::{Bell, Signal};
use crate::kernel::slab::Key;
use std::sync::Arc;

/// A claimed job that has ended and is to be counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    pub(crate) key: Key,
    pub(crate) bin: Bin,
    /// Whether there was an attempt.
    pub(crate) attempted: bool,
}

/// A claimed job that is to wait for another attempt.
#[derive(Debug)]
pub(crate) struct Parking<C> {
    pub(crate) ticket: Ticket,
    pub(crate) cell: C,
    pub(crate) due: Ticks,
    pub(crate) deadline: Ticks,
}

/// Why a job cannot be parked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unparkable {
    /// As many as may be are parked.
    Full,
    /// The pool is being aborted.
    Aborted,
    /// It has been cancelled meanwhile.
    Cancelled,
}

/// A runner as the engine knows it: its bell, and the jobs that it has claimed and not started.
///
/// One job at a time is the rule. A runner whose jobs have been short may claim its fair share of the queue, so that a
/// lock operation serves several jobs. Those that it takes along lie on its [`Tray`], within reach: the first await of one
/// gives the others back ([`Engine::stall`]), and while one blocks its thread the others can still be cancelled, run out
/// of time, be recalled and be swept.
#[derive(Debug)]
pub(crate) struct Batch<C> {
    /// The one to start next, if that is the first.
    first: Option<Claim<C>>,
    /// At most so many lie on the tray: fewer, if some have been taken back.
    along: usize,
    tray: Arc<Tray<C>>,
    /// What the runner has found.
    pub(crate) tempo: Tempo,
    bell: Arc<Bell>,
    /// Its entry among those that are here.
    entry: Link,
    /// Whether the engine counts this runner as having a job.
    busy: bool,
}

impl<C> Batch<C> {
    pub(crate) fn new(bell: Arc<Bell>) -> Self {
        let tray = Arc::new(Tray::new());
        Self { first: None, along: 0, tray, tempo: Tempo::UNKNOWN, bell, entry: Link::NONE, busy: false }
    }

    /// The claimed job to start next, which is the runner's current one from here on.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<Claim<C>> {
        if self.first.is_some() {
            return self.first.take();
        }
        if self.along == 0 {
            return None;
        }
        let next = self.tray.next(&self.bell);
        self.along = if next.is_some() { self.along - 1 } else { 0 };
        next
    }

    /// How many jobs are claimed and not started, those included that have been taken back unseen.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.along
    }

    /// Whether nothing is claimed that is not started.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none() && self.along == 0
    }

    /// How the runner is reached.
    #[inline]
    pub(crate) fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }
}

impl<C, K: Clock> Engine<C, K> {
    /// A spawned runner's first call, and that of one that has lingered: claims. With nothing claimed, leave.
    pub(crate) fn arrive(&self, batch: &mut Batch<C>, fx: &mut Effects) {
        let mut state = self.state.lock();
        let state = &mut *state;
        state.starting -= 1;
        if batch.entry.get().is_none() {
            let here = Here { bell: batch.bell.clone(), tray: batch.tray.clone() };
            batch.entry = state.here.insert(here).into();
        }
        let now = self.now();
        batch.tempo = state.tempo;
        state.learn(batch.tempo, &now);
        state.claim(batch);
        state.balance(fx);
    }

    /// Counts what has ended and, if nothing is claimed, claims. With nothing claimed, publish and leave.
    #[inline]
    pub(crate) fn turn(
        &self,
        ended: impl Iterator<Item = Ended>,
        batch: &mut Batch<C>,
        now: &Now<'_, K>,
        fx: &mut Effects,
    ) {
        let mut state = self.state.lock();
        state.learn(batch.tempo, now);
        state.count(ended, now, fx);
        state.claim(batch);
        state.balance(fx);
    }

    /// Counts what has ended, and claims nothing: the runner is about to let others run.
    pub(crate) fn rest(&self, ended: impl Iterator<Item = Ended>, batch: &mut Batch<C>, fx: &mut Effects) {
        let now = self.now();
        let mut state = self.state.lock();
        state.count(ended, &now, fx);
        state.note_free(batch);
        state.balance(fx);
    }

    /// Counts what a runner has ended that is busy with another job, in its stead.
    ///
    /// The caller publishes those and then calls [`Engine::published`] with their number.
    pub(crate) fn count_for(&self, ended: impl ExactSizeIterator<Item = Ended>, fx: &mut Effects) {
        let now = self.now();
        let mut state = self.state.lock();
        state.publishing += ended.len();
        state.count(ended, &now, fx);
        state.balance(fx);
    }

    /// Parks a claimed job, and is a [`turn`](Self::turn). If it cannot be parked, does nothing and gives the cell back.
    pub(crate) fn park(
        &self,
        parking: Parking<C>,
        ended: impl Iterator<Item = Ended>,
        batch: &mut Batch<C>,
        fx: &mut Effects,
    ) -> Result<(), (Unparkable, C)> {
        let now = self.now();
        let mut state = self.state.lock();
        let state = &mut *state;
        if let Err(why) = state.may_park() {
            return Err((why, parking.cell));
        }
        if batch.bell.signal() == Signal::Cancel {
            return Err((Unparkable::Cancelled, parking.cell));
        }
        state.count(ended, &now, fx);
        state.claimed -= 1;
        state.parked += 1;
        state.totals.attempts += 1;
        state.totals.retries += 1;
        let key = parking.ticket.key;
        state.unwatch(key);
        let place = state.places.get_mut(key).expect("a claimed job holds its place");
        place.standing = Standing::Parked(parking.cell);
        state.set_alarm(key, parking.due, parking.deadline);
        // Before the next is claimed: what is asked of that one from then on must stay.
        batch.bell.end();
        state.claim(batch);
        state.balance(fx);
        Ok(())
    }

    /// Whether a job may be parked, at this moment.
    pub(crate) fn may_park(&self) -> Result<(), Unparkable> {
        self.state.lock().may_park()
    }

    /// Whether a runner whose job begins to wait has to [`stall`](Self::stall), if that job's time need not be kept.
    #[inline]
    pub(crate) fn must_stall(batch: &Batch<C>) -> bool {
        batch.bell.is_swift() || !batch.is_empty()
    }

    /// The running job waits. Counts what has ended and gives back what is claimed: a job that waits holds up no other.
    /// The runner is told when `due` comes, unless that is [`NEVER`].
    pub(crate) fn stall(
        &self,
        ticket: Ticket,
        due: Ticks,
        ended: impl Iterator<Item = Ended>,
        batch: &mut Batch<C>,
        fx: &mut Effects,
    ) {
        let now = self.now();
        let mut state = self.state.lock();
        let state = &mut *state;
        batch.tempo = Tempo::UNKNOWN;
        state.tempo = Tempo::UNKNOWN;
        state.note_pace(batch);
        state.count(ended, &now, fx);
        state.give_back(batch);
        state.unwatch(ticket.key);
        // What was set before is not heard after this.
        batch.bell.take_due();
        let runner = batch.entry.get().expect("a runner that has a job is here");
        let place = state.places.get_mut(ticket.key).expect("a claimed job holds its place");
        place.standing = Standing::Active(runner);
        if due != NEVER {
            state.watched += 1;
            state.set_alarm(ticket.key, due, due);
        }
        state.balance(fx);
    }

    /// The job waits for another job of this pool: its slot may be used meanwhile.
    pub(crate) fn lend(&self, fx: &mut Effects) {
        let mut state = self.state.lock();
        state.lent += 1;
        state.balance(fx);
    }

    /// The wait is over. More than `concurrency` may run until one of them ends.
    pub(crate) fn take_back(&self) {
        self.state.lock().lent -= 1;
    }

    /// Leaves, unless work has come in and is now claimed. `true`: the caller is no longer a runner.
    pub(crate) fn leave(&self, batch: &mut Batch<C>, fx: &mut Effects) -> bool {
        let mut state = self.state.lock();
        state.claim(batch);
        let leaves = batch.is_empty();
        if leaves {
            state.runners -= 1;
            state.dismiss_runner(batch);
        }
        state.balance(fx);
        state.note_idle(fx);
        leaves
    }

    /// Lets the caller look once more before it leaves: until then it counts as starting. `false`: another is.
    pub(crate) fn linger(&self, batch: &mut Batch<C>) -> bool {
        let mut state = self.state.lock();
        let lingers = state.starting == 0 && state.starts_jobs() && state.slots_used() <= state.limits.concurrency;
        if lingers {
            state.starting += 1;
            state.note_swift(&batch.bell, false);
        }
        lingers
    }
}

impl<C> State<C> {
    /// Counts the outcomes of claimed jobs and frees their places.
    #[inline]
    pub(super) fn count<K: Clock>(&mut self, ended: impl Iterator<Item = Ended>, now: &Now<'_, K>, fx: &mut Effects) {
        for Ended { key, bin, attempted } in ended {
            self.claimed -= 1;
            self.totals.attempts += u64::from(attempted);
            self.unwatch(key);
            self.free(key, bin, now, fx);
        }
    }

    /// Takes the alarm of a claimed job out, if it has one.
    #[inline]
    fn unwatch(&mut self, key: Key) {
        if self.alarms.is_empty() {
            return;
        }
        let Some(place) = self.places.get_mut(key) else { return };
        if let Some(alarm) = place.alarm.take() {
            self.watched -= usize::from(matches!(place.standing, Standing::Active(_)));
            self.alarms.clear(alarm);
        }
    }

    fn may_park(&self) -> Result<(), Unparkable> {
        if self.phase == Phase::Aborted {
            return Err(Unparkable::Aborted);
        }
        if self.parked >= self.limits.max_parked { Err(Unparkable::Full) } else { Ok(()) }
    }

    /// Claims from the front of the queue if nothing is claimed and the calling runner's slot is within the limit.
    #[inline]
    fn claim(&mut self, batch: &mut Batch<C>) {
        if !batch.is_empty() {
            return;
        }
        if self.slots_used() <= self.limits.concurrency && self.starts_jobs() {
            // The fair share leaves as much to every other runner that can be polled at the same instant.
            let share = self.ready.len().div_ceil(self.parallelism()).min(batch.tempo.burst);
            batch.first = self.claim_first(batch);
            if share > 1 {
                self.claim_along(share - 1, batch);
            }
        }
        if batch.first.is_none() {
            return self.note_free(batch);
        }
        self.note_pace(batch);
        self.active += usize::from(!std::mem::replace(&mut batch.busy, true));
        self.peak_running = self.peak_running.max(self.active);
    }

    /// The runner has no job.
    fn note_free(&mut self, batch: &mut Batch<C>) {
        self.active -= usize::from(std::mem::take(&mut batch.busy));
    }

    /// Counts the runner as swift if it may claim several jobs at once.
    #[inline]
    fn note_pace(&mut self, batch: &mut Batch<C>) {
        self.note_swift(&batch.bell, batch.tempo.burst > 1);
    }

    #[inline]
    pub(super) fn note_swift(&mut self, bell: &Bell, swift: bool) {
        if swift != bell.is_swift() {
            bell.set_swift(swift);
            if swift {
                self.swift += 1;
            } else {
                self.swift -= 1;
            }
        }
    }

    /// The runner is here no longer.
    pub(super) fn dismiss_runner(&mut self, batch: &mut Batch<C>) {
        self.note_free(batch);
        self.note_swift(&batch.bell, false);
        if let Some(entry) = batch.entry.take() {
            self.here.remove(entry);
        }
    }

    /// Claims the front of the queue, if there is one: the runner's current job from here on.
    #[inline]
    fn claim_first(&mut self, batch: &Batch<C>) -> Option<Claim<C>> {
        let key = self.ready.pop_front(&mut self.places)?;
        self.claimed += 1;
        let runner = batch.entry.get().expect("a runner that claims is here");
        let place = self.places.get_mut(key).expect("a ready job holds its place");
        let deadline = place.alarm.take().map_or(NEVER, |alarm| self.alarms.clear(alarm).deadline);
        let Standing::Queued(cell) = std::mem::replace(&mut place.standing, Standing::Active(runner)) else {
            unreachable!("a ready job is queued")
        };
        let low = place.number;
        let number = self.number(low);
        batch.bell.begin(number);
        Some(Claim { ticket: Ticket { key, number }, cell, deadline })
    }

    /// Takes so many more along, if there are as many. They stay within reach, their alarms set.
    #[inline]
    fn claim_along(&mut self, most: usize, batch: &mut Batch<C>) {
        let runner = batch.entry.get().expect("a runner that claims is here");
        let latest = self.totals.accepted - 1;
        let Self { ready, places, alarms, .. } = self;
        batch.along = batch.tray.fill(|at| {
            if at as usize == most {
                return None;
            }
            let key = ready.pop_front(places)?;
            let place = places.get_mut(key).expect("a ready job holds its place");
            let deadline = place.alarm.get().map_or(NEVER, |alarm| alarms.get(alarm).deadline);
            let Standing::Queued(cell) = std::mem::replace(&mut place.standing, Standing::Taken(runner, at)) else {
                unreachable!("a ready job is queued")
            };
            let number = number(latest, place.number);
            Some(Claim { ticket: Ticket { key, number }, cell, deadline })
        });
        self.claimed += batch.along;
    }

    /// Puts what is claimed and not started back to where it was.
    fn give_back(&mut self, batch: &mut Batch<C>) {
        debug_assert!(batch.first.is_none(), "a runner has started the first of its jobs before that one waits");
        if std::mem::take(&mut batch.along) > 0 {
            let mut claims = Vec::new();
            batch.tray.take_all(&mut claims);
            self.requeue(claims);
        }
    }

    /// Jobs that were taken along are the first in the queue again. They are in the order of acceptance.
    pub(super) fn requeue(&mut self, claims: Vec<Claim<C>>) {
        self.claimed -= claims.len();
        for Claim { ticket, cell, .. } in claims.into_iter().rev() {
            let place = self.places.get_mut(ticket.key).expect("a job that was taken along holds its place");
            place.standing = Standing::Queued(cell);
            self.ready.push_front(&mut self.places, ticket.key);
        }
    }

    /// Takes a job back that a runner has taken along, unless that has started it. Its alarm stays.
    pub(super) fn recall(&mut self, key: Key) -> Option<C> {
        let Some(Standing::Taken(runner, at)) = self.places.get(key).map(|place| &place.standing) else { return None };
        let claim = self.here.get(*runner)?.tray.take(*at, key)?;
        self.claimed -= 1;
        Some(claim.cell)
    }
}
