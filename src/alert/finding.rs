//! A finding is one statement that a rule held; an alert is the unbroken stretch of them for one key.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::event::Position;
use crate::time::Timestamp;

/// How serious a rule's author takes it; Sigma's `level`.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Not worth a person's time by itself.
    Informational,
    /// Rarely worth one.
    Low,
    /// Should be looked at.
    #[default]
    Medium,
    /// Should be looked at today.
    High,
    /// Should wake somebody.
    Critical,
}

impl Level {
    /// From the least to the most serious.
    pub const ALL: [Self; 5] = [Self::Informational, Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The word in rule files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Informational => "informational",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// The level of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name() == name)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The values that set one group apart, with their field names: `author_id = 7`.
///
/// A value is kept as the text of a JSON scalar, so `7` and `"7"` are one author: ids arrive as both.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Key(pub Vec<(String, String)>);

impl Key {
    /// The value of one field, as text.
    #[must_use]
    pub fn get(&self, field: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == field).map(|(_, value)| value.as_str())
    }

    /// As a JSON object: texts that are whole numbers become numbers.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Map<String, serde_json::Value> {
        self.0.iter().map(|(name, value)| (name.clone(), scalar(value))).collect()
    }
}

/// The JSON value of a key's text: a whole number where it is written as one, else a string.
#[must_use]
pub fn scalar(text: &str) -> serde_json::Value {
    match text.parse::<i64>() {
        Ok(number) if number.to_string() == text => number.into(),
        _ => text.into(),
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{name} = {value}")?;
        }
        Ok(())
    }
}

/// The statement that a rule held for a key at a time.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The rule's id.
    pub rule: Arc<str>,
    /// The group it held for.
    pub key: Key,
    /// Event time at which it held.
    pub time: Timestamp,
    /// The log position of the event that completed it.
    pub position: Position,
    /// What was measured: a count, a number of different values, hours of silence; 1 for a plain match.
    pub value: f64,
    /// One sentence for people: the value, the threshold, the window.
    pub reason: String,
    /// Log positions of the events that count: the first and the last ones, at most [`Finding::EVIDENCE_MAX`].
    pub evidence: Vec<Position>,
    /// How many events count, including those not in `evidence`.
    pub evidence_count: u64,
    /// The alert it belongs to; none for a rule that only feeds correlations.
    pub alert: Option<AlertId>,
}

impl Finding {
    /// How many events a finding cites by position.
    pub const EVIDENCE_MAX: usize = 20;
}

/// An alert's id: 16 bytes of a BLAKE3 hash over rule, key and completing event, in hex.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AlertId(pub String);

impl fmt::Display for AlertId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One rule, one key, one episode: the stretch of event time over which the behaviour held.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Derived, never drawn: the same log gives the same id.
    pub id: AlertId,
    /// The rule's id.
    pub rule: Arc<str>,
    /// The rule's title.
    pub title: String,
    /// The rule's level.
    pub level: Level,
    /// The rule's tags.
    pub tags: Vec<String>,
    /// The group it is about.
    pub key: Key,
    /// Event time of the first moment it held.
    pub started_at: Timestamp,
    /// Event time of the last finding.
    pub last_at: Timestamp,
    /// Log position of the event that opened it.
    pub position: Position,
    /// How many findings it gathered.
    pub findings: u64,
    /// What the latest finding measured.
    pub value: f64,
    /// The latest finding's sentence.
    pub reason: String,
    /// Log positions of the events that count, a bounded sample.
    pub evidence: Vec<Position>,
    /// How many events count at the latest finding.
    pub evidence_count: u64,
    /// Set when late events showed that this alert and an older one are the same episode.
    pub merged_into: Option<AlertId>,
}

/// Why an event could not be judged by a rule.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum LedgerReason {
    /// Its time lay before the watermark.
    TooLate,
    /// Its key's state had been put out to stay within the memory limit.
    Evicted,
    /// It lacks a field of the group key.
    MissingKey,
    /// The script went over a bound or threw.
    ScriptFailed,
    /// One key had more events in its window than are kept.
    WindowFull,
    /// The field that is measured holds no number, or a negative one where amounts are added.
    NotANumber,
    /// The number that is measured is too large to be kept exactly.
    OutOfRange,
}

/// One line of the ledger: what a rule could not judge, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// The rule's id.
    pub rule: Arc<str>,
    /// The reason.
    pub reason: LedgerReason,
    /// How many events since the last commit.
    pub count: u64,
    /// The first of them.
    pub first: Position,
    /// The last of them.
    pub last: Position,
    /// What went wrong with the last one, for scripts.
    pub detail: Option<String>,
}
