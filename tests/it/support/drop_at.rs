//! Dropping a future after its k-th poll, for every k: whatever it had done by then, nothing is lost.
//!
//! One list names every async fn and every named future of the library. For each, in each situation and at each
//! pace, a fresh world is made, the future is polled k times with the world going on in between, then dropped;
//! then the laws are checked. k grows until the future is ready before its k-th poll.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;

use flowgate::retry::{Jitter, RetryPolicy};
use flowgate::{ConcurrentMap, LoadSource, RunError, Shutdown, SubmitError};

use super::fans::fans;
use super::many::many_jobs;
use super::world::{Pace, Situation, World};
use super::{Counted, ms, secs, settle};

pub(crate) type Tested<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// What becomes of the job of a dropped future, if that future has one that runs.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Job {
    /// It goes on.
    Detached,
    /// It ends, though nobody lets it.
    Cancelled,
}

pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) make: for<'a> fn(&'a World) -> Tested<'a>,
    pub(crate) job: Job,
    pub(crate) situations: &'static [Situation],
}

use Situation::{Aborting, Cancelling, Closing, Draining, Full, Parked, Room};

pub(crate) const EACH: &[Situation] = &[Room, Full, Parked, Closing, Draining, Aborting, Cancelling];
const BUSY: &[Situation] = &[Full, Parked, Closing, Draining, Aborting, Cancelling];
/// More polls than any of these futures needs.
const ENDLESS: usize = 30;

fn every_public_future() -> Vec<Case> {
    let case = |name, job, situations, make| Case { name, make, job, situations };
    let mut cases = vec![
        case("submit", Job::Detached, EACH, |world| {
            Box::pin(async {
                if let Err(refused) = world.pool.submit(world.tested_job()).await {
                    assert!(matches!(refused, SubmitError::Closed(_)));
                }
            })
        }),
        case("submit_timeout", Job::Detached, EACH, |world| {
            Box::pin(async {
                if let Err(refused) = world.pool.submit_timeout(world.tested_job(), ms(900)).await {
                    assert!(matches!(refused, SubmitError::Closed(_) | SubmitError::Timeout(_)));
                }
            })
        }),
        case("reserve", Job::Detached, EACH, |world| {
            Box::pin(async {
                let Ok(permit) = world.pool.reserve().await else { return };
                tokio::task::yield_now().await;
                if let Err(refused) = permit.submit(world.tested_job()) {
                    assert!(matches!(refused, SubmitError::Closed(_)));
                }
            })
        }),
        case("run", Job::Cancelled, EACH, |world| {
            Box::pin(async {
                let refused = world.pool.run(world.tested_job()).await.expect_err("nobody lets the job go on");
                assert!(matches!(refused, RunError::Submit(SubmitError::Closed(_)) | RunError::Job(_)));
            })
        }),
        case("JobHandle", Job::Detached, EACH, |world| Box::pin(async { drop(world.some_handle().await) })),
        case("CancelOnDrop", Job::Cancelled, EACH, |world| {
            Box::pin(async { drop(world.some_handle().cancel_on_drop().await) })
        }),
        case("drain", Job::Detached, BUSY, |world| Box::pin(async { world.pool.drain().await.unwrap() })),
        case("shutdown, drain", Job::Detached, BUSY, |world| shut_down(world, Shutdown::Drain)),
        case("shutdown, drain for", Job::Detached, BUSY, |world| shut_down(world, Shutdown::DrainFor(ms(900)))),
        case("shutdown, now", Job::Detached, BUSY, |world| shut_down(world, Shutdown::Now)),
        case("Cx::cancelled", Job::Detached, &[Full, Aborting, Cancelling], |world| {
            Box::pin(world.some_cx().cancelled())
        }),
        case("RetryPolicy::run", Job::Detached, &[Room], |world| Box::pin(retry(world))),
        case("ConcurrentMap::get_or_load", Job::Detached, &[Room], |world| Box::pin(load(world))),
        case("ConcurrentMap::get_or_try_load", Job::Detached, &[Room], |world| Box::pin(follow_a_load(world))),
    ];
    cases.extend(many_jobs());
    cases.extend(fans());
    cases
}

fn shut_down(world: &World, how: Shutdown) -> Tested<'_> {
    Box::pin(async move { drop(world.pool.shutdown(how).await.unwrap()) })
}

async fn retry(world: &World) {
    let policy = RetryPolicy::fixed(secs(1)).jitter(Jitter::None).max_attempts(3);
    let gave_up = policy
        .run(|info| async move {
            let value = world.tally.make(u64::from(info.attempt));
            tokio::task::yield_now().await;
            Err::<(), _>(value)
        })
        .await;
    assert_eq!(gave_up.unwrap_err().attempts(), 3);
}

