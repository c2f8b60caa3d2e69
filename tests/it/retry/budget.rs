//! The budget: how much, for how long, shared by whom, and what broken clocks and huge numbers do to it.

use std::thread;
use std::time::Duration;

use flowgate::retry::RetryBudget;

use super::{ms, secs};

/// No floor, so that only deposits count.
fn share(ratio: f64) -> RetryBudget {
    RetryBudget::new().ratio(ratio).min_per_sec(0)
}

fn withdraw_all(budget: &RetryBudget, now: Duration) -> u64 {
    // A budget that never refuses fails a test instead of hanging it.
    (0..1_000_000).take_while(|_| budget.try_withdraw(now)).count() as u64
}

#[test]
fn defaults_are_a_fifth_of_ten_seconds_plus_a_hundred() {
    let budget = RetryBudget::default();
    assert_eq!(budget.balance(secs(1)), 100);
    budget.deposit(secs(1), 1_000);
    assert_eq!(budget.balance(secs(1)), 300);
    assert_eq!(withdraw_all(&budget, secs(1)), 300);
    assert_eq!(budget.balance(secs(1)), 0);
    assert_eq!((budget.withdrawn(), budget.refused()), (300, 1));
}

#[test]
fn a_retry_needs_a_whole_share() {
    let budget = share(0.2);
    budget.deposit(secs(1), 4);
    assert!(!budget.try_withdraw(secs(1)));
    budget.deposit(secs(1), 1);
    assert!(budget.try_withdraw(secs(1)));
    assert!(!budget.try_withdraw(secs(1)));
}

#[test]
fn the_ratio_is_exact_to_a_millionth() {
    for (ratio, deposits, retries) in [(0.3, 10, 3), (0.7, 10, 7), (1.0, 10, 10), (2.5, 2, 5), (1e-6, 1_000_000, 1)] {
        let budget = share(ratio);
        budget.deposit(secs(1), deposits);
        assert_eq!(withdraw_all(&budget, secs(1)), retries, "{ratio}");
    }
}

#[test]
fn the_floor_is_per_window_and_comes_back_with_time() {
    let budget = RetryBudget::new().ratio(0.0).window(secs(2)).min_per_sec(3);
    assert_eq!(withdraw_all(&budget, secs(5)), 6);
    assert_eq!(budget.balance(secs(7)), 0, "the window before 7 s still holds them");
    assert_eq!(budget.balance(ms(7_200)), 6, "a tenth later it does not");
}

#[test]
fn deposits_expire_after_a_window_and_at_most_a_tenth_more() {
    let budget = share(1.0);
    budget.deposit(ms(20_500), 5);
    assert_eq!(budget.balance(ms(30_999)), 5);
    assert_eq!(budget.balance(secs(31)), 0);
}

#[test]
fn an_hour_of_success_saves_nothing_up() {
    let budget = share(0.2);
    for second in 0..3_600 {
        budget.deposit(secs(second), 100);
    }
    assert_eq!(budget.balance(secs(3_599)), 220, "a fifth of the last 11 seconds");
}

#[test]
fn withdrawals_expire_too_so_a_budget_refills() {
    let budget = share(0.5);
    budget.deposit(secs(0), 10);
    assert_eq!(withdraw_all(&budget, secs(0)), 5);
    budget.deposit(secs(11), 10);
    assert_eq!(withdraw_all(&budget, secs(11)), 5);
}

#[test]
fn a_later_withdrawal_outlives_an_earlier_deposit() {
    let budget = share(0.5);
    budget.deposit(secs(0), 10);
    assert_eq!(withdraw_all(&budget, secs(10)), 5);
    budget.deposit(secs(11), 10); // the first deposit is gone, the retries it paid for still count
    assert_eq!(budget.balance(secs(11)), 0);
    budget.deposit(secs(11), 2);
    assert_eq!(budget.balance(secs(11)), 1);
}

#[test]
fn clones_share_and_options_start_afresh() {
    let budget = share(1.0);
    let clone = budget.clone();
    clone.deposit(secs(1), 2);
    assert!(budget.try_withdraw(secs(1)));
    assert_eq!((clone.balance(secs(1)), clone.withdrawn()), (1, 1));
    let fresh = clone.ratio(1.0);
    assert_eq!((fresh.balance(secs(1)), fresh.withdrawn()), (0, 0));
}

#[test]
fn time_running_backwards_counts_as_the_latest_seen() {
    let budget = share(1.0);
    budget.deposit(secs(100), 1);
    budget.deposit(secs(1), 1);
    assert_eq!(budget.balance(secs(2)), 2);
    assert_eq!(budget.balance(secs(110)), 2);
    assert_eq!(budget.balance(secs(111)), 0);
}

#[test]
fn the_end_of_time_does_not_refill() {
    let budget = share(1.0);
    budget.deposit(Duration::MAX, u32::MAX);
    budget.deposit(Duration::MAX, 2);
    assert_eq!(budget.balance(Duration::MAX), u64::from(u32::MAX) + 2);
    let floor = RetryBudget::new().ratio(0.0).window(secs(1)).min_per_sec(2);
    assert_eq!(withdraw_all(&floor, Duration::MAX), 2);
    for _ in 0..100 {
        assert!(!floor.try_withdraw(Duration::MAX));
    }
}

#[test]
fn the_largest_options_do_not_overflow() {
    let budget = RetryBudget::new().ratio(1_000.0).window(secs(3_600)).min_per_sec(u32::MAX);
    assert_eq!(budget.validate(), Ok(()));
    for _ in 0..100 {
        budget.deposit(secs(1), u32::MAX);
    }
    assert_eq!(budget.balance(secs(1)), u64::from(u32::MAX) * (100_000 + 3_600));
    assert!(budget.try_withdraw(secs(1)));
}

#[test]
fn a_refused_configuration_still_does_not_panic() {
    for ratio in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 1e300] {
        for window in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
            let budget = RetryBudget::new().ratio(ratio).window(window).min_per_sec(u32::MAX);
            assert!(budget.validate().is_err());
            for now in [Duration::ZERO, secs(1), Duration::MAX] {
                budget.deposit(now, u32::MAX);
                let (before, granted) = (budget.balance(now), budget.try_withdraw(now));
                assert_eq!(granted, before > 0, "{ratio} {window:?} {now:?}");
            }
        }
    }
}

#[test]
fn threads_never_withdraw_more_than_there_is() {
    let budget = share(0.5);
    let granted: u64 = thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    (0..1_000)
                        .map(|_| {
                            budget.deposit(secs(1), 1);
                            u64::from(budget.try_withdraw(secs(1)))
                        })
                        .sum::<u64>()
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().expect("no panic")).sum()
    });
    let rest = withdraw_all(&budget, secs(1));
    assert_eq!(granted + rest, 2_000);
    assert_eq!(budget.withdrawn(), 2_000);
    assert_eq!(budget.refused(), 4_000 - granted + 1);
}

#[test]
fn debug_shows_the_counters() {
    let budget = share(1.0);
    assert!(!budget.try_withdraw(secs(1)));
    let shown = format!("{budget:?}");
    assert!(shown.contains("ratio: 1.0") && shown.contains("refused: 1"), "{shown}");
}
