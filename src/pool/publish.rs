//! Publishing: how outcomes that the engine has counted get to those who wait for them.

use super::shared::{JobCell, JobPost, Outcome, Shared};
use crate::contain::discard;
use crate::kernel::cell::{Cell, Settled};
use crate::kernel::engine::{Due, Effects};
use crate::kernel::inbox::{Delivered, Post};

impl<J, T, E> Shared<J, T, E> {
    /// Stores an outcome that the engine has counted, and tells whoever waits for it.
    pub(super) fn publish(&self, cell: JobCell<J, T, E>, outcome: Outcome<J, T, E>, fx: &mut Effects) {
        let mut post = Post::new();
        self.store(cell, outcome, &mut post, fx);
        self.deliver(&mut post, fx);
    }

    /// Stores an outcome that the engine has counted. If it goes to an inbox, it waits in `post` until that is
    /// [delivered](Self::deliver).
    #[inline]
    pub(super) fn store(
        &self,
        cell: JobCell<J, T, E>,
        outcome: Outcome<J, T, E>,
        post: &mut JobPost<J, T, E>,
        fx: &mut Effects,
    ) {
        match Cell::settle(cell, outcome) {
            Settled::Kept(None) => {}
            Settled::Kept(Some(reader)) => fx.wakers.push(Due::Wake(reader)),
            Settled::Unread(outcome) => discard(outcome),
            Settled::Addressed(cell, key) => {
                if let Some(delivered) = post.add(key, cell) {
                    self.delivered(delivered, fx);
                }
            }
        }
    }

    /// Delivers what waits in `post`.
    #[inline]
    pub(super) fn deliver(&self, post: &mut JobPost<J, T, E>, fx: &mut Effects) {
        if let Some(delivered) = post.deliver() {
            self.delivered(delivered, fx);
        }
    }

    fn delivered(&self, delivered: Delivered<JobCell<J, T, E>>, fx: &mut Effects) {
        if let Some(reader) = delivered.reader {
            fx.wakers.push(Due::Wake(reader));
        }
        delivered.unread.into_iter().for_each(discard);
    }
}
