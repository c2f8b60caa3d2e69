//! Retry against sequential oracles: naive code that keeps every timestamp and recomputes everything.

use std::time::Duration;

use flowgate::retry::{Backoff, Decision, FailedAttempt, Jitter, RetryBudget, RetryPolicy, StopReason, Verdict};
use proptest::collection::vec;
use proptest::prelude::*;

/// 2,000 cases of each property; `PROPTEST_CASES` asks for more.
fn config() -> ProptestConfig {
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => ProptestConfig::default(),
        None => ProptestConfig::with_cases(2_000),
    }
}

/// Nanoseconds of any size, with the ends likelier than chance would have them.
fn any_delay() -> impl Strategy<Value = Duration> {
    prop_oneof![
        1 => Just(Duration::ZERO),
        1 => Just(Duration::MAX),
        4 => (0..10_000_u64).prop_map(Duration::from_millis),
        4 => any::<u64>().prop_map(Duration::from_nanos),
        1 => any::<u64>().prop_map(Duration::from_secs),
    ]
}

/// A base, growth factor and cap that `validate` accepts.
fn valid_shape() -> impl Strategy<Value = (Duration, f64, Duration)> {
    (1..=u64::MAX / 2, 1.0..10.0_f64, any_delay())
        .prop_map(|(base, factor, cap)| (Duration::from_nanos(base), factor, cap.max(Duration::from_nanos(base))))
}

fn any_jitter() -> impl Strategy<Value = Jitter> {
    prop_oneof![Just(Jitter::Full), Just(Jitter::Equal), Just(Jitter::Decorrelated), Just(Jitter::None)]
}

fn any_random() -> impl Strategy<Value = u64> {
    prop_oneof![1 => Just(0), 1 => Just(u64::MAX), 6 => any::<u64>()]
}

fn any_attempt() -> impl Strategy<Value = u32> {
    prop_oneof![6 => 1..40_u32, 1 => any::<u32>()]
}

