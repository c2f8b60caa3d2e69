//! Models of lanes: jobs of one key run one at a time, in their order, and nobody who waits for a key is forgotten.
//!
//! That two jobs of a key do not run at once, and start in order, is asserted wherever a job of a lane starts.

use crate::kernel::engine::{Bin, Limits, Phase};
use crate::support::{Act, Answer, Handle, Launch, Model, Parker, Pool, Terms, limits};
use std::sync::Arc;

const KEY: u64 = 7;

fn submitted(pool: &Arc<Pool>, job: impl Into<Terms>) -> Handle {
    pool.try_submit(job).expect("there is room")
}

/// Two jobs of a key and one of none, two slots: the two run one after another.
///
/// Seen to fail: the second job of a key is ready at once.
#[test]
fn lane_in_order() {
    Model::new("lane_in_order", 86).check(|| {
        let pool = Pool::new(2, 3, Launch::Later);
        let first = submitted(&pool, pool.job(0, &[Act::Yield]).keyed(KEY));
        let second = submitted(&pool, pool.job(1, &[Act::Succeed]).keyed(KEY));
        let other = submitted(&pool, pool.job(2, &[Act::Succeed]));
        for _ in 0..2 {
            let runner = pool.owed_runner().expect("two jobs are ready");
            pool.spawn(|_| runner.work());
        }
        pool.settle_up();
        for handle in [first, second, other] {
            assert_eq!(handle.wait().bin, Bin::Succeeded);
        }
        pool.assert_idle(3);
        pool.assert_conserved();
    });
}

/// The first job of a key is parked and due again while another slot is free: the second waits for its end.
///
/// Seen to fail: a job that is parked makes the next one of its key ready.
#[test]
fn lane_and_retry() {
    Model::new("lane_and_retry", 33).check(|| {
        let pool = Pool::new(2, 3, Launch::Later);
        let first = submitted(&pool, pool.job(0, &[Act::Retry(5), Act::Succeed]).keyed(KEY));
        let second = submitted(&pool, pool.job(1, &[Act::Succeed]).keyed(KEY));
        let runner = pool.owed_runner().expect("a job is ready");
        pool.spawn(|_| runner.work());
        pool.spawn(|pool| {
            pool.engine.clock().set(5);
            pool.timer().ring();
        });
        pool.settle_up();
        assert_eq!((first.wait().bin, second.wait().bin), (Bin::Succeeded, Bin::Succeeded));
        assert_eq!(pool.record.started(), [0, 0, 1]);
        pool.assert_idle(2);
        pool.assert_conserved();
    });
}

/// The first job of a key is cancelled while it is claimed or runs: the second runs after it.
///
/// Seen to fail: the end of a key's first job does not make the next one ready.
#[test]
fn lane_head_cancelled() {
    Model::new("lane_head_cancelled", 180).check(|| {
        let pool = Pool::new(1, 2, Launch::Later);
        let first = submitted(&pool, pool.job(0, &[Act::Pend]).keyed(KEY));
        let second = submitted(&pool, pool.job(1, &[Act::Succeed]).keyed(KEY));
        pool.spawn(|pool| pool.owed_runner().expect("a job is ready").work());
        pool.spawn(|_| {
            first.cancel();
            assert_eq!(first.wait().bin, Bin::Cancelled);
        });
        pool.settle_up();
        assert_eq!(second.wait().bin, Bin::Succeeded);
        pool.assert_idle(2);
        pool.assert_conserved();
    });
}

/// The second job of a key is cancelled while the first runs: the third waits for the first still.
///
/// Seen to fail: the end of any job of a key makes the next one ready.
#[test]
fn lane_cancelled_behind() {
    Model::new("lane_cancelled_behind", 250).check(|| {
        let pool = Pool::new(2, 3, Launch::Later);
        let [first, second, third] = [0, 1, 2].map(|id| submitted(&pool, pool.job(id, &[Act::Yield]).keyed(KEY)));
        let runner = pool.owed_runner().expect("a job is ready");
        pool.spawn(|_| runner.work());
        pool.spawn(|pool| {
            second.cancel();
            assert!(matches!(second.wait().bin, Bin::Cancelled | Bin::Succeeded));
            if let Some(runner) = pool.owed_runner() {
                runner.work();
            }
        });
        pool.settle_up();
        assert_eq!((first.wait().bin, third.wait().bin), (Bin::Succeeded, Bin::Succeeded));
        pool.assert_idle(3);
        pool.assert_conserved();
    });
}

