//! What is `Send`, `Sync`, `Unpin` and `'static`, for jobs, keys and values that are all, some or none of these.
//!
//! Decided at compile time: a type that gains or loses a trait fails to build this file, with the trait named.

use std::cell::Cell;
use std::marker::PhantomPinned;
use std::rc::Rc;
use std::sync::MutexGuard;

use futures::stream::Empty;

use flowgate::fan::{Ended, InputId};
use flowgate::map::{Iter, Keys, RandomState, Values};
use flowgate::{
    Attempt, AttemptInfo, Backoff, BatchError, BatchRefusal, BuildError, CancelOnDrop, Cx, Decision, Exhausted,
    Failure, InvalidRetry, Jitter, JobError, JobHandle, JobId, Join, Map, Order, Permit, PoolSink, PoolStats, Report,
    ReserveError, RetryBudget, RetryPolicy, RunError, Scope, ScopeError, Shutdown, StopReason, SubmitBatch,
    SubmitError, Task, TaskError, TaskHandle, TaskPanic, TaskPool, TaskPoolBuilder, TaskReport, TaskScope, Totals,
    TryJoin, Verdict, WeakPool, WeakTaskPool, WorkerPool, WorkerPoolBuilder, WouldDeadlock,
};
use flowgate::{Branch, FanIn, InvalidFan, Leg, MergeSorted, Merged, OnLag};
use flowgate::{Compute, Computed, ConcurrentMap, ConcurrentMapBuilder, InvalidMap, MapFull, Ticker};

/// `Send + Sync`.
type Both = String;
/// `Send`, not `Sync`.
type Moves = Cell<u32>;
/// `Sync`, not `Send`.
type Shares = MutexGuard<'static, u32>;
/// Neither.
type Stays = Rc<u32>;
/// Neither `Unpin`; `Send` and `Sync`.
type Pinned = PhantomPinned;

/// Fails to compile where a type has a trait that it should not have: then both implementations apply.
macro_rules! assert_not {
    ($trait:path: $($type:ty),+ $(,)?) => {$(
        const _: fn() = || {
            trait Ambiguous<Marker> {
                fn decide() {}
            }
            impl<T: ?Sized> Ambiguous<()> for T {}
            struct HasTheTrait;
            impl<T: ?Sized + $trait> Ambiguous<HasTheTrait> for T {}
            <$type as Ambiguous<_>>::decide()
        };
    )+};
}

macro_rules! assert_all {
    ($($bound:path),+: $($type:ty),+ $(,)?) => {
        const _: fn() = || {
            fn decide<T: $($bound +)+ 'static>() {}
            $(decide::<$type>();)+
        };
    };
}

// Plain values.
assert_all!(Send, Sync, Unpin: BuildError, ReserveError, WouldDeadlock, StopReason, Verdict, Decision, AttemptInfo,
    Backoff, Jitter, InvalidRetry, RetryBudget, JobId, PoolStats, Totals, Shutdown, Cx, Exhausted<Both>, Order, BatchRefusal);

// A job is owned by one place at a time: what shares a pool needs `Send` of it and never `Sync`.
assert_all!(Send, Sync, Unpin:
    WorkerPool<Both, Both, Both>, WorkerPool<Moves, Moves, Moves>, WorkerPool<Pinned, Pinned, Pinned>,
    WeakPool<Both, Both, Both>, WeakPool<Moves, Moves, Moves>, WeakPool<Pinned, Pinned, Pinned>,
    JobHandle<Both, Both, Both>, JobHandle<Moves, Moves, Moves>, JobHandle<Pinned, Pinned, Pinned>,
    CancelOnDrop<Both, Both, Both>, CancelOnDrop<Moves, Moves, Moves>, CancelOnDrop<Pinned, Pinned, Pinned>,
    Permit<Both, Both, Both>, Permit<Moves, Moves, Moves>, Permit<Pinned, Pinned, Pinned>,
);
// Tasks are `Send`, and their outputs need be no more than that.
assert_all!(Send, Sync, Unpin: TaskPool, WeakTaskPool, TaskError, TaskPanic, ScopeError<Both>, TaskHandle<Moves>);
assert_all!(Send, Unpin: TaskPoolBuilder, TaskReport, Task, TaskScope<Moves, Moves>, ScopeError<Moves>);
assert_not!(Sync: ScopeError<Moves>);

