//! First come, first served.

use std::sync::{Arc, Mutex};

use flowgate::RetryPolicy;

use super::{alone, gated, options};
use crate::support::{Gate, ms, spin_until};

#[test]
fn jobs_start_in_the_order_of_acceptance() {
    alone(|| {
        let (seen, gate) = (Arc::new(Mutex::new(Vec::new())), Gate::new());
        let (order, stop) = (seen.clone(), gate.clone());
        let pool = options::<u32, (), ()>(1, 500)
            .build_blocking(move |job, _| {
                if *job == 0 {
                    super::stop_at(&stop);
                }
                order.lock().unwrap().push(*job);
                Ok(())
            })
            .unwrap();
        for job in 0..500 {
            drop(pool.try_submit(job).unwrap());
        }
        gate.open();
        pool.blocking_drain().unwrap();
        assert_eq!(*seen.lock().unwrap(), (0..500).collect::<Vec<_>>());
    });
}

#[test]
fn a_retry_joins_the_back_of_the_queue_and_needs_no_room() {
    alone(|| {
        let (seen, full, gate) = (Arc::new(Mutex::new(Vec::new())), Gate::new(), Gate::new());
        let (order, fail, stop) = (seen.clone(), full.clone(), gate.clone());
        let pool = options::<u32, (), ()>(1, 2)
            .retry(RetryPolicy::fixed(ms(1)).max_attempts(2).no_budget())
            .build_blocking(move |job, cx| {
                order.lock().unwrap().push((*job, cx.attempt()));
                if *job == 0 && cx.attempt() == 1 {
                    super::stop_at(&fail);
                    return Err(());
                }
                super::stop_at(&stop);
                Ok(())
            })
            .unwrap();
        for job in 0..3 {
            drop(pool.try_submit(job).unwrap());
        }
        full.open();
        spin_until("the next one runs, and the retry is back in the full pool's queue", || {
            gate.waiting() == 1 && pool.stats().queued == 2
        });
        assert!(pool.try_submit(9).is_err(), "the retry has kept its place");
        gate.open();
        pool.blocking_drain().unwrap();
        assert_eq!(*seen.lock().unwrap(), [(0, 1), (1, 1), (2, 1), (0, 2)]);
    });
}

#[test]
fn waiting_submitters_are_served_in_order() {
    alone(|| {
        let gate = Gate::new();
        let pool = gated(1, 0, &gate);
        drop(pool.try_submit(0).unwrap());
        let mut waiting = Vec::new();
        for job in 1..=5 {
            let pool = pool.clone();
            waiting.push({
                let pool = pool.clone();
                std::thread::spawn(move || pool.blocking_submit(job).unwrap().id())
            });
            spin_until("it stands in line", || pool.stats().waiting == job as usize);
        }
        gate.open();
        let ids: Vec<_> = waiting.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert!(ids.is_sorted(), "{ids:?}");
    });
}
