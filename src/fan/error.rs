//! What is refused at the call.

/// A fan that cannot be: which parameter, its value and what is allowed, or that there is nothing to run it on. The stream
/// that was handed over is dropped.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use flowgate::{fan_out, InvalidFan};
///
/// let refused = fan_out(futures::stream::iter([1, 2, 3]), 0, 16).unwrap_err();
/// assert_eq!(refused.to_string(), "fan option `n` is 0; allowed: 1 to 65536");
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidFan {
    /// A number that cannot be honoured, or legs that are not there.
    #[error("fan option `{option}` is {value}; allowed: {allowed}")]
    Option {
        /// The parameter's name.
        option: &'static str,
        /// The refused value.
        value: usize,
        /// The allowed range, in words.
        allowed: String,
    },
    /// The caller is not inside a tokio runtime, which is to run the task that polls the stream.
    #[error("a fan needs a tokio runtime, and the caller is not inside one")]
    NoRuntime,
}

/// The most branches of a fan.
const MAX_BRANCHES: usize = 65_536;

/// The most places of a branch.
const MAX_PLACES: usize = 1 << 31;

pub(super) fn check_branches(option: &'static str, n: usize) -> Result<(), InvalidFan> {
    check(option, n, MAX_BRANCHES)
}

pub(super) fn check_places(option: &'static str, n: usize) -> Result<(), InvalidFan> {
    check(option, n, MAX_PLACES)
}

fn check(option: &'static str, value: usize, most: usize) -> Result<(), InvalidFan> {
    if (1..=most).contains(&value) {
        return Ok(());
    }
    Err(InvalidFan::Option { option, value, allowed: format!("1 to {most}") })
}