// What delivers outcomes owns them, and can be polled by value whatever they are.
assert_all!(Send, Unpin:
    Join<Moves, Moves, Moves>, TryJoin<Moves, Moves, Moves>, Scope<Moves, Moves, Moves>, PoolSink<Moves, Moves, Moves>,
    Map<Moves, Moves, Moves, Moves>, Map<Pinned, Pinned, Pinned, Pinned>, BatchError<Moves, Moves, Moves>,
    SubmitBatch<'static, Moves, Moves, Moves, Moves>, SubmitBatch<'static, Pinned, Pinned, Pinned, Pinned>,
    Join<Pinned, Pinned, Pinned>, TryJoin<Pinned, Pinned, Pinned>, Scope<Pinned, Pinned, Pinned>,
    PoolSink<Pinned, Pinned, Pinned>,
);
assert_not!(Send: Join<Both, Stays, Both>, TryJoin<Both, Stays, Both>, Scope<Stays, Both, Both>,
    PoolSink<Both, Both, Stays>, Map<Stays, Both, Both, Both>, Map<Both, Both, Stays, Both>,
    BatchError<Stays, Both, Both>, SubmitBatch<'static, Stays, Both, Both, Both>);
assert_all!(Send: WorkerPoolBuilder<Moves, Moves, Moves>, WorkerPoolBuilder<Both, Both, Both>);

// What cannot be moved to another thread makes handles that cannot either.
assert_not!(Send: WorkerPool<Stays, Both, Both>, WorkerPool<Both, Stays, Both>, WorkerPool<Both, Both, Stays>,
    JobHandle<Stays, Both, Both>, JobHandle<Both, Stays, Both>, JobHandle<Both, Both, Stays>,
    CancelOnDrop<Stays, Both, Both>, Permit<Stays, Both, Both>, WeakPool<Stays, Both, Both>,
    WorkerPool<Shares, Both, Both>, JobHandle<Both, Shares, Both>);
assert_not!(Sync: WorkerPool<Stays, Both, Both>, JobHandle<Both, Stays, Both>, Permit<Both, Both, Stays>,
    WorkerPool<Shares, Both, Both>);

// An attempt and what errors hold are as their contents: `Send` for `Send`, `Sync` for `Sync`.
assert_all!(Send, Sync: Attempt<Both>, SubmitError<Both>, JobError<Both, Both>, RunError<Both, Both>,
    Failure<Both, Both>, Report<Both, Both>);
assert_all!(Send: Attempt<Moves>, SubmitError<Moves>, JobError<Moves, Moves>, RunError<Moves, Moves>,
    Failure<Moves, Moves>, Report<Moves, Moves>);
assert_not!(Sync: Attempt<Moves>, SubmitError<Moves>, JobError<Moves, Both>, JobError<Both, Moves>,
    Failure<Moves, Both>, Report<Moves, Both>, RunError<Both, Moves>);
assert_not!(Send: Attempt<Stays>, SubmitError<Stays>, JobError<Stays, Both>, JobError<Both, Stays>,
    Failure<Stays, Both>, Report<Both, Stays>);
assert_all!(Sync: SubmitError<Shares>);

// Futures can be polled by value where nothing in them is pinned; only values that are themselves pinned are not.
assert_all!(Unpin: Attempt<Both>, SubmitError<Both>, JobError<Both, Both>, Report<Both, Both>, Failure<Both, Both>);
assert_not!(Unpin: Attempt<Pinned>, SubmitError<Pinned>, Failure<Pinned, Both>);

// A map moves its entries between threads under a lock: they need `Send` and never `Sync`.
assert_all!(Send, Sync, Unpin: InvalidMap, Ticker, RandomState,
    ConcurrentMap<Both, Both>, ConcurrentMap<Moves, Moves>, ConcurrentMap<Pinned, Pinned>,
    Iter<'static, Both, Both, RandomState>, Keys<'static, Both, Moves, RandomState>,
    Values<'static, Moves, Both, RandomState>, ConcurrentMapBuilder<Stays, Stays>,
    Compute<Both>, Computed<Both>, MapFull<Both, Both>);
assert_all!(Send: Iter<'static, Moves, Moves, RandomState>, Compute<Moves>, Computed<Moves>, MapFull<Moves, Moves>);
assert_not!(Send: ConcurrentMap<Stays, Both>, ConcurrentMap<Both, Stays>, ConcurrentMap<Shares, Both>,
    ConcurrentMap<Both, Shares>, ConcurrentMap<Both, Both, Stays>, ConcurrentMap<Both, Both, Moves>,
    Iter<'static, Stays, Both, RandomState>, MapFull<Stays, Both>, Compute<Stays>, Computed<Stays>);
assert_not!(Sync: ConcurrentMap<Stays, Both>, ConcurrentMap<Both, Shares>, ConcurrentMap<Both, Both, Moves>,
    MapFull<Both, Moves>, Compute<Moves>, Computed<Moves>, Iter<'static, Both, Moves, RandomState>);
assert_all!(Clone: ConcurrentMap<Stays, Stays, Stays>, Ticker, InvalidMap, Compute<Both>, Computed<Both>);

// What a fan hands out owns its items: it can go where they can, and be polled by value whatever they are.
assert_all!(Send, Sync, Unpin: InvalidFan, Ended, Leg, OnLag, FanIn, InputId, Branch<Both>, Branch<Pinned>);
assert_all!(Send, Unpin: Branch<Moves>, Merged<Branch<Moves>>, Merged<Empty<Pinned>>, MergeSorted<Empty<Pinned>, fn()>, MergeSorted<Empty<Moves>, Moves>);
assert_not!(Send: Branch<Stays>, Branch<Shares>, Merged<Empty<Stays>>, MergeSorted<Empty<Stays>, fn()>,
    MergeSorted<Empty<Both>, Stays>);
assert_not!(Sync: Branch<Stays>, Branch<Moves>);

// A policy is shared whatever its errors are.
assert_all!(Send, Sync, Clone: RetryPolicy<Both>, RetryPolicy<Moves>, RetryPolicy<Stays>);
assert_all!(Clone: WorkerPool<Stays, Stays, Stays>, WeakPool<Stays, Stays, Stays>, Cx);

fn send<T: Send>(_: T) {}

/// The future of a ticker can be spawned, and an iterator of a map may be kept over an await of such a task.
#[test]
fn the_futures_around_a_map_can_be_spawned() {
    let map = ConcurrentMap::<Moves, Moves>::new();
    send(Ticker::new().run(std::time::Duration::ZERO));
    send(async move {
        let entries = map.keys();
        tokio::task::yield_now().await;
        drop(entries);
    });
}

/// The futures of the pool's methods can be spawned, with jobs that are `Send` and nothing more.
#[tokio::test]
async fn the_futures_of_a_pool_can_be_spawned() {
    let pool = WorkerPool::<Moves, Moves, Moves>::builder()
        .concurrency(1)
        .build(|job: Attempt<Moves>| {
            send(job.cx().cancelled());
            async move {
                tokio::task::yield_now().await;
                Ok(Cell::new(job.get()))
            }
        })
        .unwrap();
    send(pool.submit(Cell::new(1)));
    send(pool.submit_timeout(Cell::new(1), std::time::Duration::ZERO));
    send(pool.reserve());
    send(pool.run(Cell::new(1)));
    send(pool.drain());
    send(pool.shutdown(Shutdown::Now));
    let result = tokio::spawn(async move { pool.run(Cell::new(7)).await.map(Cell::into_inner).ok() }).await;
    assert_eq!(result.unwrap(), Some(7));
}
