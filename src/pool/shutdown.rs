//! Closing, draining, shutting down, and the report of what became of everything.

use super::error::{Failure, WouldDeadlock};
use super::shared::Shared;
use super::stats::Totals;
use super::threads::Gone;
use super::{WorkerPool, nested};
use crate::kernel::engine::{Effects, Phase, Sweep};
use crate::kernel::slab::Key;
use crate::rt;
use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// How long an aborted handler has to reach its next await before it is reported as unresponsive.
const YIELD_ALLOWANCE: Duration = Duration::from_millis(100);

/// How a pool is shut down. In each case it admits nothing more, and permits that were granted are revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// Wait until every accepted job has its outcome, retries included.
    Drain,
    /// The same, but no longer than this; then as [`Now`](Self::Now).
    DrainFor(Duration),
    /// Give back what has not been started or waits for a retry, and abort what runs.
    Now,
}

/// What became of a pool's jobs when it was shut down.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use flowgate::{Attempt, Shutdown, WorkerPool};
///
/// let pool = WorkerPool::<u32, (), ()>::builder()
///     .concurrency(1)
///     .queue(3)
///     .build(|_job: Attempt<u32>| std::future::pending())
///     .unwrap();
/// for job in 0..3 {
///     drop(pool.submit(job).await.unwrap()); // detached
/// }
/// tokio::task::yield_now().await; // the first one starts, and never ends
/// let report = pool.shutdown(Shutdown::Now).await.unwrap();
/// assert_eq!(report.unstarted, [1, 2]);
/// assert_eq!(report.aborted, [0]);
/// assert!(report.is_complete());
/// # }
/// ```
#[non_exhaustive]
pub struct Report<J, E> {
    /// Accepted jobs that were never started, in the order of acceptance.
    pub unstarted: Vec<J>,
    /// Jobs that had failed at least once and waited for another attempt.
    pub parked: Vec<Failure<J, E>>,
    /// Jobs whose attempt was cut short; one that the handler kept is counted in `totals` only.
    pub aborted: Vec<J>,
    /// Jobs whose handler had not come to an await when the shutdown returned. They end, `Aborted`, when it does.
    pub unresponsive: usize,
    /// What became of all jobs of the pool's life.
    pub totals: Totals,
    /// How long the shutdown took.
    pub elapsed: Duration,
}

impl<J, E> Report<J, E> {
    /// Whether every job that was ever accepted is accounted for.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.unresponsive == 0 && self.totals.accepted == self.totals.ended()
    }
}

impl<J, E: fmt::Debug> fmt::Debug for Report<J, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Report")
            .field("unstarted", &self.unstarted.len())
            .field("parked", &self.parked)
            .field("aborted", &self.aborted.len())
            .field("unresponsive", &self.unresponsive)
            .field("totals", &self.totals)
            .field("elapsed", &self.elapsed)
            .finish()
    }
}

impl<J, E> fmt::Display for Report<J, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shut down in {:.1?}: {}", self.elapsed, self.totals)?;
        let (unstarted, parked, aborted) = (self.unstarted.len(), self.parked.len(), self.aborted.len());
        if unstarted + parked + aborted > 0 {
            write!(f, "; given back: {unstarted} unstarted, {parked} between attempts, {aborted} aborted")?;
        }
        if self.unresponsive > 0 {
            write!(f, "; {} still in a handler that does not await", self.unresponsive)?;
        }
        Ok(())
    }
}

impl<J, T, E> WorkerPool<J, T, E> {
    /// Admits no more jobs. Idempotent; returns at once.
    ///
    /// Jobs that were accepted go on, retries included; permits that were granted may still be used. Submitters
    /// that wait for room get their job back.
    pub fn close(&self) {
        self.shut(Phase::Closed);
    }

