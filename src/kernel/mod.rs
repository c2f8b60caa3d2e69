//! The small state machines that everything above stands on.
//!
//! A kernel imports the shim and other kernels, nothing else: no runtime, no clock, no user code. The model
//! package compiles these same files over a model checker's shim and explores their interleavings.
//!
//! | kernel | what it is |
//! |---|---|
//! | [`slab`] | places with stable keys, and first-in-first-out lists threaded through them |
//! | [`alarms`] | due times in order, from which any can be taken out |
//! | [`bell`] | how a runner is reached while it has a job |
//! | [`cell`] | one job's value, then its outcome, and the waker of whoever waits for it |
//! | [`channel`] | items on their way to one task or several, many in one lock operation, under an exact bound |
//! | [`crew`] | how many threads serve a pool that has no runtime |
//! | [`inbox`] | the outcomes of many jobs on their way to one reader |
//! | [`engine`] | who is admitted, who runs, who waits, and what became of everyone |
//! | [`gate`] | how many items are inside a pipeline, and how much they weigh |
//! | [`flight`] | one load of one key, and whoever waits for it |
//! | [`pacing`] | how many items are moved together |
//! | [`sequence`] | which of many numbered items may go next |
//! | [`waits`] | which flight waits for which, without a circle |
//! | [`ready`] | which of many inputs of one consumer have been woken |
//! | [`shard`] | one part of a concurrent map: a table, a lock, deadlines, and the loads under way |

pub(crate) mod alarms;
pub(crate) mod bell;
pub(crate) mod cell;
pub(crate) mod channel;
pub(crate) mod crew;
pub(crate) mod engine;
pub(crate) mod flight;
pub(crate) mod gate;
pub(crate) mod inbox;
pub(crate) mod pacing;
pub(crate) mod ready;
pub(crate) mod sequence;
pub(crate) mod shard;
pub(crate) mod slab;
pub(crate) mod waits;
