//! Claims: what runners take from the queue, one at a time or a few at once, and what is taken back from them.

use super::tray::{Claim, Tray};
use super::{Link, NEVER, Standing, State, Tempo, Ticket, number};
use crate::kernel::bell::Bell;
use crate::kernel::slab::Key;
use std::sync::Arc;

/// A runner as the engine knows it: its bell, and the jobs that it has claimed and not started.
///
/// One job at a time is the rule. A runner whose jobs have been short may claim its fair share of the queue, so that a
/// lock operation serves several jobs. Those that it takes along lie on its [`Tray`], within reach: the first await of one
/// gives the others back ([`stall`](super::Engine::stall)), and while one blocks its thread the others can still be
/// cancelled, run out of time, be recalled and be swept.
#[derive(Debug)]
pub(crate) struct Batch<C> {
    /// The one to start next, if that is the first.
    first: Option<Claim<C>>,
    /// At most so many lie on the tray: fewer, if some have been taken back.
    along: usize,
    pub(super) tray: Arc<Tray<C>>,
    /// What the runner has found.
    pub(crate) tempo: Tempo,
    pub(super) bell: Arc<Bell>,
    /// Its entry among those that are here.
    pub(super) entry: Link,
    /// Whether the engine counts this runner as having a job.
    pub(super) busy: bool,
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

impl<C> State<C> {
    /// Claims from the front of the queue if nothing is claimed and the calling runner's slot is within the limit.
    #[inline]
    pub(super) fn claim(&mut self, batch: &mut Batch<C>) {
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
    pub(super) fn give_back(&mut self, batch: &mut Batch<C>) {
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
