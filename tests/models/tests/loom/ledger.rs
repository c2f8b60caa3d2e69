//! Models of the ledger: it balances whenever it is read.

use crate::support::{Act, Launch, Model, Pool};

/// Looks at the pool while a job is accepted, and another ends, is parked or is cancelled.
fn sampled(script: &'static [Act]) {
    let pool = Pool::new(1, 2, Launch::Later);
    let first = pool.try_submit(pool.job(0, script)).expect("an empty pool has room");
    let runner = pool.owed_runner().expect("a job is ready");
    pool.spawn(|_| runner.work());
    pool.spawn(|pool| {
        let second = pool.try_submit(pool.job(1, &[Act::Succeed])).expect("there is room for two");
        second.cancel();
    });
    pool.spawn(|pool| {
        let mut ended = 0;
        for _ in 0..2 {
            let stats = pool.engine.snapshot();
            assert!(stats.balances(), "{stats:?}");
            assert!(stats.in_system <= stats.capacity && stats.running <= stats.concurrency, "{stats:?}");
            assert!(stats.totals.ended() >= ended, "an outcome is not taken back: {stats:?}");
            ended = stats.totals.ended();
        }
    });
    pool.settle_up();
    drop(first);
    pool.assert_idle(2);
    pool.assert_conserved();
}

/// A job ends.
///
/// Seen to fail: the jobs inside are read in one lock operation, and the totals in another.
#[test]
fn sampled_while_one_ends() {
    Model::new("sampled_while_one_ends", 2_500).check(|| sampled(&[Act::Succeed]));
}

/// A job is parked.
///
/// Seen to fail: the jobs inside are read in one lock operation, and the totals in another.
#[test]
fn sampled_while_one_parks() {
    Model::new("sampled_while_one_parks", 3_200).check(|| sampled(&[Act::Retry(0), Act::Succeed]));
}
