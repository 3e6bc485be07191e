//! A query that cannot be understood, shown with a caret under the mistake.

use std::fmt;

/// Why a text is no query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryError {
    /// What is wrong.
    pub message: String,
    /// Byte offset of the mistake in the query.
    pub at: usize,
    /// How many characters from there are meant; at least 1.
    pub width: usize,
    /// What to do.
    pub help: Option<String>,
    /// The query as it was given.
    pub query: String,
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // One character of the query is one column, whatever it is.
        let shown: String = self.query.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let before = self.query.get(..self.at).unwrap_or(&self.query).chars().count();
        write!(f, "{}\n  {shown}\n  {}{}", self.message, " ".repeat(before), "^".repeat(self.width.max(1)))?;
        match &self.help {
            Some(help) => write!(f, "\nhelp: {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for QueryError {}
