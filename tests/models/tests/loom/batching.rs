//! Models of batches: what a runner has claimed and not started stays within reach.

use crate::kernel::engine::{Bin, Limits, Sweep};
use crate::support::{Act, Launch, Model, Pool, claimed, limits, opened, swift};

/// A job of a batch is cancelled while the one before it becomes pending for good: it does not wait for that.
///
/// Seen to fail: what was taken along cannot be taken back.
#[test]
fn batch_and_cancel() {
    Model::new("batch_and_cancel", 390).check(|| {
        let (pool, [first, second], runner) = claimed([&[Act::Pend], &[Act::Succeed]]);
        pool.spawn(|_| runner.work());
        pool.spawn(|_| {
            second.cancel();
            assert_eq!(second.wait().bin, Bin::Cancelled);
            first.cancel();
            assert_eq!(first.wait().bin, Bin::Cancelled);
        });
        pool.settle_up();
        pool.assert_idle(3);
        pool.assert_conserved();
    });
}

/// A job that was taken along is started while it is cancelled: one of the two has it.
///
/// Seen to fail: a job that has been taken back counts still among those that runners have.
#[test]
fn batch_started_and_cancelled() {
    Model::small("batch_started_and_cancelled", 290).check(|| {
        let (pool, [first, second], runner) = claimed([&[Act::Succeed], &[Act::Succeed]]);
        pool.spawn(|_| runner.work());
        pool.spawn(|_| {
            second.cancel();
            assert!(matches!(second.wait().bin, Bin::Cancelled | Bin::Succeeded));
        });
        pool.settle_up();
        drop(first);
        pool.assert_idle(3);
        pool.assert_conserved();
    });
}

/// The middle one of those that were taken along is cancelled while the runner works through them: it finds a gap or
/// starts it, and runs the others in order.
///
/// Seen to fail: a runner takes a gap on its tray for the end.
#[test]
fn batch_with_a_gap() {
    Model::small("batch_with_a_gap", 660).check(|| {
        const SCRIPT: &[Act] = &[Act::Succeed];
        let (pool, [first, second, third, fourth], runner) = claimed([SCRIPT; 4]);
        pool.spawn(|_| runner.work());
        pool.spawn(|_| {
            third.cancel();
            assert!(matches!(third.wait().bin, Bin::Cancelled | Bin::Succeeded));
        });
        pool.settle_up();
        assert_eq!([first, second, fourth].map(|handle| handle.wait().bin), [Bin::Succeeded; 3]);
        assert!(pool.record.started().is_sorted_by_key(|id| id % 90));
        pool.assert_idle(5);
        pool.assert_conserved();
    });
}

/// A job that was taken along is started while the pool is swept out: one of the two has it, and the runner may start what
/// it has just begun, and no more.
///
/// Seen to fail: what was taken along is looked for elsewhere on its tray.
#[test]
fn batch_started_and_swept() {
    Model::small("batch_started_and_swept", 710).check(|| {
        let (pool, handles, runner) = claimed([&[Act::Succeed], &[Act::Succeed], &[Act::Succeed]]);
        pool.spawn(|_| runner.work());
        pool.spawn(|pool| {
            pool.sweep(Sweep::Return);
            pool.record.allow_starts(1);
        });
        pool.settle_up();
        let outcomes = handles.map(|handle| handle.wait().bin);
        // Aborted: it had been taken from the tray, and not yet been started.
        let known = |bin: &Bin| matches!(bin, Bin::Succeeded | Bin::Returned | Bin::Aborted);
        assert!(outcomes.iter().all(known), "{outcomes:?}");
        assert_eq!(pool.harvested().len(), outcomes.iter().filter(|bin| **bin == Bin::Returned).count());
        pool.assert_idle(4);
        pool.assert_conserved();
    });
}

