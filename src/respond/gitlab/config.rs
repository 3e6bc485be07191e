//! The settings of a GitLab responder.

use std::path::PathBuf;

use serde::Deserialize;

use crate::deliver::{SecretRef, TIMEOUT, span};
use crate::time::Span;

use crate::respond::Verb;

/// The settings of a gitlab action, without those of the guards.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GitlabConfig {
    /// Where GitLab is, without `/api/v4`.
    pub url: String,
    /// Which system that is: the `forge` of the sources of its events. Alerts about others are refused.
    #[serde(default = "gitlab")]
    pub forge: String,
    /// A token with the `api` scope; whose it must be, docs/responses.md says for each `do`.
    pub token: SecretRef,
    /// What to do.
    #[serde(rename = "do")]
    pub change: GitlabDo,
    /// The field of the alert that holds the account's id, for accounts and memberships.
    #[serde(default = "author_id")]
    pub user: String,
    /// The field of the alert that holds the token's or key's id. Absent: it is taken from the events that tell of its
    /// creation, in the form in which GitLab writes them.
    #[serde(default)]
    pub target: Option<String>,
    /// The role that `lower_member` lowers to.
    #[serde(default)]
    pub to: Option<Role>,
    /// A PEM file with further root certificates.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// For each call.
    #[serde(default = "timeout", deserialize_with = "span")]
    pub timeout: Span,
}

fn gitlab() -> String {
    "gitlab".to_owned()
}

fn author_id() -> String {
    "author_id".to_owned()
}

const fn timeout() -> Span {
    TIMEOUT
}

/// What can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GitlabDo {
    /// Keeps the user out; content stays visible.
    Block,
    /// Lifts a block.
    Unblock,
    /// Keeps the user out and hides content.
    Ban,
    /// Lifts a ban.
    Unban,
    /// Puts a dormant account to sleep; it wakes when its user signs in.
    Deactivate,
    /// Wakes it.
    Activate,
    /// Revokes a personal, project or group access token.
    RevokeToken,
    /// Deletes a user's SSH key.
    DeleteSshKey,
    /// Takes a deploy key from a project.
    DeleteDeployKey,
    /// Takes an account out of a group or project.
    RemoveMember,
    /// Gives a member of a group or project a lower role.
    LowerMember,
}

/// Which file knows how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Account,
    Token,
    Key,
    Member,
}

impl GitlabDo {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Block,
        Self::Unblock,
        Self::Ban,
        Self::Unban,
        Self::Deactivate,
        Self::Activate,
        Self::RevokeToken,
        Self::DeleteSshKey,
        Self::DeleteDeployKey,
        Self::RemoveMember,
        Self::LowerMember,
    ];

    /// What it does, in words.
    #[must_use]
    pub const fn verb(self) -> Verb {
        let (plain, past, undo) = match self {
            Self::Block => ("block", "blocked", Some("unblock")),
            Self::Unblock => ("unblock", "unblocked", Some("block")),
            Self::Ban => ("ban", "banned", Some("unban")),
            Self::Unban => ("unban", "unbanned", Some("ban")),
            Self::Deactivate => ("deactivate", "deactivated", Some("activate")),
            Self::Activate => ("activate", "activated", Some("deactivate")),
            Self::RevokeToken => ("revoke", "revoked", None),
            Self::DeleteSshKey | Self::DeleteDeployKey => ("delete", "deleted", None),
            Self::RemoveMember => ("remove", "removed", Some("add back")),
            Self::LowerMember => ("lower", "lowered", Some("restore")),
        };
        Verb { plain, past, undo }
    }

    /// Whether what it changes is an account.
    #[must_use]
    pub const fn is_of_account(self) -> bool {
        matches!(self.family(), Family::Account)
    }

    pub(super) const fn family(self) -> Family {
        match self {
            Self::Block | Self::Unblock | Self::Ban | Self::Unban | Self::Deactivate | Self::Activate => {
                Family::Account
            }
            Self::RevokeToken => Family::Token,
            Self::DeleteSshKey | Self::DeleteDeployKey => Family::Key,
            Self::RemoveMember | Self::LowerMember => Family::Member,
        }
    }
}

/// A role that somebody can be lowered to. The numbers are GitLab's access levels (doc/api/access_requests.md, "Valid
/// access levels").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// 5; groups of Premium and Ultimate only.
    Minimal,
    /// 10
    Guest,
    /// 15; since GitLab 17.7.
    Planner,
    /// 20
    Reporter,
    /// 30
    Developer,
    /// 40
    Maintainer,
}

impl Role {
    /// GitLab's number.
    #[must_use]
    pub const fn level(self) -> u64 {
        match self {
            Self::Minimal => 5,
            Self::Guest => 10,
            Self::Planner => 15,
            Self::Reporter => 20,
            Self::Developer => 30,
            Self::Maintainer => 40,
        }
    }
}
