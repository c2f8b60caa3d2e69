//! The example user service.
