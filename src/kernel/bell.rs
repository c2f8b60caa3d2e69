//! # What
//! [`Bell`] is how a runner is reached while it has a job: what the job has been asked to do, and the waker of the
//! runner's task. One bell serves all jobs of a runner, one after the other.
//!
//! # States
//! One word: the number of the runner's job, a due bit, and a [`Signal`].
//!
//! | by | before | after |
//! |---|---|---|
//! | [`begin`](Bell::begin) | any | that number, nothing asked |
//! | [`end`](Bell::end) | any | no number, nothing asked |
//! | [`raise`](Bell::raise), number matches | signal `s` | the stronger of both |
//! | [`expire`](Bell::expire), number matches | - | due |
//! | [`raise`](Bell::raise), [`expire`](Bell::expire), another number | - | unchanged |
//! | [`abort`](Bell::abort) | any | `Abort`, whichever job it is |
//! | [`take_due`](Bell::take_due) | due | not due |
//!
//! # Invariants
//! 1. What is asked of one job is never heard by another: the number and what is asked are one word.
//! 2. A job becomes a runner's current one under the lock under which it is handed out; whoever finds it handed out
//!    therefore finds its number here.
//! 3. A runner reads the word after its waker is known and after the handler's future has returned `Pending`; whoever
//!    asks writes the word and then wakes. So either the runner sees what is asked, or it is woken to see it.
//!
//! # Why not the obvious
//! A signal in each job's cell beside a waker in each job's place had to be registered anew, under the engine's lock,
//! by every job that waits once. A runner's waker does not change, so it is known for as long as the runner is.
//!
//! # Cost
//! To begin a job is a store, to look is a load; 40 bytes a runner.

use crate::shim::Mutex;
use crate::shim::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Waker;

/// What a running job has been asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Signal {
    /// Go on.
    Run = 0,
    /// Its owner has cancelled it.
    Cancel = 1,
    /// The pool is being aborted.
    Abort = 2,
}

const SIGNAL: u64 = 0b011;
const DUE: u64 = 0b100;
const NUMBER_SHIFT: u32 = 3;
/// No job has this number: numbers count acceptances from zero, and 2^61 of them take centuries.
const NOBODY: u64 = u64::MAX >> NUMBER_SHIFT;

/// How one runner is reached.
#[derive(Debug)]
pub(crate) struct Bell {
    word: AtomicU64,
    waker: Mutex<Option<Waker>>,
    /// Whether the engine counts the runner as swift. Changed under its lock only.
    swift: AtomicBool,
    /// The job that the last patrol found.
    seen: AtomicU64,
}

impl Bell {
    /// The bell of a runner that has no job and no task yet.
    pub(crate) fn new() -> Self {
        Self {
            word: AtomicU64::new(NOBODY << NUMBER_SHIFT),
            waker: Mutex::new(None),
            swift: AtomicBool::new(false),
            seen: AtomicU64::new(NOBODY),
        }
    }

    /// The runner's task is reached through `waker` from here on. Returns the one before.
    pub(crate) fn attend(&self, waker: Option<Waker>) -> Option<Waker> {
        std::mem::replace(&mut *self.waker.lock(), waker)
    }

    /// The job `number` becomes the current one, with nothing asked of it. Called under the lock under which the job is
    /// handed out: the engine's, or that of the tray on which it lay.
    #[inline]
    pub(crate) fn begin(&self, number: u64) {
        // Ordering: Relaxed. Whoever asks something of a job has found it handed out, under one of these locks after this.
        self.word.store(number << NUMBER_SHIFT, Ordering::Relaxed);
    }

    /// The current job has ended or is parked: what is asked from here on is not meant for it. Not to be called once the
    /// next one is claimed, as what has been asked of that would be forgotten.
    #[inline]
    pub(crate) fn end(&self) {
        // Ordering: Relaxed, as in `begin`: an `abort` that comes first was for a job that has ended, too.
        self.word.store(NOBODY << NUMBER_SHIFT, Ordering::Relaxed);
    }

