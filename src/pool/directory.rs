//! The pools of this process, by number: how a job's handle finds the pool that it has to ask something.
//!
//! A handle that held its pool would count a reference for every job, on a counter that all submitters share. It is asked
//! for next to nothing, though: most are awaited and gone. So it has the pool's number, and whoever cancels looks it up.
//!
//! A pool is listed from its making until its shared state is dropped. Its last handle may outlive it: by then every job has
//! its outcome, and there is nothing to ask.

use crate::kernel::crew::Need;
use crate::kernel::engine::{Effects, Ticket};
use crate::shim::Mutex;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Weak};

/// The number of a pool. No two pools that are there at the same time have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PoolId(NonZeroU32);

impl PoolId {
    /// For where there may be none: zero is no pool's.
    pub(super) fn number(self) -> u32 {
        self.0.get()
    }
}

/// What a handle may ask of its pool, whatever that pool's jobs are.
pub(super) trait Pool: Send + Sync {
    /// Ends a job that waits, or asks its runner to end it.
    fn cancel(self: Arc<Self>, ticket: Ticket);

    /// Cancels a job that waits, and no other.
    fn withdraw(self: Arc<Self>, ticket: Ticket);

    /// Whether handlers block: then a handler that waits for a job of its own pool lends its slot itself.
    fn blocks(&self) -> bool;

    /// Lends a slot, and the thread with it. What is to be done once no lock is held is for [`go_on`](Self::go_on).
    fn lend(&self, fx: &mut Effects) -> Need;

    /// Does what lending a slot has made necessary.
    fn go_on(self: Arc<Self>, need: Need, fx: Effects);

    /// Takes a slot back.
    fn take_back(&self);
}

struct Directory {
    pools: BTreeMap<PoolId, Weak<dyn Pool>>,
    last: NonZeroU32,
}

impl Directory {
    /// The next number that is no pool's. They come round after 2^32 pools.
    fn number(&mut self) -> PoolId {
        loop {
            self.last = self.last.checked_add(1).unwrap_or(NonZeroU32::MIN);
            let id = PoolId(self.last);
            if !self.pools.contains_key(&id) {
                return id;
            }
        }
    }
}

static DIRECTORY: Mutex<Directory> = Mutex::new(Directory { pools: BTreeMap::new(), last: NonZeroU32::MIN });

/// Makes a pool that knows its number, and lists it.
pub(super) fn enter<P: Pool + 'static>(make: impl FnOnce(PoolId) -> P) -> Arc<P> {
    let id = DIRECTORY.lock().number();
    let pool = Arc::new(make(id));
    let listed: Weak<P> = Arc::downgrade(&pool);
    DIRECTORY.lock().pools.insert(id, listed);
    pool
}

/// The pool is gone.
pub(super) fn leave(id: PoolId) {
    let gone = DIRECTORY.lock().pools.remove(&id);
    drop(gone);
}

/// The pool of that number, if it is there.
pub(super) fn find(id: PoolId) -> Option<Arc<dyn Pool>> {
    // Upgraded under the lock, dropped by the caller: the last one to go takes the lock to leave.
    DIRECTORY.lock().pools.get(&id).and_then(Weak::upgrade)
}
