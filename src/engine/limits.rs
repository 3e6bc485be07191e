//! What detection may use, and what happens at the limit.

use crate::time::Span;

/// What detection may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How late an event may come and still be judged by windows; later ones go to the ledger.
    pub lateness: Span,
    /// How many bytes the state of all keys may take; beyond it the coldest keys of the largest rule are
    /// forgotten, and the ledger says how many.
    pub state_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { lateness: Span::minutes(5), state_bytes_max: 256 << 20 }
    }
}
