//! The handler of a pool on threads, as the runner sees it: a future that is ready when it has been polled once.

use crate::pool::context::Cx;
use crate::pool::handler::{Exec, Home, lent};
use std::sync::Arc;

/// A function that blocks.
pub(super) struct ByThread<F>(pub(super) F);

impl<J, T, E, F> Exec<J, T, E> for ByThread<F>
where
    J: Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
    F: Fn(&mut J, &Cx) -> Result<T, E> + Send + Sync + 'static,
{
    // Called when polled: only then is it known which pool's handler runs.
    async fn exec<'a>(&'a self, slot: &'a mut Option<J>, home: &'a Arc<Home<J>>) -> Result<T, E> {
        (self.0)(lent(slot), &home.cx())
    }
}
