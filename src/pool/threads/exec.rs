//! The handler of a pool on threads, as the runner sees it: a future that is ready when it has been polled once.

use crate::pool::context::Cx;
use crate::pool::handler::{Exec, Lodging, lent};

/// A function that blocks.
pub(super) struct ByThread<F>(pub(super) F);

impl<J, T, E, F> Exec<J, T, E> for ByThread<F>
where
    J: Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
    F: Fn(&mut J, &Cx) -> Result<T, E> + Send + Sync + 'static,
{
    async fn exec<'a>(&'a self, slot: &'a mut Option<J>, lodging: &'a Lodging<J>) -> Result<T, E> {
        (self.0)(lent(slot), &lodging.cx)
    }
}
