//! A ceiling on retries as a share of the traffic, whatever each job's own limit says.
//!
//! # What
//! [`RetryBudget`] counts first attempts (deposits) and retries (withdrawals) over a sliding window and refuses a retry
//! that would raise the share of retries above `ratio`, plus a floor for callers with little traffic. Clones share it.
//!
//! # States
//! The window is a ring of 11 slots, each a tenth of the window long. Slots are aligned to multiples of their length.
//!
//! | event | current slot | other slots |
//! |---|---|---|
//! | `deposit(n)` | first attempts + n | - |
//! | `try_withdraw` granted | retries + 1 | - |
//! | `try_withdraw` refused | - | - |
//! | time enters a later slot | becomes an older slot | those more than 10 slots old are emptied |
//! | time runs backwards | counts as the latest time seen | - |
//!
//! # Invariants
//! 1. When a retry is granted at time `t`, the retries granted in the window before `t`, this one included, are at most
//!    `ratio` × the first attempts of the last 1.1 windows + `min_per_sec` × window. The tenth is the granularity: the
//!    current slot is only partly over, so the ring reaches between 1.0 and 1.1 windows back.
//! 2. Nothing is saved up: an hour of success buys no more retries than the last 1.1 windows of it.
//! 3. Refusals and failures of time (backwards, `Duration::MAX`) never grant more than invariant 1.
//!
//! # Why not the obvious
//! A limit per job (`max_attempts(3)`) looks like a bound, but when a dependency is down *every* job uses it up, and the
//! load triples at the worst moment. A plain token bucket, filled by successes, is full after an hour of them and then
//! lets a burst of thousands through. A share of what is in flight is zero when little is. So: a share of the recent
//! traffic plus a floor, both over a window. The default figures (20 %, 10 s, 10 a second) are those of Finagle's
//! `RetryBudget` (Twitter, 2016), which tower's `TpsBudget` took over too.
//!
//! # Cost
//! One uncontended lock for each call, constant time (a slot change empties at most 11 slots): 7 to 10 ns
//! (bench `retry`). About 320 bytes for all clones together.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::InvalidRetry;
use super::backoff::nanos;
use crate::shim::Mutex;

/// The window's granularity, and one more slot for the current one, which is only partly over.
const SLOTS_PER_WINDOW: u64 = 10;
const SLOTS: usize = SLOTS_PER_WINDOW as usize + 1;
/// What a retry costs, and so the resolution of `ratio`: millionths.
const RETRY: u128 = 1_000_000;

const MAX_RATIO: f64 = 1_000.0;
const MIN_WINDOW: Duration = Duration::from_millis(1);
const MAX_WINDOW: Duration = Duration::from_secs(3_600);

/// Bounds retries to a share of recent traffic, over all jobs that share it.
///
/// Every retrying [`RetryPolicy`](super::RetryPolicy) has one by default; clones of a policy or of a budget share it, so
/// one budget can guard one dependency behind several pools. Defaults: retries up to 20 % of the first attempts of the
/// last 10 seconds, plus 100 in any such window (10 a second); the figures of Finagle's `RetryBudget`.
///
/// What it promises: whenever a retry is granted, the retries granted in the window up to then, this one included, are at
/// most `ratio` × the first attempts of the last 1.1 windows + `min_per_sec` × window. The tenth is the granularity at
/// which old traffic is forgotten. Nothing is saved up beyond that, however long all went well.
///
/// Time is passed in, as a duration since a fixed moment that all sharers agree on (pools of this crate do).
/// Thread-safe; no call waits for anything but a short lock.
///
/// ```
/// use flowgate::retry::RetryBudget;
/// use std::time::Duration;
///
/// let budget = RetryBudget::new().ratio(0.1).min_per_sec(0);
/// let now = Duration::from_secs(60);
/// budget.deposit(now, 20); // twenty first attempts: two retries
/// assert!(budget.try_withdraw(now));
/// assert!(budget.try_withdraw(now));
/// assert!(!budget.try_withdraw(now));
/// assert_eq!((budget.withdrawn(), budget.refused()), (2, 1));
/// ```
#[derive(Clone)]
pub struct RetryBudget {
    shared: Arc<Shared>,
}

struct Shared {
    config: Config,
    /// What a first attempt brings in, in millionths of a retry.
    deposit: u64,
    /// What is there without any traffic, in millionths of a retry.
    floor: u128,
    /// Nanoseconds in a slot; at least 1.
    slot: u64,
    ledger: Mutex<Ledger>,
}

#[derive(Clone, Copy)]
struct Config {
    ratio: f64,
    window: Duration,
    min_per_sec: u32,
}

/// First attempts and retries of the ring's slots.
#[derive(Default)]
struct Ledger {
    /// The current slot's place in the ring.
    at: usize,
    /// Where the current slot ends, in nanoseconds.
    end: u64,
    slots: [Slot; SLOTS],
    /// The sum of all slots.
    sum: Slot,
    withdrawn: u64,
    refused: u64,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    first_attempts: u64,
    retries: u64,
}

impl RetryBudget {
    /// A budget with the default figures: ratio 0.2, window 10 s, 10 retries a second at least.
    #[must_use]
    pub fn new() -> Self {
        Self::with(Config { ratio: 0.2, window: Duration::from_secs(10), min_per_sec: 10 })
    }

    /// Retries allowed for each first attempt: 0 to 1,000, kept in millionths. Default 0.2.
    ///
    /// Like every option it gives a *new, empty* budget, which shares nothing with `self`.
    #[must_use]
    pub fn ratio(self, ratio: f64) -> Self {
        Self::with(Config { ratio, ..self.shared.config })
    }

