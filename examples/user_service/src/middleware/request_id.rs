//! The name of a request: as given by the caller where it is fit for a log, else a new one.

use std::fmt;

use uuid::Uuid;

/// A given id longer than this is replaced.
const MAX_BYTES: usize = 128;

/// A request's id: 1 to 128 printable ASCII characters without spaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(String);

impl RequestId {
    /// The header or metadata entry that carries it, both ways.
    pub const HEADER: &'static str = "x-request-id";

    /// The given id where it is acceptable, else a new one.
    #[must_use]
    pub fn accept(given: Option<&[u8]>) -> Self {
        let given = given.filter(|id| (1..=MAX_BYTES).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic));
        let given = given.and_then(|id| String::from_utf8(id.to_vec()).ok());
        Self(given.unwrap_or_else(|| Uuid::now_v7().to_string()))
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
