//! Handles find their pool by its number: they reach that one and no other, and keep nothing of it.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Context;

use flowgate::{Attempt, JobError, JobHandle, WorkerPool};

use crate::support::pools::{Echo, gated, sized};
use crate::support::wakers::Call;
use crate::support::{Gate, on_both_runtimes, one_thread, resident, spin_until, until};

type Handle = JobHandle<u32, u32, ()>;

/// One slot, its jobs before the gate. `kept` is held for as long as anything of the pool is there.
fn pool(gate: &Gate, kept: &Arc<()>) -> Echo {
    let kept = kept.clone();
    let builder = sized(1, 2).on_dead_letter(move |_| {
        let _held = &kept;
    });
    gated(builder, gate)
}

/// So many pools, their jobs 0 running and 1 queued: the same tickets in each.
fn pools(number: usize, gate: &Gate, kept: &Arc<()>) -> Vec<(Echo, [Handle; 2])> {
    let loaded = |_| {
        let pool = pool(gate, kept);
        let handles = [0, 1].map(|job| pool.try_submit(job).unwrap());
        (pool, handles)
    };
    (0..number).map(loaded).collect()
}

fn is_cancelled<T>(outcome: &Result<T, JobError<u32, ()>>) -> bool {
    matches!(outcome, Err(JobError::Cancelled(_)))
}

on_both_runtimes! {
    /// Seen to fail: the directory holds the pools, and not weakly.
    async fn handles_keep_nothing_of_a_pool_that_was_dropped() {
        let (gate, kept) = (Gate::new(), Arc::new(()));
        let old = pools(100, &gate, &kept);
        until("all have begun", || gate.waiting() == 100).await;
        let handles: Vec<_> = old.into_iter().flat_map(|(_pool, handles)| handles).collect();
        until("all pools have gone", || Arc::strong_count(&kept) == 1).await;
        for handle in handles {
            handle.cancel();
            assert!(matches!(handle.await, Err(JobError::Aborted(Some(_)))), "it had its outcome");
        }
    }

    /// Seen to fail: a pool gets the lowest number that is free.
    async fn a_handle_whose_pool_has_gone_reaches_no_newer_one() {
        for _ in 0..20 {
            let (gate, kept) = (Gate::new(), Arc::new(()));
            let old = pools(3, &gate, &kept);
            let old: Vec<_> = old.into_iter().flat_map(|(_pool, handles)| handles).collect();
            until("all pools have gone", || Arc::strong_count(&kept) == 1).await;
            let newer = pools(6, &gate, &kept);
            until("theirs have begun", || gate.waiting() == 6).await;
            for handle in old {
                handle.cancel();
                drop(handle.cancel_on_drop());
            }
            gate.open();
            for (_pool, handles) in newer {
                for (job, handle) in (0..).zip(handles) {
                    assert_eq!(handle.await.unwrap(), job);
                }
            }
        }
    }

    /// Seen to fail: a pool's number is how many there are.
    async fn a_handle_reaches_its_own_pool_among_those_that_came_and_went() {
        let (gate, kept) = (Gate::new(), Arc::new(()));
        let mut there = VecDeque::new();
        for _ in 0..10 {
            there.extend(pools(6, &gate, &kept));
            // The oldest goes, and two from the middle.
            drop(there.pop_front());
            let middle = there.len() / 2;
            drop(there.drain(middle..middle + 2));
            until("the others have gone", || Arc::strong_count(&kept) == 1 + there.len()).await;
        }
        assert_eq!(there.len(), 30);
        until("every slot has its job", || gate.waiting() == there.len()).await;
        let cancelled = || there.iter().enumerate().map(|(at, (_pool, handles))| &handles[at % 2]);
        cancelled().for_each(JobHandle::cancel);
        until("they have ended", || cancelled().all(JobHandle::is_finished)).await;
        gate.open();
        for (at, (_pool, [running, queued])) in there.into_iter().enumerate() {
            let outcomes = [running.await, queued.await].map(|outcome| is_cancelled(&outcome));
            assert_eq!(outcomes, [at % 2 == 0, at % 2 == 1], "pool {at}");
        }
    }
}

/// A cancel wakes the reader, on the same thread, who makes a pool, cancels a job of it and drops it.
///
/// Seen to fail: a handle asks its pool under the directory's lock.
#[test]
fn a_reader_that_a_cancel_wakes_may_make_and_drop_pools() {
    let woken = Arc::new(AtomicUsize::new(0));
    let seen = woken.clone();
    let thread = std::thread::spawn(move || {
        one_thread().block_on(async {
            let (gate, kept) = (Gate::new(), Arc::new(()));
            let again = (gate.clone(), Arc::downgrade(&kept));
            let waker = Call::waker(move || {
                let own = pools(1, &again.0, &again.1.upgrade().unwrap());
                own.iter().flat_map(|(_pool, handles)| handles).for_each(JobHandle::cancel);
                drop(own);
                seen.fetch_add(1, Ordering::SeqCst);
            });
            let mut first = pools(1, &gate, &kept);
            let (_pool, [_running, queued]) = &mut first[0];
            assert!(Pin::new(&mut *queued).poll(&mut Context::from_waker(&waker)).is_pending());
            queued.cancel();
        });
    });
    spin_until("the cancel returns", || thread.is_finished());
    thread.join().unwrap();
    assert_eq!(woken.load(Ordering::SeqCst), 1);
}

/// What the directory keeps of a pool that has gone is seen in the memory of a process that does nothing else.
const ALONE: &str = "FLOWGATE_DIRECTORY_ALONE";
/// Before the first look at the memory, and between that and the second.
const POOLS: [usize; 2] = [2_000, 20_000];
/// Between the two looks memory may grow by so many bytes a pool: a fifth of what one that stays was seen to take.
const KEPT: u64 = 256;

/// Seen to fail: a pool that goes does not leave the directory, whose weak reference keeps the pool's memory.
#[test]
fn memory_does_not_grow_with_the_pools_that_have_gone() {
    if std::env::var_os(ALONE).is_some() {
        return come_and_go();
    }
    let (_, module) = module_path!().split_once("::").unwrap();
    let test = format!("{module}::memory_does_not_grow_with_the_pools_that_have_gone");
    let alone =
        Command::new(std::env::current_exe().unwrap()).args([&test, "--exact"]).env(ALONE, "1").output().unwrap();
    let said = String::from_utf8_lossy(&alone.stdout);
    assert!(alone.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&alone.stderr));
}

fn come_and_go() {
    let [warm, end] = POOLS.map(|pools| {
        one_thread().block_on(async {
            for _ in 0..pools {
                let kept = Arc::new(());
                let held = kept.clone();
                let pool = WorkerPool::<u32, u32, ()>::builder()
                    .concurrency(1)
                    .on_dead_letter(move |_| {
                        let _held = &held;
                    })
                    .build(|job: Attempt<u32>| async move { Ok(*job) })
                    .unwrap();
                let handle = pool.try_submit(1).unwrap();
                drop(pool);
                until("it has gone", || Arc::strong_count(&kept) == 1).await;
                handle.cancel();
            }
        });
        resident()
    });
    let (Some(warm), Some(end)) = (warm, end) else {
        println!("SKIP: this system does not tell how much memory a process has");
        return;
    };
    let grown = end.saturating_sub(warm);
    let allowed = POOLS[1] as u64 * KEPT;
    assert!(grown <= allowed, "{} pools have come and gone: from {warm} to {end} bytes", POOLS[1]);
}
