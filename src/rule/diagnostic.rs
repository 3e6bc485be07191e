//! One thing wrong with a file, at its place.

use std::sync::Arc;

use serde::Serialize;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Works, but is probably not what was meant.
    Warning,
    /// The document is left out.
    Error,
}

/// One thing wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// A stable short name, such as `unknown-key`.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do, such as `did you mean …`.
    pub help: Option<String>,
    /// The file, as it was given.
    pub path: Arc<str>,
    /// From 1; 0 when the file as a whole is meant.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    /// How many characters from there are meant; at least 1.
    pub width: u32,
}
