//! Models of admission: the line for room, permits, and closing.

use crate::kernel::engine::{Bin, Phase, Sweep};
use crate::support::{Act, Answer, Launch, Model, Parker, Pool};

/// Two submitters, room for one job: each is accepted in its turn and run once.
///
/// Seen to fail: the freed place is not handed to the line.
#[test]
fn one_room() {
    Model::new("one_room", 5_500).check(|| {
        let pool = Pool::new(1, 1, Launch::Threads);
        for id in 0..2 {
            pool.spawn(move |pool| {
                let job = pool.job(id, &[Act::Succeed]);
                let handle = pool.submit(job, &Parker::new()).expect("the pool is open");
                assert_eq!(handle.wait().bin, Bin::Succeeded);
            });
        }
        pool.settle_up();
        pool.assert_idle(2);
        assert_eq!(pool.record.started().len(), 2);
        assert_eq!(pool.engine.snapshot().peak_running, 1);
        pool.assert_conserved();
    });
}

/// A submitter blocked on a full pool, and somebody who closes it: the submitter wakes with its job.
///
/// Seen to fail: those in line are turned away without being woken.
#[test]
fn blocked_then_closed() {
    Model::small("blocked_then_closed", 34).check(|| {
        let pool = Pool::new(1, 1, Launch::Later);
        let first = pool.try_submit(pool.job(0, &[Act::Succeed])).expect("an empty pool has room");
        pool.spawn(|pool| {
            let refused = pool.submit(pool.job(1, &[Act::Succeed]), &Parker::new());
            assert_eq!(refused.expect_err("the pool is full until it is closed").id, 1);
        });
        pool.spawn(|pool| pool.close(Phase::Closed));
        pool.settle_up();
        assert_eq!(first.wait().bin, Bin::Succeeded);
        pool.assert_idle(1);
        pool.assert_conserved();
    });
}

/// The same, with a runner that frees the place: the submitter is accepted and its job run, or it has its job back.
///
/// Seen to fail: a closed pool still has a line.
#[test]
fn blocked_freed_and_closed() {
    Model::new("blocked_freed_and_closed", 3_400).check(|| {
        let pool = Pool::new(1, 1, Launch::Later);
        let first = pool.try_submit(pool.job(0, &[Act::Succeed])).expect("an empty pool has room");
        let runner = pool.owed_runner().expect("a job is ready");
        pool.spawn(|_| runner.work());
        pool.spawn(|pool| {
            pool.close(Phase::Closed);
            let late = pool.submit(pool.job(2, &[Act::Succeed]), &Parker::new());
            assert_eq!(late.expect_err("the pool is closed").id, 2);
        });
        pool.spawn(|pool| match pool.submit(pool.job(1, &[Act::Succeed]), &Parker::new()) {
            Ok(handle) => drop(handle),
            Err(job) => assert_eq!(job.id, 1),
        });
        pool.settle_up();
        assert_eq!(first.wait().bin, Bin::Succeeded);
        let accepted = u64::from(pool.record.settled(1).is_some());
        pool.assert_idle(1 + accepted);
        pool.assert_conserved();
    });
}

/// A waiter for a permit that gives up, beside the runner that frees the place: whoever is next in line gets it.
///
/// Seen to fail: a permit that is given back is not handed to the line.
#[test]
fn give_up_in_line() {
    Model::new("give_up_in_line", 340).check(|| {
        let pool = Pool::new(1, 1, Launch::Later);
        let first = pool.try_submit(pool.job(0, &[Act::Succeed])).expect("an empty pool has room");
        let runner = pool.owed_runner().expect("a job is ready");
        let (for_permit, for_job) = (Parker::new(), Parker::new());
        let leaver = pool.reserve(&for_permit).expect("the pool is full");
        let next = pool.line_up(pool.job(1, &[Act::Succeed]), &for_job).expect("the pool is full");
        pool.spawn(|_| runner.work());
        pool.spawn(|pool| match leaver.leave() {
            Answer::Granted(permit) => pool.release(permit),
            Answer::Refused(job) => assert!(job.is_none()),
            Answer::Accepted(_) => unreachable!("it has no job"),
        });
        let Answer::Accepted(second) = next.wait(&for_job) else { panic!("the pool is open") };
        pool.settle_up();
        assert_eq!((first.wait().bin, second.wait().bin), (Bin::Succeeded, Bin::Succeeded));
        pool.assert_idle(2);
        pool.assert_conserved();
    });
}