/// A job that was taken along is started when its deadline passes: one of the two has it.
///
/// Seen to fail: a job that has run out of time on a tray is not ended.
#[test]
fn batch_started_and_expired() {
    Model::new("batch_started_and_expired", 150).check(|| {
        let pool = Pool::with(Limits { deadline: Some(10), ..limits(1, 2) }, Launch::Later);
        pool.claim_at_once(2);
        let mut runner = opened(&pool);
        runner.serve();
        let first = pool.try_submit(pool.job(0, &[Act::Succeed])).expect("there is room");
        let second = pool.try_submit(pool.job(1, &[Act::Succeed])).expect("there is room");
        runner.serve();
        assert!(runner.has_claimed());
        let mut timer = pool.timer();
        pool.spawn(|_| runner.work());
        pool.spawn(move |pool| {
            pool.engine.clock().set(10);
            timer.ring();
        });
        pool.settle_up();
        for handle in [first, second] {
            assert!(matches!(handle.wait().bin, Bin::Succeeded | Bin::TimedOut));
        }
        pool.assert_idle(3);
        pool.assert_conserved();
    });
}

/// A job that was taken along is parked while it is cancelled: one of the two has it, and it does not wait.
///
/// Seen to fail: a job is parked although it has been asked to end.
#[test]
fn batch_parked_and_cancelled() {
    Model::small("batch_parked_and_cancelled", 250).check(|| {
        let (pool, [first, second], runner) = claimed([&[Act::Succeed], &[Act::Retry(100)]]);
        pool.spawn(|_| runner.work());
        pool.spawn(|_| {
            second.cancel();
            assert_eq!(second.wait().bin, Bin::Cancelled);
        });
        pool.settle_up();
        drop(first);
        pool.assert_idle(3);
        pool.assert_conserved();
    });
}

/// A job that was taken along is parked while the pool is swept out: it is returned, or fails for good.
///
/// Seen to fail: a pool that has been swept out parks jobs.
#[test]
fn batch_parked_and_swept() {
    Model::small("batch_parked_and_swept", 470).check(|| {
        let (pool, [first, second], runner) = claimed([&[Act::Succeed], &[Act::Retry(100)]]);
        pool.spawn(|_| runner.work());
        pool.spawn(|pool| pool.sweep(Sweep::Return));
        pool.settle_up();
        // Aborted: its runner heard of the sweep before it would have parked the job.
        assert!(matches!(second.wait().bin, Bin::Returned | Bin::Failed | Bin::Aborted));
        drop(first);
        pool.assert_idle(3);
        pool.assert_conserved();
    });
}

/// A job that was taken along is cancelled while the one before it is parked, and the pool is looked at.
///
/// Seen to fail: a runner counts as busy with a batch that has been taken back.
#[test]
fn batch_taken_back_and_sampled() {
    Model::new("batch_taken_back_and_sampled", 5_100).check(|| {
        let (pool, [first, second], runner) = claimed([&[Act::Retry(0), Act::Succeed], &[Act::Succeed]]);
        pool.spawn(|_| runner.work());
        pool.spawn(move |_| second.cancel());
        pool.spawn(|pool| {
            let stats = pool.engine.snapshot();
            assert!(stats.balances() && stats.running <= 1, "{stats:?}");
        });
        pool.settle_up();
        drop(first);
        pool.assert_idle(3);
        pool.assert_conserved();
    });
}

/// The deadline of a job that was taken along passes while the one before it blocks its runner: it does not wait for
/// that, though a slot is free and nobody needs it.
///
/// Seen to fail: the alarms of jobs that were taken along start no timer.
#[test]
fn batch_and_deadline() {
    Model::new("batch_and_deadline", 600).check(|| {
        let limits = Limits { threads: 1, deadline: Some(10), ..limits(2, 3) };
        let pool = Pool::with(limits, Launch::Later);
        let runner = swift(&pool, 2);
        let first = pool.try_submit(pool.job(0, &[Act::Block])).expect("there is room");
        let second = pool.try_submit(pool.job(1, &[Act::Succeed])).expect("there is room");
        pool.launch(Launch::Threads);
        pool.spawn(|_| runner.work());
        pool.engine.clock().set(10);
        assert_eq!(second.wait().bin, Bin::TimedOut);
        pool.unblock();
        pool.settle_up();
        assert!(matches!(first.wait().bin, Bin::Succeeded | Bin::TimedOut));
        pool.assert_idle(4);
        pool.assert_conserved();
    });
}

