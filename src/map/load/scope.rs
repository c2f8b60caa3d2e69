//! Knowing that a wait is made inside a load.
//!
//! A thread-local names the flight whose load is being polled. A wait that a load hands to another task
//! (`tokio::spawn`) cannot be seen here; [`crate::docs::limitations`] says so.

use crate::kernel::waits::{Circle, FlightId, Waits};
use std::cell::Cell;
use std::sync::OnceLock;

/// No flight: ids begin with one.
const NONE: FlightId = 0;

thread_local! {
    /// The flight whose load is being polled, or `NONE`.
    static CURRENT: Cell<FlightId> = const { Cell::new(NONE) };
}

/// The waits between flights of all maps: a circle may lead through several.
fn waits() -> &'static Waits {
    static WAITS: OnceLock<Waits> = OnceLock::new();
    WAITS.get_or_init(Waits::new)
}

/// Runs a part of the load of `flight`. `part` does not unwind.
pub(super) fn within<R>(flight: FlightId, part: impl FnOnce() -> R) -> R {
    let outer = CURRENT.replace(flight);
    let result = part();
    CURRENT.set(outer);
    result
}

/// A wait of one load for another. It lasts as long as it lives, not only while it is polled, so that a `select!` that
/// polls something else in between does not hide it.
#[derive(Debug)]
pub(super) struct Edge {
    from: FlightId,
    to: FlightId,
}

/// Makes the wait for the flight `to` one of the load that is polling, or of none if no load is. A wait may be begun in
/// one load and be polled in another, or outside of any.
pub(super) fn wait_here(edge: &mut Option<Edge>, to: FlightId) -> Result<(), Circle> {
    let from = CURRENT.get();
    if edge.as_ref().map_or(NONE, |edge| edge.from) == from {
        return Ok(());
    }
    *edge = None;
    if from != NONE {
        waits().add(from, to)?;
        *edge = Some(Edge { from, to });
    }
    Ok(())
}

impl Drop for Edge {
    fn drop(&mut self) {
        waits().remove(self.from, self.to);
    }
}
