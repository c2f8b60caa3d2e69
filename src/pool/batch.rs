//! Submitting many jobs at a time.
//!
//! | | what [`submit_batch`](WorkerPool::submit_batch) promises |
//! |---|---|
//! | bound | takes as many jobs at once as there is room for, at most 64, and one more to wait in line with |
//! | order | jobs are accepted in the iterator's order; its turns in the line are like any other submitter's |
//! | value back | a refusal returns what was taken and not accepted; all else is still in the iterator |
//! | cancel | [`SubmitBatch::give_up`] ends it exactly; dropping it detaches what was accepted |
//! | panic | of the iterator: what it had yielded before is accepted, places that are not used are given back |
//! | drop | as `submit` for the one job that waits in line; the iterator keeps the others |

use super::error::SubmitError;
use super::handle::JobHandle;
use super::line::{Deserted, InLine};
use super::shared::{JobCell, Parcel, Shared};
use super::submit::{Refused, Terms, start, take_job};
use super::{WorkerPool, nested};
use crate::kernel::engine::{Closed, Effects, Overflow};
use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// The most places that are taken at once: the iterator is advanced while they are held.
const AT_ONCE: usize = 64;

/// After so many jobs the submitter lets other tasks run.
const TURN: usize = 1024;

impl<J, T, E> WorkerPool<J, T, E> {
    /// Submits all jobs of an iterator, as many at a time as there is room for; waits for more room, first come first
    /// served, and resolves to their handles in the iterator's order.
    ///
    /// Costs a fraction of as many calls of [`submit`](Self::submit): the pool's lock is taken twice for up to 64 jobs. A
    /// job is taken from the iterator only if there is a place for it, except for the one that this submitter stands in
    /// line with while the pool is full. So whatever ends the call early, the iterator has the jobs that were not taken.
    ///
    /// Advance the iterator quickly: places are held while it yields, so one that blocks keeps others from them.
    ///
    /// # Errors
    /// [`BatchError`] with the handles of all jobs that were accepted, and those that were taken and refused: at most the
    /// one that stood in line, or up to 64 if a shutdown began just then. Like [`submit`](Self::submit), it is refused
    /// where the pool is closed, where it is full and not to wait is its [overflow rule](super::Overflow), and at once in a
    /// handler of this very pool while that is full.
    ///
    /// # Cancel safety
    /// Safe for the iterator. Dropping the future detaches the jobs that were accepted; the one that stands in line is
    /// dropped, or, if it had been accepted and not started, cancelled. To have the handles and that job, poll it by
    /// reference and call [`give_up`](SubmitBatch::give_up).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use flowgate::{Attempt, WorkerPool, join};
    ///
    /// let pool = WorkerPool::<u64, u64, ()>::builder()
    ///     .concurrency(4)
    ///     .queue(60)
    ///     .build(|job: Attempt<u64>| async move { Ok(*job * 2) })
    ///     .unwrap();
    /// let handles = pool.submit_batch(&mut (0..1_000)).await.unwrap();
    /// let results = join(handles).await;
    /// assert_eq!(results.into_iter().map(Result::unwrap).sum::<u64>(), 999_000);
    /// # }
    /// ```
    pub fn submit_batch<'a, I>(&self, jobs: &'a mut I) -> SubmitBatch<'a, I, J, T, E>
    where
        I: Iterator<Item = J> + ?Sized,
    {
        SubmitBatch { shared: self.shared.clone(), jobs, line: None, handles: Vec::new() }
    }
}

/// The future of [`WorkerPool::submit_batch`].
///
/// # Cancel safety
/// It can be polled again later, through `&mut`, and [`give_up`](Self::give_up) ends it without loss. Dropping it detaches
/// the jobs that were accepted, and drops the one that stands in line.
#[must_use = "a batch is submitted only while it is awaited"]
pub struct SubmitBatch<'a, I: ?Sized, J, T, E> {
    shared: Arc<Shared<J, T, E>>,
    jobs: &'a mut I,
    line: Option<InLine<J, T, E>>,
    handles: Vec<JobHandle<J, T, E>>,
}

