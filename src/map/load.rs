//! Loads that are under way.

use std::any::Any;
use std::marker::PhantomData;
use std::sync::Arc;

/// A load of one key, shared by those who wait for it.
pub(super) type Flight<V> = (Arc<dyn Any + Send + Sync>, PhantomData<fn() -> V>);
