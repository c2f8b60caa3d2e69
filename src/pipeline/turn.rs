//! Letting others run: a stage that takes items and hands none on must come to an end of its poll, or the task could neither
//! be cancelled nor share its thread.

use std::task::{Context, Poll};

/// So many items in a row are taken without one being handed on.
pub(super) const TURN: u32 = 1024;

/// Comes back after the others.
#[cold]
pub(super) fn give_way<T>(cx: &Context<'_>) -> Poll<T> {
    cx.waker().wake_by_ref();
    Poll::Pending
}
