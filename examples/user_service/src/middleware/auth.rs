//! Bearer tokens: who may call at all.

use std::fmt;
use std::sync::Arc;

use subtle::{Choice, ConstantTimeEq};

use crate::error::{AppError, Code};

/// The token that is accepted where none was configured; on loopback addresses alone.
const DEV_TOKEN: &str = "dev-token";
/// Bytes in a token, at most.
const MAX_TOKEN_BYTES: usize = 1024;

/// The tokens that callers may show. Its `Debug` shows how many there are.
#[derive(Clone)]
pub struct Tokens(Arc<[Box<[u8]>]>);

/// The caller showed no token that is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a valid bearer token is required")]
pub struct Unauthorized;

impl Tokens {
    /// Reads tokens that commas separate. The error never repeats one.
    ///
    /// # Errors
    /// The rule that one of them breaks, or that there is none.
    pub fn parse(list: &str) -> Result<Self, &'static str> {
        let tokens: Vec<Box<[u8]>> = list.split(',').map(|token| token.trim().as_bytes().into()).collect();
        if !tokens.iter().all(|token| is_token(token)) {
            return Err("must be tokens of 1 to 1024 letters, digits or -._~+/= each, separated by commas");
        }
        Ok(Self(tokens.into()))
    }

    /// The one token of a service that only its own machine can reach.
    #[must_use]
    pub fn for_development() -> Self {
        Self([DEV_TOKEN.as_bytes().into()].into())
    }

    /// Whether the development token is among them.
    #[must_use]
    pub fn has_development_token(&self) -> bool {
        self.0.iter().any(|token| **token == *DEV_TOKEN.as_bytes())
    }

    /// Checks the value of an `Authorization` header, which must be `Bearer` and a token.
    ///
    /// The time it takes depends on the lengths and the number of tokens, not on what is in them.
    ///
    /// # Errors
    /// When there is no such header, or the token is none of these.
    pub fn check(&self, authorization: Option<&[u8]>) -> Result<(), Unauthorized> {
        let (scheme, given) = authorization.and_then(|value| value.split_at_checked(7)).ok_or(Unauthorized)?;
        if !scheme.eq_ignore_ascii_case(b"bearer ") {
            return Err(Unauthorized);
        }
        // No early end: which of the tokens it was stays untold, too.
        let known = self.0.iter().fold(Choice::from(0), |known, token| known | token.ct_eq(given));
        if bool::from(known) { Ok(()) } else { Err(Unauthorized) }
    }
}

impl From<Unauthorized> for AppError {
    fn from(error: Unauthorized) -> Self {
        Self::new(Code::Unauthorized, error.to_string())
    }
}

/// The characters that RFC 6750 §2.1 allows.
fn is_token(token: &[u8]) -> bool {
    (1..=MAX_TOKEN_BYTES).contains(&token.len())
        && token.iter().all(|b| b.is_ascii_alphanumeric() || b"-._~+/=".contains(b))
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tokens({})", self.0.len())
    }
}