proptest! {
    #![proptest_config(config())]

    /// Each jitter stays between its documented ends, and never exceeds the cap.
    #[test]
    fn delays_stay_within_the_jitters_bounds(
        (base, factor, cap) in valid_shape(), jitter in any_jitter(), attempt in any_attempt(),
        previous in proptest::option::of(any_delay()), random in any_random(),
    ) {
        let backoff = Backoff::exponential(base).factor(factor).max_delay(cap);
        prop_assert_eq!(backoff.validate(), Ok(()));
        let grown = backoff.clone().jitter(Jitter::None).delay(attempt, previous, random).expect("endless");
        let delay = backoff.jitter(jitter).delay(attempt, previous, random).expect("endless");
        let (low, high) = match jitter {
            Jitter::None => (grown, grown),
            Jitter::Full => (Duration::ZERO, grown),
            // Halves round down to whole nanoseconds.
            Jitter::Equal => (Duration::from_nanos(u64::try_from(grown.as_nanos()).expect("capped") / 2), grown),
            Jitter::Decorrelated => (base, previous.unwrap_or(base).saturating_mul(3).max(base).min(cap)),
        };
        prop_assert!((low..=high).contains(&delay), "{jitter:?}: {low:?} <= {delay:?} <= {high:?}");
        prop_assert!(delay <= cap);
    }

    /// Both ends of the range are reached, and a larger random number is never a shorter delay.
    #[test]
    fn jitter_is_monotone_in_the_random_number_and_reaches_both_ends(
        (base, factor, cap) in valid_shape(), jitter in any_jitter(), attempt in any_attempt(),
        previous in proptest::option::of(any_delay()), a in any::<u64>(), b in any::<u64>(),
    ) {
        let backoff = Backoff::exponential(base).factor(factor).max_delay(cap).jitter(jitter);
        let delay = |random| backoff.delay(attempt, previous, random).expect("endless");
        prop_assert!(delay(a.min(b)) <= delay(a.max(b)));
        let grown = backoff.clone().jitter(Jitter::None).delay(attempt, previous, 0).expect("endless");
        match jitter {
            Jitter::None => prop_assert_eq!((delay(0), delay(u64::MAX)), (grown, grown)),
            Jitter::Full => prop_assert_eq!((delay(0), delay(u64::MAX)), (Duration::ZERO, grown)),
            Jitter::Equal => prop_assert_eq!(delay(u64::MAX), grown),
            Jitter::Decorrelated => {
                let longest = Duration::from_nanos(u64::MAX);
                let high = previous.unwrap_or(base).saturating_mul(3).min(longest).max(base).min(cap);
                prop_assert_eq!((delay(0), delay(u64::MAX)), (base, high));
            }
        }
    }

    /// Without jitter: base × factorⁿ to twelve digits until the cap, never shrinking.
    #[test]
    fn growth_is_geometric_and_monotone_up_to_the_cap(
        base in 1_000..1_000_000_000_u64, factor in 1.0..10.0_f64, cap in 1_000_000_000..100_000_000_000_u64,
    ) {
        let backoff = Backoff::exponential(Duration::from_nanos(base)).factor(factor)
            .max_delay(Duration::from_nanos(cap)).jitter(Jitter::None);
        let (mut exact, mut last) = (base as f64, Duration::ZERO);
        for attempt in 1..60 {
            let delay = backoff.delay(attempt, None, 0).expect("endless");
            prop_assert!(delay >= last);
            let expected = exact.min(cap as f64);
            let off = (delay.as_nanos() as f64 - expected).abs();
            prop_assert!(off <= 1.0 + expected * 1e-12, "attempt {attempt}: {delay:?} instead of {expected} ns");
            (exact, last) = (exact * factor, delay);
        }
    }

    /// No input whatever panics, not even those that `validate` refuses; the cap always holds.
    #[test]
    fn no_input_overflows(
        base in any_delay(), factor in any::<f64>(), cap in any_delay(), jitter in any_jitter(),
        attempt in any::<u32>(), previous in proptest::option::of(any_delay()), random in any_random(),
        (elapsed, left, now) in (any_delay(), proptest::option::of(any_delay()), any_delay()),
        (max_attempts, max_elapsed, hint) in (any::<u32>(), any_delay(), proptest::option::of(any_delay())),
        (ratio, window, floor) in (any::<f64>(), any_delay(), any::<u32>()),
    ) {
        let backoff = Backoff::exponential(base).factor(factor).max_delay(cap).jitter(jitter);
        prop_assert!(backoff.delay(attempt, previous, random).expect("endless") <= cap);
        let budget = RetryBudget::new().ratio(ratio).window(window).min_per_sec(floor);
        let policy = RetryPolicy::exponential(base).factor(factor).max_delay(cap).jitter(jitter)
            .max_attempts(max_attempts).max_elapsed(max_elapsed).budget(budget.clone())
            .classify(move |(): &(), _| hint.map_or(Verdict::Retry, Verdict::RetryAfter));
        let valid = policy.validate();
        prop_assert!(valid.is_ok() || !valid.expect_err("not ok").to_string().is_empty());
        policy.deposit(now, u32::MAX);
        let error = Some(&());
        let failed = FailedAttempt { attempt, error, elapsed, previous_delay: previous, until_deadline: left, random, now };
        if let Decision::RetryAfter(delay) = policy.decide(&failed) {
            prop_assert!(hint.map_or(delay <= cap, |hint| delay == hint));
            prop_assert_eq!(budget.withdrawn(), 1);
        }
    }
}

/// What happens to a budget, at what time.
#[derive(Clone, Debug)]
enum Step {
    Deposit(u32),
    Withdraw,
    /// A failing service: as many withdrawals as there are tokens, and one more.
    Drain,
    Pass(Duration),
    /// The clock of another thread, read a little earlier.
    Back(Duration),
}

fn steps(window: u64) -> impl Strategy<Value = Vec<Step>> {
    let some_time = prop_oneof![4 => 0..=window / 5, 2 => 0..=2 * window, 1 => window..=window + window / 10 + 1];
    let step = prop_oneof![
        3 => (0..50_u32).prop_map(Step::Deposit),
        4 => Just(Step::Withdraw),
        1 => Just(Step::Drain),
        4 => some_time.prop_map(|nanos| Step::Pass(Duration::from_nanos(nanos))),
        1 => (0..=window / 5).prop_map(|nanos| Step::Back(Duration::from_nanos(nanos))),
    ];
    vec(step, 1..60)
}

/// The budget as a list of timestamps: nothing expires, everything is counted again for each question.
struct Oracle {
    millionths: u128,
    floor: u128,
    slot: u128,
    /// The latest time seen; earlier ones count as this.
    now: u128,
    deposits: Vec<(u128, u32)>,
    retries: Vec<u128>,
}

