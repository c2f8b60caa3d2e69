//! Pools on threads, by axis. Nothing here runs inside a tokio runtime unless its name says so.
mod correct;
