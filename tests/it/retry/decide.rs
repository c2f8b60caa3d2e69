//! One decision at a time: each question, each boundary, the order of the questions, and hints.

use std::sync::mpsc;
use std::time::Duration;

use flowgate::retry::{AttemptInfo, Decision, FailedAttempt, Jitter, RetryBudget, RetryPolicy, StopReason, Verdict};

use super::{failed, ms, secs};

/// 100 ms after each failure, exactly.
fn fixed() -> RetryPolicy<&'static str> {
    RetryPolicy::fixed(ms(100)).jitter(Jitter::None)
}

fn empty() -> RetryBudget {
    RetryBudget::new().ratio(1.0).min_per_sec(0)
}

const fn retry(delay: Duration) -> Decision {
    Decision::RetryAfter(delay)
}

const fn stop(reason: StopReason) -> Decision {
    Decision::Stop(reason)
}

#[test]
fn none_stops_after_the_first_attempt() {
    assert_eq!(RetryPolicy::none().decide(&failed(&"e")), stop(StopReason::MaxAttempts));
}

#[test]
fn max_attempts_counts_the_first_and_is_three_by_default() {
    let attempt = |attempt| fixed().decide(&FailedAttempt { attempt, ..failed(&"e") });
    assert_eq!((attempt(1), attempt(2)), (retry(ms(100)), retry(ms(100))));
    assert_eq!((attempt(3), attempt(u32::MAX)), (stop(StopReason::MaxAttempts), stop(StopReason::MaxAttempts)));
}

#[test]
fn a_sequence_that_ends_ends_the_attempts() {
    let policy = RetryPolicy::from_delays(|n| (n < 7).then(|| ms(n.into())));
    assert_eq!(policy.decide(&FailedAttempt { attempt: 6, ..failed(&"e") }), retry(ms(6)), "no limit of three here");
    assert_eq!(policy.decide(&FailedAttempt { attempt: 7, ..failed(&"e") }), stop(StopReason::MaxAttempts));
}

#[test]
fn the_delay_is_the_backoffs_for_this_attempt_previous_delay_and_random_number() {
    let policy = RetryPolicy::exponential(ms(100)).max_attempts(9).jitter(Jitter::Decorrelated);
    let last = FailedAttempt { attempt: 4, previous_delay: Some(secs(2)), random: 1 << 63, ..failed(&"e") };
    assert_eq!(policy.decide(&last), retry(ms(3_050)), "half-way between 100 ms and 6 s");
    assert_eq!(policy.decide(&last), retry(policy.backoff().delay(4, Some(secs(2)), 1 << 63).expect("endless")));
}

#[test]
fn the_last_start_is_at_max_elapsed() {
    let policy = fixed().max_elapsed(secs(1));
    let after = |elapsed| policy.decide(&FailedAttempt { elapsed, ..failed(&"e") });
    assert_eq!(after(ms(900)), retry(ms(100)));
    assert_eq!(after(ms(900) + Duration::from_nanos(1)), stop(StopReason::MaxElapsed));
    assert_eq!(after(Duration::MAX), stop(StopReason::MaxElapsed));
}

#[test]
fn nothing_starts_at_the_deadline() {
    let left = |left| fixed().decide(&FailedAttempt { until_deadline: Some(left), ..failed(&"e") });
    assert_eq!(left(ms(100) + Duration::from_nanos(1)), retry(ms(100)));
    assert_eq!(left(ms(100)), stop(StopReason::Deadline));
    assert_eq!(left(Duration::ZERO), stop(StopReason::Deadline));
    let at_once = RetryPolicy::fixed(Duration::ZERO);
    let late = FailedAttempt { until_deadline: Some(Duration::ZERO), ..failed(&"e") };
    assert_eq!(at_once.decide(&late), stop(StopReason::Deadline), "not even at once");
}

