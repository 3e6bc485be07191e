//! Several alerts in one message: which message an alert goes into, and when that is due.

use serde::Deserialize;
use serde::de::Error as _;

use super::case::{Case, Field};
use super::text::{Length, some_time, some_time_or_none};
use crate::time::{Span, Timestamp};

/// How alerts are told together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Alerts with the same values of these fields belong together.
    pub by: Vec<Field>,
    /// How long the first message of a group waits for further alerts.
    pub wait: Span,
    /// How long after a message the next one is due, with all that came meanwhile.
    pub interval: Span,
    /// How long after a message it is told again while any of the group's alerts is unresolved.
    pub repeat: Option<Span>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    by: Vec<String>,
    #[serde(default = "half_a_minute")]
    wait: Length,
    #[serde(default = "five_minutes", deserialize_with = "some_time")]
    interval: Span,
    #[serde(default, deserialize_with = "some_time_or_none")]
    repeat: Option<Span>,
}

const fn half_a_minute() -> Length {
    Length(Span::seconds(30))
}

const fn five_minutes() -> Span {
    Span::minutes(5)
}

impl<'de> Deserialize<'de> for Group {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Written { by, wait, interval, repeat } = Written::deserialize(deserializer)?;
        if by.is_empty() {
            return Err(D::Error::custom(
                "`by` is empty: name the fields that alerts of one group share, such as [rule, author_id]",
            ));
        }
        let by = by.iter().map(|name| Field::named(name)).collect();
        Ok(Self { by, wait: wait.0, interval, repeat })
    }
}

/// Alerts in one message; beyond, the next one takes them.
const TOGETHER_MAX: u32 = 200;

impl Group {
    /// What sets a group apart: names and values. An alert that lacks a field is a group of its own, named by its id: what
    /// is missing is no value that alerts could share.
    #[must_use]
    pub fn key(&self, case: &Case<'_>) -> String {
        let parts = self.by.iter().map(|field| {
            let value = field.joined(case).unwrap_or_else(|| format!("none, alert {}", case.alert.id));
            format!("{} = {value}", field.name())
        });
        parts.collect::<Vec<_>>().join(", ")
    }
}

/// Where a group stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupState {
    /// The message that nobody has tried to deliver yet.
    pub open: Option<String>,
    /// How many alerts are in it.
    pub size: u32,
    /// When the newest message was due.
    pub last_due: Timestamp,
}

/// Into which message an alert goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Joined {
    /// Into this one, which waits.
    Waiting(String),
    /// Into a new one that is due then.
    New(Timestamp),
}

/// Into which message of its group an alert goes that is committed at this moment. A message that was tried once takes
/// none any more, so that every try says the same.
#[must_use]
pub fn join(group: &Group, state: Option<&GroupState>, at: Timestamp) -> Joined {
    let Some(state) = state else { return Joined::New(at.plus(group.wait)) };
    if let Some(open) = state.open.as_ref().filter(|_| state.size < TOGETHER_MAX) {
        return Joined::Waiting(open.clone());
    }
    let next = state.last_due.plus(group.interval);
    if at >= next {
        return Joined::New(at.plus(group.wait));
    }
    // Not later than this whatever the clock showed when the last one was due.
    Joined::New(next.min(at.plus(group.interval)))
}