/// Two wait for a full lane. Its job ends while one of them leaves: the other is accepted.
///
/// Seen to fail: the end of a key's job lets nobody in who waits for the lane.
#[test]
fn lane_waiter_leaves() {
    Model::new("lane_waiter_leaves", 5_600).check(|| {
        let pool = Pool::with(Limits { per_lane: 1, ..limits(1, 3) }, Launch::Later);
        let first = submitted(&pool, pool.job(0, &[Act::Succeed]).keyed(KEY));
        let runner = pool.owed_runner().expect("a job is ready");
        let parkers = [Parker::new(), Parker::new()];
        let [leaver, waiter] = [1, 2].map(|id| {
            let job = pool.job(id, &[Act::Succeed]).keyed(KEY);
            pool.line_up(job, &parkers[id - 1]).expect("the lane is full")
        });
        pool.spawn(|_| runner.work());
        pool.spawn(|_| match leaver.leave() {
            Answer::Accepted(handle) => drop(handle),
            Answer::Refused(job) => assert_eq!(job.map(|job| job.id), Some(1)),
            Answer::Granted(_) => unreachable!("it has a job"),
        });
        pool.spawn(|_| {
            let Answer::Accepted(handle) = waiter.wait(&Parker::new()) else { panic!("the pool is open") };
            drop(handle);
        });
        pool.settle_up();
        assert_eq!(first.wait().bin, Bin::Succeeded);
        assert_eq!(pool.record.settled(2), Some(Bin::Succeeded));
        drop(parkers);
        pool.assert_idle(2 + u64::from(pool.record.settled(1).is_some()));
        pool.assert_conserved();
    });
}

/// The lane has room for the first of two who wait for it, and the pool has none. That one leaves while a place comes
/// free: the other is accepted.
///
/// Seen to fail: who leaves the line keeps its place in the lane.
#[test]
fn lane_and_room() {
    Model::new("lane_and_room", 840).check(|| {
        let pool = Pool::with(Limits { per_lane: 1, ..limits(1, 1) }, Launch::Later);
        let first = submitted(&pool, pool.job(0, &[Act::Succeed]));
        let runner = pool.owed_runner().expect("a job is ready");
        let parkers = [Parker::new(), Parker::new()];
        let [leaver, waiter] = [1, 2].map(|id| {
            let job = pool.job(id, &[Act::Succeed]).keyed(KEY);
            pool.line_up(job, &parkers[id - 1]).expect("the pool is full, and then the lane")
        });
        pool.spawn(|_| runner.work());
        pool.spawn(|_| match leaver.leave() {
            Answer::Accepted(handle) => drop(handle),
            Answer::Refused(job) => assert_eq!(job.map(|job| job.id), Some(1)),
            Answer::Granted(_) => unreachable!("it has a job"),
        });
        let Answer::Accepted(second) = waiter.wait(&parkers[1]) else { panic!("the pool is open") };
        pool.settle_up();
        assert_eq!((first.wait().bin, second.wait().bin), (Bin::Succeeded, Bin::Succeeded));
        pool.assert_idle(2 + u64::from(pool.record.settled(1).is_some()));
        pool.assert_conserved();
    });
}

/// A pool is closed while one waits for a full lane: it wakes with its job.
///
/// Seen to fail: those who wait for a lane are not turned away.
#[test]
fn lane_waiter_and_close() {
    Model::small("lane_waiter_and_close", 34).check(|| {
        let pool = Pool::with(Limits { per_lane: 1, ..limits(1, 2) }, Launch::Later);
        let first = submitted(&pool, pool.job(0, &[Act::Succeed]).keyed(KEY));
        pool.spawn(|pool| {
            let job = pool.job(1, &[Act::Succeed]).keyed(KEY);
            assert_eq!(pool.submit(job, &Parker::new()).expect_err("the lane is full until it is closed").id, 1);
        });
        pool.spawn(|pool| pool.close(Phase::Closed));
        pool.settle_up();
        assert_eq!(first.wait().bin, Bin::Succeeded);
        pool.assert_idle(1);
        pool.assert_conserved();
    });
}
