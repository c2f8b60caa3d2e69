//! Runners with a past: what they have found out about the jobs before those of a model.

use super::{Act, Handle, Launch, Pool, Runner};
use std::sync::Arc;

/// A pool of one slot whose runner has found a job to be short, and then claimed a job for each of the scripts.
pub(crate) fn claimed<const N: usize>(scripts: [&'static [Act]; N]) -> (Arc<Pool>, [Handle; N], Runner) {
    let pool = Pool::new(1, N + 1, Launch::Later);
    let mut runner = opened(&pool);
    let mut id = 0;
    let handles = scripts.map(|script| {
        let handle = pool.try_submit(pool.job(id, script)).expect("there is room");
        id += 1;
        handle
    });
    pool.claim_at_once(N);
    runner.serve();
    assert_eq!(pool.engine.snapshot().queued, N - 1, "one runs, the others are in the batch");
    (pool, handles, runner)
}

/// A runner with a job of its own.
pub(crate) fn opened(pool: &Arc<Pool>) -> Runner {
    open(pool);
    pool.owed_runner().expect("a job is ready")
}

/// A runner that has found two jobs to be short, and has none at present. Whoever else was asked for has left.
pub(crate) fn swift(pool: &Arc<Pool>, burst: usize) -> Runner {
    let mut runner = opened(pool);
    open(pool);
    pool.claim_at_once(burst);
    runner.serve();
    runner.serve();
    while let Some(helper) = pool.owed_runner() {
        helper.work();
    }
    while let Some(timer) = pool.owed_timer() {
        timer.run();
    }
    runner
}

/// Submits a job of those with which runners begin.
fn open(pool: &Arc<Pool>) {
    let id = OPENER + pool.record.made();
    drop(pool.try_submit(pool.job(id, &[Act::Succeed])).expect("there is room"));
}

/// The jobs with which runners begin are numbered from here.
const OPENER: usize = 90;