#[test]
fn the_classifier_sees_the_error_and_the_attempt() {
    let (log, seen) = mpsc::channel();
    let policy = fixed().classify(move |error: &&str, info| {
        log.send((*error, *info)).expect("the test listens");
        Verdict::Retry
    });
    let second = FailedAttempt { attempt: 2, elapsed: secs(4), previous_delay: Some(ms(30)), ..failed(&"boom") };
    assert_eq!(policy.decide(&second), retry(ms(100)));
    let info = AttemptInfo::new(2, secs(4)).with_previous_delay(ms(30));
    assert_eq!(seen.try_iter().collect::<Vec<_>>(), [("boom", info)]);
}

#[test]
fn a_permanent_error_stops_and_says_so_even_on_the_last_attempt() {
    let policy = fixed().classify(|_, _| Verdict::Stop);
    for attempt in [1, 3] {
        assert_eq!(policy.decide(&FailedAttempt { attempt, ..failed(&"e") }), stop(StopReason::Permanent));
    }
}

#[test]
fn a_timed_out_attempt_is_retried_without_asking_the_classifier() {
    let policy = fixed().classify(|_: &&str, _| unreachable!("there is no error to classify"));
    let timed_out = FailedAttempt { error: None, ..failed(&"e") };
    assert_eq!(policy.decide(&timed_out), retry(ms(100)));
    assert_eq!(policy.clone().on_timeout(Verdict::Stop).decide(&timed_out), stop(StopReason::Permanent));
    assert_eq!(policy.on_timeout(Verdict::RetryAfter(ms(7))).decide(&timed_out), retry(ms(7)));
}

#[test]
fn a_hint_replaces_the_delay_and_gets_neither_cap_nor_jitter() {
    let policy = RetryPolicy::exponential(ms(100)).max_delay(secs(1)).classify(|hint, _| Verdict::RetryAfter(*hint));
    for hint in [Duration::ZERO, ms(1), secs(3_600), Duration::MAX] {
        for random in [0, u64::MAX] {
            assert_eq!(policy.decide(&FailedAttempt { random, ..failed(&hint) }), retry(hint));
        }
    }
}

#[test]
fn a_hint_beyond_max_elapsed_or_the_deadline_ends_the_work_with_that_reason() {
    let policy = RetryPolicy::fixed(ms(1)).max_elapsed(secs(900)).classify(|hint, _| Verdict::RetryAfter(*hint));
    assert_eq!(policy.decide(&failed(&secs(900))), retry(secs(900)));
    for hint in [secs(901), secs(1_800), Duration::MAX] {
        let late = FailedAttempt { elapsed: secs(1), ..failed(&hint) };
        assert_eq!(policy.decide(&late), stop(StopReason::MaxElapsed), "{hint:?}");
    }
    let hint = secs(60);
    let near = FailedAttempt { until_deadline: Some(hint), ..failed(&hint) };
    assert_eq!(policy.decide(&near), stop(StopReason::Deadline));
}

#[test]
fn a_hint_does_not_buy_attempts() {
    let hinted = fixed().classify(|_, _| Verdict::RetryAfter(ms(1)));
    assert_eq!(hinted.decide(&FailedAttempt { attempt: 3, ..failed(&"e") }), stop(StopReason::MaxAttempts));
    let ended = RetryPolicy::from_delays(|_| None).classify(|_, _| Verdict::RetryAfter(ms(1)));
    assert_eq!(ended.decide(&failed(&"e")), stop(StopReason::MaxAttempts));
}

#[test]
fn a_hint_pays_the_budget_too() {
    let policy = fixed().budget(empty()).classify(|_, _| Verdict::RetryAfter(Duration::ZERO));
    assert_eq!(policy.decide(&failed(&"e")), stop(StopReason::Budget));
}

#[test]
fn an_empty_budget_stops_a_retry() {
    let policy = fixed().budget(empty());
    assert_eq!(policy.decide(&failed(&"e")), stop(StopReason::Budget));
    policy.deposit(Duration::ZERO, 1);
    assert_eq!(policy.decide(&failed(&"e")), retry(ms(100)));
    assert_eq!(policy.decide(&failed(&"e")), stop(StopReason::Budget));
}

