//! Handlers that use their own pool.

use flowgate::{JobError, JobHandle, SubmitError, WorkerPool};
use futures::executor::block_on;
use futures::future::join_all;

use super::{alone, options};
use crate::support::{Gate, Gauge, ledger, spin_until};

type Recursive = WorkerPool<u32, u32, ()>;

/// Each job submits the next smaller one to its own pool, and waits for it as `wait` does.
type Wait = fn(JobHandle<u32, u32, ()>) -> Result<u32, JobError<u32, ()>>;

fn recursive(concurrency: usize, wait: Wait) -> Recursive {
    options(concurrency, 64)
        .build_blocking(move |depth, cx| {
            if *depth == 0 {
                return Ok(0);
            }
            let own = cx.pool::<u32, u32, ()>().unwrap().upgrade().unwrap();
            let child = own.try_submit(*depth - 1).map_err(drop)?;
            Ok(wait(child).map_err(drop)? + 1)
        })
        .unwrap()
}

/// Seen to fail: with a slot that is lent only when a future is pending.
#[test]
fn a_handler_that_waits_for_its_child_lends_its_slot() {
    for concurrency in [1, 2] {
        for wait in [JobHandle::blocking_wait, block_on] {
            alone(move || {
                let pool = recursive(concurrency, wait);
                for _ in 0..20 {
                    assert_eq!(pool.blocking_run(20).unwrap(), 20);
                }
                let stats = pool.stats();
                ledger::check(&stats);
                assert_eq!((stats.lent, stats.running), (0, 0), "{stats:?}");
            });
        }
    }
}

#[test]
fn recursion_by_many_at_once_ends() {
    alone(|| {
        let pool = recursive(2, JobHandle::blocking_wait);
        let submitters: Vec<_> = (0..4)
            .map(|_| {
                let pool = pool.clone();
                std::thread::spawn(move || (0..50).for_each(|_| assert_eq!(pool.blocking_run(10).unwrap(), 10)))
            })
            .collect();
        for submitter in submitters {
            submitter.join().unwrap();
        }
        pool.blocking_drain().unwrap();
        assert_eq!(pool.stats().lent, 0);
    });
}

#[test]
fn a_handler_that_waits_for_several_children_lends_one_slot() {
    alone(|| {
        let (gate, gauge) = (Gate::new(), Gauge::new());
        let (stop, inside) = (gate.clone(), gauge.clone());
        let pool = options::<u32, u32, ()>(1, 8)
            .build_blocking(move |job, cx| {
                if *job < 10 {
                    let _inside = inside.enter();
                    super::stop_at(&stop);
                    return Ok(*job);
                }
                let own = cx.pool::<u32, u32, ()>().unwrap().upgrade().unwrap();
                let children: Vec<_> = (1..4).map(|job| own.try_submit(job).unwrap()).collect();
                Ok(block_on(join_all(children)).into_iter().map(Result::unwrap).sum())
            })
            .unwrap();
        let parent = pool.try_submit(10).unwrap();
        spin_until("a child runs", || gate.waiting() == 1);
        let stats = pool.stats();
        assert_eq!((stats.lent, stats.running, stats.queued), (1, 2, 2), "{stats:?}");
        gate.open();
        assert_eq!((parent.blocking_wait().unwrap(), gauge.max()), (6, 1));
    });
}

#[test]
fn submitting_to_ones_own_full_pool_is_refused_at_once() {
    alone(|| {
        let pool = options::<u32, (), ()>(1, 0)
            .build_blocking(|_, cx| {
                let own = cx.pool::<u32, (), ()>().unwrap().upgrade().unwrap();
                assert!(matches!(own.blocking_submit(7), Err(SubmitError::WouldDeadlock(7))));
                assert!(own.blocking_reserve().is_err());
                Ok(())
            })
            .unwrap();
        pool.blocking_run(1).unwrap();
    });
}

/// A wait that has begun in a handler and goes on elsewhere counts against nobody once that attempt is over.
#[test]
fn a_handle_that_leaves_its_handler_takes_no_slot_along() {
    alone(|| {
        let gate = Gate::new();
        let stop = gate.clone();
        let (send, receive) = std::sync::mpsc::channel();
        let send = std::sync::Mutex::new(send);
        let pool = options::<u32, u32, ()>(1, 4)
            .build_blocking(move |job, cx| {
                if *job == 0 {
                    super::stop_at(&stop);
                    return Ok(0);
                }
                let own = cx.pool::<u32, u32, ()>().unwrap().upgrade().unwrap();
                let mut child = own.try_submit(0).unwrap();
                block_on(async { assert!(futures::poll!(&mut child).is_pending()) });
                send.lock().unwrap().send(child).unwrap();
                Ok(*job)
            })
            .unwrap();
        assert_eq!(pool.blocking_run(1).unwrap(), 1);
        let child = receive.recv().unwrap();
        spin_until("the child runs alone", || gate.waiting() == 1 && pool.stats().running == 1);
        assert_eq!(pool.stats().lent, 0);
        gate.open();
        assert_eq!(child.blocking_wait().unwrap(), 0);
        let stats = pool.stats();
        ledger::check(&stats);
        assert_eq!(stats.lent, 0);
        assert_eq!(pool.blocking_run(1).unwrap(), 1);
    });
}

#[test]
fn a_pool_may_wait_for_another() {
    alone(|| {
        let inner = options::<u32, u32, ()>(1, 1).build_blocking(|job, _| Ok(*job + 1)).unwrap();
        let outer =
            options::<u32, u32, ()>(1, 1).build_blocking(move |job, _| inner.blocking_run(*job).map_err(drop)).unwrap();
        for _ in 0..50 {
            assert_eq!(outer.blocking_run(1).unwrap(), 2);
        }
    });
}
