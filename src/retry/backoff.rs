//! The delay sequence: how long to wait before the next attempt.
//!
//! # What
//! [`Backoff`] maps (attempt, previous delay, random number) to a delay. It keeps no position and draws no randomness
//! itself, so one value serves any number of jobs and every delay can be tested by equality.
//!
//! # Invariants
//! 1. A delay never exceeds `max_delay`, whatever the attempt, the previous delay and the random number are.
//! 2. Without jitter, and in its upper bound with any but decorrelated jitter, an exponential sequence never shrinks.
//! 3. Every operation saturates: attempt `u32::MAX`, factor 10³⁰⁰ and `Duration::MAX` give `max_delay`, not a panic.
//!
//! # Why not the obvious
//! The obvious delay is `base × 2ⁿ`. When a dependency fails for everybody at once, everybody's retries then arrive at
//! once, again and again. Marc Brooker's measurements ("Exponential Backoff And Jitter", AWS Architecture Blog, 2015)
//! show that spreading each wait over its *whole* range does the least work in total; hence [`Jitter::Full`] is the
//! default. A floating-point jitter (`delay.mul_f64(random)`) cannot reach its own bounds exactly and panics on
//! overflow; here jitter is drawn in integer nanoseconds by multiply-and-shift (Daniel Lemire, "Fast Random Integer
//! Generation in an Interval", 2019) without the rejection step: no outcome is favoured by more than
//! range / 2⁶⁴, which is below one in a million for a range of an hour.
//!
//! # Cost
//! No allocation, no lock; one floating-point power and one 128-bit multiplication, about 15 ns (bench `retry`).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::InvalidRetry;

/// The cap on delays where none is set: 60 seconds, or the base delay if that is longer.
const DEFAULT_MAX_DELAY: Duration = Duration::from_secs(60);

/// How the delays of callers that failed together are spread out.
///
/// With `d` the delay of the sequence (grown and capped), `base` its first delay and `previous` the wait before this
/// attempt; ranges include both ends. After Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
///
/// ```
/// use flowgate::retry::{Backoff, Jitter};
/// use std::time::Duration;
///
/// let shortest = |jitter| Backoff::fixed(Duration::from_secs(1)).jitter(jitter).delay(1, None, 0);
/// assert_eq!(shortest(Jitter::Full), Some(Duration::ZERO));
/// assert_eq!(shortest(Jitter::Equal), Some(Duration::from_millis(500)));
/// assert_eq!(shortest(Jitter::None), Some(Duration::from_secs(1)));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Jitter {
    /// `0 ..= d`: the least work in total, at the price of some very short waits. The default.
    #[default]
    Full,
    /// `d/2 ..= d`: never less than half the delay.
    Equal,
    /// `base ..= 3 × previous`, then capped: grows by chance instead of by attempt, so `factor` has no say.
    /// The first wait counts `base` as its previous one.
    Decorrelated,
    /// `d` exactly. For tests, and for sequences that are spread out already.
    None,
}

/// A sequence of delays, as a pure function: it holds no position and no clock.
///
/// Delays are counted in whole nanoseconds, up to `u64::MAX` of them (584 years); longer ones count as that.
///
/// ```
/// use flowgate::retry::{Backoff, Jitter};
/// use std::time::Duration;
///
/// let ms = Duration::from_millis;
/// let backoff = Backoff::exponential(ms(100)).max_delay(ms(500)).jitter(Jitter::None);
/// let delays: Vec<_> = (1..=4).filter_map(|attempt| backoff.delay(attempt, None, 0)).collect();
/// assert_eq!(delays, [ms(100), ms(200), ms(400), ms(500)]);
///
/// let spread = Backoff::exponential(ms(100)); // full jitter
/// assert_eq!(spread.delay(1, None, 0), Some(ms(0)));
/// assert_eq!(spread.delay(1, None, u64::MAX), Some(ms(100)));
/// ```
#[derive(Clone)]
pub struct Backoff {
    sequence: Sequence,
    /// `None` for a sequence that does not grow by a factor.
    factor: Option<f64>,
    max_delay: Option<Duration>,
    jitter: Jitter,
}

#[derive(Clone)]
enum Sequence {
    /// Ends at once.
    Never,
    /// `base × factor^(attempt - 1)`.
    Geometric(Duration),
    /// The caller's own function of the attempt that failed.
    Given(Arc<dyn Fn(u32) -> Option<Duration> + Send + Sync>),
}

impl Backoff {
    /// No delay at all: the sequence ends before the first retry.
    #[must_use]
    pub fn never() -> Self {
        Self { sequence: Sequence::Never, factor: None, max_delay: None, jitter: Jitter::None }
    }

    /// The same delay every time: `exponential(delay)` with a factor of 1. Zero means: at once.
    ///
    /// [`Jitter::Full`] applies here too, because equal delays keep a crowd together: each wait is anything up to
    /// `delay`. Add `.jitter(Jitter::None)` for exactly `delay`.
    #[must_use]
    pub fn fixed(delay: Duration) -> Self {
        Self::exponential(delay).factor(1.0)
    }

    /// `base`, then twice as long each time, up to 60 s (or up to `base`, if that is longer); full jitter.
    #[must_use]
    pub fn exponential(base: Duration) -> Self {
        Self { sequence: Sequence::Geometric(base), factor: Some(2.0), max_delay: None, jitter: Jitter::Full }
    }

