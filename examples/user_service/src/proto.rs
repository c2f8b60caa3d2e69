//! What `proto/user/v1/user.proto` says, generated at build time: messages, server and client.
#![allow(missing_docs, clippy::pedantic, clippy::must_use_candidate, clippy::too_many_lines, reason = "generated code")]

tonic::include_proto!("user.v1");

/// The same as descriptors, for reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = tonic::include_file_descriptor_set!("user.v1");
