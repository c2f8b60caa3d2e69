//! JSON objects, refused by the name of the field that is wrong.

use serde::de::DeserializeOwned;

use crate::error::{AppError, Code};

/// Characters of a message that may repeat what was sent.
const MAX_MESSAGE_CHARS: usize = 200;

/// Parses an object; `whole` is what messages call it. An array is refused, although it could fill the fields in order.
///
/// # Errors
/// `INVALID_INPUT`, with the field named that is wrong.
pub(crate) fn parse<T: DeserializeOwned>(whole: &str, text: &[u8]) -> Result<T, AppError> {
    let invalid = |message: String| AppError::new(Code::InvalidInput, message);
    if text.trim_ascii_start().first() != Some(&b'{') {
        return Err(invalid(format!("{whole}: must be a JSON object")));
    }
    let mut json = serde_json::Deserializer::from_slice(text);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." { whole } else { path.as_str() };
        let message = format!("{field}: {}", error.inner());
        invalid(message.chars().take(MAX_MESSAGE_CHARS).collect())
    })?;
    json.end().map_err(|_| invalid(format!("{whole}: must end after the JSON object")))?;
    Ok(value)
}
