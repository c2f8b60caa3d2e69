//! The service from outside: over real sockets, on a real database, and as a real process.
//!
//! Nothing waits for a fixed time: every wait is for a condition, under a deadline.
#![allow(clippy::unwrap_used, clippy::disallowed_types, clippy::disallowed_methods, reason = "tests")]

mod bad_input;
mod bad_input_table;
mod cache;
mod config;
mod connections;
mod databases;
mod domain;
mod grpc;
mod grpc_bad_input;
mod grpc_chat;
mod grpc_streams;
mod guards;
mod import;
mod limits;
mod metrics;
mod notifications;
mod postgres;
mod process;
mod repository;
mod service;
mod stub;
mod support;
mod transactions;
mod users;
