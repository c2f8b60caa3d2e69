//! Letting others run: a stage that takes items and hands none on must come to an end of its poll, or the task could neither
//! be cancelled nor share its thread.

use std::task::{Context, Poll};

/// After so many items in a row that were taken without one being handed on, a poll of a stage ends: its caller looks at nothing else
/// before.
pub(super) const FRUITLESS: u32 = 1024;

/// After so many items in a row that were handed on, the turn of a task between stages ends. The stages before it make them within its
/// own polls; of items that it only moves, so many are a few microseconds.
pub(super) const TURN: usize = 1024;

/// Comes back after the others.
#[cold]
pub(super) fn give_way<T>(cx: &Context<'_>) -> Poll<T> {
    cx.waker().wake_by_ref();
    Poll::Pending
}
