//! Options that contradict themselves are refused by name, value and range; the others are accepted.

use std::time::Duration;

use flowgate::retry::{Jitter, RetryBudget, RetryPolicy};

use super::{ms, secs};

type Policy = RetryPolicy<()>;

#[test]
fn each_invalid_option_is_named_with_its_value_and_range() {
    let base = || Policy::exponential(ms(100));
    let budget = RetryBudget::new;
    let refused: [(Policy, &str, &str); 23] = [
        (base().max_attempts(0), "max_attempts", "0"),
        (Policy::none().max_attempts(2), "max_attempts", "2"),
        (base().max_elapsed(Duration::ZERO), "max_elapsed", "0ns"),
        (base().factor(0.99), "factor", "0.99"),
        (base().factor(0.0), "factor", "0.0"),
        (base().factor(-2.0), "factor", "-2.0"),
        (base().factor(f64::NAN), "factor", "NaN"),
        (base().factor(f64::INFINITY), "factor", "inf"),
        (Policy::from_delays(|_| None).factor(2.0), "factor", "2.0"),
        (Policy::none().factor(2.0), "factor", "2.0"),
        (Policy::exponential(Duration::ZERO), "exponential", "0ns"),
        (Policy::fixed(Duration::ZERO).factor(2.0), "exponential", "0ns"),
        (Policy::fixed(Duration::ZERO).jitter(Jitter::Decorrelated), "exponential", "0ns"),
        (base().max_delay(ms(99)), "max_delay", "99ms"),
        (Policy::from_delays(|_| None).max_delay(Duration::ZERO), "max_delay", "0ns"),
        (base().budget(budget().ratio(f64::NAN)), "budget.ratio", "NaN"),
        (base().budget(budget().ratio(-0.1)), "budget.ratio", "-0.1"),
        (base().budget(budget().ratio(1_000.1)), "budget.ratio", "1000.1"),
        (base().budget(budget().window(Duration::ZERO)), "budget.window", "0ns"),
        (base().budget(budget().window(Duration::from_micros(999))), "budget.window", "999µs"),
        (base().budget(budget().window(ms(3_600_001))), "budget.window", "3600.001s"),
        (base().budget(budget().ratio(0.0).min_per_sec(0)), "budget.min_per_sec", "0"),
        (base().budget(budget().ratio(0.0).min_per_sec(1).window(ms(900))), "budget.min_per_sec", "1"),
    ];
    for (policy, option, value) in refused {
        let error = policy.validate().expect_err(option);
        assert_eq!((error.option(), error.value()), (option, value), "{error}");
        let shown = error.to_string();
        assert!(!error.allowed().is_empty() && shown.contains(error.allowed()) && shown.contains(option), "{shown}");
    }
}

#[test]
fn a_max_delay_below_the_base_names_the_base() {
    let error = Policy::exponential(secs(3)).max_delay(secs(2)).validate().expect_err("contradiction");
    assert_eq!(error.to_string(), "retry option `max_delay` is 2s; allowed: the base delay (3s) or more");
}

#[test]
fn what_makes_sense_is_accepted() {
    let accepted = [
        Policy::none(),
        Policy::none().max_attempts(1),
        Policy::fixed(Duration::ZERO).max_attempts(u32::MAX),
        Policy::fixed(Duration::MAX),
        Policy::exponential(secs(3_600)), // longer than the default cap
        Policy::exponential(Duration::from_nanos(1)).factor(f64::MAX).max_delay(Duration::MAX),
        Policy::exponential(ms(100)).factor(1.0).max_delay(ms(100)).max_attempts(1),
        Policy::exponential(ms(100)).jitter(Jitter::Decorrelated).max_elapsed(Duration::MAX),
        Policy::from_delays(|_| None).jitter(Jitter::Decorrelated),
        Policy::fixed(ms(1)).no_budget(),
        Policy::fixed(ms(1)).budget(RetryBudget::new().ratio(1_000.0).window(secs(3_600)).min_per_sec(u32::MAX)),
        Policy::fixed(ms(1)).budget(RetryBudget::new().ratio(0.0).window(ms(1_000)).min_per_sec(1)),
        Policy::fixed(ms(1)).budget(RetryBudget::new().ratio(0.000_001).window(ms(1)).min_per_sec(0)),
    ];
    for policy in accepted {
        assert_eq!(policy.validate(), Ok(()), "{policy:?}");
    }
}

#[test]
fn a_policy_knows_whether_it_retries() {
    assert!(!Policy::none().retries());
    assert!(!Policy::fixed(ms(1)).max_attempts(1).retries());
    assert!(Policy::fixed(ms(1)).max_attempts(2).retries());
}

#[test]
fn every_retrying_policy_has_a_budget_that_its_clones_share() {
    assert!(Policy::none().retry_budget().is_none());
    assert!(Policy::fixed(ms(1)).no_budget().retry_budget().is_none());
    for policy in [Policy::fixed(ms(1)), Policy::exponential(ms(1)), Policy::from_delays(|_| Some(ms(1)))] {
        let budget = policy.retry_budget().expect("on by default");
        assert_eq!(budget.balance(secs(1)), 100);
        assert!(policy.clone().pay(secs(1)));
        assert_eq!(budget.withdrawn(), 1);
    }
}

#[test]
fn debug_needs_nothing_of_the_error() {
    struct Opaque;
    let policy = RetryPolicy::<Opaque>::fixed(ms(5)).classify(|_, _| flowgate::retry::Verdict::Stop);
    let shown = format!("{policy:?}");
    assert!(shown.contains("max_attempts: 3") && shown.contains("Fn(&E"), "{shown}");
}
