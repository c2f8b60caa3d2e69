//! The engine and its parts against oracles that are too simple to be wrong: vectors, searched from the front.
//!
//! Each case is a random sequence of up to 60 operations; `PROPTEST_CASES` asks for more than 2,000 cases of them.

#![allow(clippy::disallowed_types, reason = "the shim over std, and a log that wakers write to")]

#[allow(dead_code, unreachable_pub, unused_imports, reason = "the library's files, of which these tests use a part")]
#[path = "../../../../src/kernel/mod.rs"]
mod kernel;
#[allow(dead_code, unused_imports, reason = "whatever a kernel may ask of the shim")]
mod shim;

mod batches;
mod channel;
mod entering;
mod ops;
mod oracle;
mod pacing;
mod parts;
mod runners;
mod wakers;
mod world;

use proptest::prelude::ProptestConfig;

/// 2,000 cases of each property, unless more are asked for.
fn config() -> ProptestConfig {
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => ProptestConfig::default(),
        None => ProptestConfig::with_cases(2_000),
    }
}
