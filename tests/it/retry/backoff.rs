//! The delay sequence by equality: growth, caps, each jitter's two ends, and the extremes.

use std::time::Duration;

use flowgate::retry::{Backoff, Jitter};

use super::{ms, secs};

/// The delays after attempts 1 to `n`, without looking back.
fn delays(backoff: &Backoff, n: u32, random: u64) -> Vec<Duration> {
    (1..=n).filter_map(|attempt| backoff.delay(attempt, None, random)).collect()
}

#[test]
fn exponential_doubles_from_the_base_up_to_the_cap() {
    let backoff = Backoff::exponential(ms(100)).max_delay(ms(1_000)).jitter(Jitter::None);
    assert_eq!(delays(&backoff, 6, 7), [ms(100), ms(200), ms(400), ms(800), ms(1_000), ms(1_000)]);
}

#[test]
fn factor_may_be_a_fraction() {
    let backoff = Backoff::exponential(ms(100)).factor(1.1).jitter(Jitter::None);
    assert_eq!(delays(&backoff, 4, 0), [ms(100), ms(110), ms(121), Duration::from_micros(133_100)]);
}

#[test]
fn fixed_stays_the_same() {
    let long = Duration::from_nanos((1 << 53) + 1); // floating point would round it down
    assert_eq!(delays(&Backoff::fixed(long).jitter(Jitter::None), 3, 0), [long; 3]);
    assert_eq!(delays(&Backoff::exponential(long).jitter(Jitter::None), 1, 0), [long], "the first delay is the base");
    assert_eq!(delays(&Backoff::fixed(Duration::ZERO), 3, u64::MAX), [Duration::ZERO; 3]);
}

#[test]
fn the_default_cap_is_a_minute_or_the_base() {
    let grows = Backoff::exponential(secs(50)).jitter(Jitter::None);
    assert_eq!(delays(&grows, 3, 0), [secs(50), secs(60), secs(60)]);
    let starts_longer = Backoff::exponential(secs(90)).jitter(Jitter::None);
    assert_eq!(delays(&starts_longer, 2, 0), [secs(90), secs(90)]);
}

#[test]
fn full_jitter_reaches_from_zero_to_the_delay() {
    let backoff = Backoff::exponential(ms(100));
    assert_eq!(delays(&backoff, 3, 0), [Duration::ZERO; 3]);
    assert_eq!(delays(&backoff, 3, u64::MAX), [ms(100), ms(200), ms(400)]);
    assert_eq!(delays(&backoff, 2, u64::MAX / 2 + 1), [ms(50), ms(100)]);
}

#[test]
fn equal_jitter_reaches_from_half_to_the_delay() {
    let backoff = Backoff::exponential(Duration::from_nanos(5)).jitter(Jitter::Equal);
    assert_eq!(delays(&backoff, 2, 0), [Duration::from_nanos(2), Duration::from_nanos(5)]);
    assert_eq!(delays(&backoff, 2, u64::MAX), [Duration::from_nanos(5), Duration::from_nanos(10)]);
}

#[test]
fn decorrelated_jitter_reaches_from_the_base_to_three_times_the_previous_delay() {
    let backoff = Backoff::exponential(ms(100)).factor(50.0).max_delay(secs(1)).jitter(Jitter::Decorrelated);
    let delay = |previous, random| backoff.delay(9, previous, random);
    assert_eq!((delay(None, 0), delay(None, u64::MAX)), (Some(ms(100)), Some(ms(300))));
    assert_eq!((delay(Some(ms(200)), 0), delay(Some(ms(200)), u64::MAX)), (Some(ms(100)), Some(ms(600))));
    assert_eq!(delay(Some(ms(900)), u64::MAX), Some(secs(1)), "capped after the draw");
    assert_eq!(delay(Some(Duration::ZERO), u64::MAX), Some(ms(100)), "a hint of zero does not take it below the base");
    assert_eq!(delay(Some(Duration::MAX), u64::MAX), Some(secs(1)));
}

