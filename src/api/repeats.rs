//! Refusals that repeat themselves: one row of the audit log for the first, one for all that follow within a minute, so
//! that nobody can make the log grow by being refused.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::store::Deed;
use crate::time::{Span, Timestamp};

/// So long refusals are counted together.
pub(super) const TOGETHER: Span = Span::minutes(1);
/// Authors and reasons; each author has a token, and there are few reasons.
const KEPT_MAX: usize = 4_096;

/// Refusals of the last minute, by author and outcome.
#[derive(Debug, Default)]
pub(super) struct Repeats(Mutex<HashMap<(String, String), Count>>);

#[derive(Debug)]
struct Count {
    since: Timestamp,
    more: u64,
    last: Deed,
}

/// What to do with a refusal.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Write it down.
    Write,
    /// It is counted; write down how many there were when they have been counted [`TOGETHER`].
    Later,
    /// It is counted.
    Counted,
}

impl Repeats {
    pub(super) fn note(&self, deed: &Deed, outcome: &str) -> Turn {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (deed.author.clone(), outcome.to_owned());
        if let Some(count) = kept.get_mut(&key) {
            // With some uncounted in it, it stays until they are written.
            if count.more > 0 || (0..TOGETHER.0).contains(&deed.at.since(count.since).0) {
                count.more += 1;
                count.last = deed.clone();
                return if count.more == 1 { Turn::Later } else { Turn::Counted };
            }
        }
        if kept.len() >= KEPT_MAX {
            kept.retain(|_, count| count.more > 0 || deed.at.since(count.since) < TOGETHER);
        }
        if kept.len() < KEPT_MAX {
            kept.insert(key, Count { since: deed.at, more: 0, last: deed.clone() });
        }
        Turn::Write
    }

    /// The last of those that were counted, and how many there were since when.
    pub(super) fn take(&self, author: &str, outcome: &str) -> Option<(Deed, String)> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Count { since, more, last } = kept.remove(&(author.to_owned(), outcome.to_owned()))?;
        (more > 0).then(|| (last, format!("{outcome}; {more} in all like this one since {since}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_written_and_the_others_counted() {
        let repeats = Repeats::default();
        let deed = |author: &str, at: i64| Deed::new(Timestamp(at), author, "POST /x");
        assert_eq!(repeats.note(&deed("a", 0), "refused: 403"), Turn::Write);
        assert_eq!(repeats.note(&deed("b", 0), "refused: 403"), Turn::Write);
        assert_eq!(repeats.note(&deed("a", 0), "refused: 404"), Turn::Write);
        assert_eq!(repeats.note(&deed("a", 1), "refused: 403"), Turn::Later);
        for at in 2..50 {
            assert_eq!(repeats.note(&deed("a", at), "refused: 403"), Turn::Counted);
        }
        let (last, outcome) = repeats.take("a", "refused: 403").unwrap();
        assert_eq!(last.at, Timestamp(49));
        assert_eq!(outcome, "refused: 403; 49 in all like this one since 1970-01-01T00:00:00.000Z");
        assert_eq!(repeats.take("b", "refused: 403"), None, "nothing was left out");
        assert_eq!(repeats.note(&deed("a", 60), "refused: 403"), Turn::Write);
        assert_eq!(repeats.note(&deed("a", 60_060), "refused: 403"), Turn::Write, "another minute");
    }
}
