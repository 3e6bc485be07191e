//! What people do with an alert, and what that makes of it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{AlertId, AlertState, Occasion, Verdict};
use crate::time::Timestamp;

/// Characters of a note or a comment at most.
pub const NOTE_MAX: usize = 2_000;
/// Characters of a person's name at most.
pub const NAME_MAX: usize = 200;

/// The part of an alert's triage that changes are about.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Stance {
    /// Where it stands.
    pub state: AlertState,
    /// Whose it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assignee: Option<String>,
    /// What it turned out to be; only of a resolved one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// The alert that told the same; only of a duplicate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicate_of: Option<AlertId>,
}

/// What somebody does with an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Takes it up.
    Acknowledge {
        /// What they say to it.
        note: Option<String>,
    },
    /// Says what it was. One that is resolved already gets another verdict.
    Resolve {
        /// What it turned out to be.
        verdict: Verdict,
        /// Of a duplicate, the alert that told the same.
        of: Option<AlertId>,
        /// What they say to it.
        note: Option<String>,
    },
    /// Opens it again, or lets go of it.
    Reopen {
        /// What they say to it.
        note: Option<String>,
    },
    /// Gives it to somebody, or to nobody.
    Assign {
        /// To whom.
        to: Option<String>,
    },
    /// Writes something to it.
    Comment {
        /// What.
        text: String,
    },
}

/// Why a change cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nobody looks into what is resolved.
    #[error("it is resolved as {0}: reopen it first")]
    Resolved(Verdict),
    /// A duplicate without the other.
    #[error("a duplicate needs the id of the alert that told the same (`of`)")]
    NotOf,
    /// The other without a duplicate.
    #[error("`of` goes with the verdict duplicate")]
    OfWhat,
    /// A text that is empty or too long.
    #[error("{0} must have 1 to {1} characters")]
    Length(&'static str, usize),
}

impl Change {
    /// Whether it can be at all, whatever the alert is like.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn check(&self) -> Result<(), Refusal> {
        let fits = |text: &str, max| !text.trim().is_empty() && text.chars().count() <= max;
        let noted = |note: &Option<String>| match note {
            Some(note) if !fits(note, NOTE_MAX) => Err(Refusal::Length("the note", NOTE_MAX)),
            _ => Ok(()),
        };
        match self {
            Self::Acknowledge { note } | Self::Reopen { note } => noted(note),
            Self::Resolve { verdict: Verdict::Duplicate, of: None, .. } => Err(Refusal::NotOf),
            Self::Resolve { verdict, of: Some(_), .. } if *verdict != Verdict::Duplicate => {
                Err(Refusal::OfWhat)
            }
            Self::Resolve { note, .. } => noted(note),
            Self::Assign { to: Some(to) } if !fits(to, NAME_MAX) => {
                Err(Refusal::Length("the name", NAME_MAX))
            }
            Self::Assign { .. } => Ok(()),
            Self::Comment { text } if !fits(text, NOTE_MAX) => Err(Refusal::Length("the comment", NOTE_MAX)),
            Self::Comment { .. } => Ok(()),
        }
    }

    /// What is said with it.
    #[must_use]
    pub fn note(&self) -> Option<&str> {
        match self {
            Self::Acknowledge { note } | Self::Resolve { note, .. } | Self::Reopen { note } => {
                note.as_deref()
            }
            Self::Assign { .. } => None,
            Self::Comment { text } => Some(text),
        }
    }

    /// What stands in the audit log beside the alert and its states.
    #[must_use]
    pub fn asked(&self) -> String {
        let note = self.note().map(|note| note.chars().take(200).collect::<String>());
        note.map_or_else(String::new, |note| format!("note {note:?}"))
    }

    /// What it is called in the history.
    #[must_use]
    pub const fn what(&self) -> Happening {
        match self {
            Self::Acknowledge { .. } => Happening::Acknowledged,
            Self::Resolve { .. } => Happening::Resolved,
            Self::Reopen { .. } => Happening::Reopened,
            Self::Assign { .. } => Happening::Assigned,
            Self::Comment { .. } => Happening::Commented,
        }
    }
}

impl Stance {
    /// Where the alert stands after a change.
    ///
    /// # Errors
    /// When the change does not go with where it stands.
    pub fn after(&self, change: &Change) -> Result<Self, Refusal> {
        change.check()?;
        Ok(match change {
            Change::Acknowledge { .. } => match self.verdict {
                Some(verdict) => return Err(Refusal::Resolved(verdict)),
                None => Self { state: AlertState::Acknowledged, ..self.clone() },
            },
            Change::Resolve { verdict, of, .. } => Self {
                state: AlertState::Resolved,
                verdict: Some(*verdict),
                duplicate_of: of.clone(),
                assignee: self.assignee.clone(),
            },
            Change::Reopen { .. } => Self { assignee: self.assignee.clone(), ..Self::default() },
            Change::Assign { to } => Self { assignee: to.clone(), ..self.clone() },
            Change::Comment { .. } => self.clone(),
        })
    }