impl<I: ?Sized, J, T, E> SubmitBatch<'_, I, J, T, E> {
    /// How many jobs have been accepted, as far as this future has seen.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.handles.len()
    }

    /// Ends the batch early, exactly: the handles of all jobs that were accepted, and the job that stood in line, if one
    /// did and was not accepted by now. The iterator has the others.
    #[must_use]
    pub fn give_up(mut self) -> (Vec<JobHandle<J, T, E>>, Option<J>) {
        let mut waiting = None;
        if let Some(mut line) = self.line.take() {
            match line.give_up() {
                Ok(handle) => self.handles.push(handle),
                Err(refused) => waiting = Some(refused.into_job()),
            }
        }
        (std::mem::take(&mut self.handles), waiting)
    }

    /// Submits a job for which there was no room.
    fn enter(&mut self, job: J, overflow: Overflow) -> Result<(), BatchError<J, T, E>> {
        if overflow == Overflow::Wait {
            let cell = Parcel::cell(job);
            self.line = Some(InLine::new(self.shared.clone(), cell, Terms::PLAIN, Deserted::Detach));
            return Ok(());
        }
        match start(&self.shared, job, Terms::PLAIN).map_err(Refused::without_waiting) {
            Ok(handle) => self.handles.push(handle),
            Err(refused) => {
                let why = if refused.is_closed() { BatchRefusal::Closed } else { BatchRefusal::Full };
                return Err(self.refused(why, vec![refused.into_job()]));
            }
        }
        Ok(())
    }

    fn refused(&mut self, why: BatchRefusal, jobs: Vec<J>) -> BatchError<J, T, E> {
        BatchError { handles: std::mem::take(&mut self.handles), jobs, why }
    }
}

impl<I, J, T, E> SubmitBatch<'_, I, J, T, E>
where
    I: Iterator<Item = J> + ?Sized,
{
    /// Fills the room that there is now.
    fn fill_room(&mut self) -> Result<Filled, BatchError<J, T, E>> {
        for _ in 0..TURN / AT_ONCE {
            let most = match self.jobs.size_hint().1 {
                Some(0) => return Ok(Filled::Done),
                most => most.unwrap_or(AT_ONCE).min(AT_ONCE),
            };
            let Ok(places) = self.shared.engine.hold(most) else {
                return Err(self.refused(BatchRefusal::Closed, Vec::new()));
            };
            if places == 0 {
                return Ok(Filled::Full);
            }
            let mut held = Places { shared: &self.shared, held: places, cells: VecDeque::with_capacity(places) };
            held.cells.extend(self.jobs.take(places).map(Parcel::cell));
            let exhausted = held.cells.len() < places;
            match held.fill(&mut self.handles) {
                Err(jobs) => return Err(self.refused(BatchRefusal::Closed, jobs)),
                Ok(()) if exhausted => return Ok(Filled::Done),
                Ok(()) => {}
            }
        }
        Ok(Filled::Turn)
    }
}

/// How far a batch has come.
enum Filled {
    /// The iterator has no more jobs.
    Done,
    /// There is no room.
    Full,
    /// There may be both, but others want to run too.
    Turn,
}

impl<I: ?Sized, J, T, E> Unpin for SubmitBatch<'_, I, J, T, E> {}

impl<I, J, T, E> Future for SubmitBatch<'_, I, J, T, E>
where
    I: Iterator<Item = J> + ?Sized,
{
    type Output = Result<Vec<JobHandle<J, T, E>>, BatchError<J, T, E>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let batch = &mut *self;
        loop {
            if let Some(line) = &mut batch.line {
                let submitted = ready!(Pin::new(line).poll(cx));
                batch.line = None;
                match submitted {
                    Ok(handle) => batch.handles.push(handle),
                    Err(refused) => {
                        return Poll::Ready(Err(batch.refused(BatchRefusal::Closed, vec![refused.into_job()])));
                    }
                }
            }
            match batch.fill_room() {
                Err(refused) => return Poll::Ready(Err(refused)),
                Ok(Filled::Done) => return Poll::Ready(Ok(std::mem::take(&mut batch.handles))),
                Ok(Filled::Turn) => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Ok(Filled::Full) => {}
            }
            let overflow = batch.shared.options.overflow;
            let inside = nested::is_inside(batch.shared.id);
            match overflow {
                Overflow::Wait if inside => {
                    return Poll::Ready(Err(batch.refused(BatchRefusal::WouldDeadlock, Vec::new())));
                }
                Overflow::Reject => return Poll::Ready(Err(batch.refused(BatchRefusal::Full, Vec::new()))),
                Overflow::Wait | Overflow::DropOldest => {}
            }
            let Some(job) = batch.jobs.next() else { return Poll::Ready(Ok(std::mem::take(&mut batch.handles))) };
            if let Err(refused) = batch.enter(job, overflow) {
                return Poll::Ready(Err(refused));
            }
        }
    }
}

