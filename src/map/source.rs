//! Keys that are given, and keys that are only lent.

use hashbrown::Equivalent;
use std::borrow::Borrow;
use std::hash::Hash;

/// A key that may have to be stored.
pub(super) trait Source<K> {
    /// What it is looked up by.
    type Query: Hash + Equivalent<K> + ?Sized;

    fn query(&self) -> &Self::Query;

    /// The key itself. Called once, when the key is missing.
    fn into_key(self) -> K;
}

/// A key that was given.
pub(super) struct Given<K>(pub(super) K);

impl<K: Hash + Eq> Source<K> for Given<K> {
    type Query = K;

    #[inline(always)]
    fn query(&self) -> &K {
        &self.0
    }

    #[inline(always)]
    fn into_key(self) -> K {
        self.0
    }
}

/// A key that was lent, and is cloned when it is missing.
pub(super) struct Lent<'a, Q: ?Sized>(pub(super) &'a Q);

impl<K: Borrow<Q>, Q: Hash + Equivalent<K> + ToOwned<Owned = K> + ?Sized> Source<K> for Lent<'_, Q> {
    type Query = Q;

    #[inline(always)]
    fn query(&self) -> &Q {
        self.0
    }

    #[inline(always)]
    fn into_key(self) -> K {
        self.0.to_owned()
    }
}
