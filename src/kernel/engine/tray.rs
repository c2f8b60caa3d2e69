//! Trays: where the jobs lie that runners have taken along, in the order in which they are to start them.

use super::{Ticket, Ticks};
use crate::kernel::bell::Bell;
use crate::kernel::slab::Key;
use crate::shim::Mutex;
use std::sync::Arc;

/// A job that a runner is to run.
#[derive(Debug)]
pub(crate) struct Claim<C> {
    pub(crate) ticket: Ticket,
    pub(crate) cell: C,
    /// When it must be out of the system, or [`NEVER`](super::NEVER).
    pub(crate) deadline: Ticks,
}

/// Where the jobs lie that a runner has taken along and not started. Its lock is what decides between the runner, which
/// takes the next one to start it, and the engine, which takes one back. It is taken inside the engine's, never around it.
#[derive(Debug)]
pub(crate) struct Tray<C> {
    claims: Mutex<Claims<C>>,
}

/// Filled while it is empty. Not a `VecDeque`: into a vector a claim is written in place, which saves moving it through
/// the stack, and one that is taken back from the middle leaves a gap.
#[derive(Debug)]
struct Claims<C> {
    list: Vec<Option<Claim<C>>>,
    /// The one to start next, or a gap.
    first: usize,
}

impl<C> Tray<C> {
    pub(super) fn new() -> Self {
        Self { claims: Mutex::new(Claims { list: Vec::new(), first: 0 }) }
    }

    /// The next one, which becomes the current job of the runner that `bell` is of.
    #[inline]
    pub(super) fn next(&self, bell: &Bell) -> Option<Claim<C>> {
        let mut claims = self.claims.lock();
        loop {
            let first = claims.first;
            let slot = claims.list.get_mut(first)?;
            let claim = slot.take();
            claims.first += 1;
            if let Some(claim) = claim {
                // Under the lock: whoever finds it gone from here finds its number there.
                bell.begin(claim.ticket.number);
                return Some(claim);
            }
        }
    }

    /// Lays down what `more` yields, until it yields nothing; it is told the position of each. Returns how many there are.
    #[inline]
    pub(super) fn fill(&self, mut more: impl FnMut(u32) -> Option<Claim<C>>) -> usize {
        let mut claims = self.claims.lock();
        debug_assert!(claims.list.iter().all(Option::is_none), "a tray is filled while it is empty");
        claims.list.clear();
        claims.first = 0;
        while let Some(claim) = more(claims.list.len() as u32) {
            claims.list.push(Some(claim));
        }
        claims.list.len()
    }

    /// Takes the job of `key` back from that position, unless it has been started.
    pub(super) fn take(&self, at: u32, key: Key) -> Option<Claim<C>> {
        let mut claims = self.claims.lock();
        claims.list.get_mut(at as usize)?.take_if(|claim| claim.ticket.key == key)
    }

    /// Takes all of them back, in order.
    pub(super) fn take_all(&self, all: &mut Vec<Claim<C>>) {
        all.extend(self.claims.lock().list.drain(..).flatten());
    }
}

/// A runner that is here, as the engine reaches it.
#[derive(Debug)]
pub(super) struct Here<C> {
    pub(super) bell: Arc<Bell>,
    pub(super) tray: Arc<Tray<C>>,
}
