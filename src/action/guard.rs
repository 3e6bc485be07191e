//! What keeps a response from doing harm: whom it never touches, and how often it may act.

use crate::respond::AtMost;
use crate::store::Outcome;
use crate::time::Timestamp;

/// What the guards need to know and an action cannot.
#[derive(Debug, Clone, Copy)]
pub struct GuardInput {
    /// How often this action changed something within its `at_most.per`.
    pub recent: u64,
    /// The time.
    pub now: Timestamp,
}

impl AtMost {
    /// Why it may not act now, if so.
    #[must_use]
    pub fn refusal(self, guard: &GuardInput) -> Option<String> {
        let Self { count, per } = self;
        (guard.recent >= count).then(|| format!("the limit of this action is reached ({count} per {per})"))
    }
}

/// A response that did not act because a person must decide.
pub(super) fn refused(what: &str, why: &str, dry_run: bool) -> Outcome {
    let summary = format!("did not {what}: {why}; a person must decide");
    Outcome { changed: false, dry_run, summary, undo: None, needs_human: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_reached_at_its_count() {
        let guard = |recent| GuardInput { recent, now: Timestamp(0) };
        let limit = AtMost::default();
        assert_eq!(limit.refusal(&guard(2)), None);
        assert_eq!(limit.refusal(&guard(3)).unwrap(), "the limit of this action is reached (3 per 1h)");
        assert!(AtMost { count: 0, ..limit }.refusal(&guard(0)).is_some());
    }
}
