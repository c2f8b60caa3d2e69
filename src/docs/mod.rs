//! What is true of the whole crate: its words, its shape, its promises about dropped futures, its limits.
//!
//! There is no code here. Read [`glossary`] to know what a word means, [`architecture`] before changing something,
//! [`cancellation`] when you use `select!` or timeouts, and [`limitations`] before you rely on a promise.

#[doc = include_str!("architecture.md")]
pub mod architecture {}

#[doc = include_str!("cancellation.md")]
pub mod cancellation {}

#[doc = include_str!("glossary.md")]
pub mod glossary {}

#[doc = include_str!("limitations.md")]
pub mod limitations {}
