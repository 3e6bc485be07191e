//! What a responder says about what it is to change.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What is to be changed, as an alert or a person names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Subject {
    /// The system, by the `forge` of its events.
    pub forge: String,
    /// What it is.
    pub kind: SubjectKind,
    /// Its id or name there.
    pub id: String,
    /// The group, project, organisation or account it belongs to, where its id alone does not tell.
    pub within: Option<String>,
}

/// What can be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubjectKind {
    /// An account.
    Account,
    /// An access token.
    Token,
    /// An SSH or deploy key.
    Key,
    /// An account's membership in a group, a project or an organisation.
    Membership,
    /// Anything else; only a program of the user's own knows what.
    Other,
}

/// Somebody whom a response hits: what the blast radius counts, and what is compared with those who are never touched.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// The system.
    pub forge: String,
    /// The account's id there.
    pub id: String,
    /// Its user name, where it is one that its bearer cannot give himself at will.
    pub name: Option<String>,
}

/// What a responder saw when it looked.
#[derive(Debug, Clone, PartialEq)]
pub struct Sight {
    /// For people: `user 7 (alice)`.
    pub who: String,
    /// Whom it hits. None: that could not be told, and then it is not done.
    pub identity: Option<Identity>,
    /// The state it is in, in the system's words: `active`.
    pub state: String,
    /// Whether there is anything to do.
    pub standing: Standing,
    /// Why it must not be touched whatever anybody configures: an administrator, a bot, Watchfire itself, the last owner,
    /// something that could not be found out.
    pub obstacles: Vec<String>,
    /// What undoing needs, as this responder writes and reads it; no secrets.
    pub before: Value,
    /// Where a person looks at it.
    pub page: Option<String>,
}

impl Sight {
    /// What there is not; or what is filled in after.
    pub(super) fn missing(who: String, state: &str) -> Self {
        Self {
            who,
            identity: None,
            state: state.to_owned(),
            standing: Standing::Missing,
            obstacles: Vec::new(),
            before: Value::Null,
            page: None,
        }
    }
}

/// Whether there is anything to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It is not as it should be yet.
    ToDo,
    /// It is as it should be.
    Already,
    /// It is in a state that this change cannot follow.
    Impossible,
    /// There is no such thing.
    Missing,
}

/// A call that changed something, for the ledger; without secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// `POST https://gitlab.example.com/api/v4/users/7/block`.
    pub request: String,
    /// The status and the beginning of what it said.
    pub answer: String,
}
