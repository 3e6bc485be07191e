//! The `log` section.

use serde::Deserialize;

use super::units::Length;
use crate::log::SealOptions;
use crate::time::Span;

/// When the log's hot end is sealed, and how large sealed segments become.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// Once so many entries are not yet sealed, they are.
    pub seal_entries: u64,
    /// What arrived longer ago is sealed, however little it is.
    pub seal_after: Length,
    /// Neighbouring segments are merged until they have so many entries.
    pub segment_entries: u64,
}

impl Default for LogConfig {
    fn default() -> Self {
        let SealOptions { seal_entries, seal_after, segment_entries } = SealOptions::default();
        Self { seal_entries, seal_after: Length(seal_after), segment_entries }
    }
}

impl LogConfig {
    /// Values that would do harm: the key, and what to write.
    pub(super) fn problems(&self) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        if self.seal_entries < 256 {
            found.push(("seal_entries", "it must be at least 256: each seal makes a file".to_owned()));
        }
        if self.seal_after.0 < Span::minutes(1) {
            found.push(("seal_after", "it must be at least 1m: each seal makes a file".to_owned()));
        }
        if self.segment_entries < self.seal_entries || self.segment_entries > 1 << 24 {
            let text = "it must be at least `log.seal_entries`, and at most 16777216";
            found.push(("segment_entries", text.to_owned()));
        }
        found
    }

    /// For the sealer.
    #[must_use]
    pub const fn seal(&self) -> SealOptions {
        SealOptions {
            seal_entries: self.seal_entries,
            seal_after: self.seal_after.0,
            segment_entries: self.segment_entries,
        }
    }
}