    /// How far back traffic counts: 1 ms to 1 hour. Default 10 s. Gives a new, empty budget.
    #[must_use]
    pub fn window(self, window: Duration) -> Self {
        Self::with(Config { window, ..self.shared.config })
    }

    /// Retries allowed whatever the traffic is, for each second of the window. Default 10, so 100 in a window of 10 s.
    /// Gives a new, empty budget.
    ///
    /// The floor belongs to the window, not to each second: all of it may go at once.
    #[must_use]
    pub fn min_per_sec(self, min_per_sec: u32) -> Self {
        Self::with(Config { min_per_sec, ..self.shared.config })
    }

    fn with(config: Config) -> Self {
        let window = nanos(config.window);
        let shared = Shared {
            config,
            // Saturates; NaN and negative numbers become 0, which `validate` refuses.
            deposit: (config.ratio * RETRY as f64).round() as u64,
            floor: u128::from(config.min_per_sec) * u128::from(window) * RETRY / 1_000_000_000,
            slot: window.div_ceil(SLOTS_PER_WINDOW).max(1),
            ledger: Mutex::new(Ledger::default()),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Checks the options.
    ///
    /// # Errors
    /// The first option out of range, with its value and what is allowed; also a ratio and a floor that are both zero,
    /// which would never let a retry through.
    pub fn validate(&self) -> Result<(), InvalidRetry> {
        let Config { ratio, window, min_per_sec } = self.shared.config;
        if !(0.0..=MAX_RATIO).contains(&ratio) {
            return Err(InvalidRetry::new("budget.ratio", ratio, "0 to 1000"));
        }
        if !(MIN_WINDOW..=MAX_WINDOW).contains(&window) {
            return Err(InvalidRetry::new("budget.window", window, "1 ms to 1 hour"));
        }
        if self.shared.deposit == 0 && self.shared.floor < RETRY {
            let allowed = "a ratio above 0 or at least one retry a window; to make no retries, use `RetryPolicy::none`";
            return Err(InvalidRetry::new("budget.min_per_sec", min_per_sec, allowed));
        }
        Ok(())
    }

    /// Records that `n` first attempts started. Retries are not deposited.
    ///
    /// `n` lets a caller on a hot path count first and deposit a batch at a time.
    pub fn deposit(&self, now: Duration, n: u32) {
        let mut ledger = self.shared.ledger.lock();
        ledger.advance(now, self.shared.slot);
        let (at, n) = (ledger.at, u64::from(n));
        // Saturating loses deposits, never withdrawals: too few retries at worst.
        ledger.slots[at].first_attempts = ledger.slots[at].first_attempts.saturating_add(n);
        ledger.sum.first_attempts = ledger.sum.first_attempts.saturating_add(n);
    }

    /// Pays for one retry: `true` if it may be made, `false` if the budget is spent.
    #[must_use = "a retry that was not paid for must not be made"]
    pub fn try_withdraw(&self, now: Duration) -> bool {
        let mut ledger = self.shared.ledger.lock();
        ledger.advance(now, self.shared.slot);
        let granted = self.shared.left(&ledger) >= RETRY;
        if granted {
            let at = ledger.at;
            ledger.slots[at].retries += 1;
            ledger.sum.retries += 1;
            ledger.withdrawn += 1;
        } else {
            ledger.refused += 1;
        }
        granted
    }

    /// How many retries could be paid for at `now`.
    #[must_use]
    pub fn balance(&self, now: Duration) -> u64 {
        let mut ledger = self.shared.ledger.lock();
        ledger.advance(now, self.shared.slot);
        u64::try_from(self.shared.left(&ledger) / RETRY).unwrap_or(u64::MAX)
    }

    /// How many retries were paid for since the budget was made.
    #[must_use]
    pub fn withdrawn(&self) -> u64 {
        self.shared.ledger.lock().withdrawn
    }

    /// How many retries were refused since the budget was made. A rising count means that a dependency fails for more
    /// than `ratio` of the traffic: worth an alert.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.shared.ledger.lock().refused
    }
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RetryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Config { ratio, window, min_per_sec } = self.shared.config;
        let (withdrawn, refused) = {
            let ledger = self.shared.ledger.lock();
            (ledger.withdrawn, ledger.refused)
        };
        f.debug_struct("RetryBudget")
            .field("ratio", &ratio)
            .field("window", &window)
            .field("min_per_sec", &min_per_sec)
            .field("withdrawn", &withdrawn)
            .field("refused", &refused)
            .finish()
    }
}

impl Shared {
    /// What is left, in millionths of a retry. Invariant 1: a withdrawal needs a whole one.
    fn left(&self, ledger: &Ledger) -> u128 {
        let earned = u128::from(self.deposit) * u128::from(ledger.sum.first_attempts);
        earned.saturating_add(self.floor).saturating_sub(RETRY * u128::from(ledger.sum.retries))
    }
}

impl Ledger {
    /// Enters the slot that `now` falls into, and empties those that are more than a window old.
    fn advance(&mut self, now: Duration, slot: u64) {
        // Half of the range (292 years) is the last time there is, so that `end` cannot overflow.
        let now = nanos(now).min(u64::MAX / 2);
        if now < self.end {
            return; // the current slot, or a clock that ran backwards
        }
        let entered = now / slot;
        let passed = (entered + 1) - self.end / slot;
        for _ in 0..passed.min(SLOTS as u64) {
            self.at = (self.at + 1) % SLOTS;
            let old = std::mem::take(&mut self.slots[self.at]);
            self.sum.first_attempts = self.sum.first_attempts.saturating_sub(old.first_attempts);
            self.sum.retries -= old.retries;
        }
        self.end = (entered + 1) * slot;
    }
}
