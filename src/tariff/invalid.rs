//! Why a value is refused.

use crate::reading::SafeText;

/// A value that a key cannot have. The message goes on from the key: `is "16-21": not a span of hours`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Invalid {
    /// The message, with the value.
    pub message: String,
    /// A few words for the marked part of a line.
    pub label: String,
    /// The hint.
    pub hint: String,
}

impl Invalid {
    /// A value that is not what the key takes.
    pub(super) fn value(value: &str, fault: &str, hint: impl Into<String>) -> Self {
        let message = format!("is \"{}\": {fault}", SafeText::new(value));
        Self { message, label: fault.to_owned(), hint: hint.into() }
    }

    /// A key that is wrong whatever its value.
    pub(super) fn key(message: impl Into<String>, label: &str, hint: impl Into<String>) -> Self {
        Self { message: message.into(), label: label.to_owned(), hint: hint.into() }
    }
}
