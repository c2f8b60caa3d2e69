//! Models of running: claims, leaving, lending, and losing runners.

use crate::kernel::engine::{Bin, Sweep};
use crate::support::{Act, Launch, Model, Parker, Pool};

/// The last runner leaves while a job is submitted: the job is run.
///
/// Seen to fail: the runner looks for work and counts itself out in two lock operations.
#[test]
fn last_runner_leaves() {
    Model::small("last_runner_leaves", 24).check(|| {
        let pool = Pool::new(1, 2, Launch::Later);
        let first = pool.try_submit(pool.job(0, &[Act::Succeed])).expect("an empty pool has room");
        let mut runner = pool.owed_runner().expect("a job is ready");
        runner.serve();
        assert!(!runner.has_claimed());
        pool.spawn(|_| runner.work());
        pool.spawn(|pool| drop(pool.try_submit(pool.job(1, &[Act::Succeed])).expect("there is room")));
        pool.settle_up();
        assert_eq!(first.wait().bin, Bin::Succeeded);
        pool.assert_idle(2);
        assert_eq!(pool.record.started(), [0, 1]);
        pool.assert_conserved();
    });
}

/// The same with a runner that looks once more before it leaves.
///
/// Seen to fail: a runner that has looked once more is expected still.
#[test]
fn last_runner_lingers() {
    Model::new("last_runner_lingers", 1_100).check(|| {
        let pool = Pool::new(1, 2, Launch::Later);
        pool.linger();
        let first = pool.try_submit(pool.job(0, &[Act::Succeed])).expect("an empty pool has room");
        let runner = pool.owed_runner().expect("a job is ready");
        pool.launch(Launch::Threads);
        pool.spawn(|_| runner.work());
        pool.spawn(|pool| drop(pool.try_submit(pool.job(1, &[Act::Succeed])).expect("there is room")));
        pool.drain();
        pool.settle_up();
        assert_eq!(first.wait().bin, Bin::Succeeded);
        pool.assert_idle(2);
        assert_eq!(pool.record.started(), [0, 1]);
        pool.assert_conserved();
    });
}

/// A runner looks once more while a job is submitted and the pool is swept out: the job is run or cut short, or returned,
/// or refused.
///
/// Seen to fail: a swept job keeps its place.
#[test]
fn linger_submit_and_sweep() {
    Model::new("linger_submit_and_sweep", 6_300).check(|| {
        let pool = Pool::new(1, 2, Launch::Later);
        pool.linger();
        let first = pool.try_submit(pool.job(0, &[Act::Succeed])).expect("an empty pool has room");
        let mut runner = pool.owed_runner().expect("a job is ready");
        runner.serve();
        pool.spawn(|_| runner.work());
        pool.spawn(|pool| pool.sweep(Sweep::Return));
        pool.spawn(|pool| match pool.try_submit(pool.job(1, &[Act::Succeed])) {
            Ok(handle) => assert!(matches!(handle.wait().bin, Bin::Succeeded | Bin::Returned | Bin::Aborted)),
            Err(job) => assert_eq!(job.id, 1),
        });
        pool.settle_up();
        assert_eq!(first.wait().bin, Bin::Succeeded);
        pool.assert_idle(1 + u64::from(pool.record.settled(1).is_some()));
        pool.assert_conserved();
    });
}

/// The runtime drops a runner that looks once more, while a job is submitted.
///
/// Seen to fail: a lost runner still counts.
#[test]
fn lost_while_lingering() {
    Model::small("lost_while_lingering", 150).check(|| {
        let pool = Pool::new(1, 2, Launch::Later);
        pool.linger();
        let first = pool.try_submit(pool.job(0, &[Act::Succeed])).expect("an empty pool has room");
        let mut runner = pool.owed_runner().expect("a job is ready");
        runner.serve();
        pool.spawn(|_| {
            runner.linger();
            runner.lose();
        });
        pool.launch(Launch::Refuse);
        pool.spawn(|pool| match pool.try_submit(pool.job(1, &[Act::Succeed])) {
            Ok(handle) => assert_eq!(handle.wait().bin, Bin::Aborted),
            Err(job) => assert_eq!(job.id, 1),
        });
        pool.settle_up();
        assert_eq!(first.wait().bin, Bin::Succeeded);
        pool.assert_idle(1 + u64::from(pool.record.settled(1).is_some()));
        pool.assert_conserved();
    });
}