impl Oracle {
    fn see(&mut self, now: Duration) {
        self.now = self.now.max(now.as_nanos());
    }

    /// Whole retries left, counting the slot of `now` and the ten before it.
    fn balance(&self) -> u128 {
        let oldest = (self.now / self.slot).saturating_sub(10);
        let live = |at: u128| at / self.slot >= oldest;
        let deposits: u128 = self.deposits.iter().filter(|(at, _)| live(*at)).map(|(_, n)| u128::from(*n)).sum();
        let retries = self.retries.iter().filter(|at| live(**at)).count() as u128;
        (self.floor + self.millionths * deposits).saturating_sub(retries * 1_000_000) / 1_000_000
    }

    /// The documented bound, without slots: the retries of the last window against the deposits of the last 1.1.
    fn bound_holds(&self, window: u128) -> bool {
        let retries = self.retries.iter().filter(|at| **at + window > self.now).count() as u128;
        let since = |at: u128| at + window + window / 10 + 11 >= self.now; // slots are rounded up to whole nanoseconds
        let deposits: u128 = self.deposits.iter().filter(|(at, _)| since(*at)).map(|(_, n)| u128::from(*n)).sum();
        retries * 1_000_000 <= self.floor + self.millionths * deposits
    }

    fn withdraw(&mut self) -> bool {
        let granted = self.balance() > 0;
        if granted {
            self.retries.push(self.now);
        }
        granted
    }
}

fn budget_and_oracle(millionths: u32, window: u64, floor: u32) -> (RetryBudget, Oracle) {
    let budget =
        RetryBudget::new().ratio(f64::from(millionths) / 1e6).window(Duration::from_nanos(window)).min_per_sec(floor);
    let oracle = Oracle {
        millionths: millionths.into(),
        floor: u128::from(floor) * u128::from(window) / 1_000,
        slot: u128::from(window.div_ceil(10)),
        now: 0,
        deposits: Vec::new(),
        retries: Vec::new(),
    };
    (budget, oracle)
}

proptest! {
    #![proptest_config(config())]

    /// Token for token the same as the list of timestamps, and within the documented bound at every grant.
    #[test]
    fn the_budget_does_what_a_list_of_timestamps_does(
        millionths in prop_oneof![Just(200_000_u32), 0..3_000_000_u32],
        (window, steps) in (1_000_000..20_000_000_000_u64).prop_flat_map(|window| (Just(window), steps(window))),
        floor in prop_oneof![Just(0_u32), 0..20_u32],
        start in 0..100_000_000_000_u64,
    ) {
        let (budget, mut oracle) = budget_and_oracle(millionths, window, floor);
        let (mut now, mut withdrawn, mut refused) = (Duration::from_nanos(start), 0, 0);
        for step in steps {
            match step {
                Step::Pass(time) => now += time,
                Step::Back(time) => now = now.saturating_sub(time),
                Step::Deposit(n) => {
                    oracle.see(now);
                    budget.deposit(now, n);
                    oracle.deposits.push((oracle.now, n));
                }
                Step::Withdraw | Step::Drain => loop {
                    oracle.see(now);
                    let granted = budget.try_withdraw(now);
                    prop_assert_eq!(granted, oracle.withdraw());
                    if granted {
                        withdrawn += 1;
                        prop_assert!(oracle.bound_holds(window.into()), "more retries in a window than promised");
                    } else {
                        refused += 1;
                    }
                    if !granted || matches!(step, Step::Withdraw) {
                        break;
                    }
                },
            }
            oracle.see(now);
            prop_assert_eq!(u128::from(budget.balance(now)), oracle.balance());
        }
        prop_assert_eq!((budget.withdrawn(), budget.refused()), (withdrawn, refused));
    }
}

/// How one attempt of a simulated job ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Error(Verdict),
    TimedOut,
}

#[derive(Clone, Debug)]
struct Limits {
    max_attempts: u32,
    max_elapsed: Option<Duration>,
    deadline: Option<Duration>,
    on_timeout: Verdict,
    base: Duration,
    jitter: Jitter,
}

fn any_verdict() -> impl Strategy<Value = Verdict> {
    let hint = prop_oneof![4 => (0..5_000_u64).prop_map(Duration::from_millis), 1 => Just(Duration::MAX)];
    prop_oneof![8 => Just(Verdict::Retry), 3 => hint.prop_map(Verdict::RetryAfter), 1 => Just(Verdict::Stop)]
}

