//! Models of changing a pool while it works: pausing, resuming, resizing, shedding.

use crate::kernel::engine::{Bin, Limits, Overflow};
use crate::support::{Act, Launch, Model, Pool, claimed, limits, swift};

/// A pool is paused while a runner works through its batch and a job is submitted: once it is, the runner may start what
/// it has just begun, and no more; and when the pool goes on, all are run.
///
/// Seen to fail: a paused pool leaves runners what they have taken along.
#[test]
fn pause_and_batch() {
    Model::new("pause_and_batch", 1_400).check(|| {
        let (pool, handles, runner) = claimed([&[Act::Succeed], &[Act::Succeed], &[Act::Succeed]]);
        pool.spawn(|_| runner.work());
        pool.spawn(|pool| drop(pool.try_submit(pool.job(3, &[Act::Succeed])).expect("there is room")));
        pool.spawn(|pool| {
            pool.pause();
            pool.record.allow_starts(1);
        });
        pool.settle_up();
        pool.record.allow_all_starts();
        pool.resume();
        pool.settle_up();
        assert_eq!(handles.map(|handle| handle.wait().bin), [Bin::Succeeded; 3]);
        assert_eq!(pool.record.settled(3), Some(Bin::Succeeded));
        pool.assert_idle(5);
        pool.assert_conserved();
    });
}

/// A pool is paused and goes on while a runner works and a job is submitted: all are run.
///
/// Seen to fail: a pool that goes on starts no runner.
#[test]
fn pause_and_resume() {
    Model::new("pause_and_resume", 1_500).check(|| {
        let (pool, handles, runner) = claimed([&[Act::Succeed], &[Act::Succeed]]);
        pool.spawn(|_| runner.work());
        pool.spawn(|pool| drop(pool.try_submit(pool.job(2, &[Act::Succeed])).expect("there is room")));
        pool.spawn(|pool| {
            pool.pause();
            pool.resume();
        });
        pool.settle_up();
        assert_eq!(handles.map(|handle| handle.wait().bin), [Bin::Succeeded; 2]);
        assert_eq!(pool.record.settled(2), Some(Bin::Succeeded));
        pool.assert_idle(4);
        pool.assert_conserved();
    });
}

/// A pool is paused and goes on while a runner works through its batch and the middle one of what it took along is
/// cancelled: one of the three has that, and what was taken back is run in order.
///
/// Seen to fail: what is taken back waits in the opposite order.
#[test]
fn pause_batch_and_cancel() {
    Model::new("pause_batch_and_cancel", 20_000).check(|| {
        const SCRIPT: &[Act] = &[Act::Succeed];
        let (pool, [first, second, third, fourth], runner) = claimed([SCRIPT; 4]);
        pool.spawn(|_| runner.work());
        pool.spawn(|_| {
            third.cancel();
            assert!(matches!(third.wait().bin, Bin::Cancelled | Bin::Succeeded));
        });
        pool.spawn(|pool| {
            pool.pause();
            pool.resume();
        });
        pool.settle_up();
        assert_eq!([first, second, fourth].map(|handle| handle.wait().bin), [Bin::Succeeded; 3]);
        assert!(pool.record.started().is_sorted_by_key(|id| id % 90), "{:?}", pool.record.started());
        pool.assert_idle(5);
        pool.assert_conserved();
    });
}

/// A runner whose batch has been taken back from it looks for work while the pool is paused: another runner does not
/// start what it has taken along.
///
/// Seen to fail: a pool in which as many jobs are claimed as runners are busy recalls none.
#[test]
fn pause_beside_an_empty_batch() {
    Model::small("pause_beside_an_empty_batch", 51).check(|| {
        let pool = Pool::new(2, 6, Launch::Later);
        let mut other = swift(&pool, 2);
        let mut runner = swift(&pool, 2);
        let scripts: [&[Act]; 5] =
            [&[Act::Retry(100)], &[Act::Succeed], &[Act::Succeed], &[Act::Succeed], &[Act::Succeed]];
        let mut id = 0;
        let handles = scripts.map(|script| {
            id += 1;
            pool.try_submit(pool.job(id - 1, script)).expect("there is room")
        });
        runner.turn();
        other.turn();
        // The first job of one batch is parked, and the second cancelled.
        assert!(runner.serve_one());
        handles[1].cancel();
        pool.spawn(|_| runner.work());
        pool.spawn(|pool| pool.pause());
        pool.join();
        pool.record.allow_starts(1);
        other.work();
        pool.record.allow_all_starts();
        handles[0].cancel();
        pool.resume();
        pool.settle_up();
        let outcomes = handles.map(|handle| handle.wait().bin);
        let cancelled = [Bin::Cancelled, Bin::Cancelled];
        assert_eq!((&outcomes[..2], &outcomes[2..]), (&cancelled[..], &[Bin::Succeeded; 3][..]));
        pool.assert_conserved();
    });
}

