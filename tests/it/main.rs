//! One binary for all integration tests, a folder per concept.

mod retry;