/// A submitter in line whose future moves to another task, beside the runner that frees the place.
///
/// Seen to fail: the new waker is stored without looking whether the wait has just ended.
#[test]
fn another_waker_in_line() {
    Model::small("another_waker_in_line", 230).check(|| {
        let pool = Pool::new(1, 1, Launch::Later);
        let first = pool.try_submit(pool.job(0, &[Act::Succeed])).expect("an empty pool has room");
        let runner = pool.owed_runner().expect("a job is ready");
        let before = Parker::new();
        let waiting = pool.line_up(pool.job(1, &[Act::Succeed]), &before).expect("the pool is full");
        pool.spawn(|_| runner.work());
        pool.spawn(|_| {
            let Answer::Accepted(second) = waiting.wait(&Parker::new()) else { panic!("the pool is open") };
            assert_eq!(second.wait().bin, Bin::Succeeded);
        });
        pool.settle_up();
        drop((before, first));
        pool.assert_idle(2);
        pool.assert_conserved();
    });
}

/// A permit that is used while a shutdown begins: its job runs, or comes back and the place is free.
///
/// Seen to fail: a revoked permit keeps its place.
#[test]
fn permit_and_shutdown() {
    Model::small("permit_and_shutdown", 16).check(|| {
        let pool = Pool::new(1, 1, Launch::Later);
        let Err(Answer::Granted(permit)) = pool.reserve(&Parker::new()) else { panic!("an empty pool has room") };
        pool.spawn(move |pool| match pool.redeem(permit, pool.job(0, &[Act::Succeed])) {
            Ok(handle) => drop(handle),
            Err(job) => assert_eq!(job.id, 0),
        });
        pool.spawn(|pool| pool.close(Phase::Sealed));
        pool.settle_up();
        pool.assert_idle(u64::from(pool.record.settled(0).is_some()));
        pool.assert_conserved();
    });
}

/// A permit is dropped while a submitter waits for its place: the job is accepted, and a runner is there to run it.
///
/// Seen to fail: a permit's place is handed to the line without a look for a runner.
#[test]
fn permit_dropped() {
    Model::small("permit_dropped", 850).check(|| {
        let pool = Pool::new(1, 1, Launch::Threads);
        let Err(Answer::Granted(permit)) = pool.reserve(&Parker::new()) else { panic!("an empty pool has room") };
        pool.spawn(move |pool| pool.release(permit));
        pool.spawn(|pool| {
            let handle = pool.submit(pool.job(0, &[Act::Succeed]), &Parker::new()).expect("the pool is open");
            assert_eq!(handle.wait().bin, Bin::Succeeded);
        });
        pool.settle_up();
        pool.assert_idle(1);
        pool.assert_conserved();
    });
}

/// Two jobs end at once while two submitters are in line: both are accepted, in the order of the line.
///
/// Seen to fail: those who come last in line are served first.
#[test]
fn two_end_two_wait() {
    Model::new("two_end_two_wait", 2_100).check(|| {
        let pool = Pool::new(2, 2, Launch::Later);
        let running = [0, 1].map(|id| pool.try_submit(pool.job(id, &[Act::Succeed])).expect("there is room for two"));
        let runners = [0, 1].map(|_| pool.owed_runner().expect("two slots are free"));
        let parkers = [Parker::new(), Parker::new()];
        let [first, second] =
            [2, 3].map(|id| pool.line_up(pool.job(id, &[Act::Succeed]), &parkers[id - 2]).expect("the pool is full"));
        for runner in runners {
            pool.spawn(|_| runner.work());
        }
        let (Answer::Accepted(first), Answer::Accepted(second)) = (first.wait(&parkers[0]), second.wait(&parkers[1]))
        else {
            panic!("the pool is open")
        };
        assert_eq!((first.number(), second.number()), (2, 3));
        pool.settle_up();
        drop((running, first, second));
        pool.assert_idle(4);
        pool.assert_conserved();
    });
}