/// A second slot is opened while a job is submitted and the only runner is blocked: the submitted job is run.
///
/// Seen to fail: a pool that is given another slot starts no runner.
#[test]
fn resize_up() {
    Model::new("resize_up", 2_600).check(|| {
        let pool = Pool::new(1, 3, Launch::Later);
        let blocked = pool.try_submit(pool.job(0, &[Act::Block])).expect("an empty pool has room");
        let runner = pool.owed_runner().expect("a job is ready");
        pool.launch(Launch::Threads);
        pool.spawn(|_| runner.work());
        pool.spawn(|pool| pool.resize(2));
        let submitted = pool.try_submit(pool.job(1, &[Act::Succeed])).expect("there is room");
        assert_eq!(submitted.wait().bin, Bin::Succeeded);
        pool.unblock();
        pool.settle_up();
        assert_eq!(blocked.wait().bin, Bin::Succeeded);
        pool.assert_idle(2);
        pool.assert_conserved();
    });
}

/// A slot is closed while two runners work and jobs wait: from then on each end of an attempt leaves one fewer running,
/// until one runs, and all are run.
///
/// Seen to fail: a runner above the number of slots goes on.
#[test]
fn resize_down() {
    Model::new("resize_down", 4_400).check(|| {
        let pool = Pool::new(2, 5, Launch::Later);
        let handles = [0, 1, 2, 3].map(|id| pool.try_submit(pool.job(id, &[Act::Succeed])).expect("there is room"));
        for _ in 0..2 {
            let runner = pool.owed_runner().expect("jobs are ready");
            pool.spawn(|_| runner.work());
        }
        pool.spawn(|pool| {
            pool.resize(1);
            let before = pool.engine.snapshot();
            for _ in 0..2 {
                let now = pool.engine.snapshot();
                let ended = (now.totals.attempts - before.totals.attempts) as usize;
                assert!(now.running <= before.running.saturating_sub(ended).max(1), "{now:?} after {before:?}");
            }
        });
        pool.settle_up();
        assert_eq!(handles.map(|handle| handle.wait().bin), [Bin::Succeeded; 4]);
        pool.assert_idle(4);
        pool.assert_conserved();
    });
}

/// Slots are closed and opened again while a runner works through its batch: all of it is run, once.
///
/// Seen to fail: what has been taken back counts still among what runners have.
#[test]
fn resize_and_batch() {
    Model::small("resize_and_batch", 92).check(|| {
        let (pool, handles, runner) = claimed([&[Act::Succeed], &[Act::Succeed], &[Act::Succeed]]);
        pool.resize(2);
        pool.spawn(|_| runner.work());
        pool.spawn(|pool| {
            pool.resize(1);
            pool.resize(2);
        });
        pool.settle_up();
        assert_eq!(handles.map(|handle| handle.wait().bin), [Bin::Succeeded; 3]);
        assert_eq!(pool.record.started().len(), 4);
        pool.assert_idle(4);
        pool.assert_conserved();
    });
}

/// The oldest job is to make room for a new one while a runner claims it and its owner cancels it: one of the three
/// has it.
///
/// Seen to fail: a shed job keeps its place.
#[test]
fn shed_claim_and_cancel() {
    Model::new("shed_claim_and_cancel", 5_800).check(|| {
        let pool = Pool::with(Limits { overflow: Overflow::DropOldest, ..limits(1, 1) }, Launch::Later);
        let first = pool.try_submit(pool.job(0, &[Act::Succeed])).expect("an empty pool has room");
        let cell = first.named().1;
        pool.spawn(|pool| pool.owed_runner().expect("a job is ready").work());
        pool.spawn(move |_| {
            first.cancel();
            assert!(matches!(first.wait().bin, Bin::Succeeded | Bin::Cancelled | Bin::Shed));
        });
        pool.spawn(|pool| match pool.try_submit(pool.job(1, &[Act::Succeed])) {
            Ok(handle) => drop(handle),
            Err(job) => assert_eq!(job.id, 1, "nobody waits, and the pool is full"),
        });
        pool.settle_up();
        assert!(cell.is_done());
        pool.assert_idle(1 + u64::from(pool.record.settled(1).is_some()));
        pool.assert_conserved();
    });
}

/// One waits until the pool is empty while a job is shed, or claimed, and all others end: its outcome is stored by then.
///
/// Seen to fail: a job is shed, and nobody knows that its outcome is to be stored.
#[test]
fn shed_and_drain() {
    Model::new("shed_and_drain", 940).check(|| {
        let pool = Pool::with(Limits { overflow: Overflow::DropOldest, ..limits(1, 1) }, Launch::Later);
        let first = pool.try_submit(pool.job(0, &[Act::Succeed])).expect("an empty pool has room");
        let cell = first.named().1;
        pool.launch(Launch::Threads);
        pool.spawn(|pool| pool.owed_runner().expect("a job is ready").work());
        pool.spawn(|pool| match pool.try_submit(pool.job(1, &[Act::Succeed])) {
            Ok(handle) => drop(handle),
            Err(job) => assert_eq!(job.id, 1, "nobody waits, and the pool is full"),
        });
        pool.drain();
        assert!(cell.is_done(), "drained before the outcome was stored");
        pool.settle_up();
        assert!(matches!(first.wait().bin, Bin::Succeeded | Bin::Shed));
        pool.assert_idle(1 + u64::from(pool.record.settled(1).is_some()));
        pool.assert_conserved();
    });
}