/// A job panics while another is submitted to the full pool: the place comes back, and the next job runs.
///
/// Seen to fail: an attempt that has ended keeps its place.
#[test]
fn panic_and_submit() {
    Model::small("panic_and_submit", 130).check(|| {
        let pool = Pool::new(1, 1, Launch::Later);
        let first = pool.try_submit(pool.job(0, &[Act::Panic])).expect("an empty pool has room");
        let runner = pool.owed_runner().expect("a job is ready");
        pool.spawn(|_| runner.work());
        pool.spawn(|pool| {
            let handle = pool.submit(pool.job(1, &[Act::Succeed]), &Parker::new()).expect("the pool is open");
            drop(handle);
        });
        pool.settle_up();
        assert_eq!(first.wait().bin, Bin::Panicked);
        assert_eq!(pool.record.settled(1), Some(Bin::Succeeded));
        pool.assert_idle(2);
        pool.assert_conserved();
    });
}

/// Two slots, two ready jobs, of which the first blocks its runner: the second runs beside it.
///
/// Seen to fail: a runner that arrives does not look whether another is needed.
#[test]
fn two_slots() {
    Model::new("two_slots", 390).check(|| {
        let pool = Pool::on_one_thread(2, 2, Launch::Threads);
        let blocked = pool.try_submit(pool.job(0, &[Act::Block])).expect("an empty pool has room");
        let other = pool.try_submit(pool.job(1, &[Act::Succeed])).expect("there is room for two");
        assert_eq!(other.wait().bin, Bin::Succeeded);
        pool.unblock();
        pool.settle_up();
        assert_eq!(blocked.wait().bin, Bin::Succeeded);
        pool.assert_idle(2);
        pool.assert_conserved();
    });
}

/// A job that waits for another job of its pool, whose only slot it has, while a third is submitted.
///
/// Seen to fail: lending a slot starts no runner.
#[test]
fn lend_and_submit() {
    Model::new("lend_and_submit", 7_200).check(|| {
        let pool = Pool::new(1, 3, Launch::Threads);
        let outer = pool.try_submit(pool.job(0, &[Act::Nest])).expect("an empty pool has room");
        pool.spawn(|pool| {
            let other = pool.try_submit(pool.job(1, &[Act::Succeed])).expect("there is room for three");
            assert_eq!(other.wait().bin, Bin::Succeeded);
        });
        pool.settle_up();
        assert_eq!(outer.wait().bin, Bin::Succeeded);
        pool.assert_idle(3);
        let stats = pool.engine.snapshot();
        assert!(stats.peak_running <= 2, "one slot and one lender: {stats:?}");
        pool.assert_conserved();
    });
}

/// Two jobs that each wait for another job of their pool, which has one slot.
///
/// Seen to fail: a slot that was lent stays lent.
#[test]
fn two_lend() {
    Model::new("two_lend", 2_100).check(|| {
        let pool = Pool::new(1, 4, Launch::Threads);
        let outer = [0, 1].map(|id| pool.try_submit(pool.job(id, &[Act::Nest])).expect("there is room for four"));
        pool.settle_up();
        assert_eq!(outer.map(|handle| handle.wait().bin), [Bin::Succeeded; 2]);
        pool.assert_idle(4);
        let stats = pool.engine.snapshot();
        assert!(stats.peak_running <= 3, "one slot and two lenders: {stats:?}");
        pool.assert_conserved();
    });
}

/// The runtime drops a runner in the middle of a job while another is submitted: both have an outcome, or the
/// submitter its job.
///
/// Seen to fail: a lost runner still counts.
#[test]
fn lost_runner() {
    Model::small("lost_runner", 130).check(|| {
        let pool = Pool::new(1, 2, Launch::Later);
        let first = pool.try_submit(pool.job(0, &[Act::Pend])).expect("an empty pool has room");
        let runner = pool.owed_runner().expect("a job is ready");
        pool.launch(Launch::Refuse);
        pool.spawn(|_| runner.lose());
        pool.spawn(|pool| match pool.try_submit(pool.job(1, &[Act::Succeed])) {
            Ok(handle) => assert_eq!(handle.wait().bin, Bin::Aborted),
            Err(job) => assert_eq!(job.id, 1),
        });
        pool.settle_up();
        assert_eq!(first.wait().bin, Bin::Aborted);
        pool.assert_idle(1 + u64::from(pool.record.settled(1).is_some()));
        pool.assert_conserved();
    });
}

/// A runtime that is gone drops each runner as it is started, while two submit: nobody waits for ever.
///
/// Seen to fail: the pool goes on although its runtime is gone.
#[test]
fn no_runtime() {
    Model::small("no_runtime", 210).check(|| {
        let pool = Pool::new(2, 2, Launch::Refuse);
        for id in 0..2 {
            pool.spawn(move |pool| match pool.try_submit(pool.job(id, &[Act::Succeed])) {
                Ok(handle) => assert_eq!(handle.wait().bin, Bin::Aborted),
                Err(job) => assert_eq!(job.id, id),
            });
        }
        pool.settle_up();
        pool.sweep(Sweep::Return);
        let accepted = pool.engine.snapshot().totals.accepted;
        pool.assert_idle(accepted);
        pool.assert_conserved();
    });
}
