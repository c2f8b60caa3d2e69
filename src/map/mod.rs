//! A concurrent map.

mod inner;
mod load;
mod ttl;