    /// `delays(n)` is the delay after attempt `n` failed (the first attempt is 1); `None` ends the sequence.
    ///
    /// Used as given: no jitter and no cap unless you add them. A panic in `delays` is not caught here.
    #[must_use]
    pub fn from_delays(delays: impl Fn(u32) -> Option<Duration> + Send + Sync + 'static) -> Self {
        Self { sequence: Sequence::Given(Arc::new(delays)), factor: None, max_delay: None, jitter: Jitter::None }
    }

    /// How much longer each delay is than the one before: finite, 1 or more. Default 2; not for [`from_delays`].
    ///
    /// [`from_delays`]: Self::from_delays
    #[must_use]
    pub fn factor(mut self, factor: f64) -> Self {
        self.factor = Some(factor);
        self
    }

    /// The longest delay, after growth and jitter: above zero, and not below the base delay.
    #[must_use]
    pub fn max_delay(mut self, max_delay: Duration) -> Self {
        self.max_delay = Some(max_delay);
        self
    }

    /// How delays are spread out.
    #[must_use]
    pub fn jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = jitter;
        self
    }

    /// The delay between attempt `attempt`, which failed, and the next one; `None` if the sequence ends here.
    ///
    /// `attempt` counts from 1 (0 is read as 1), `previous` is the delay before the failed attempt (only
    /// [`Jitter::Decorrelated`] looks at it) and `random` any 64 uniformly random bits, new for each call.
    ///
    /// Total: never panics and never exceeds `max_delay`, even if [`validate`](Self::validate) objects; a factor that is
    /// not a number or is below 1 counts as 1.
    #[must_use]
    pub fn delay(&self, attempt: u32, previous: Option<Duration>, random: u64) -> Option<Duration> {
        let cap = nanos(self.cap());
        let start = match &self.sequence {
            Sequence::Never => return None,
            Sequence::Given(delays) => nanos(delays(attempt.max(1))?),
            Sequence::Geometric(base) if self.jitter == Jitter::Decorrelated => nanos(*base),
            Sequence::Geometric(base) => grown(nanos(*base), self.factor.unwrap_or(1.0), attempt),
        }
        .min(cap);
        let delay = match self.jitter {
            Jitter::Full => between(0, start, random),
            Jitter::Equal => between(start / 2, start, random),
            Jitter::Decorrelated => {
                let end = previous.map_or(start, nanos).saturating_mul(3).max(start);
                between(start, end, random).min(cap)
            }
            Jitter::None => start,
        };
        Some(Duration::from_nanos(delay))
    }

    /// Checks that the options go together.
    ///
    /// # Errors
    /// The first option that does not, with its value and what is allowed.
    pub fn validate(&self) -> Result<(), InvalidRetry> {
        let base = match &self.sequence {
            Sequence::Geometric(base) => Some(*base),
            Sequence::Never | Sequence::Given(_) => None,
        };
        if let Some(factor) = self.factor {
            if base.is_none() {
                return Err(InvalidRetry::new("factor", factor, "only with `exponential` or `fixed`"));
            }
            if !factor.is_finite() || factor < 1.0 {
                return Err(InvalidRetry::new("factor", factor, "a finite number, 1 or more"));
            }
        }
        let grows = self.jitter == Jitter::Decorrelated || self.factor.is_some_and(|factor| factor > 1.0);
        if grows && base == Some(Duration::ZERO) {
            return Err(InvalidRetry::new(
                "exponential",
                Duration::ZERO,
                "a base above zero (it never grows); or `fixed`",
            ));
        }
        match (self.max_delay, base) {
            (Some(Duration::ZERO), _) => Err(InvalidRetry::new("max_delay", Duration::ZERO, "above zero")),
            (Some(max), Some(base)) if max < base => {
                Err(InvalidRetry::new("max_delay", max, format!("the base delay ({base:?}) or more")))
            }
            _ => Ok(()),
        }
    }

    fn cap(&self) -> Duration {
        self.max_delay.unwrap_or(match self.sequence {
            Sequence::Geometric(base) => base.max(DEFAULT_MAX_DELAY),
            Sequence::Never | Sequence::Given(_) => Duration::MAX,
        })
    }

    pub(super) fn retries(&self) -> bool {
        !matches!(self.sequence, Sequence::Never)
    }
}

impl fmt::Debug for Backoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Backoff");
        match &self.sequence {
            Sequence::Never => return out.field("delays", &"none").finish(),
            Sequence::Geometric(base) => out.field("base", base).field("factor", &self.factor),
            Sequence::Given(_) => out.field("delays", &"Fn(u32)"),
        };
        out.field("max_delay", &self.cap()).field("jitter", &self.jitter).finish()
    }
}

/// `duration` in nanoseconds, at most `u64::MAX`.
pub(super) fn nanos(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(duration.subsec_nanos()))
}

/// `base × factor^(attempt - 1)`, at most `u64::MAX`. Exact for whole factors while the result is below 2⁵³ ns (104 days).
fn grown(base: u64, factor: f64, attempt: u32) -> u64 {
    let steps = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
    if steps > 0 && factor > 1.0 {
        // The conversion to integer saturates, and takes 0 × ∞ to 0.
        (base as f64 * factor.powi(steps)).round() as u64
    } else {
        base // exact
    }
}

/// A number from `low` to `high`, both included, as `random` goes from 0 to `u64::MAX`.
fn between(low: u64, high: u64, random: u64) -> u64 {
    let choices = u128::from(high - low) + 1;
    low + ((u128::from(random) * choices) >> 64) as u64
}
