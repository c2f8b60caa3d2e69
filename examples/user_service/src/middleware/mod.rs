//! What stands between a caller and the use cases, whatever the protocol: a request's id, the rate limit, the token.
//! Each edge of the service wraps these in its own kind of middleware.

pub mod auth;
pub mod rate_limit;
pub mod request_id;
