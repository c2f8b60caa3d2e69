//! How an item is given to several legs.

/// What a leg of a broadcast is to the item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It gets every item, and the others wait for it.
    Required,
    /// Nothing waits for it.
    BestEffort,
}

/// An item that [`broadcast`](super::broadcast()) can give to several legs: everything that is `Clone`. Sealed.
pub trait Share: Sized + sealed::Sealed {
    /// One more for a leg.
    #[doc(hidden)]
    #[must_use]
    fn share(&self, leg: Role) -> Self;

    /// The original, after every leg has got its own.
    #[doc(hidden)]
    fn let_go(self) {}
}

impl<T: Clone> Share for T {
    #[inline]
    fn share(&self, _: Role) -> Self {
        self.clone()
    }
}

pub(crate) mod sealed {
    /// Who may be a [`Share`](super::Share).
    pub trait Sealed {}

    impl<T: Clone> Sealed for T {}
}