    /// Whether the pool admits no more jobs.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.engine.phase() > Phase::Open
    }

    /// Waits until the pool has been empty at some instant since the call. It stays open.
    ///
    /// # Errors
    /// [`WouldDeadlock`], at once, in a handler of this very pool, whose own job is in it.
    ///
    /// # Cancel safety
    /// Safe: dropping the future changes nothing.
    pub async fn drain(&self) -> Result<(), WouldDeadlock> {
        self.refuse_inside()?;
        Idle::new(&self.shared).await;
        Ok(())
    }

    /// Closes the pool, waits as `how` says, and accounts for every job.
    ///
    /// It returns by its deadline, plus the pool's `cancel_grace`, plus up to 100 ms for handlers that have
    /// not come to an await by then; those are counted as [`unresponsive`](Report::unresponsive). A second call, also at
    /// the same time, waits likewise, and may be the stricter one; jobs are given back to the call that returns first.
    ///
    /// # Errors
    /// [`WouldDeadlock`], in a handler of this very pool: the pool is closed, or with [`Shutdown::Now`] swept
    /// out, but its end can only be awaited from outside, where a further call gets the report.
    ///
    /// # Cancel safety
    /// Safe: dropping the future leaves the pool closed, and whatever it had given up to then is in the report
    /// of the next call.
    pub async fn shutdown(&self, how: Shutdown) -> Result<Report<J, E>, WouldDeadlock> {
        let started = rt::now();
        self.shut(Phase::Sealed);
        if self.refuse_inside().is_err() {
            if how == Shutdown::Now {
                self.shared.sweep(Sweep::Return);
            }
            return Err(WouldDeadlock);
        }
        let idle = match how {
            Shutdown::Drain => {
                Idle::new(&self.shared).await;
                true
            }
            Shutdown::DrainFor(limit) => self.idle_within(limit).await,
            Shutdown::Now => false,
        };
        if !idle {
            self.shared.sweep(Sweep::Return);
            let grace = self.shared.options.cancel_grace;
            self.idle_within(grace.saturating_add(YIELD_ALLOWANCE)).await;
        }
        let snapshot = self.shared.engine.snapshot();
        if snapshot.in_system == 0 {
            self.shared.dismiss();
            // Threads that were idle are on their way out.
            self.within(YIELD_ALLOWANCE, Gone::new(&self.shared)).await;
        } else if let Some(threads) = &self.shared.threads {
            threads.close();
        }
        let harvest = std::mem::take(&mut *self.shared.harvest.lock());
        Ok(Report {
            unstarted: harvest.unstarted,
            parked: harvest.parked,
            aborted: harvest.aborted,
            unresponsive: snapshot.in_system,
            totals: snapshot.totals,
            elapsed: rt::now().saturating_duration_since(started),
        })
    }

    fn shut(&self, phase: Phase) {
        let mut fx = Effects::default();
        self.shared.engine.close(phase, &mut fx);
        self.shared.apply(&mut fx);
    }

    fn refuse_inside(&self) -> Result<(), WouldDeadlock> {
        if nested::is_inside(self.shared.id) { Err(WouldDeadlock) } else { Ok(()) }
    }

    /// Whether the pool was idle before `limit` was over.
    async fn idle_within(&self, limit: Duration) -> bool {
        self.within(limit, Idle::new(&self.shared)).await
    }

    /// Whether `done` was ready before `limit` was over.
    async fn within(&self, limit: Duration, mut done: impl Future<Output = ()> + Unpin) -> bool {
        let mut sleep = pin!(self.shared.time.sleep_until(rt::after(limit)));
        std::future::poll_fn(|cx| {
            if Pin::new(&mut done).poll(cx).is_ready() {
                return Poll::Ready(true);
            }
            ready!(sleep.as_mut().poll(cx));
            Poll::Ready(false)
        })
        .await
    }
}

/// Ready once the pool has been idle since this was made.
struct Idle<'a, J, T, E> {
    shared: &'a Arc<Shared<J, T, E>>,
    key: Option<Key>,
}

impl<'a, J, T, E> Idle<'a, J, T, E> {
    fn new(shared: &'a Arc<Shared<J, T, E>>) -> Self {
        Self { shared, key: None }
    }
}

impl<J, T, E> Future for Idle<'_, J, T, E> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let shared = self.shared;
        shared.engine.poll_idle(&mut self.key, cx.waker())
    }
}

impl<J, T, E> Drop for Idle<'_, J, T, E> {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.shared.engine.leave_idlers(key);
        }
    }
}