    /// Whether new findings open it again: what was harmful goes on. What was allowed, no match, a trial or told
    /// elsewhere stays so; its findings are counted.
    #[must_use]
    pub fn reopens(&self) -> bool {
        self.verdict == Some(Verdict::TruePositive)
    }
}

impl fmt::Display for Stance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.state)?;
        if let Some(verdict) = self.verdict {
            write!(f, " as {verdict}")?;
        }
        if let Some(of) = &self.duplicate_of {
            write!(f, " of {of}")?;
        }
        self.assignee.as_ref().map_or(Ok(()), |assignee| write!(f, ", {assignee}'s"))
    }
}

/// What happened to an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Happening {
    /// A rule raised it.
    Opened,
    /// Somebody took it up.
    Acknowledged,
    /// Somebody said what it was.
    Resolved,
    /// It is open again.
    Reopened,
    /// It was given to somebody, or to nobody.
    Assigned,
    /// Somebody wrote something to it.
    Commented,
    /// It went up in another alert, which late events showed to be the same.
    Merged,
    /// Another alert went up in it.
    Absorbed,
}

impl Happening {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Opened,
        Self::Acknowledged,
        Self::Resolved,
        Self::Reopened,
        Self::Assigned,
        Self::Commented,
        Self::Merged,
        Self::Absorbed,
    ];

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Acknowledged => "acknowledged",
            Self::Resolved => "resolved",
            Self::Reopened => "reopened",
            Self::Assigned => "assigned",
            Self::Commented => "commented",
            Self::Merged => "merged",
            Self::Absorbed => "absorbed",
        }
    }

    /// The happening of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|what| what.name() == name)
    }

    /// Of what those are told who were told of the alert, if of anything.
    #[must_use]
    pub const fn occasion(self) -> Option<Occasion> {
        match self {
            Self::Acknowledged => Some(Occasion::Acknowledged),
            Self::Resolved => Some(Occasion::Resolved),
            Self::Reopened => Some(Occasion::Reopened),
            Self::Opened | Self::Assigned | Self::Commented | Self::Merged | Self::Absorbed => None,
        }
    }
}

/// One line of an alert's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Rises over all alerts in the order of the changes.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// Who; none: Watchfire itself.
    pub by: Option<String>,
    /// What.
    pub what: Happening,
    /// Where the alert stood before.
    pub from: Stance,
    /// Where it stands since.
    pub to: Stance,
    /// What was said with it.
    pub note: Option<String>,
    /// The other alert, where two became one.
    pub other: Option<AlertId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(verdict: Verdict, of: Option<&str>) -> Change {
        Change::Resolve { verdict, of: of.map(|id| AlertId(id.into())), note: None }
    }

    #[test]
    fn an_alert_goes_through_its_states() {
        let open = Stance::default();
        let taken = open.after(&Change::Acknowledge { note: None }).unwrap();
        let mine = taken.after(&Change::Assign { to: Some("ann".into()) }).unwrap();
        let done = mine.after(&resolve(Verdict::Duplicate, Some("a1"))).unwrap();
        assert_eq!(done.to_string(), "resolved as duplicate of a1, ann's");
        assert!(!done.reopens() && open.after(&resolve(Verdict::TruePositive, None)).unwrap().reopens());
        let refused = done.after(&Change::Acknowledge { note: None });
        assert_eq!(refused.unwrap_err().to_string(), "it is resolved as duplicate: reopen it first");
        assert_eq!(
            done.after(&resolve(Verdict::Benign, None)).unwrap().to_string(),
            "resolved as benign, ann's"
        );
        assert_eq!(done.after(&Change::Reopen { note: None }).unwrap().to_string(), "open, ann's");
        assert_eq!(mine.after(&Change::Reopen { note: None }).unwrap().state, AlertState::Open);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert_eq!(resolve(Verdict::Duplicate, None).check(), Err(Refusal::NotOf));
        assert_eq!(resolve(Verdict::Test, Some("a")).check(), Err(Refusal::OfWhat));
        let long = "x".repeat(NOTE_MAX + 1);
        for wrong in [
            Change::Comment { text: " ".into() },
            Change::Comment { text: long.clone() },
            Change::Acknowledge { note: Some(String::new()) },
            Change::Reopen { note: Some(long) },
            Change::Assign { to: Some("y".repeat(NAME_MAX + 1)) },
        ] {
            assert!(matches!(wrong.check(), Err(Refusal::Length(..))), "{wrong:?}");
        }
        assert!(Happening::ALL.into_iter().all(|what| Happening::named(what.name()) == Some(what)));
    }
}
