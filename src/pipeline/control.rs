//! Changing a stage while it runs.

use super::node::Node;
use super::scope::Run;
use crate::pool::BuildError;
use std::sync::Arc;

/// A stage of a running pipeline. Made by [`Running::stage`](super::Running::stage); does not keep the pipeline.
#[derive(Clone, Debug)]
pub struct StageControl {
    node: Arc<Node>,
}

impl StageControl {
    pub(super) fn of(run: &Run, name: &str) -> Option<Self> {
        run.nodes().into_iter().find(|node| &*node.name == name).map(|node| Self { node })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.node.name
    }

    /// How many items it works on at once; `None` for a stage without workers.
    #[must_use]
    pub fn parallelism(&self) -> Option<usize> {
        self.node.workers.get().map(|workers| workers.load().slots)
    }

    /// Changes how many items it works on at once, 1 to its [window](crate::Par::window). Returns at once; items that run go
    /// on. For a stage on a shared pool it changes that pool.
    ///
    /// # Errors
    /// [`BuildError::Option`], if the number is out of these bounds, or the stage has no workers; nothing changes.
    pub fn set_parallelism(&self, n: usize) -> Result<(), BuildError> {
        match self.node.workers.get() {
            Some(workers) => workers.set_parallelism(n),
            None => Err(BuildError::Option {
                option: "parallelism",
                value: n.to_string(),
                allowed: format!("not set: the stage \"{}\" has no workers", self.node.name),
            }),
        }
    }
}
