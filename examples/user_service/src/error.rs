//! The one error of the service: a code that callers see, a message that callers may see, a cause that only the log sees.

use std::borrow::Cow;
use std::error::Error;
use std::sync::Arc;

/// What went wrong, in the words that every edge of the service shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The caller sent something that no retry will make right.
    InvalidInput,
    /// The caller did not say who it is, or not convincingly.
    Unauthorized,
    /// There is no such thing.
    NotFound,
    /// The request contradicts what is stored.
    Conflict,
    /// The caller asks too often.
    RateLimited,
    /// The service cannot answer now; a later try may succeed.
    Unavailable,
    /// The work was given up when its time was over.
    Timeout,
    /// A fault of the service itself.
    Internal,
}

impl Code {
    /// The code as callers see it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidInput => "INVALID_INPUT",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::NotFound => "NOT_FOUND",
            Self::Conflict => "CONFLICT",
            Self::RateLimited => "RATE_LIMITED",
            Self::Unavailable => "UNAVAILABLE",
            Self::Timeout => "TIMEOUT",
            Self::Internal => "INTERNAL",
        }
    }
}

/// A failed operation: [`Code`], a message fit for the caller, and the cause, which is logged and never shown.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct AppError {
    code: Code,
    message: Cow<'static, str>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl AppError {
    /// An error without a cause. The message is shown to the caller.
    #[must_use]
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), source: None }
    }

    /// A passing fault: the caller is told to come back, the log is told why.
    #[must_use]
    pub fn unavailable(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            code: Code::Unavailable,
            message: "the service cannot answer now, try again later".into(),
            source: Some(cause.into()),
        }
    }

    /// Work that was given up when its time was over: the caller learns that much, the log learns the cause.
    #[must_use]
    pub fn timeout(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            code: Code::Timeout,
            message: "the service took too long and gave up".into(),
            source: Some(cause.into()),
        }
    }

    /// A fault of the service: the caller learns that much, the log learns the cause.
    #[must_use]
    pub fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { code: Code::Internal, message: "internal error".into(), source: Some(cause.into()) }
    }

    /// The same error for one of several who wait for one operation.
    #[must_use]
    pub fn shared(error: &Arc<Self>) -> Self {
        Self { code: error.code, message: error.message.clone(), source: Some(Box::new(Arc::clone(error))) }
    }

    /// What kind of error this is.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.code
    }

    /// The parts: code, message and cause.
    #[must_use]
    pub fn into_parts(self) -> (Code, Cow<'static, str>, Option<Box<dyn Error + Send + Sync>>) {
        (self.code, self.message, self.source)
    }
}

/// An error and all its causes on one line, for the log.
#[must_use]
pub fn chain(error: &(dyn Error + 'static)) -> String {
    std::iter::successors(Some(error), |&error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
