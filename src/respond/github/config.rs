//! The settings of a GitHub responder.

use std::path::PathBuf;

use serde::Deserialize;

use crate::deliver::{SecretRef, TIMEOUT, span};
use crate::respond::Verb;
use crate::time::Span;

/// The settings of a github action, without those of the guards.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GithubConfig {
    /// Where the API is; of an Enterprise Server `https://HOST/api/v3`.
    #[serde(default = "public")]
    pub url: String,
    /// Which system that is: the `forge` of the sources of its events. Alerts about others are refused.
    #[serde(default = "github")]
    pub forge: String,
    /// A token; whose it must be and with which scope, docs/responses.md says for each `do`.
    pub token: SecretRef,
    /// What to do.
    #[serde(rename = "do")]
    pub change: GithubDo,
    /// The organisation, for all but suspensions. Alerts about others are refused.
    #[serde(default)]
    pub organization: Option<String>,
    /// The field of the alert that holds the account: its number in fields that end with `_id`, its login in others.
    #[serde(default = "author_id")]
    pub user: String,
    /// The field of the alert that holds the credential's id, for `revoke_credential`.
    #[serde(default)]
    pub target: Option<String>,
    /// `X-GitHub-Api-Version`.
    #[serde(default = "version")]
    pub api_version: String,
    /// A PEM file with further root certificates.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// For each call.
    #[serde(default = "timeout", deserialize_with = "span")]
    pub timeout: Span,
}

fn public() -> String {
    "https://api.github.com".to_owned()
}

fn github() -> String {
    "github".to_owned()
}

fn author_id() -> String {
    "author_id".to_owned()
}

fn version() -> String {
    "2022-11-28".to_owned()
}

const fn timeout() -> Span {
    TIMEOUT
}

/// What can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GithubDo {
    /// Takes an account out of the organisation.
    RemoveMember,
    /// Keeps an account that is no member away from the organisation.
    Block,
    /// Lifts a block.
    Unblock,
    /// Keeps an account out of an Enterprise Server.
    Suspend,
    /// Lifts a suspension.
    Unsuspend,
    /// Takes from a token or key what single sign-on has authorised it for.
    RevokeCredential,
}

impl GithubDo {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::RemoveMember,
        Self::Block,
        Self::Unblock,
        Self::Suspend,
        Self::Unsuspend,
        Self::RevokeCredential,
    ];

    /// What it does, in words.
    #[must_use]
    pub const fn verb(self) -> Verb {
        let (plain, past, undo) = match self {
            Self::RemoveMember => ("remove", "removed", Some("invite back")),
            Self::Block => ("block", "blocked", Some("unblock")),
            Self::Unblock => ("unblock", "unblocked", Some("block")),
            Self::Suspend => ("suspend", "suspended", Some("unsuspend")),
            Self::Unsuspend => ("unsuspend", "unsuspended", Some("suspend")),
            Self::RevokeCredential => ("revoke", "revoked", None),
        };
        Verb { plain, past, undo }
    }

    /// Whether it is done in an organisation.
    pub(super) const fn is_of_organization(self) -> bool {
        !matches!(self, Self::Suspend | Self::Unsuspend)
    }
}
