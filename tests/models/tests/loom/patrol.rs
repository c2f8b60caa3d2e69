//! Models of the patrol: a handler that blocks its thread holds up nobody for long.

use crate::kernel::engine::{Bin, Limits};
use crate::support::{Act, Handle, Launch, Model, Pool, Runner, limits, swift};
use std::sync::Arc;

/// A patrolled pool with a slot to spare, whose swift runner has claimed a job that blocks, and taken another along.
fn claimed() -> (Arc<Pool>, [Handle; 2], Runner) {
    let pool = Pool::patrolled(Limits { threads: 1, ..limits(2, 4) }, 1, Launch::Later);
    drop(pool.try_submit(pool.job(90, &[Act::Succeed])).expect("an empty pool has room"));
    let mut runner = pool.owed_runner().expect("a job is ready");
    let first = pool.try_submit(pool.job(0, &[Act::Block])).expect("there is room");
    let second = pool.try_submit(pool.job(1, &[Act::Succeed])).expect("there is room");
    pool.claim_at_once(2);
    runner.serve();
    while let Some(helper) = pool.owed_runner() {
        helper.work();
    }
    let stats = pool.engine.snapshot();
    assert_eq!((stats.running, stats.queued, stats.runners), (1, 1, 1), "one is to block, the other is taken along");
    (pool, [first, second], runner)
}

/// What was taken along behind a job that blocks is run by another runner, while the first one blocks still.
///
/// Seen to fail: what a stuck runner has taken along stays with it.
#[test]
fn blocked_and_taken_along() {
    Model::new("blocked_and_taken_along", 91).check(|| {
        let (pool, [first, second], runner) = claimed();
        let mut timer = pool.timer();
        pool.spawn(|_| runner.work());
        pool.spawn(move |pool| {
            pool.until_blocked();
            timer.ring();
            pool.engine.clock().set(1);
            timer.ring();
            while let Some(runner) = pool.owed_runner() {
                runner.work();
            }
            assert_eq!(second.wait().bin, Bin::Succeeded);
            pool.unblock();
            timer.ring();
        });
        pool.settle_up();
        assert_eq!(first.wait().bin, Bin::Succeeded);
        pool.assert_idle(3);
        pool.assert_conserved();
    });
}

/// The job that was taken along is cancelled while the patrol gives it to another runner: one of the three has it.
///
/// Seen to fail: a job that waits again and is withdrawn stays in the queue.
#[test]
fn recalled_and_cancelled() {
    Model::new("recalled_and_cancelled", 12_000).check(|| {
        let (pool, [first, second], runner) = claimed();
        let mut timer = pool.timer();
        pool.spawn(|_| runner.work());
        pool.spawn(move |pool| {
            pool.until_blocked();
            timer.ring();
            pool.engine.clock().set(1);
            timer.ring();
            pool.unblock();
            while let Some(runner) = pool.owed_runner() {
                runner.work();
            }
            timer.ring();
        });
        pool.spawn(|_| {
            second.cancel();
            assert!(matches!(second.wait().bin, Bin::Cancelled | Bin::Succeeded));
        });
        pool.settle_up();
        assert_eq!(first.wait().bin, Bin::Succeeded);
        pool.assert_idle(3);
        pool.assert_conserved();
    });
}

/// A patrolled pool of two slots whose swift runner is to claim a job for each of the scripts, while time flows.
fn flowing(scripts: [&'static [Act]; 2]) -> (Arc<Pool>, [Handle; 2], Runner) {
    let pool = Pool::patrolled(Limits { threads: 1, ..limits(2, 3) }, 10, Launch::Later);
    pool.engine.clock().flow();
    let runner = swift(&pool, 2);
    pool.launch(Launch::Threads);
    let mut id = 0;
    let handles = scripts.map(|script| {
        id += 1;
        pool.try_submit(pool.job(id - 1, script)).expect("there is room")
    });
    (pool, handles, runner)
}

/// A swift runner is stuck in the second job of a batch: somebody tells of the first.
///
/// Seen to fail: nobody collects what a runner has ended that is stuck.
#[test]
fn stuck_with_an_outcome() {
    Model::new("stuck_with_an_outcome", 9_300).check(|| {
        let (pool, [ended, stuck], runner) = flowing([&[Act::Succeed], &[Act::Block]]);
        pool.spawn(|_| runner.work());
        assert_eq!(ended.wait().bin, Bin::Succeeded);
        pool.unblock();
        pool.settle_up();
        assert_eq!(stuck.wait().bin, Bin::Succeeded);
        pool.assert_idle(4);
        pool.assert_conserved();
    });
}

/// A runner ends its batch while it is thought to be stuck, and one waits until the pool is empty: each outcome is told
/// once, and stored by then.
///
/// Seen to fail: the pool counts as empty although collected outcomes are to be stored.
#[test]
fn thought_to_be_stuck() {
    Model::new("thought_to_be_stuck", 8_300).check(|| {
        let (pool, handles, runner) = flowing([&[Act::Succeed], &[Act::Succeed]]);
        let cells = [handles[0].named().1, handles[1].named().1];
        pool.spawn(|_| runner.work());
        pool.drain();
        assert!(cells.iter().all(|cell| cell.is_done()), "drained before the outcomes were stored");
        pool.settle_up();
        assert_eq!(handles.map(|handle| handle.wait().bin), [Bin::Succeeded; 2]);
        pool.assert_idle(4);
        pool.assert_conserved();
    });
}
