//! Models of the bell: what is asked of a job is heard by that job, always, and by no other.

use crate::kernel::engine::{Bin, Sweep};
use crate::support::{Act, Launch, Model, Pool, claimed};

/// A job ends, and the one taken along with it begins, while the first is cancelled: the second does not hear that.
///
/// Seen to fail: what is asked of one job is heard by whichever is the runner's.
#[test]
fn cancel_and_next() {
    Model::small("cancel_and_next", 380).check(|| {
        let (pool, [first, second], runner) = claimed([&[Act::Succeed], &[Act::Yield]]);
        pool.spawn(|_| runner.work());
        pool.spawn(|_| {
            first.cancel();
            assert!(matches!(first.wait().bin, Bin::Cancelled | Bin::Succeeded));
        });
        pool.settle_up();
        assert_eq!(second.wait().bin, Bin::Succeeded);
        pool.assert_idle(3);
        pool.assert_conserved();
    });
}

/// A job that was taken along is cancelled while it begins. It would be pending for ever, so it ends cancelled.
///
/// Seen to fail: a runner takes a job from its tray before the bell has its number.
#[test]
fn cancel_and_begin() {
    Model::small("cancel_and_begin", 230).check(|| {
        let (pool, [first, second], runner) = claimed([&[Act::Succeed], &[Act::Pend]]);
        pool.spawn(|_| runner.work());
        pool.spawn(|_| {
            second.cancel();
            assert_eq!(second.wait().bin, Bin::Cancelled);
        });
        pool.settle_up();
        assert_eq!(first.wait().bin, Bin::Succeeded);
        pool.assert_idle(3);
        pool.assert_conserved();
    });
}

/// A pool is swept out while a runner begins what it has claimed: what would be pending for ever is aborted, or
/// returned.
///
/// Seen to fail: a runner begins a job once more, and forgets what has been asked of it since the claim.
#[test]
fn sweep_and_begin() {
    Model::small("sweep_and_begin", 210).check(|| {
        let (pool, [first, second], runner) = claimed([&[Act::Pend], &[Act::Pend]]);
        pool.spawn(|_| runner.work());
        pool.spawn(|pool| pool.sweep(Sweep::Return));
        pool.settle_up();
        assert_eq!((first.wait().bin, second.wait().bin), (Bin::Aborted, Bin::Returned));
        pool.assert_idle(3);
        pool.assert_conserved();
    });
}

/// A runner parks a job and claims the next while the pool is swept out: that one is aborted, or returned.
///
/// Seen to fail: a runner whose job is parked forgets what has been asked of the next.
#[test]
fn sweep_after_park() {
    Model::small("sweep_after_park", 370).check(|| {
        let pool = Pool::new(1, 2, Launch::Later);
        let first = pool.try_submit(pool.job(0, &[Act::Retry(100)])).expect("an empty pool has room");
        let second = pool.try_submit(pool.job(1, &[Act::Pend])).expect("there is room for two");
        let runner = pool.owed_runner().expect("a job is ready");
        pool.spawn(|_| runner.work());
        pool.spawn(|pool| pool.sweep(Sweep::Return));
        pool.settle_up();
        assert!(matches!(first.wait().bin, Bin::Returned | Bin::Aborted | Bin::Failed));
        assert!(matches!(second.wait().bin, Bin::Returned | Bin::Aborted));
        pool.assert_idle(2);
        pool.assert_conserved();
    });
}

/// An attempt's time is up while it is cancelled and given another time to end: the first is not taken for the second.
///
/// Seen to fail: a job that is given another time hears of the one before.
#[test]
fn expire_and_stall() {
    Model::new("expire_and_stall", 61_000).check(|| {
        let pool = Pool::new(1, 1, Launch::Later);
        pool.engine.clock().flow();
        pool.time_attempts(10);
        pool.allow_grace(50);
        let first = pool.try_submit(pool.job(0, &[Act::Pend])).expect("an empty pool has room");
        let runner = pool.owed_runner().expect("a job is ready");
        pool.launch(Launch::Threads);
        pool.spawn(|_| runner.work());
        pool.spawn(|_| {
            first.cancel();
            assert!(matches!(first.wait().bin, Bin::TimedOut | Bin::Cancelled));
        });
        pool.settle_up();
        pool.assert_idle(1);
        pool.assert_conserved();
    });
}

/// What an attempt waits for comes while its time is up: it has one outcome, and the next job has its own time.
///
/// Seen to fail: a job that has ended leaves its alarm behind.
#[test]
fn timeout_and_finish() {
    Model::new("timeout_and_finish", 6_600).check(|| {
        let pool = Pool::new(1, 2, Launch::Later);
        pool.time_attempts(10);
        let first = pool.try_submit(pool.job(0, &[Act::Await])).expect("an empty pool has room");
        let second = pool.try_submit(pool.job(1, &[Act::Yield])).expect("there is room for two");
        let mut runner = pool.owed_runner().expect("a job is ready");
        pool.spawn(move |pool| {
            runner.serve();
            pool.engine.clock().set(10);
            runner.work();
        });
        pool.spawn(|pool| pool.unblock());
        pool.spawn(|pool| {
            pool.engine.clock().set(10);
            pool.timer().ring();
        });
        pool.settle_up();
        assert!(matches!(first.wait().bin, Bin::Succeeded | Bin::TimedOut));
        assert_eq!(second.wait().bin, Bin::Succeeded);
        pool.assert_idle(2);
        pool.assert_conserved();
    });
}

/// Nothing else wakes an attempt whose time is up while its runner begins to wait.
///
/// Seen to fail: a runner whose job's time is up is not woken.
#[test]
fn timeout_of_a_pending_job() {
    Model::new("timeout_of_a_pending_job", 150).check(|| {
        let pool = Pool::new(1, 1, Launch::Later);
        pool.engine.clock().flow();
        pool.time_attempts(10);
        let first = pool.try_submit(pool.job(0, &[Act::Pend])).expect("an empty pool has room");
        let runner = pool.owed_runner().expect("a job is ready");
        pool.launch(Launch::Threads);
        pool.spawn(|_| runner.work());
        assert_eq!(first.wait().bin, Bin::TimedOut);
        pool.settle_up();
        pool.assert_idle(1);
        pool.assert_conserved();
    });
}
