#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used, dead_code, missing_docs)]
mod tidy;
