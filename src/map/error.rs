//! What can go wrong: with an option, with a new key for a full map.

use std::error::Error;
use std::fmt;

/// An option of a map that cannot be honoured: which one, its value, and what is allowed.
///
/// ```
/// use flowgate::ConcurrentMap;
///
/// let refused = ConcurrentMap::<u32, u32>::builder().shards(0).build();
/// assert_eq!(refused.unwrap_err().to_string(), "map option `shards` is 0; allowed: 1 to 65536");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("map option `{option}` is {value}; allowed: {allowed}")]
#[non_exhaustive]
pub struct InvalidMap {
    /// The option's name, as the method that sets it is called.
    pub option: &'static str,
    /// The refused value, as text.
    pub value: String,
    /// The allowed range, in words.
    pub allowed: String,
}

/// A new key was not stored, as the map holds `max_entries` entries. Key and value come back inside.
///
/// ```
/// use flowgate::ConcurrentMap;
///
/// let map = ConcurrentMap::builder().max_entries(1).build().unwrap();
/// assert!(map.try_insert("a", 1).is_ok());
/// let refused = map.try_insert("b", 2).unwrap_err();
/// assert_eq!(refused.into_pair(), ("b", 2));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MapFull<K, V> {
    /// The key.
    pub key: K,
    /// The value.
    pub value: V,
}

impl<K, V> MapFull<K, V> {
    /// The key and the value.
    #[must_use]
    pub fn into_pair(self) -> (K, V) {
        (self.key, self.value)
    }
}

impl<K, V> fmt::Debug for MapFull<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MapFull { .. }")
    }
}

impl<K, V> fmt::Display for MapFull<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the map is full")
    }
}

impl<K, V> Error for MapFull<K, V> {}
