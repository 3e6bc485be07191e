//! What keeps one response from doing harm, as its action's settings say it.

use std::fmt;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::deliver::span;
use crate::time::Span;

/// The guards of one response. They stand among the settings of its action.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Guards {
    /// It looks and decides, but changes nothing; a response does so until somebody turns it off.
    pub dry_run: Option<bool>,
    /// Ids and names of those it never touches, beside those that no response touches.
    pub never: Vec<Name>,
    /// How often it may act before a person must decide; absent: [`AtMost::default`].
    pub at_most: Option<AtMost>,
    /// How many people must approve: none, one or two.
    pub approvals: u8,
    /// For how long.
    pub lasts: Ladder,
    /// For so long after it has changed somebody it leaves the same one alone.
    pub cool_down: Option<Span>,
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

/// For how long a response holds: each time it hits the same identity again for the next length, then for the last one.
/// Empty: for ever.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ladder(Vec<Option<Span>>);

/// More steps than this have no use.
const STEPS_MAX: usize = 20;

impl Ladder {
    /// How long it holds when it hit the same identity so often before; none: until somebody undoes it.
    #[must_use]
    pub fn after(&self, before: u64) -> Option<Span> {
        let last = self.0.len().checked_sub(1)?;
        let step = usize::try_from(before).unwrap_or(usize::MAX).min(last);
        self.0.get(step).copied().flatten()
    }

    /// Whether it ever ends by itself.
    #[must_use]
    pub fn ends(&self) -> bool {
        self.0.iter().any(Option::is_some)
    }
}

impl fmt::Display for Ladder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = |step: &Option<Span>| step.map_or("for ever".to_owned(), |span| span.to_string());
        let steps: Vec<String> = self.0.iter().map(words).collect();
        f.write_str(&if steps.is_empty() { "for ever".to_owned() } else { steps.join(", then ") })
    }
}

impl<'de> Deserialize<'de> for Ladder {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Steps;
        impl<'de> Visitor<'de> for Steps {
            type Value = Ladder;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a length of time such as 24h, `forever`, or a list of them")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Ladder, E> {
                Ok(Ladder(vec![length(text)?]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Ladder, A::Error> {
                let mut steps = Vec::new();
                while let Some(Length(step)) = seq.next_element()? {
                    steps.push(step);
                }
                if steps.is_empty() || steps.len() > STEPS_MAX {
                    return Err(de::Error::custom(format!("expected one to {STEPS_MAX} lengths of time")));
                }
                Ok(Ladder(steps))
            }
        }
        deserializer.deserialize_any(Steps)
    }
}

struct Length(Option<Span>);

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        length(&String::deserialize(deserializer)?).map(Self)
    }
}

fn length<E: de::Error>(text: &str) -> Result<Option<Span>, E> {
    if matches!(text.trim(), "forever" | "for ever") {
        return Ok(None);
    }
    let span: Span = text.parse().map_err(E::custom)?;
    if span.0 < Span::minutes(1).0 { Err(E::custom("must be at least 1m")) } else { Ok(Some(span)) }
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

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn repeats_climb_the_ladder_and_stay_on_its_last_step() {
        let ladder: Ladder = serde_yaml::from_str("[1h, 24h, 7d]").unwrap();
        let steps: Vec<_> = (0..5).map(|before| ladder.after(before).unwrap().to_string()).collect();
        assert_eq!(steps, ["1h", "1d", "1w", "1w", "1w"]);
        let once: Ladder = serde_yaml::from_str("24h").unwrap();
        assert_eq!((once.after(0), once.after(9)), (Some(Span::hours(24)), Some(Span::hours(24))));
        let grave: Ladder = serde_yaml::from_str("[1h, forever]").unwrap();
        assert_eq!((grave.after(0), grave.after(1)), (Some(Span::hours(1)), None));
        assert_eq!((Ladder::default().after(3), Ladder::default().ends()), (None, false));
        assert_eq!(grave.to_string(), "1h, then for ever");
        for wrong in ["[]", "soon", "0s", "[1h, 5]", "30s"] {
            assert!(serde_yaml::from_str::<Ladder>(wrong).is_err(), "{wrong}");
        }
    }
}