/// A batch is admitted beside another submitter, where there is room for two of the three, and a runner that frees a
/// place: whoever finds no room stands in line, and all are run.
///
/// Seen to fail: a batch is admitted beyond the capacity.
#[test]
fn batch_and_submit() {
    Model::new("batch_and_submit", 2_000).check(|| {
        let pool = Pool::new(1, 2, Launch::Threads);
        pool.spawn(|pool| {
            let mut jobs = vec![pool.job(0, &[Act::Succeed]), pool.job(1, &[Act::Succeed])];
            let handles = pool.submit_many(&mut jobs).expect("the pool is open");
            let stats = pool.engine.snapshot();
            assert!(stats.in_system <= stats.capacity, "{stats:?}");
            for job in jobs {
                drop(pool.submit(job, &Parker::new()).expect("the pool is open"));
            }
            drop(handles);
        });
        pool.spawn(|pool| drop(pool.submit(pool.job(2, &[Act::Succeed]), &Parker::new()).expect("the pool is open")));
        pool.settle_up();
        pool.assert_idle(3);
        assert_eq!(pool.record.started().len(), 3);
        pool.assert_conserved();
    });
}

/// Room is kept for a batch of which there is one job only, while somebody else stands in line and a shutdown
/// begins: the job is run or comes back, and so is the other's; no place is lost.
///
/// Seen to fail: the room of a batch that is left over stays kept.
#[test]
fn batch_filled_and_sealed() {
    Model::new("batch_filled_and_sealed", 1_100).check(|| {
        let pool = Pool::new(1, 2, Launch::Later);
        let held = pool.hold(2);
        assert_eq!(held, 2);
        pool.spawn(move |pool| match pool.fill(held, vec![pool.job(0, &[Act::Succeed])]) {
            Ok(handles) => drop(handles),
            Err(jobs) => assert_eq!(jobs[0].id, 0),
        });
        pool.spawn(|pool| match pool.submit(pool.job(1, &[Act::Succeed]), &Parker::new()) {
            Ok(handle) => drop(handle),
            Err(job) => assert_eq!(job.id, 1),
        });
        pool.spawn(|pool| pool.close(Phase::Sealed));
        pool.settle_up();
        let accepted = (0..2).filter(|id| pool.record.settled(*id).is_some()).count();
        pool.assert_idle(accepted as u64);
        pool.assert_conserved();
    });
}

/// Room is kept for a batch that has no jobs, while somebody stands in line: the room is theirs.
///
/// Seen to fail: the room of a batch that is left over is handed to nobody.
#[test]
fn batch_left_over() {
    Model::new("batch_left_over", 480).check(|| {
        let pool = Pool::new(1, 2, Launch::Threads);
        let held = pool.hold(2);
        pool.spawn(move |pool| assert!(pool.fill(held, Vec::new()).is_ok_and(|handles| handles.is_empty())));
        pool.spawn(|pool| drop(pool.submit(pool.job(0, &[Act::Succeed]), &Parker::new()).expect("the pool is open")));
        pool.settle_up();
        pool.assert_idle(1);
        pool.assert_conserved();
    });
}

/// A batch is admitted while the pool is swept out: what is accepted has an outcome, the rest comes back.
///
/// Seen to fail: a pool that was swept out admits batches.
#[test]
fn batch_and_close() {
    Model::new("batch_and_close", 720).check(|| {
        let pool = Pool::new(1, 3, Launch::Threads);
        pool.spawn(|pool| {
            let mut jobs = vec![pool.job(0, &[Act::Succeed]), pool.job(1, &[Act::Succeed])];
            match pool.submit_many(&mut jobs) {
                Ok(handles) => assert_eq!((handles.len(), jobs.len()), (2, 0)),
                Err(()) => assert_eq!(jobs.len(), 2),
            }
        });
        pool.spawn(|pool| pool.sweep(Sweep::Abandon));
        pool.settle_up();
        let accepted = (0..2).filter(|id| pool.record.settled(*id).is_some()).count();
        pool.assert_idle(accepted as u64);
        pool.assert_conserved();
    });
}
