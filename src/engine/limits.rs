//! What detection may use, and what happens at the limit.

use crate::time::Span;

/// What detection may use.
///
/// At a limit on memory keys are forgotten, and the ledger says how many:
///
/// * first those that did not come back, the oldest first; a fingerprint of each is kept, so that one that comes back
///   after all is protected from then on, as long as not more than `state_bytes_max` / 16 others were forgotten
///   meanwhile. What it did before it was recognised is lost.
/// * Of those that came back, the oldest, when they take more than nine tenths; each time it came back since it
///   was last looked at, at most three, earns it another round.
///
/// So a flood of keys that never come back hides nobody who does, and a flood of keys that do hides who comes back more
/// rarely than the protected keys turn over. Limits are part of what a state is a function of: with others, other
/// keys are forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How late an event may come and still be judged by windows; later ones go to the ledger.
    pub lateness: Span,
    /// How many bytes the state of all keys of all rules may take. Beyond it the rule that takes most gives way, so
    /// that a rule which takes less than an equal share never does.
    pub state_bytes_max: usize,
    /// How many bytes one rule's keys may take, however much is free: a rule with an unwise key does not drive out
    /// what the others remember.
    pub rule_bytes_max: usize,
    /// Whether events of the [past](crate::event::PAST) lead to findings, as a backtest wants it, or only teach.
    pub judges_past: bool,
}

impl Limits {
    /// The memory of forgotten keys takes this part of `state_bytes_max`, once it is needed.
    pub(super) const GHOSTS: usize = 8;

    /// What the memory of forgotten keys takes.
    pub(super) const fn ghost_bytes(&self) -> usize {
        self.state_bytes_max / Self::GHOSTS
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            lateness: Span::minutes(5),
            state_bytes_max: 256 << 20,
            rule_bytes_max: 128 << 20,
            judges_past: false,
        }
    }
}
