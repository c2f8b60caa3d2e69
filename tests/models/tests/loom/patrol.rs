//! Models of the patrol: a handler that blocks its thread holds up nobody for long.

use crate::kernel::engine::{Bin, Limits};
use crate::support::{Act, Handle, Launch, Model, Pool, Runner, limits};
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
/// Seen to fail: a job that the patrol gives to another runner is not told from the one that was claimed.
#[test]
fn recalled_and_cancelled() {
    Model::new("recalled_and_cancelled", 21_500).check(|| {
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
