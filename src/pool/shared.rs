//! What a pool's handles, runners and timer share, and the few steps that several of them take.

use super::directory::{self, Pool, PoolId};
use super::error::{Failure, JobError};
use super::threads::{Desks, Threads};
use crate::contain::{self, discard};
use crate::kernel::alarms::{NEVER, Ticks};
use crate::kernel::bell::Bell;
use crate::kernel::cell::{Cell, CellInbox};
use crate::kernel::crew::Need;
use crate::kernel::engine::{Batch, Cancelled, Clock, Due, Effects, Engine, LaneId, Overflow, Sweep, Ticket};
use crate::kernel::inbox::Post;
use crate::retry::{RetryPolicy, StopReason};
use crate::rt::{self, Instant, Timekeeper};
use crate::shim::atomic::AtomicUsize;
use crate::shim::{self, Mutex};
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;
use std::time::Duration;

/// The outcome of a job.
pub(super) type Outcome<J, T, E> = Result<T, JobError<J, E>>;

/// The one allocation of a job.
pub(super) type JobCell<J, T, E> = shim::Shared<Cell<Parcel<J, E>, Outcome<J, T, E>>>;

/// Where the jobs of one reader come back to.
pub(super) type JobInbox<J, T, E> = CellInbox<Parcel<J, E>, Outcome<J, T, E>>;

/// Jobs on their way there.
pub(super) type JobPost<J, T, E> = Post<JobCell<J, T, E>>;

/// A job while it waits, with what earlier attempts have left.
pub(super) struct Parcel<J, E> {
    pub(super) job: J,
    /// Boxed, so that a job that never fails does not pay for it.
    pub(super) history: Option<Box<History<E>>>,
}

/// What is known after a first attempt has failed.
pub(super) struct History<E> {
    /// Attempts made, those after which the handler asked to be called again not counted.
    pub(super) attempts: u32,
    /// When the first one started.
    pub(super) first: Ticks,
    pub(super) previous_delay: Option<Duration>,
    pub(super) last_error: Option<E>,
}

/// A hook for jobs that failed for good.
pub(super) type DeadLetterHook<J, E> = Box<dyn Fn(&JobError<J, E>) + Send + Sync>;

/// The checked options of a pool, beside the engine's limits.
pub(super) struct Options<J, E> {
    pub(super) retry: Option<RetryPolicy<E>>,
    pub(super) attempt_timeout: Option<Duration>,
    pub(super) cancel_grace: Duration,
    pub(super) on_dead_letter: Option<DeadLetterHook<J, E>>,
    pub(super) overflow: Overflow,
}

/// A task that a pool starts.
#[derive(Clone, Copy, Debug)]
pub(super) enum Task {
    Runner,
    Timer,
    /// A timer in place of one that a runtime has dropped; only for pools on threads.
    SpareTimer,
    /// Threads, for shifts that are there already; only for pools on threads.
    Threads(Need),
}

/// Starts a task; it alone knows the runtime and the handler's type.
pub(super) type Launcher<J, T, E> = Arc<dyn Fn(Task, Arc<Shared<J, T, E>>) + Send + Sync>;

/// What a shutdown collects for its report.
pub(super) struct Harvest<J, E> {
    /// Whether a shutdown is there to take it.
    pub(super) open: bool,
    pub(super) unstarted: Vec<J>,
    pub(super) parked: Vec<Failure<J, E>>,
    pub(super) aborted: Vec<J>,
}

/// One pool.
pub(super) struct Shared<J, T, E> {
    /// Its number in the directory, from which it goes with its drop.
    pub(super) id: PoolId,
    pub(super) engine: Engine<JobCell<J, T, E>, PoolClock>,
    pub(super) options: Options<J, E>,
    pub(super) harvest: Mutex<Harvest<J, E>>,
    /// The clones of the public handle. The last one to go aborts the pool.
    pub(super) owners: AtomicUsize,
    /// For waits of callers.
    pub(super) time: Timekeeper,
    /// What its runners stand on, if that is threads.
    pub(super) threads: Option<Arc<Threads>>,
    /// Of its runners, if they are on threads.
    pub(super) desks: Desks<J, T, E>,
    /// Whether the pool has a timer.
    pub(super) has_timer: bool,
    /// Turns keys into lanes.
    pub(super) hasher: RandomState,
    /// Emptied when the pool ends, so that the handler goes with it and not with the last job handle.
    launcher: Mutex<Option<Launcher<J, T, E>>>,
}

/// Tokio's clock, counted from the building of the pool.
#[derive(Debug)]
pub(super) struct PoolClock {
    epoch: Instant,
}

impl PoolClock {
    pub(super) fn new() -> Self {
        Self { epoch: rt::now() }
    }

    /// When the count began.
    pub(super) fn epoch(&self) -> Instant {
        self.epoch
    }

