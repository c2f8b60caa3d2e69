//! Whose panic it was.
//!
//! A run of fused stages is one poll function, so a panic anywhere in it arrives where the run is polled. While it unwinds, the
//! innermost stage that it passes leaves its name here, and the ticket of the item that it was about.

use super::envelope::Ticket;
use super::node::Node;
use crate::shim::thread_local;
use std::cell::RefCell;
use std::sync::Arc;

thread_local! {
    static BLAMED: RefCell<Option<Blamed>> = const { RefCell::new(None) };
}

/// A stage that a panic has come from.
pub(super) struct Blamed {
    pub(super) node: Arc<Node>,
    /// Of the item, if the stage had one in hand.
    pub(super) ticket: Option<Ticket>,
}

/// Takes the blame if it is dropped before it was cleared: by unwinding.
pub(super) struct Blame<'a> {
    /// `None` once it was cleared.
    node: Option<&'a Arc<Node>>,
    ticket: Option<Ticket>,
}

impl<'a> Blame<'a> {
    /// For code of the user's that has no item of ours.
    #[inline]
    pub(super) fn new(node: &'a Arc<Node>) -> Self {
        Self { node: Some(node), ticket: None }
    }

    /// For code of the user's that is given the item of this ticket.
    #[inline]
    pub(super) fn of_item(node: &'a Arc<Node>, ticket: Ticket) -> Self {
        Self { node: Some(node), ticket: Some(ticket) }
    }

    /// It has returned.
    #[inline]
    pub(super) fn clear(mut self) -> Ticket {
        self.node = None;
        self.ticket.take().unwrap_or_default()
    }
}

impl Drop for Blame<'_> {
    // Inlined, and what is rare apart: then nothing of it is left in code that does not unwind.
    #[inline]
    fn drop(&mut self) {
        if let Some(node) = self.node {
            blame(node, self.ticket.take());
        }
    }
}

#[cold]
fn blame(node: &Arc<Node>, ticket: Option<Ticket>) {
    let blamed = Blamed { node: node.clone(), ticket };
    BLAMED.with(|slot| {
        // The innermost came first.
        slot.borrow_mut().get_or_insert(blamed);
    });
}

/// Who is to blame for the panic that has just been caught.
pub(super) fn take() -> Option<Blamed> {
    BLAMED.with(RefCell::take)
}
