//! What comes of a load.

use crate::contain::{Payload, discard};
use std::any::Any;
use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// A value, and where it came from.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use flowgate::{ConcurrentMap, LoadSource};
///
/// let map = ConcurrentMap::<&str, u32>::new();
/// let loaded = map.get_or_load("answer", || async { 42 }).await.unwrap();
/// assert_eq!(loaded.source, LoadSource::Load);
/// assert_eq!(loaded.into_value(), 42);
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Loaded<V> {
    /// The value, a clone of its own.
    pub value: V,
    /// Where it came from.
    pub source: LoadSource,
}

impl<V> Loaded<V> {
    /// The value.
    #[must_use]
    pub fn into_value(self) -> V {
        self.value
    }
}

/// Where a value came from.
///
/// ```
/// use flowgate::LoadSource;
///
/// let misses = [LoadSource::Hit, LoadSource::Load, LoadSource::Shared].into_iter().filter(|source| !source.is_hit());
/// assert_eq!(misses.count(), 2);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LoadSource {
    /// It was in the map.
    Hit,
    /// The caller's own loader has loaded it.
    Load,
    /// The loader of another caller has, while this one waited.
    Shared,
}

impl LoadSource {
    /// Whether it was in the map.
    #[must_use]
    pub fn is_hit(self) -> bool {
        self == Self::Hit
    }
}

/// A load has brought no value.
///
/// Every waiter of one load has the same: clones share the error. None of it is remembered; the next caller loads anew.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use flowgate::{ConcurrentMap, LoadError};
///
/// let ports = ConcurrentMap::<&str, u16>::new();
/// let refused = ports.get_or_try_load("http", || async { "no".parse() }).await.unwrap_err();
/// assert_eq!(refused.to_string(), "the load failed: invalid digit found in string");
/// let LoadError::Failed(error) = refused else { panic!("the loader returned an error") };
/// assert!(std::sync::Arc::try_unwrap(error).is_ok()); // nobody else has waited for it
/// # }
/// ```
#[non_exhaustive]
pub enum LoadError<E = Infallible> {
    /// The loader returned this error.
    Failed(Arc<E>),
    /// The loader panicked, with this message, or `Clone` of the value or `Eq` or `Hash` of the key did when the value was to be stored.
    Panicked(Arc<str>),
    /// The caller is a loader, and the load it asked for waits, itself or through others, for the one that the caller makes:
    /// both would wait forever. Only this wait is refused; the other loads go on.
    Recursive,
    /// The runtime that the caller's own load ran on has shut down. Followers of such a load make it themselves.
    Aborted,
    /// There is no value, and the caller is not inside a tokio runtime that a load could run on.
    NoRuntime,
}

impl<E> Clone for LoadError<E> {
    fn clone(&self) -> Self {
        match self {
            Self::Failed(error) => Self::Failed(error.clone()),
            Self::Panicked(message) => Self::Panicked(message.clone()),
            Self::Recursive => Self::Recursive,
            Self::Aborted => Self::Aborted,
            Self::NoRuntime => Self::NoRuntime,
        }
    }
}

impl<E> LoadError<E> {
    /// The error that the loader returned, if that is what happened.
    #[must_use]
    pub fn into_failed(self) -> Option<Arc<E>> {
        match self {
            Self::Failed(error) => Some(error),
            _ => None,
        }
    }
}

impl<E: fmt::Debug> fmt::Debug for LoadError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => f.debug_tuple("Failed").field(error).finish(),
            Self::Panicked(message) => f.debug_tuple("Panicked").field(message).finish(),
            Self::Recursive => f.write_str("Recursive"),
            Self::Aborted => f.write_str("Aborted"),
            Self::NoRuntime => f.write_str("NoRuntime"),
        }
    }
}

impl<E: fmt::Display> fmt::Display for LoadError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => write!(f, "the load failed: {error}"),
            Self::Panicked(message) => write!(f, "the load panicked: {message}"),
            Self::Recursive => f.write_str("the load that was asked for waits for the one that asked"),
            Self::Aborted => f.write_str("the runtime of the load has shut down"),
            Self::NoRuntime => f.write_str("a load needs a tokio runtime, and the caller is not inside one"),
        }
    }
}

impl<E: Error + 'static> Error for LoadError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Failed(error) => error.source(),
            _ => None,
        }
    }
}

/// What a flight brings in.
pub(super) enum Outcome<V> {
    Value(V),
    /// Of the leader's error type.
    Failed(Arc<dyn Any + Send + Sync>),
    Panicked(Arc<str>),
    Aborted,
}

impl<V> Outcome<V> {
    pub(super) fn panicked(payload: Payload) -> Self {
        Self::Panicked(message(payload))
    }
}

impl<V: Clone> Outcome<V> {
    /// As one waiter has it. `None` if a follower has to load itself: the load was aborted with the leader's runtime, or has
    /// failed with an error of another type.
    pub(super) fn read<E: Send + Sync + 'static>(&self, source: LoadSource) -> Option<Result<Loaded<V>, LoadError<E>>> {
        Some(match self {
            Self::Value(value) => Ok(Loaded { value: value.clone(), source }),
            Self::Failed(error) => Err(LoadError::Failed(error.clone().downcast().ok()?)),
            Self::Panicked(message) => Err(LoadError::Panicked(message.clone())),
            Self::Aborted if source == LoadSource::Shared => return None,
            Self::Aborted => Err(LoadError::Aborted),
        })
    }
}

/// What a panic said.
fn message(payload: Payload) -> Arc<str> {
    let text = match payload.downcast_ref::<&str>() {
        Some(text) => Some(*text),
        None => payload.downcast_ref::<String>().map(String::as_str),
    };
    let message = text.unwrap_or("its payload is not a text").into();
    discard(payload);
    message
}
