//! How a pipeline fails.

use super::report::Report;
use crate::contain::Payload;
use crate::pool::{JobError, RunError};
use crate::shim::Mutex;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// An error of a stage, whatever its type was.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Why a pipeline ended before its source did: the first failure, the stage that it came from, and the account of the run.
///
/// [`source`](Error::source) is the stage's own error, which can be downcast.
pub struct PipelineError(Box<Failed>);

/// Boxed, so that a result of an item is no larger than the item.
struct Failed {
    failure: Failure,
    report: Report,
}

/// The first failure.
pub(super) struct Failure {
    pub(super) stage: Arc<str>,
    pub(super) cause: Cause,
}

/// What went wrong.
pub(super) enum Cause {
    Error(BoxError),
    /// In a mutex only because payloads are not `Sync` and errors should be.
    Panicked(Mutex<Payload>),
    /// An attempt took too long.
    TimedOut(Option<BoxError>),
    /// The stage's pool did not take the item, or ended before it did.
    PoolEnded,
}

impl Cause {
    pub(super) fn panicked(payload: Payload) -> Self {
        Self::Panicked(Mutex::new(payload))
    }

    pub(super) fn of_job<J, E: Into<BoxError>>(error: RunError<J, E>) -> Self {
        let error = match error {
            RunError::Job(error) => error,
            RunError::Submit(_) => return Self::PoolEnded,
        };
        match error {
            JobError::Failed(failure) => failure.last_error.map_or(Self::PoolEnded, |error| Self::Error(error.into())),
            JobError::Panicked(failure) => failure.into_panic().map_or(Self::PoolEnded, Self::panicked),
            JobError::TimedOut(failure) => Self::TimedOut(failure.last_error.map(Into::into)),
            _ => Self::PoolEnded,
        }
    }
}

impl PipelineError {
    pub(super) fn new(failure: Failure, report: Report) -> Self {
        Self(Box::new(Failed { failure, report }))
    }

    /// What became of every item.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.0.report
    }

    /// The name of the stage that failed; `source` is the input itself.
    #[must_use]
    pub fn stage(&self) -> &str {
        &self.0.failure.stage
    }

    /// Whether it was a panic.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        matches!(self.0.failure.cause, Cause::Panicked(_))
    }

    /// Whether an attempt took longer than the stage's [`timeout`](super::Pipeline::timeout).
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self.0.failure.cause, Cause::TimedOut(_))
    }

    /// The panic's payload, to be raised again with [`std::panic::resume_unwind`]; or this error, if it was no panic.
    ///
    /// # Errors
    /// This error as it is, if there was no panic.
    pub fn try_into_panic(self) -> Result<Box<dyn std::any::Any + Send>, Self> {
        let Failed { failure, report } = *self.0;
        match failure {
            Failure { cause: Cause::Panicked(payload), .. } => Ok(payload.into_inner()),
            failure => Err(Self::new(failure, report)),
        }
    }

    /// The stage's own error, if there was one.
    #[must_use]
    pub fn into_source(self) -> Option<BoxError> {
        match self.0.failure.cause {
            Cause::Error(error) | Cause::TimedOut(Some(error)) => Some(error),
            Cause::TimedOut(None) | Cause::Panicked(_) | Cause::PoolEnded => None,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(error) => error.fmt(f),
            Self::Panicked(payload) => {
                let payload = payload.lock();
                let text = payload.downcast_ref::<&str>().copied();
                match text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)) {
                    Some(text) => write!(f, "panicked: {text}"),
                    None => f.write_str("panicked"),
                }
            }
            Self::TimedOut(None) => f.write_str("timed out"),
            Self::TimedOut(Some(error)) => write!(f, "timed out; the error before: {error}"),
            Self::PoolEnded => f.write_str("its pool was closed or ended before the item did"),
        }
    }
}

impl fmt::Display for PipelineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stage \"{}\": {}; {}", self.0.failure.stage, self.0.failure.cause, self.0.report)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failure").field("stage", &self.stage).field("cause", &format_args!("{}", self.cause)).finish()
    }
}

impl fmt::Debug for PipelineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PipelineError").field("failure", &self.0.failure).field("report", &self.0.report).finish()
    }
}

impl Error for PipelineError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0.failure.cause {
            Cause::Error(error) | Cause::TimedOut(Some(error)) => Some(&**error),
            Cause::TimedOut(None) | Cause::Panicked(_) | Cause::PoolEnded => None,
        }
    }
}
