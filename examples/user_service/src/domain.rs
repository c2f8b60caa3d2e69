//! Users, and what makes the input for one acceptable. Knows neither the database nor the wire.

use std::fmt;

use chrono::{DateTime, SubsecRound, Utc};
use uuid::Uuid;

use crate::error::{AppError, Code};

/// Characters in a name, at most.
pub const MAX_NAME_CHARS: usize = 200;
/// Bytes in an email address, at most: what fits a mail envelope (RFC 5321, erratum 1690).
pub const MAX_EMAIL_BYTES: usize = 254;
/// Bytes before the `@` of an address, at most (RFC 5321 §4.5.3.1.1).
const MAX_LOCAL_BYTES: usize = 64;
/// Users in one page, at most.
pub const MAX_PAGE: u32 = 100;

/// A stored user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// UUID of version 7: the order of ids is the order of creation.
    pub id: Uuid,
    /// As given, without white space around it.
    pub name: String,
    /// In lower case.
    pub email: String,
    /// When the user was created, in whole microseconds.
    pub created_at: DateTime<Utc>,
    /// When the user was last changed, in whole microseconds.
    pub updated_at: DateTime<Utc>,
}

/// The checked input for a user: whoever holds one need not check again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewUser {
    name: String,
    email: String,
}

impl NewUser {
    /// Checks both fields and names every one that is wrong.
    pub fn new(name: &str, email: &str) -> Result<Self, Invalid> {
        let name = name.trim();
        let faults =
            [check_name(name).map(|reason| ("name", reason)), check_email(email).map(|reason| ("email", reason))];
        Invalid::unless_empty(faults)?;
        Ok(Self { name: name.to_owned(), email: email.to_ascii_lowercase() })
    }

    /// The user that this input makes, created now under a fresh id.
    #[must_use]
    pub fn into_user(self) -> User {
        let now = now();
        User { id: Uuid::now_v7(), name: self.name, email: self.email, created_at: now, updated_at: now }
    }
}

/// The checked change to a user: what is `None` stays as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserChange {
    name: Option<String>,
    email: Option<String>,
}

impl UserChange {
    /// Checks the fields that are given and names every one that is wrong. At least one must be given.
    pub fn new(name: Option<&str>, email: Option<&str>) -> Result<Self, Invalid> {
        let name = name.map(str::trim);
        let faults = [
            name.and_then(check_name).map(|reason| ("name", reason)),
            email.and_then(check_email).map(|reason| ("email", reason)),
            (name.is_none() && email.is_none()).then_some(("body", "must give a name or an email")),
        ];
        Invalid::unless_empty(faults)?;
        Ok(Self { name: name.map(str::to_owned), email: email.map(str::to_ascii_lowercase) })
    }

    /// The new name.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The new email, in lower case.
    #[must_use]
    pub fn email(&self) -> Option<&str> {
        self.email.as_deref()
    }
}

/// Which users to list: `limit` of them in order of creation, after the first `offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    limit: u32,
    offset: u32,
}

impl Page {
    /// Checks that `limit` is in 1..=[`MAX_PAGE`].
    pub fn new(limit: u32, offset: u32) -> Result<Self, Invalid> {
        if (1..=MAX_PAGE).contains(&limit) {
            Ok(Self { limit, offset })
        } else {
            Err(Invalid::one("limit", "must be from 1 to 100"))
        }
    }

    /// How many users.
    #[must_use]
    pub const fn limit(self) -> u32 {
        self.limit
    }

    /// How many to skip.
    #[must_use]
    pub const fn offset(self) -> u32 {
        self.offset
    }
}

/// The time, in the whole microseconds that every database keeps.
#[must_use]
pub fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}

/// The fields that were refused, each with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid(Vec<(&'static str, &'static str)>);

impl Invalid {
    /// One refused field.
    #[must_use]
    pub fn one(field: &'static str, reason: &'static str) -> Self {
        Self(vec![(field, reason)])
    }

    fn unless_empty(faults: impl IntoIterator<Item = Option<(&'static str, &'static str)>>) -> Result<(), Self> {
        let faults: Vec<_> = faults.into_iter().flatten().collect();
        if faults.is_empty() { Ok(()) } else { Err(Self(faults)) }
    }

    /// The names of the refused fields.
    pub fn fields(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|&(field, _)| field)
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (field, reason)) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { "; " };
            write!(f, "{separator}{field}: {reason}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Invalid {}

impl From<Invalid> for AppError {
    fn from(invalid: Invalid) -> Self {
        Self::new(Code::InvalidInput, invalid.to_string())
    }
}

fn check_name(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("must not be empty")
    } else if name.chars().count() > MAX_NAME_CHARS {
        Some("must have at most 200 characters")
    } else if name.chars().any(char::is_control) {
        Some("must not contain control characters")
    } else if name.chars().any(is_deceptive) {
        Some("must not contain characters that change the direction of text or break lines")
    } else {
        None
    }
}

/// Embeddings, overrides and isolates of text direction, and the line and paragraph separators: a name that
/// holds one can rearrange the text that it is shown in.
const fn is_deceptive(c: char) -> bool {
    matches!(c, '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Accepts what mail systems carry without quoting: printable ASCII, one `@`, a plain domain.
fn check_email(email: &str) -> Option<&'static str> {
    if email.is_empty() {
        return Some("must not be empty");
    }
    if email.len() > MAX_EMAIL_BYTES {
        return Some("must have at most 254 bytes");
    }
    if !email.bytes().all(|b| b.is_ascii_graphic()) {
        return Some("must consist of printable ASCII characters without spaces");
    }
    let Some((local, domain)) = email.split_once('@') else {
        return Some("must contain an @");
    };
    if local.is_empty() || local.len() > MAX_LOCAL_BYTES || !local.split('.').all(is_atom) {
        return Some("has a bad part before the @");
    }
    if !domain.split('.').all(is_label) {
        return Some("has a bad domain");
    }
    None
}

/// A run of the characters that RFC 5322 §3.2.3 lets stand unquoted.
fn is_atom(atom: &str) -> bool {
    !atom.is_empty() && atom.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b))
}

/// A host name's label (RFC 1123 §2.1).
fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}