#[test]
fn given_delays_are_used_as_given_until_they_end() {
    let backoff = Backoff::from_delays(|n| (n < 3).then(|| secs(100) * n));
    assert_eq!(backoff.delay(1, None, 3), Some(secs(100)));
    assert_eq!(backoff.delay(2, None, 3), Some(secs(200)));
    assert_eq!(backoff.delay(3, None, 3), None);
}

#[test]
fn given_delays_take_a_cap_and_jitter_when_asked() {
    let backoff = Backoff::from_delays(|n| Some(secs(10) * n)).max_delay(secs(15)).jitter(Jitter::Full);
    assert_eq!(delays(&backoff, 2, u64::MAX), [secs(10), secs(15)]);
    assert_eq!(delays(&backoff, 2, 0), [Duration::ZERO; 2]);
    let decorrelated = Backoff::from_delays(|n| Some(secs(10) * n)).jitter(Jitter::Decorrelated);
    assert_eq!(decorrelated.delay(2, Some(secs(11)), u64::MAX), Some(secs(33)));
    assert_eq!(decorrelated.delay(2, Some(secs(1)), u64::MAX), Some(secs(20)), "never below what was given");
}

#[test]
fn never_has_no_delay() {
    assert_eq!(Backoff::never().delay(1, None, 0), None);
}

#[test]
fn attempt_zero_is_read_as_the_first() {
    assert_eq!(Backoff::exponential(ms(8)).jitter(Jitter::None).delay(0, None, 0), Some(ms(8)));
    assert_eq!(Backoff::from_delays(|n| Some(ms(u64::from(n)))).delay(0, None, 0), Some(ms(1)));
}

#[test]
fn the_largest_numbers_saturate() {
    let longest = Duration::from_nanos(u64::MAX);
    let backoff = Backoff::exponential(ms(1)).max_delay(Duration::MAX).jitter(Jitter::None);
    assert_eq!(backoff.delay(u32::MAX, Some(Duration::MAX), u64::MAX), Some(longest));
    let steep = Backoff::exponential(ms(1)).factor(1e300).jitter(Jitter::Equal);
    assert_eq!(steep.delay(u32::MAX, None, u64::MAX), Some(secs(60)));
    let endless = Backoff::from_delays(|_| Some(Duration::MAX)).jitter(Jitter::Full);
    assert_eq!(endless.delay(u32::MAX, None, u64::MAX), Some(longest));
}

#[test]
fn an_invalid_factor_counts_as_one() {
    for factor in [f64::NAN, f64::NEG_INFINITY, -2.0, 0.0, 0.999] {
        let backoff = Backoff::exponential(ms(30)).factor(factor).jitter(Jitter::None);
        assert!(backoff.validate().is_err(), "{factor}");
        assert_eq!(delays(&backoff, 3, 0), [ms(30); 3], "{factor}");
    }
}

#[test]
fn full_jitter_is_spread_evenly() {
    // 10,000 equidistant random numbers over ten buckets: exactly a tenth each, but for rounding.
    let backoff = Backoff::fixed(secs(1));
    let mut buckets = [0_u32; 10];
    for i in 0..10_000_u64 {
        let delay = backoff.delay(1, None, u64::MAX / 10_000 * i).expect("endless");
        buckets[usize::try_from(delay.as_millis() / 100).expect("small").min(9)] += 1;
    }
    assert!(buckets.iter().all(|count| count.abs_diff(1_000) <= 1), "{buckets:?}");
}

#[test]
fn debug_shows_the_parameters_that_hold() {
    let shown = format!("{:?}", Backoff::exponential(ms(5)));
    assert!(shown.contains("5ms") && shown.contains("60s") && shown.contains("Full"), "{shown}");
    assert!(format!("{:?}", Backoff::from_delays(|_| None)).contains("Fn(u32)"));
    assert!(format!("{:?}", Backoff::never()).contains("none"));
}
