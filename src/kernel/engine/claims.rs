//! The jobs that a runner has claimed and not started, in the order in which it is to start them.

use super::Claim;

/// A queue that is filled while it is empty, and emptied before it is filled again. Not a `VecDeque`: into a vector a
/// claim is written in place, which saves moving it through the stack.
#[derive(Debug)]
pub(crate) struct Claims<C> {
    list: Vec<Option<Claim<C>>>,
    first: usize,
    end: usize,
}

impl<C> Claims<C> {
    pub(super) const fn new() -> Self {
        Self { list: Vec::new(), first: 0, end: 0 }
    }

    /// How many there are.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.end - self.first
    }

    /// Whether there is none.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline]
    pub(super) fn push_back(&mut self, claim: impl FnOnce() -> Claim<C>) {
        if self.is_empty() {
            (self.first, self.end) = (0, 0);
        }
        if self.end == self.list.len() {
            self.list.push(None);
        }
        let slot = &mut self.list[self.end];
        debug_assert!(slot.is_none(), "what was taken is gone");
        if slot.is_none() {
            *slot = Some(claim());
        }
        self.end += 1;
    }

    /// The one to start next.
    #[inline]
    pub(crate) fn pop_front(&mut self) -> Option<Claim<C>> {
        if self.is_empty() {
            return None;
        }
        self.first += 1;
        self.list[self.first - 1].take()
    }

    /// The one to start last.
    pub(super) fn pop_back(&mut self) -> Option<Claim<C>> {
        if self.is_empty() {
            return None;
        }
        self.end -= 1;
        self.list[self.end].take()
    }
}

/// All of them, in order.
impl<'a, C> IntoIterator for &'a Claims<C> {
    type Item = &'a Claim<C>;
    type IntoIter = std::iter::Flatten<std::slice::Iter<'a, Option<Claim<C>>>>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.iter().flatten()
    }
}
