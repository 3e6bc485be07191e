//! What the GitHub stand-in knows: accounts, tokens, organisations.

use std::collections::{BTreeMap, BTreeSet};

use crate::demo::stand_in::StandIn;

/// The stand-in; clones share the same world.
pub type GithubApi = StandIn<GithubWorld>;

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimAccount {
    /// Its number.
    pub id: u64,
    /// Its login.
    pub login: String,
    /// `User` or `Bot`.
    pub kind: &'static str,
    /// Of an Enterprise Server.
    pub site_admin: bool,
    /// Likewise.
    pub suspended: bool,
}

/// A token that calls are made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GithubToken {
    /// The text that is sent.
    pub secret: String,
    /// Whose it is.
    pub account: u64,
    /// `admin:org`, `read:org`, `site_admin`.
    pub scopes: Vec<&'static str>,
}

/// A membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimMembership {
    /// `admin` for owners, or `member`.
    pub role: String,
    /// Invited, and not yet a member.
    pub pending: bool,
}

/// A credential that single sign-on has authorised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimCredential {
    /// Whose it is.
    pub login: String,
    /// `personal access token` or `SSH key`.
    pub kind: &'static str,
}

/// An organisation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SimOrganization {
    /// By account.
    pub members: BTreeMap<u64, SimMembership>,
    /// Accounts.
    pub blocked: BTreeSet<u64>,
    /// By `credential_id`.
    pub credentials: BTreeMap<u64, SimCredential>,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GithubWorld {
    /// By number.
    pub accounts: BTreeMap<u64, SimAccount>,
    /// What calls are made with.
    pub tokens: Vec<GithubToken>,
    /// By name.
    pub organizations: BTreeMap<String, SimOrganization>,
    /// Whether it is an Enterprise Server, which can suspend.
    pub is_server: bool,
}

impl GithubWorld {
    /// The account with that login.
    #[must_use]
    pub fn account(&self, login: &str) -> Option<&SimAccount> {
        self.accounts.values().find(|account| account.login.eq_ignore_ascii_case(login))
    }
}