#[test]
fn the_budget_is_paid_at_the_time_of_the_failure() {
    let policy = fixed().budget(empty());
    policy.deposit(secs(1), 1);
    assert_eq!(policy.decide(&FailedAttempt { now: secs(13), ..failed(&"e") }), stop(StopReason::Budget), "expired");
}

/// All reasons at once; then the first of them goes away, one after the other.
#[test]
fn the_questions_are_asked_in_their_order() {
    let all = FailedAttempt { attempt: 3, elapsed: secs(9), until_deadline: Some(ms(1)), ..failed(&"e") };
    let policy = fixed().max_elapsed(secs(9)).budget(empty());
    assert_eq!(policy.clone().classify(|_, _| Verdict::Stop).decide(&all), stop(StopReason::Permanent));
    assert_eq!(policy.decide(&all), stop(StopReason::MaxAttempts));
    assert_eq!(policy.decide(&FailedAttempt { attempt: 2, ..all }), stop(StopReason::MaxElapsed));
    let in_time = FailedAttempt { attempt: 2, elapsed: secs(8), ..all };
    assert_eq!(policy.decide(&in_time), stop(StopReason::Deadline));
    assert_eq!(policy.retry_budget().map(RetryBudget::refused), Some(0), "not asked so far");
    assert_eq!(policy.decide(&FailedAttempt { until_deadline: None, ..in_time }), stop(StopReason::Budget));
    assert_eq!(policy.retry_budget().map(RetryBudget::refused), Some(1));
}

#[test]
fn no_token_is_paid_for_a_retry_that_is_not_made() {
    let policy = fixed().max_elapsed(secs(1));
    let refused = [
        FailedAttempt { attempt: 3, ..failed(&"e") },
        FailedAttempt { elapsed: secs(1), ..failed(&"e") },
        FailedAttempt { until_deadline: Some(ms(100)), ..failed(&"e") },
    ];
    for failed in refused {
        assert!(matches!(policy.decide(&failed), Decision::Stop(_)));
    }
    assert_eq!(policy.clone().classify(|_, _| Verdict::Stop).decide(&failed(&"e")), stop(StopReason::Permanent));
    assert_eq!(policy.retry_budget().map(RetryBudget::withdrawn), Some(0));
}

#[test]
fn plan_asks_everything_but_the_budget_and_pay_asks_that() {
    let policy = fixed().budget(empty());
    assert_eq!(policy.plan(&failed(&"e")), retry(ms(100)));
    assert_eq!(policy.retry_budget().map(RetryBudget::refused), Some(0));
    assert!(!policy.pay(Duration::ZERO));
    policy.deposit(Duration::ZERO, 1);
    assert!(policy.pay(Duration::ZERO));
    assert!(fixed().no_budget().pay(Duration::ZERO));
}

#[test]
fn without_a_budget_there_is_no_ceiling() {
    let policy = fixed().no_budget();
    policy.deposit(Duration::ZERO, 1);
    assert!((0..10_000).all(|_| policy.decide(&failed(&"e")) == retry(ms(100))));
}

#[test]
fn a_panicking_classifier_panics_and_pays_nothing() {
    let policy = fixed().classify(|_: &&str, _| panic!("classifier"));
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| policy.decide(&failed(&"e"))));
    assert!(caught.is_err());
    assert_eq!(policy.retry_budget().map(RetryBudget::withdrawn), Some(0));
}

#[test]
fn stop_reasons_read_as_sentences() {
    use StopReason as S;
    let all = [
        S::Permanent,
        S::MaxAttempts,
        S::MaxElapsed,
        S::Budget,
        S::Deadline,
        S::InvalidPolicy,
        S::ParkedFull,
        S::ShuttingDown,
        S::Panicked,
        S::JobKept,
    ];
    let mut words: Vec<_> = all.iter().map(ToString::to_string).collect();
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), all.len(), "all different: {words:?}");
    assert_eq!(format!("{:>24}", S::Panicked), "             it panicked", "Display honours a width");
}