/// A job that was taken along, and has a deadline, fails and is parked.
///
/// Seen to fail: a job that is parked has its old alarm still.
#[test]
fn batch_parked_with_a_deadline() {
    Model::new("batch_parked_with_a_deadline", 14_000).check(|| {
        let limits = Limits { deadline: Some(50), ..limits(1, 3) };
        let pool = Pool::with(limits, Launch::Later);
        pool.claim_at_once(2);
        let runner = opened(&pool);
        let first = pool.try_submit(pool.job(0, &[Act::Succeed])).expect("there is room");
        let second = pool.try_submit(pool.job(1, &[Act::Retry(20), Act::Succeed])).expect("there is room");
        pool.launch(Launch::Threads);
        let timer = pool.owed_timer().expect("every slot is taken and a deadline is set");
        pool.spawn(|_| runner.work());
        pool.spawn(|_| timer.run());
        assert_eq!(first.wait().bin, Bin::Succeeded);
        pool.engine.clock().set(20);
        assert_eq!(second.wait().bin, Bin::Succeeded);
        pool.settle_up();
        pool.assert_idle(3);
        pool.assert_conserved();
    });
}

/// The pool is swept out while the first job of a batch is pending for good: that one is aborted, and the others are
/// in the report, whether the runner had them still or had given them back.
///
/// Seen to fail: what is given back may have been taken back.
#[test]
fn batch_and_sweep() {
    Model::small("batch_and_sweep", 210).check(|| {
        let (pool, handles, runner) = claimed([&[Act::Pend], &[Act::Succeed], &[Act::Succeed]]);
        pool.spawn(|_| runner.work());
        pool.spawn(|pool| pool.sweep(Sweep::Return));
        pool.settle_up();
        let outcomes = handles.map(|handle| handle.wait().bin);
        assert_eq!(outcomes, [Bin::Aborted, Bin::Returned, Bin::Returned]);
        assert_eq!(pool.harvested(), [1, 2]);
        pool.assert_idle(4);
        pool.assert_conserved();
    });
}

/// The first job of a batch is pending for good: what was claimed with it runs in the second slot, and so does what is
/// submitted meanwhile, though there was no need for a second runner while jobs were short.
///
/// Seen to fail: a job that is pending keeps what was claimed with it.
#[test]
fn batch_given_back() {
    Model::new("batch_given_back", 46_000).check(|| {
        let pool = Pool::on_one_thread(2, 3, Launch::Later);
        let runner = swift(&pool, 2);
        let pending = pool.try_submit(pool.job(0, &[Act::Pend])).expect("there is room");
        let claimed = pool.try_submit(pool.job(1, &[Act::Succeed])).expect("there is room");
        assert!(pool.owed_runner().is_none(), "one runner is enough while jobs are short");
        pool.launch(Launch::Threads);
        pool.spawn(|_| runner.work());
        pool.spawn(|pool| {
            let submitted = pool.try_submit(pool.job(2, &[Act::Succeed])).expect("there is room for three");
            assert_eq!(submitted.wait().bin, Bin::Succeeded);
        });
        assert_eq!(claimed.wait().bin, Bin::Succeeded);
        pending.cancel();
        pool.settle_up();
        assert_eq!(pending.wait().bin, Bin::Cancelled);
        pool.assert_idle(5);
        pool.assert_conserved();
    });
}

/// A runner that has found jobs to be short leaves while another's job is pending for good and one is submitted: that
/// is run, though the runtime has one thread only.
///
/// Seen to fail: a runner that has left counts as swift still.
#[test]
fn short_beside_pending() {
    Model::new("short_beside_pending", 1_100).check(|| {
        let pool = Pool::on_one_thread(2, 3, Launch::Later);
        let pending = pool.try_submit(pool.job(0, &[Act::Pend])).expect("an empty pool has room");
        let first = pool.owed_runner().expect("a job is ready");
        let second = swift(&pool, 2);
        pool.launch(Launch::Threads);
        pool.spawn(|_| first.work());
        pool.spawn(|_| second.work());
        let submitted = pool.try_submit(pool.job(1, &[Act::Succeed])).expect("there is room for three");
        assert_eq!(submitted.wait().bin, Bin::Succeeded);
        pending.cancel();
        pool.settle_up();
        assert_eq!(pending.wait().bin, Bin::Cancelled);
        pool.assert_idle(4);
        pool.assert_conserved();
    });
}

