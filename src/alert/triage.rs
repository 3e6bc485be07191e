//! What people make of an alert: where it stands, whose it is, and what it turned out to be.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// Where an alert stands.
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
#[serde(rename_all = "snake_case")]
pub enum AlertState {
    /// Nobody has taken it up.
    #[default]
    Open,
    /// Somebody looks into it.
    Acknowledged,
    /// It is known what it was.
    Resolved,
}

impl AlertState {
    /// In the order in which an alert goes through them.
    pub const ALL: [Self; 3] = [Self::Open, Self::Acknowledged, Self::Resolved];

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Acknowledged => "acknowledged",
            Self::Resolved => "resolved",
        }
    }

    /// The state of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

impl fmt::Display for AlertState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a resolved alert turned out to be.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// What the rule looks for, and harmful.
    TruePositive,
    /// What the rule looks for, and allowed.
    Benign,
    /// Not what the rule looks for.
    FalsePositive,
    /// Somebody tried the rule.
    Test,
    /// Told by another alert already.
    Duplicate,
}

impl Verdict {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::TruePositive, Self::Benign, Self::FalsePositive, Self::Test, Self::Duplicate];

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TruePositive => "true_positive",
            Self::Benign => "benign",
            Self::FalsePositive => "false_positive",
            Self::Test => "test",
            Self::Duplicate => "duplicate",
        }
    }

    /// The verdict of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.name() == name)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where an alert stands now. One that nobody has touched is open and nobody's.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Triage {
    /// Where it stands.
    pub state: AlertState,
    /// Who looks into it.
    pub assignee: Option<String>,
    /// What it turned out to be; only of a resolved one.
    pub verdict: Option<Verdict>,
    /// What was written when it came to this state.
    pub note: Option<String>,
    /// When it came to this state; none while nobody has touched it.
    pub changed_at: Option<Timestamp>,
    /// Who brought it there.
    pub changed_by: Option<String>,
}

/// Why somebody is told of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Occasion {
    /// It is new.
    #[default]
    Opened,
    /// Nobody has acknowledged it for a while.
    Reminder,
    /// Nobody has acknowledged it for so long that others are told.
    Escalated,
    /// Somebody looks into it.
    Acknowledged,
    /// It is known what it was.
    Resolved,
    /// It was resolved and is open again.
    Reopened,
    /// What a response did is to be undone.
    Undo,
}

impl Occasion {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Opened,
        Self::Reminder,
        Self::Escalated,
        Self::Acknowledged,
        Self::Resolved,
        Self::Reopened,
        Self::Undo,
    ];

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Reminder => "reminder",
            Self::Escalated => "escalated",
            Self::Acknowledged => "acknowledged",
            Self::Resolved => "resolved",
            Self::Reopened => "reopened",
            Self::Undo => "undo",
        }
    }

    /// The occasion of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|occasion| occasion.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back() {
        assert!(AlertState::ALL.into_iter().all(|state| AlertState::named(state.name()) == Some(state)));
        assert!(Verdict::ALL.into_iter().all(|verdict| Verdict::named(verdict.name()) == Some(verdict)));
        assert!(Occasion::ALL.into_iter().all(|what| Occasion::named(what.name()) == Some(what)));
        let written = serde_json::to_string(&Verdict::ALL).unwrap();
        assert_eq!(written, r#"["true_positive","benign","false_positive","test","duplicate"]"#);
    }
}
