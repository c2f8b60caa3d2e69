//! # What
//! [`Waits`] knows which flight waits for which: an edge from one flight to another is a wait, made inside the load of
//! the first, for the outcome of the second. A wait that would close a circle is refused.
//!
//! # States
//! | edge | counted | reached by |
//! |---|---|---|
//! | none | - | the last [`Waits::remove`] |
//! | waiting | once for each wait that the load has under way for the same flight | [`Waits::add`] |
//!
//! # Invariants
//! 1. The edges have no circle: none, however short, leads from a flight back to itself.
//! 2. An edge is looked for and made in one lock operation, so of the waits that together would close a circle exactly
//!    the last one is refused, whichever tasks they come from.
//! 3. There are as many edges as waits under way: what is added is removed.
//!
//! # Why not the obvious
//! A list of the loads above the current one, kept per task, sees a load that asks for itself, but not two loads that
//! began apart and wait for each other. A timeout sees everything, late, and loads that are only slow. A lock for each
//! flight instead of one for all would let two waits that close a circle together either both pass or both be refused.
//!
//! # Cost
//! Only a wait inside a load comes here: one lock operation to begin and one to end it. A search follows the edges from
//! the awaited flight, O(log n) each; most loads wait for one other at a time, so it is as long as the chain.

use crate::shim::Mutex;
use std::collections::{BTreeMap, BTreeSet};

/// Names a flight for as long as the process lives.
pub(crate) type FlightId = u64;

/// Which flight waits for which.
#[derive(Debug)]
pub(crate) struct Waits {
    edges: Mutex<BTreeMap<(FlightId, FlightId), usize>>,
}

/// The wait would close a circle: the awaited flight waits, itself or through others, for the one that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Circle;

impl Waits {
    /// Nobody waits.
    pub(crate) fn new() -> Self {
        Self { edges: Mutex::new(BTreeMap::new()) }
    }

    /// `from` begins to wait for `to`, unless that would close a circle.
    pub(crate) fn add(&self, from: FlightId, to: FlightId) -> Result<(), Circle> {
        let mut edges = self.edges.lock();
        // Invariant 2: what is found here still holds when the edge is made.
        if leads(&edges, to, from) {
            return Err(Circle);
        }
        *edges.entry((from, to)).or_insert(0) += 1;
        Ok(())
    }

    /// A wait that was added is over.
    pub(crate) fn remove(&self, from: FlightId, to: FlightId) {
        let mut edges = self.edges.lock();
        if let Some(count) = edges.get_mut(&(from, to)) {
            *count -= 1;
            if *count == 0 {
                edges.remove(&(from, to));
            }
        }
    }
}

/// Whether the edges lead from `start` to `goal`, in no step or more.
fn leads(edges: &BTreeMap<(FlightId, FlightId), usize>, start: FlightId, goal: FlightId) -> bool {
    let mut open = vec![start];
    let mut seen = BTreeSet::from([start]);
    while let Some(at) = open.pop() {
        if at == goal {
            return true;
        }
        let next = edges.range((at, FlightId::MIN)..=(at, FlightId::MAX)).map(|((_, to), _)| *to);
        open.extend(next.filter(|to| seen.insert(*to)));
    }
    false
}
