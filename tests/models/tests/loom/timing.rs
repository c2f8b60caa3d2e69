//! Models of timing: the transient timer, backoffs, and the deadlines of jobs that wait.

use crate::kernel::engine::{Bin, Ring, Sweep};
use crate::support::{Act, Launch, Model, Pool};

/// A retry falls due while the pool is swept out: the job runs again, or is given back, and has one outcome.
///
/// Seen to fail: a job that leaves the pool leaves its alarm behind.
#[test]
fn retry_and_sweep() {
    Model::small("retry_and_sweep", 24).check(|| {
        let pool = Pool::new(1, 1, Launch::Later);
        let first = pool.try_submit(pool.job(0, &[Act::Retry(5), Act::Succeed])).expect("an empty pool has room");
        pool.owed_runner().expect("a job is ready").work();
        let mut timer = pool.owed_timer().expect("a job is parked");
        pool.engine.clock().set(5);
        pool.spawn(move |_| assert_eq!(timer.ring(), Ring::Leave));
        pool.spawn(|pool| pool.sweep(Sweep::Return));
        pool.settle_up();
        assert!(matches!(first.wait().bin, Bin::Returned));
        pool.assert_idle(1);
        pool.assert_conserved();
    });
}

/// A queued job's deadline passes while a runner arrives for it, and one waits until the pool is empty: one of the
/// two ends the job, and its outcome is stored before the pool counts as empty.
///
/// Seen to fail: jobs whose outcomes are not stored yet count as gone.
#[test]
fn deadline_and_claim() {
    Model::new("deadline_and_claim", 2_300).check(|| {
        let pool = Pool::with_deadline(1, 1, 10, Launch::Later);
        let first = pool.try_submit(pool.job(0, &[Act::Succeed])).expect("an empty pool has room");
        let mut timer = pool.owed_timer().expect("every slot is taken and a deadline is set");
        pool.engine.clock().set(10);
        pool.spawn(|pool| pool.owed_runner().expect("a job is ready").work());
        pool.spawn(move |_| assert_eq!(timer.ring(), Ring::Leave));
        let (_, cell) = first.named();
        pool.spawn(move |pool| {
            pool.drain();
            assert!(cell.is_done(), "drained before the outcome was stored");
        });
        pool.settle_up();
        assert_eq!(first.wait().bin, Bin::TimedOut);
        pool.assert_idle(1);
        assert!(pool.record.started().is_empty());
        pool.assert_conserved();
    });
}

/// The timer sleeps until a late alarm while a job is parked with an earlier one: it is woken.
///
/// Seen to fail: an earlier alarm does not wake the timer.
#[test]
fn earlier_alarm() {
    Model::new("earlier_alarm", 16_000).check(|| {
        let pool = Pool::new(2, 2, Launch::Later);
        let late = pool.try_submit(pool.job(0, &[Act::Retry(100), Act::Succeed])).expect("an empty pool has room");
        pool.owed_runner().expect("a job is ready").work();
        let timer = pool.owed_timer().expect("a job is parked");
        let early = pool.try_submit(pool.job(1, &[Act::Retry(5), Act::Succeed])).expect("there is room for two");
        let runner = pool.owed_runner().expect("a job is ready");
        pool.engine.clock().set(5);
        pool.launch(Launch::Threads);
        pool.spawn(|_| timer.run());
        pool.spawn(|_| runner.work());
        assert_eq!(early.wait().bin, Bin::Succeeded);
        pool.engine.clock().set(100);
        assert_eq!(late.wait().bin, Bin::Succeeded);
        pool.settle_up();
        pool.assert_idle(2);
        pool.assert_conserved();
    });
}

/// The timer finds nothing to wait for and leaves while a job is parked: the job has a timer.
///
/// Seen to fail: the timer leaves and is still expected.
#[test]
fn timer_leaves() {
    Model::small("timer_leaves", 33).check(|| {
        let pool = Pool::new(2, 2, Launch::Later);
        let first = pool.try_submit(pool.job(0, &[Act::Retry(5), Act::Succeed])).expect("an empty pool has room");
        pool.owed_runner().expect("a job is ready").work();
        let timer = pool.owed_timer().expect("a job is parked");
        let second = pool.try_submit(pool.job(1, &[Act::Retry(5), Act::Succeed])).expect("there is room for two");
        let runner = pool.owed_runner().expect("a job is ready");
        pool.engine.clock().set(5);
        pool.spawn(|_| timer.run());
        pool.spawn(|_| runner.work());
        pool.settle_up();
        assert_eq!((first.wait().bin, second.wait().bin), (Bin::Succeeded, Bin::Succeeded));
        pool.assert_idle(2);
        pool.assert_conserved();
    });
}

/// The last alarm is withdrawn and the last runner leaves while the timer goes to sleep: it does not sleep for ever.
///
/// Seen to fail: an idle pool keeps its timer.
#[test]
fn timer_of_an_idle_pool() {
    Model::small("timer_of_an_idle_pool", 33).check(|| {
        let pool = Pool::new(1, 1, Launch::Later);
        let first = pool.try_submit(pool.job(0, &[Act::Retry(100)])).expect("an empty pool has room");
        pool.owed_runner().expect("a job is ready").work();
        let timer = pool.owed_timer().expect("a job is parked");
        pool.spawn(|_| timer.run());
        pool.spawn(move |_| first.cancel());
        pool.settle_up();
        pool.assert_idle(1);
        pool.assert_conserved();
    });
}

/// Every slot is taken when a queued job's deadline passes: it does not wait for a slot.
///
/// Seen to fail: the alarms of queued jobs start no timer.
#[test]
fn deadline_in_the_queue() {
    Model::new("deadline_in_the_queue", 4_200).check(|| {
        let pool = Pool::with_deadline(1, 2, 10, Launch::Later);
        let first = pool.try_submit(pool.job(0, &[Act::Pend])).expect("an empty pool has room");
        let runner = pool.owed_runner().expect("a job is ready");
        let second = pool.try_submit(pool.job(1, &[Act::Succeed])).expect("there is room for two");
        let timer = pool.owed_timer().expect("every slot is taken and a deadline is set");
        pool.spawn(|_| runner.work());
        pool.spawn(|_| timer.run());
        pool.engine.clock().set(10);
        assert_eq!(second.wait().bin, Bin::TimedOut);
        first.cancel();
        pool.settle_up();
        drop(first);
        pool.assert_idle(2);
        pool.assert_conserved();
    });
}

/// The timer sleeps until a late deadline while a job is submitted that has an earlier one of its own: it is woken.
///
/// Seen to fail: a job's own deadline is not kept.
#[test]
fn deadline_of_its_own() {
    Model::new("deadline_of_its_own", 3_000).check(|| {
        let pool = Pool::new(1, 3, Launch::Later);
        let running = pool.try_submit(pool.job(0, &[Act::Pend])).expect("an empty pool has room");
        let runner = pool.owed_runner().expect("a job is ready");
        let late = pool.try_submit(pool.job(1, &[Act::Succeed]).within(100)).expect("there is room");
        let timer = pool.owed_timer().expect("every slot is taken and a deadline is set");
        pool.spawn(|_| runner.work());
        pool.spawn(|_| timer.run());
        let early = pool.try_submit(pool.job(2, &[Act::Succeed]).within(10)).expect("there is room");
        pool.engine.clock().set(10);
        assert_eq!(early.wait().bin, Bin::TimedOut);
        running.cancel();
        pool.settle_up();
        assert_eq!((running.wait().bin, late.wait().bin), (Bin::Cancelled, Bin::Succeeded));
        pool.assert_idle(3);
        pool.assert_conserved();
    });
}