    /// The moment that `ticks` names, or `None` for [`NEVER`].
    pub(super) fn instant(&self, ticks: Ticks) -> Option<Instant> {
        (ticks != NEVER).then(|| self.epoch.checked_add(Duration::from_nanos(ticks))).flatten()
    }

    /// `ticks` on the clock that all pools of the process share.
    pub(super) fn shared(&self, ticks: Ticks) -> Duration {
        rt::since_epoch(self.epoch).saturating_add(Duration::from_nanos(ticks))
    }
}

impl Clock for PoolClock {
    #[inline]
    fn now(&self) -> Ticks {
        ticks(rt::now().saturating_duration_since(self.epoch))
    }
}

/// `duration` in ticks; what does not fit is as good as never.
#[inline]
pub(super) fn ticks(duration: Duration) -> Ticks {
    let whole = duration.as_secs().checked_mul(1_000_000_000);
    whole.and_then(|whole| whole.checked_add(duration.subsec_nanos().into())).unwrap_or(NEVER)
}

impl<J, E> Parcel<J, E> {
    pub(super) fn new(job: J) -> Self {
        Self { job, history: None }
    }

    /// A cell for a job that its submitter reads by itself.
    #[inline]
    pub(super) fn cell<T>(job: J) -> JobCell<J, T, E> {
        JobCell::new(Cell::new(Self::new(job)))
    }

    /// What is known of a job that ends while it waits.
    pub(super) fn into_waiting(self, stop: StopReason) -> Failure<J, E> {
        let (attempts, last_error) = self.history.map_or((0, None), |past| (past.attempts, past.last_error));
        Failure { job: Some(self.job), attempts, stop, last_error, panic: None }
    }
}

impl<J, E> Default for Harvest<J, E> {
    fn default() -> Self {
        Self { open: false, unstarted: Vec::new(), parked: Vec::new(), aborted: Vec::new() }
    }
}

/// What handles ask of it.
impl<J, T, E> Pool for Shared<J, T, E>
where
    J: Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    fn cancel(self: Arc<Self>, ticket: Ticket) {
        Self::cancel(&self, ticket);
    }

    fn withdraw(self: Arc<Self>, ticket: Ticket) {
        let mut fx = Effects::default();
        if let Some(cell) = self.engine.withdraw(ticket, &mut fx) {
            self.withdrawn(cell, &mut fx);
        }
        self.apply(&mut fx);
    }

    fn blocks(&self) -> bool {
        self.threads.is_some()
    }

    fn lend(&self, fx: &mut Effects) -> Need {
        // The thread before the slot: a runner that the engine starts for it finds room to exist.
        let need = self.threads.as_ref().map_or(Need::default(), |threads| threads.widen());
        self.engine.lend(fx);
        need
    }

    fn go_on(self: Arc<Self>, need: Need, mut fx: Effects) {
        self.start_threads(need);
        self.apply(&mut fx);
    }

    fn take_back(&self) {
        self.engine.take_back();
        if let Some(threads) = &self.threads {
            threads.narrow();
        }
    }
}

impl<J, T, E> Drop for Shared<J, T, E> {
    fn drop(&mut self) {
        directory::leave(self.id);
        // What the user gave us is dropped on the thread of whoever comes last, which is not to blame for it.
        discard(self.options.on_dead_letter.take());
        discard(self.options.retry.take());
        discard(std::mem::take(self.harvest.get_mut()));
    }
}

impl<J, T, E> Shared<J, T, E> {
    /// The lane of a key.
    pub(super) fn lane<Q: Hash + ?Sized>(&self, key: &Q) -> LaneId {
        LaneId(self.hasher.hash_one(key))
    }
}

impl<J, T, E> Shared<J, T, E> {
    pub(super) fn new(
        id: PoolId,
        engine: Engine<JobCell<J, T, E>, PoolClock>,
        options: Options<J, E>,
        launcher: Launcher<J, T, E>,
        time: Timekeeper,
        threads: Option<Arc<Threads>>,
    ) -> Self {
        Self {
            id,
            engine,
            options,
            harvest: Mutex::new(Harvest::default()),
            owners: AtomicUsize::new(1),
            has_timer: contain::contain(|| time.demand_timer()).is_ok(),
            time,
            threads,
            desks: Desks::new(),
            hasher: RandomState::new(),
            launcher: Mutex::new(Some(launcher)),
        }
    }

    /// Does what the engine asked for. No lock is held.
    #[inline]
    pub(super) fn apply(self: &Arc<Self>, fx: &mut Effects) {
        if !fx.is_nothing() {
            self.apply_all(fx);
        }
    }