fn limits() -> impl Strategy<Value = Limits> {
    let time = || proptest::option::of((1..20_000_u64).prop_map(Duration::from_millis));
    (1..8_u32, time(), time(), any_verdict(), 1..1_000_u64, any_jitter()).prop_map(
        |(max_attempts, max_elapsed, deadline, on_timeout, base, jitter)| {
            let base = Duration::from_millis(base);
            Limits { max_attempts, max_elapsed, deadline, on_timeout, base, jitter }
        },
    )
}

/// Eight attempts of a job: how each ends, how many milliseconds it ran and the random number after it.
fn job() -> impl Strategy<Value = Vec<(End, u64, u64)>> {
    let end = prop_oneof![4 => any_verdict().prop_map(End::Error), 1 => Just(End::TimedOut)];
    vec((end, 0..800_u64, any::<u64>()), 8)
}

/// The rules of the module's table, one by one, with saturating times.
fn expected(limits: &Limits, budget: &mut Oracle, attempt: u32, end: End, at: Duration, backoff: Duration) -> Decision {
    let verdict = match end {
        End::Error(verdict) => verdict,
        End::TimedOut => limits.on_timeout,
    };
    let delay = match verdict {
        Verdict::Stop => return Decision::Stop(StopReason::Permanent),
        Verdict::Retry => backoff,
        Verdict::RetryAfter(hint) => hint,
    };
    let due = at.saturating_add(delay);
    if attempt == limits.max_attempts {
        Decision::Stop(StopReason::MaxAttempts)
    } else if limits.max_elapsed.is_some_and(|last| due > last) {
        Decision::Stop(StopReason::MaxElapsed)
    } else if limits.deadline.is_some_and(|deadline| due >= deadline) {
        Decision::Stop(StopReason::Deadline)
    } else if !budget.withdraw() {
        Decision::Stop(StopReason::Budget)
    } else {
        Decision::RetryAfter(delay)
    }
}

proptest! {
    #![proptest_config(config())]

    /// Whole jobs, one after the other on one budget: each decision is the oracle's, no job goes beyond its limits.
    #[test]
    fn a_policy_follows_the_table_job_after_job(
        limits in limits(),
        millionths in prop_oneof![Just(200_000_u32), 0..2_000_000_u32],
        jobs in vec(job(), 1..8),
    ) {
        let (budget, mut oracle) = budget_and_oracle(millionths, 10_000_000_000, 0);
        let policy = RetryPolicy::exponential(limits.base).max_attempts(limits.max_attempts).jitter(limits.jitter)
            .on_timeout(limits.on_timeout).classify(|verdict: &Verdict, _| *verdict).budget(budget);
        let policy = limits.max_elapsed.into_iter().fold(policy, RetryPolicy::max_elapsed);
        let mut now = Duration::from_secs(1);
        for job in jobs {
            oracle.see(now);
            oracle.deposits.push((oracle.now, 1));
            policy.deposit(now, 1);
            let (mut elapsed, mut previous_delay) = (Duration::ZERO, None);
            for (attempt, (end, run_time, random)) in (1_u32..).zip(job) {
                elapsed += Duration::from_millis(run_time);
                now += Duration::from_millis(run_time);
                oracle.see(now);
                let backoff = policy.backoff().delay(attempt, previous_delay, random).expect("endless");
                let decided = policy.decide(&FailedAttempt {
                    attempt,
                    error: match &end { End::Error(verdict) => Some(verdict), End::TimedOut => None },
                    elapsed,
                    previous_delay,
                    until_deadline: limits.deadline.map(|deadline| deadline.saturating_sub(elapsed)),
                    random,
                    now,
                });
                prop_assert_eq!(decided, expected(&limits, &mut oracle, attempt, end, elapsed, backoff));
                let Decision::RetryAfter(delay) = decided else { break };
                prop_assert!(attempt < limits.max_attempts);
                if delay == Duration::MAX {
                    break; // waits for ever
                }
                elapsed += delay;
                now += delay;
                previous_delay = Some(delay);
                prop_assert!(limits.max_elapsed.is_none_or(|last| elapsed <= last));
                prop_assert!(limits.deadline.is_none_or(|deadline| elapsed < deadline));
            }
        }
    }
}