/// Two runners that have found jobs to be short both have a job that is pending for good, while one is submitted, with a
/// third slot free: that is run, though the runtime has two threads.
///
/// Seen to fail: a runner whose job waits counts as swift still.
#[test]
fn stalled_and_swift() {
    Model::new("stalled_and_swift", 33_000).check(|| {
        let pool = Pool::with(Limits { threads: 2, ..limits(3, 4) }, Launch::Later);
        let runners = [swift(&pool, 2), swift(&pool, 2)];
        let pending = [0, 1].map(|id| pool.try_submit(pool.job(id, &[Act::Pend])).expect("there is room"));
        assert!(pool.owed_runner().is_none(), "two runners are enough while jobs are short");
        pool.launch(Launch::Threads);
        for runner in runners {
            pool.spawn(|_| runner.work());
        }
        let submitted = pool.try_submit(pool.job(2, &[Act::Succeed])).expect("there is room for four");
        assert_eq!(submitted.wait().bin, Bin::Succeeded);
        pending.iter().for_each(|handle| handle.cancel());
        pool.settle_up();
        assert_eq!(pending.map(|handle| handle.wait().bin), [Bin::Cancelled; 2]);
        pool.assert_conserved();
    });
}

/// One waits until the pool is empty while a runner ends a batch: all its outcomes are stored by then.
///
/// Seen to fail: the pool counts as empty although a runner has outcomes to store.
#[test]
fn batch_and_drain() {
    Model::small("batch_and_drain", 37).check(|| {
        let (pool, handles, runner) = claimed([&[Act::Succeed], &[Act::Panic]]);
        let cells = [handles[0].named().1, handles[1].named().1];
        pool.spawn(|_| runner.work());
        pool.spawn(move |pool| {
            pool.drain();
            assert!(cells.iter().all(|cell| cell.is_done()), "drained before the outcomes were stored");
        });
        pool.settle_up();
        assert_eq!(handles.map(|handle| handle.wait().bin), [Bin::Succeeded, Bin::Panicked]);
        pool.assert_idle(3);
        pool.assert_conserved();
    });
}

/// The runtime drops a runner with a batch while one waits until the pool is empty: all outcomes are stored by then.
///
/// Seen to fail: the pool counts as empty once the lost runner has been counted out.
#[test]
fn batch_lost() {
    Model::small("batch_lost", 95).check(|| {
        let (pool, handles, runner) = claimed([&[Act::Pend], &[Act::Succeed]]);
        let cells = [handles[0].named().1, handles[1].named().1];
        pool.launch(Launch::Refuse);
        pool.spawn(|_| runner.lose());
        pool.spawn(move |pool| {
            pool.drain();
            assert!(cells.iter().all(|cell| cell.is_done()), "drained before the outcomes were stored");
        });
        pool.settle_up();
        assert_eq!(handles.map(|handle| handle.wait().bin), [Bin::Aborted, Bin::Aborted]);
        pool.assert_idle(3);
        pool.assert_conserved();
    });
}

/// The pool is looked at while a batch ends, is parked and given back.
///
/// Seen to fail: the jobs inside are read in one lock operation, and the totals in another.
#[test]
fn batch_sampled() {
    Model::small("batch_sampled", 100).check(|| {
        let (pool, handles, runner) = claimed([&[Act::Succeed], &[Act::Retry(0), Act::Succeed], &[Act::Yield]]);
        pool.spawn(|_| runner.work());
        pool.spawn(|pool| {
            for _ in 0..3 {
                let stats = pool.engine.snapshot();
                assert!(stats.balances() && stats.running <= 1, "{stats:?}");
            }
        });
        pool.settle_up();
        drop(handles);
        pool.assert_idle(4);
        pool.assert_conserved();
    });
}
