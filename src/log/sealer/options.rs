//! When to seal and to merge.

use crate::time::Span;

/// When entries are sealed, and how large segments become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealOptions {
    /// Once the hot end has so many entries, they are sealed.
    pub seal_entries: u64,
    /// Entries that arrived longer ago are sealed, however few there are.
    pub seal_after: Span,
    /// Neighbouring segments are merged until they have so many entries.
    pub segment_entries: u64,
}

impl Default for SealOptions {
    fn default() -> Self {
        Self { seal_entries: 32_768, seal_after: Span::days(1), segment_entries: 1_000_000 }
    }
}