impl<I: ?Sized, J, T, E> fmt::Debug for SubmitBatch<'_, I, J, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubmitBatch")
            .field("accepted", &self.accepted())
            .field("waiting", &self.line.is_some())
            .finish_non_exhaustive()
    }
}

/// Places that are held while the iterator yields the jobs for them. Whatever it does meanwhile, each job that it has
/// yielded gets its place, and the other places are given back.
struct Places<'a, J, T, E> {
    shared: &'a Arc<Shared<J, T, E>>,
    held: usize,
    /// Those that are not accepted.
    cells: VecDeque<JobCell<J, T, E>>,
}

impl<J, T, E> Places<'_, J, T, E> {
    /// The jobs come back if a shutdown has revoked the places.
    fn fill(mut self, handles: &mut Vec<JobHandle<J, T, E>>) -> Result<(), Vec<J>> {
        if self.submit(handles).is_err() {
            return Err(self.cells.drain(..).map(take_job).collect());
        }
        Ok(())
    }

    fn submit(&mut self, handles: &mut Vec<JobHandle<J, T, E>>) -> Result<(), Closed> {
        let Self { shared, held, cells } = self;
        handles.reserve(cells.len());
        let mut fx = Effects::default();
        // The engine tells the ticket of each before it takes the next.
        let entering = std::cell::Cell::new(None);
        let offered = std::iter::from_fn(|| {
            let cell = cells.pop_front()?;
            entering.set(Some(cell.clone()));
            Some(cell)
        });
        let accepted = |ticket| handles.extend(entering.take().map(|cell| JobHandle::new(shared.id, cell, ticket)));
        let filled = shared.engine.fill(std::mem::take(held), offered, accepted, &mut fx);
        shared.apply(&mut fx);
        filled
    }
}

impl<J, T, E> Drop for Places<'_, J, T, E> {
    fn drop(&mut self) {
        if self.held > 0 {
            // The iterator has panicked. Its jobs run detached; if they are refused, they are dropped with their cells.
            let _refused = self.submit(&mut Vec::new());
        }
    }
}

/// Why a batch was not accepted as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BatchRefusal {
    /// The pool admits no more jobs.
    Closed,
    /// There is no room, and not to wait is the pool's [overflow rule](super::Overflow).
    Full,
    /// The caller is a handler of this very pool, which is full: waiting for room could wait for itself.
    WouldDeadlock,
}

/// A batch that was not accepted as a whole: the handles of what was, and the jobs that were taken from the iterator and
/// were not. What is still in the iterator was never touched.
#[must_use = "it holds the handles of the jobs that were accepted"]
pub struct BatchError<J, T, E> {
    /// The handles of the jobs that were accepted, in order.
    pub handles: Vec<JobHandle<J, T, E>>,
    /// The jobs that were taken and refused, in order.
    pub jobs: Vec<J>,
    /// Why.
    pub why: BatchRefusal,
}

impl<J, T, E> fmt::Debug for BatchError<J, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchError")
            .field("why", &self.why)
            .field("accepted", &self.handles.len())
            .field("refused", &self.jobs.len())
            .finish()
    }
}

impl<J, T, E> fmt::Display for BatchError<J, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.why {
            BatchRefusal::Closed => SubmitError::Closed(()),
            BatchRefusal::Full => SubmitError::Full(()),
            BatchRefusal::WouldDeadlock => SubmitError::WouldDeadlock(()),
        };
        write!(f, "{why}; {} jobs of the batch were accepted before", self.handles.len())
    }
}

impl<J, T, E> Error for BatchError<J, T, E> {}
