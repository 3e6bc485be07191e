//! Why bytes are no event: where, what, and what to do.

use std::fmt;

/// Why bytes are no event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError {
    /// What is wrong and what to do.
    pub reason: String,
    /// Where, from 1, in bytes of the line; 0 when the event as a whole is meant.
    pub column: usize,
}

impl DecodeError {
    pub(super) fn not_utf8(error: &std::str::Utf8Error) -> Self {
        let column = error.valid_up_to() + 1;
        Self { reason: "not UTF-8; JSON must be sent as UTF-8".to_owned(), column }
    }

    /// From the JSON parser's error; `text` is what it read.
    #[must_use]
    pub fn json(error: &serde_json::Error, text: &str) -> Self {
        let reason = if error.is_eof() && text.trim().is_empty() {
            "empty; expected one JSON object".to_owned()
        } else {
            let said = error.to_string();
            let what = said.split(" at line ").next().unwrap_or_default();
            format!("{what}; expected one JSON object per event")
        };
        // Events may be spread over lines; the column then counts from the start of its own line.
        Self { reason, column: error.column() }
    }

    pub(super) fn time(text: &str) -> Self {
        let shown: String = text.chars().take(60).collect();
        let reason = format!(
            "the event's time `{shown}` is no time; send RFC 3339 such as 2026-01-31T09:00:00.000Z, or epoch milliseconds"
        );
        Self { reason, column: 0 }
    }

    pub(super) fn unknown_format(name: &str) -> Self {
        Self { reason: format!("no decoder for format {name}"), column: 0 }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.column {
            0 => f.write_str(&self.reason),
            column => write!(f, "column {column}: {}", self.reason),
        }
    }
}

impl std::error::Error for DecodeError {}
