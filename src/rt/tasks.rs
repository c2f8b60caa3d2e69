//! Tasks with an owner.

use super::{Runtime, TaskHandle};
use crate::contain::{Payload, contain};
use crate::shim::Mutex;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

/// The tasks of one owner, which ends them or waits for their end.
#[derive(Debug, Default)]
pub(crate) struct TaskSet {
    tasks: Mutex<Tasks>,
}

#[derive(Debug, Default)]
struct Tasks {
    handles: Vec<TaskHandle>,
    aborted: bool,
    /// Above so many handles, those of tasks that have ended are let go.
    prune_at: usize,
}

const PRUNE_AT: usize = 16;

impl TaskSet {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Starts a task; after [`abort_all`](Self::abort_all) it is dropped at once.
    pub(crate) fn spawn(&self, runtime: &Runtime, task: impl Future<Output = ()> + Send + 'static) {
        let handle = runtime.0.spawn(task);
        let mut tasks = self.tasks.lock();
        if tasks.aborted {
            handle.abort();
        }
        tasks.handles.push(handle);
        if tasks.handles.len() > tasks.prune_at {
            tasks.handles.retain(|handle| !handle.is_finished());
            tasks.prune_at = (2 * tasks.handles.len()).max(PRUNE_AT);
        }
    }

    /// Has every task dropped at its next await.
    pub(crate) fn abort_all(&self) {
        let mut tasks = self.tasks.lock();
        tasks.aborted = true;
        tasks.handles.iter().for_each(TaskHandle::abort);
    }

    /// Waits until every task has ended, those included that are started meanwhile.
    ///
    /// # Cancel safety
    /// Safe: tasks that were not waited for yet stay in the set.
    pub(crate) async fn joined(&self) {
        loop {
            let Some(handle) = self.tasks.lock().handles.pop() else { return };
            let mut held = Held { set: self, handle: Some(handle) };
            if let Some(handle) = &mut held.handle {
                // An error says that the task was aborted, or has panicked, which its owner contains.
                let _ended = handle.await;
            }
            held.handle = None;
        }
    }
}

/// A task that is waited for: it goes back if the wait is given up.
struct Held<'a> {
    set: &'a TaskSet,
    handle: Option<TaskHandle>,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            self.set.tasks.lock().handles.push(handle);
        }
    }
}

/// Polls a future to its end; its panic becomes an error.
pub(crate) async fn contained<F: Future>(future: F) -> Result<F::Output, Payload> {
    let mut future = pin!(future);
    poll_fn(|cx| match contain(|| future.as_mut().poll(cx)) {
        Ok(polled) => polled.map(Ok),
        Err(payload) => Poll::Ready(Err(payload)),
    })
    .await
}