/// A load that makes a value in two polls, for a map that goes with the future.
async fn load(world: &World) {
    let map = ConcurrentMap::<u32, Arc<Counted>>::new();
    let tally = world.tally.clone();
    let loaded = map.get_or_load(1, || async move {
        let value = tally.make(1);
        tokio::task::yield_now().await;
        Arc::new(value)
    });
    assert_eq!(loaded.await.unwrap().source, LoadSource::Load);
}

/// A follower of a load that fails, whose leader is not polled again.
async fn follow_a_load(world: &World) {
    let map = ConcurrentMap::<u32, Arc<Counted>>::new();
    let fail = || {
        let value = world.tally.make(1);
        async move {
            tokio::task::yield_now().await;
            Err(value)
        }
    };
    let mut leader = pin!(map.get_or_try_load(1, fail));
    assert!(futures::poll!(leader.as_mut()).is_pending());
    let failed = map.get_or_try_load(1, fail).await;
    assert_eq!(failed.unwrap_err().into_failed().unwrap().id, 1);
}

/// Polls the future up to `polls` times, then drops it. Whether it was ready.
async fn poll_then_drop(case: &Case, world: &World, pace: Pace, polls: usize) -> bool {
    let mut future = (case.make)(world);
    let mut ready = false;
    for step in 0..polls {
        ready = futures::poll!(future.as_mut()).is_ready();
        if ready {
            break;
        }
        world.step(pace, step).await;
    }
    drop(future);
    ready
}

async fn drop_at_every_poll(case: &Case, situation: Situation, pace: Pace) -> usize {
    for polls in 0.. {
        let world = World::new(situation).await;
        let ready = poll_then_drop(case, &world, pace, polls).await;
        if case.job == Job::Detached {
            world.let_tested_go();
        } else {
            settle().await;
            assert_eq!(world.tested.now(), 0, "{}, {situation:?}, {pace:?}, poll {polls}: it still runs", case.name);
        }
        world.end().await;
        if ready || polls == ENDLESS || (pace == Pace::Still && polls == 3) {
            return polls;
        }
    }
    unreachable!("the range is endless")
}

pub(crate) async fn drop_each_at_every_poll(names: &[&str]) {
    let cases = every_public_future();
    for case in cases.iter().filter(|case| names.iter().any(|name| case.name.starts_with(name))) {
        for situation in case.situations {
            for pace in [Pace::Still, Pace::Yield, Pace::Settle] {
                let polls = drop_at_every_poll(case, *situation, pace).await;
                println!("{}, {situation:?}, {pace:?}: {polls} polls", case.name);
                let never = match case.name {
                    // They wait for a job that nobody lets go on.
                    "run" | "Map, ordered" | "Map, unordered" | "PoolSink" | "Scope::next" | "Scope::join" => {
                        matches!(situation, Room | Full | Parked | Cancelling)
                    }
                    "JobHandle" | "CancelOnDrop" | "join" | "try_join" => *situation == Room,
                    // Nobody cancels it.
                    "Cx::cancelled" => *situation == Full,
                    _ => false,
                };
                assert!(
                    pace != Pace::Settle || never || polls < ENDLESS,
                    "{}, {situation:?}: it is never ready",
                    case.name
                );
            }
        }
    }
}

#[test]
fn the_list_is_whole() {
    let mut names: Vec<_> = every_public_future().iter().map(|case| case.name).collect();
    names.dedup();
    assert_eq!(names.len(), every_public_future().len());
}

#[tokio::test(start_paused = true)]
async fn submitting_can_be_dropped_at_every_poll() {
    drop_each_at_every_poll(&["submit", "reserve"]).await;
}

#[tokio::test(start_paused = true)]
async fn awaiting_a_job_can_be_dropped_at_every_poll() {
    drop_each_at_every_poll(&["JobHandle", "CancelOnDrop"]).await;
}

#[tokio::test(start_paused = true)]
async fn ending_a_pool_can_be_dropped_at_every_poll() {
    drop_each_at_every_poll(&["drain", "shutdown"]).await;
}

#[tokio::test(start_paused = true)]
async fn many_jobs_can_be_dropped_at_every_poll() {
    drop_each_at_every_poll(&["batch", "Map", "PoolSink"]).await;
}

#[tokio::test(start_paused = true)]
async fn jobs_that_belong_together_can_be_dropped_at_every_poll() {
    drop_each_at_every_poll(&["Scope", "join", "try_join"]).await;
}

#[tokio::test(start_paused = true)]
async fn tasks_can_be_dropped_at_every_poll() {
    drop_each_at_every_poll(&["Task"]).await;
}

#[tokio::test(start_paused = true)]
async fn what_needs_no_pool_can_be_dropped_at_every_poll() {
    drop_each_at_every_poll(&["Cx::cancelled", "RetryPolicy::run"]).await;
}

#[tokio::test(start_paused = true)]
async fn what_reads_a_fan_can_be_dropped_at_every_poll() {
    drop_each_at_every_poll(&["fan_", "partition_by", "broadcast", "merge_sorted_by"]).await;
}