    /// Whether the current job has been asked to end.
    #[inline]
    pub(crate) fn is_asked(&self) -> bool {
        // Ordering: Acquire, as in `signal`.
        self.word.load(Ordering::Acquire) & SIGNAL != 0
    }

    /// What the current job has been asked to do.
    #[inline]
    pub(crate) fn signal(&self) -> Signal {
        // Ordering: Acquire pairs with the Release in `update`: what the asker did before is visible here.
        match self.word.load(Ordering::Acquire) & SIGNAL {
            0 => Signal::Run,
            1 => Signal::Cancel,
            _ => Signal::Abort,
        }
    }

    /// Whether the job `number` is the current one and has been asked to end.
    pub(crate) fn is_stopped(&self, number: u64) -> bool {
        // Ordering: Acquire, as in `signal`.
        let word = self.word.load(Ordering::Acquire);
        word >> NUMBER_SHIFT == number && word & SIGNAL != 0
    }

    /// Whether anything is asked of the current job: one look for the usual answer, no.
    #[inline]
    pub(crate) fn is_quiet(&self) -> bool {
        // Ordering: Acquire, as in `signal`.
        self.word.load(Ordering::Acquire) & (SIGNAL | DUE) == 0
    }

    /// Whether the runner counts as swift.
    #[inline]
    pub(crate) fn is_swift(&self) -> bool {
        // Ordering: Relaxed. Read and written under the engine's lock; a reader outside may act on an older value.
        self.swift.load(Ordering::Relaxed)
    }

    /// Counts the runner as swift, or not. Called under the engine's lock.
    #[inline]
    pub(crate) fn set_swift(&self, swift: bool) {
        // Ordering: Relaxed, see `is_swift`.
        self.swift.store(swift, Ordering::Relaxed);
    }

    /// Whether the runner still has the job that it had when this was last asked. Called under the engine's lock.
    pub(crate) fn is_still(&self) -> bool {
        // Ordering: Relaxed. Nothing is read through the number, and `seen` is of the caller alone.
        let number = self.word.load(Ordering::Relaxed) >> NUMBER_SHIFT;
        let before = self.seen.load(Ordering::Relaxed);
        self.seen.store(number, Ordering::Relaxed);
        number != NOBODY && number == before
    }

    /// Asks the job `number` to end. The stronger signal stays. `false`: it is not the current one.
    pub(crate) fn raise(&self, number: u64, signal: Signal) -> bool {
        self.update(number, |word| (word & !SIGNAL) | (word & SIGNAL).max(signal as u64))
    }

    /// The time of the job `number` is up. `false`: it is not the current one.
    pub(crate) fn expire(&self, number: u64) -> bool {
        self.update(number, |word| word | DUE)
    }

    /// Asks whatever runs here to end.
    pub(crate) fn abort(&self) {
        // Ordering: Release, as in `update`. The signal bits become `Abort` from any value: both bits set reads as such.
        self.word.fetch_or(SIGNAL, Ordering::Release);
    }

    /// Whether the current job's time was up; it is not any more.
    pub(crate) fn take_due(&self) -> bool {
        // Ordering: Acquire pairs with the Release in `update`.
        self.word.fetch_and(!DUE, Ordering::Acquire) & DUE != 0
    }

    /// What wakes the runner, if its task is known. Cloned here: the caller holds no other lock.
    pub(crate) fn waker(&self) -> Option<Waker> {
        self.waker.lock().clone()
    }

    fn update(&self, number: u64, change: impl Fn(u64) -> u64) -> bool {
        // Ordering: Release pairs with the Acquire loads of the runner. Relaxed on failure: nothing is read through it.
        let updated = self.word.fetch_update(Ordering::Release, Ordering::Relaxed, |word| {
            (word >> NUMBER_SHIFT == number).then(|| change(word))
        });
        updated.is_ok()
    }
}
