//! Errors on the wire: the one place where an [`AppError`] becomes a [`Status`].

use std::any::Any;

use tonic::Status;

use crate::error::{AppError, Code, chain};

impl From<AppError> for Status {
    /// The cause goes to the log, under the call's id, and no further.
    fn from(error: AppError) -> Self {
        let (code, message, source) = error.into_parts();
        if let Some(source) = source {
            tracing::error!(code = code.as_str(), "a call failed: {}", chain(source.as_ref()));
        }
        let code = match code {
            Code::InvalidInput => tonic::Code::InvalidArgument,
            Code::Unauthorized => tonic::Code::Unauthenticated,
            Code::NotFound => tonic::Code::NotFound,
            Code::Conflict => tonic::Code::AlreadyExists,
            Code::RateLimited => tonic::Code::ResourceExhausted,
            Code::Unavailable => tonic::Code::Unavailable,
            Code::Timeout => tonic::Code::DeadlineExceeded,
            Code::Internal => tonic::Code::Internal,
        };
        Self::new(code, message)
    }
}

/// A panic in a call: the process lives on, the caller learns as much as of any other fault of the service.
pub(super) fn panicked(panic: &(dyn Any + Send)) -> Status {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
    AppError::internal(format!("panic: {text}")).into()
}

/// The code as the specification of gRPC spells it.
pub(super) fn name(code: tonic::Code) -> &'static str {
    match code {
        tonic::Code::Ok => "OK",
        tonic::Code::Cancelled => "CANCELLED",
        tonic::Code::Unknown => "UNKNOWN",
        tonic::Code::InvalidArgument => "INVALID_ARGUMENT",
        tonic::Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        tonic::Code::NotFound => "NOT_FOUND",
        tonic::Code::AlreadyExists => "ALREADY_EXISTS",
        tonic::Code::PermissionDenied => "PERMISSION_DENIED",
        tonic::Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        tonic::Code::FailedPrecondition => "FAILED_PRECONDITION",
        tonic::Code::Aborted => "ABORTED",
        tonic::Code::OutOfRange => "OUT_OF_RANGE",
        tonic::Code::Unimplemented => "UNIMPLEMENTED",
        tonic::Code::Internal => "INTERNAL",
        tonic::Code::Unavailable => "UNAVAILABLE",
        tonic::Code::DataLoss => "DATA_LOSS",
        tonic::Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
