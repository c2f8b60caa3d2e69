//! The map, by axis.
mod concurrent;
mod config;
mod correct;
mod dashmap;
mod expiry;
mod iteration;
mod leak;
mod linear;
mod loads;
mod panics;
mod reentry;