    #[inline(never)]
    fn apply_all(self: &Arc<Self>, fx: &mut Effects) {
        if std::mem::take(&mut fx.start_timer) && !self.launch(Task::Timer) {
            self.engine.lose_timer();
        }
        if std::mem::take(&mut fx.start_runner) && !self.launch(Task::Runner) {
            self.engine.lose_runner(false, std::iter::empty(), &mut Batch::new(Arc::new(Bell::new())), fx);
        }
        if std::mem::take(&mut fx.collect) {
            self.desks.collect(self);
        }
        for due in fx.wakers.drain(..) {
            match due {
                Due::Wake(waker) => contain::wake(waker),
                Due::Ring(bell) => {
                    if let Some(waker) = bell.waker() {
                        contain::wake(waker);
                    }
                }
                Due::Drop(waker) => discard(waker),
            }
        }
    }

    /// Starts a task; `false` if the pool has ended.
    pub(super) fn launch(self: &Arc<Self>, task: Task) -> bool {
        let launcher = self.launcher.lock().clone();
        let Some(launch) = launcher else { return false };
        launch(task, self.clone());
        true
    }

    /// Starts threads for shifts that are there already.
    pub(super) fn start_threads(self: &Arc<Self>, need: Need) {
        if need.0 > 0 && !self.launch(Task::Threads(need)) {
            if let Some(threads) = &self.threads {
                threads.unneeded(need);
            }
        }
    }

    /// Shows a job that failed for good to the hook. A panic in the hook ends here.
    pub(super) fn dead_letter(&self, dead: &JobError<J, E>) {
        if let Some(hook) = &self.options.on_dead_letter {
            if let Err(payload) = contain::contain(|| hook(dead)) {
                discard(payload);
            }
        }
    }

    /// Ends a job that waits, or asks its runner to end it.
    pub(super) fn cancel(self: &Arc<Self>, ticket: Ticket) {
        let mut fx = Effects::default();
        if let Cancelled::Waiting(cell) = self.engine.cancel(ticket, &mut fx) {
            self.withdrawn(cell, &mut fx);
        }
        self.apply(&mut fx);
    }

    fn withdrawn(&self, mut cell: JobCell<J, T, E>, fx: &mut Effects) {
        let Parcel { job, history } = Cell::lend(&mut cell);
        discard(history);
        self.publish(cell, Err(JobError::Cancelled(Some(job))), fx);
        self.engine.published(1, fx);
    }

    /// Tells of a job that made room for a newer one.
    pub(super) fn shed(&self, mut cell: JobCell<J, T, E>, fx: &mut Effects) {
        let error = JobError::Shed(Box::new(Cell::lend(&mut cell).into_waiting(StopReason::Shed)));
        self.dead_letter(&error);
        self.publish(cell, Err(error), fx);
        self.engine.published(1, fx);
    }

    /// The outcome of a job whose attempt was cut short by the end of the pool.
    pub(super) fn aborted(&self, job: Option<J>) -> JobError<J, E> {
        let mut harvest = self.harvest.lock();
        if harvest.open {
            harvest.aborted.extend(job);
            return JobError::Aborted(None);
        }
        JobError::Aborted(job)
    }

    /// Takes out what waits and signals what runs. `Return`: what waits goes into the harvest.
    pub(super) fn sweep(self: &Arc<Self>, sweep: Sweep) {
        let mut fx = Effects::default();
        if sweep == Sweep::Return {
            self.harvest.lock().open = true;
        }
        let swept = self.engine.sweep(sweep, &mut fx);
        let (count, mut post) = (swept.len(), Post::new());
        for mut cell in swept {
            let error = self.unstarted(Cell::lend(&mut cell), sweep);
            self.store(cell, Err(error), &mut post, &mut fx);
        }
        self.deliver(&mut post, &mut fx);
        self.engine.published(count, &mut fx);
        self.apply(&mut fx);
        if let Some(threads) = &self.threads {
            threads.close();
        }
    }

    /// The outcome of a job that the end of the pool kept from its next attempt.
    fn unstarted(&self, parcel: Parcel<J, E>, sweep: Sweep) -> JobError<J, E> {
        if sweep == Sweep::Abandon {
            return JobError::Aborted(Some(parcel.job));
        }
        let mut harvest = self.harvest.lock();
        if parcel.history.is_some() {
            harvest.parked.push(parcel.into_waiting(StopReason::ShuttingDown));
        } else {
            harvest.unstarted.push(parcel.job);
        }
        JobError::Returned
    }

    /// Nobody owns the pool any more, or its runtime is gone: ends everything.
    pub(super) fn abandon(self: &Arc<Self>) {
        self.sweep(Sweep::Abandon);
        self.dismiss();
    }

    /// Lets the handler go. Runners that are still here keep it until they leave.
    pub(super) fn dismiss(&self) {
        let launcher = self.launcher.lock().take();
        discard(launcher);
    }
}
