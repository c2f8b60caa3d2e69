//! Models of cancelling: whatever a job is doing meanwhile, it has one outcome, and a pending one is woken.

use crate::kernel::engine::{Bin, Limits, Sweep};
use crate::support::{Act, Launch, Model, Parker, Pool, limits, swift};

/// A job is cancelled while its attempt ends: it has succeeded or is cancelled, once, and the job that takes over its
/// place is not touched.
///
/// Seen to fail: a ticket is taken for its place's present job.
#[test]
fn cancel_and_finish() {
    Model::small("cancel_and_finish", 280).check(|| {
        let pool = Pool::new(1, 2, Launch::Later);
        let first = pool.try_submit(pool.job(0, &[Act::Succeed])).expect("an empty pool has room");
        let runner = pool.owed_runner().expect("a job is ready");
        let second = pool.try_submit(pool.job(1, &[Act::Succeed])).expect("there is room for two");
        let parker = Parker::new();
        let third = pool.line_up(pool.job(2, &[Act::Succeed]), &parker).expect("the pool is full");
        pool.spawn(|_| runner.work());
        pool.spawn(|_| {
            first.cancel();
            assert!(matches!(first.wait().bin, Bin::Succeeded | Bin::Cancelled));
        });
        pool.settle_up();
        drop((second, third.wait(&parker)));
        assert_eq!([1, 2].map(|id| pool.record.settled(id)), [Some(Bin::Succeeded); 2]);
        pool.assert_idle(3);
        pool.assert_conserved();
    });
}

/// A queued job is cancelled while a runner claims it. It would be pending for ever, so it ends cancelled.
///
/// Seen to fail: a runner does not know of its job before it begins it.
#[test]
fn cancel_and_claim() {
    Model::small("cancel_and_claim", 180).check(|| {
        let pool = Pool::new(1, 1, Launch::Later);
        let first = pool.try_submit(pool.job(0, &[Act::Pend])).expect("an empty pool has room");
        pool.spawn(|pool| pool.owed_runner().expect("a job is ready").work());
        pool.spawn(|_| {
            first.cancel();
            assert_eq!(first.wait().bin, Bin::Cancelled);
        });
        pool.settle_up();
        pool.assert_idle(1);
        pool.assert_conserved();
    });
}

/// A job is cancelled while its future becomes pending: its runner is woken, or has heard it before.
///
/// Seen to fail: a running job is asked to end, and its runner is not woken.
#[test]
fn cancel_and_suspend() {
    Model::small("cancel_and_suspend", 280).check(|| {
        let pool = Pool::new(1, 1, Launch::Later);
        let first = pool.try_submit(pool.job(0, &[Act::Pend])).expect("an empty pool has room");
        let runner = pool.owed_runner().expect("a job is ready");
        pool.spawn(|_| runner.work());
        pool.spawn(|_| {
            first.cancel();
            assert_eq!(first.wait().bin, Bin::Cancelled);
        });
        pool.settle_up();
        pool.assert_idle(1);
        pool.assert_conserved();
    });
}

/// A job is cancelled while it is parked: it does not wait for its next attempt.
///
/// Seen to fail: a job is parked although it has been asked to end.
#[test]
fn cancel_and_park() {
    Model::small("cancel_and_park", 310).check(|| {
        let pool = Pool::new(1, 1, Launch::Later);
        let first = pool.try_submit(pool.job(0, &[Act::Retry(100)])).expect("an empty pool has room");
        let runner = pool.owed_runner().expect("a job is ready");
        pool.spawn(|_| runner.work());
        pool.spawn(|_| {
            first.cancel();
            assert_eq!(first.wait().bin, Bin::Cancelled);
        });
        pool.settle_up();
        pool.assert_idle(1);
        pool.assert_conserved();
    });
}

/// A pending job is cancelled while the pool is swept out: its runner is woken, whoever of the two wakes it.
///
/// Seen to fail: an abort makes the runner forget which job it has.
#[test]
fn cancel_and_sweep() {
    Model::new("cancel_and_sweep", 47_000).check(|| {
        let pool = Pool::new(1, 1, Launch::Later);
        let first = pool.try_submit(pool.job(0, &[Act::Pend])).expect("an empty pool has room");
        let runner = pool.owed_runner().expect("a job is ready");
        pool.spawn(|_| runner.work());
        pool.spawn(|pool| pool.sweep(Sweep::Return));
        pool.spawn(|_| {
            first.cancel();
            // Returned: claimed, and not started before the sweep.
            assert!(matches!(first.wait().bin, Bin::Cancelled | Bin::Aborted | Bin::Returned));
        });
        pool.settle_up();
        pool.assert_idle(1);
        pool.assert_conserved();
    });
}

/// A job is cancelled by two at once while it is claimed: one outcome.
///
/// Seen to fail: a withdrawn job stays in the queue.
#[test]
fn cancelled_twice() {
    Model::new("cancelled_twice", 14_000).check(|| {
        let pool = Pool::new(1, 1, Launch::Later);
        let first = pool.try_submit(pool.job(0, &[Act::Pend])).expect("an empty pool has room");
        let (ticket, _) = first.named();
        pool.spawn(|pool| pool.owed_runner().expect("a job is ready").work());
        pool.spawn(move |pool| pool.cancel(ticket));
        pool.spawn(|_| {
            first.cancel();
            assert_eq!(first.wait().bin, Bin::Cancelled);
        });
        pool.settle_up();
        pool.assert_idle(1);
        pool.assert_conserved();
    });
}

/// A runner parks a job and claims the next, which is cancelled: it would be pending for ever, so it ends cancelled.
///
/// Seen to fail: a runner whose job is parked forgets what has been asked of the next.
#[test]
fn cancel_after_park() {
    Model::small("cancel_after_park", 630).check(|| {
        let pool = Pool::new(1, 2, Launch::Later);
        let first = pool.try_submit(pool.job(0, &[Act::Retry(100)])).expect("an empty pool has room");
        let second = pool.try_submit(pool.job(1, &[Act::Pend])).expect("there is room for two");
        let runner = pool.owed_runner().expect("a job is ready");
        pool.spawn(|_| runner.work());
        pool.spawn(|_| {
            second.cancel();
            assert_eq!(second.wait().bin, Bin::Cancelled);
            first.cancel();
            assert_eq!(first.wait().bin, Bin::Cancelled);
        });
        pool.settle_up();
        pool.assert_idle(2);
        pool.assert_conserved();
    });
}

/// A job is cancelled while its runner parks it and another, to whom it comes back at once, takes it along: it would be
/// pending for ever, so it ends cancelled.
///
/// Seen to fail: a job that cannot be withdrawn is asked to end in another lock operation.
#[test]
fn cancel_and_take_along_again() {
    Model::small("cancel_and_take_along_again", 700).check(|| {
        let pool = Pool::with(Limits { threads: 1, ..limits(2, 4) }, Launch::Later);
        let first = pool.try_submit(pool.job(0, &[Act::Retry(0), Act::Pend])).expect("an empty pool has room");
        let runner = pool.owed_runner().expect("a job is ready");
        let mut other = swift(&pool, 2);
        pool.spawn(|pool| {
            runner.work();
            let before = pool.try_submit(pool.job(1, &[Act::Succeed])).expect("there is room");
            pool.timer().ring();
            other.turn();
            other.work();
            assert_eq!(before.wait().bin, Bin::Succeeded);
        });
        pool.spawn(|_| {
            first.cancel();
            assert_eq!(first.wait().bin, Bin::Cancelled);
        });
        pool.settle_up();
        pool.assert_idle(4);
        pool.assert_conserved();
    });
}
