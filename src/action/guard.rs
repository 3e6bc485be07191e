//! What keeps a response from doing harm: whom it never touches, and how often it may act.

use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};

use crate::deliver::span;
use crate::store::Outcome;
use crate::time::{Span, Timestamp};

/// What the guards need to know and an action cannot.
#[derive(Debug, Clone, Copy)]
pub struct GuardInput {
    /// How often this action changed something within its `at_most.per`.
    pub recent: u64,
    /// The time.
    pub now: Timestamp,
}

/// `at_most: {count: 3, per: 1h}`: beyond it a person must decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AtMost {
    /// So many changes.
    pub count: u64,
    /// Within this time.
    #[serde(deserialize_with = "span")]
    pub per: Span,
}

impl Default for AtMost {
    fn default() -> Self {
        Self { count: 3, per: Span::minutes(60) }
    }
}

impl AtMost {
    /// Why it may not act now, if so.
    #[must_use]
    pub fn refusal(self, guard: &GuardInput) -> Option<String> {
        let Self { count, per } = self;
        (guard.recent >= count).then(|| format!("the limit of this action is reached ({count} per {per})"))
    }
}

/// Somebody on `never`: an id or a name, written as number or text. What is a number is an id and nothing else: whoever
/// calls himself `1` is not the user 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(pub String);

impl Name {
    /// The number, if it is one.
    #[must_use]
    pub fn id(&self) -> Option<i64> {
        self.0.parse().ok()
    }

    /// Whether it is this account's number.
    #[must_use]
    pub fn is_id(&self, id: i64) -> bool {
        self.id() == Some(id)
    }

    /// Whether it is this name, which its bearer cannot give himself; names compare without regard to case.
    #[must_use]
    pub fn is_name(&self, name: &str) -> bool {
        self.id().is_none() && self.0.to_lowercase() == name.to_lowercase()
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IdOrName;
        impl Visitor<'_> for IdOrName {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a user's id or name")
            }
            fn visit_u64<E: de::Error>(self, id: u64) -> Result<Name, E> {
                Ok(Name(id.to_string()))
            }
            fn visit_i64<E: de::Error>(self, id: i64) -> Result<Name, E> {
                Ok(Name(id.to_string()))
            }
            fn visit_str<E: de::Error>(self, name: &str) -> Result<Name, E> {
                match name.trim().trim_start_matches('@') {
                    "" => Err(E::invalid_value(de::Unexpected::Str(name), &self)),
                    name => Ok(Name(name.to_owned())),
                }
            }
        }
        deserializer.deserialize_any(IdOrName)
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

    #[test]
    fn names_are_ids_or_texts() {
        let names: Vec<Name> = serde_yaml::from_str("[root, 1, '@Alice', -3]").unwrap();
        assert!(
            names[0].is_name("ROOT") && names[1].is_id(1) && names[2].is_name("alice") && names[3].is_id(-3)
        );
        assert!(!names[0].is_name("rooter") && !names[1].is_id(11));
        assert!(!names[1].is_name("1"), "an account that is called 1 is not the account 1");
        assert!(serde_yaml::from_str::<Vec<Name>>("['']").is_err());
    }
}
