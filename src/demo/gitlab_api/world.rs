//! What the GitLab stand-in knows: accounts, tokens, keys, groups and projects with their members.

use std::collections::{BTreeMap, BTreeSet};

use crate::demo::SimUser;

/// A token that calls are made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiToken {
    /// The text that is sent.
    pub secret: String,
    /// Whose it is.
    pub user: i64,
    /// `api`, or `read_api`, which may change nothing.
    pub scope: &'static str,
}

/// An access token that can be looked at and revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimToken {
    /// Its name.
    pub name: String,
    /// Whose it is: a person, or the bot of a project or group.
    pub user: i64,
    /// `projects/9`; none: a personal one.
    pub place: Option<String>,
    /// Whether it was revoked.
    pub revoked: bool,
}

/// A key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimKey {
    /// Its title.
    pub title: String,
    /// Whose it is; none: a deploy key.
    pub user: Option<i64>,
    /// The projects that a deploy key may be used in: `projects/9`.
    pub places: BTreeSet<String>,
}

/// A membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimMember {
    /// 10 guest, 20 reporter, 30 developer, 40 maintainer, 50 owner.
    pub level: u64,
    /// The day on which it ends.
    pub expires_at: Option<String>,
    /// The id of a custom role.
    pub role: Option<u64>,
}

/// A group or project.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SimPlace {
    /// The group above: `groups/5`.
    pub above: Option<String>,
    /// Its own members, by account.
    pub members: BTreeMap<i64, SimMember>,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GitlabWorld {
    /// By id.
    pub users: BTreeMap<i64, SimUser>,
    /// Accounts without activity for 90 days: only these can be deactivated.
    pub dormant: BTreeSet<i64>,
    /// What calls are made with.
    pub tokens: Vec<ApiToken>,
    /// By id.
    pub access_tokens: BTreeMap<u64, SimToken>,
    /// SSH and deploy keys, by id.
    pub keys: BTreeMap<u64, SimKey>,
    /// By `groups/ID` and `projects/ID`.
    pub places: BTreeMap<String, SimPlace>,
}

impl GitlabWorld {
    /// The role of an account in a place, there or above it.
    pub(super) fn level(&self, place: &str, user: i64) -> u64 {
        let Some(found) = self.places.get(place) else { return 0 };
        let own = found.members.get(&user).map_or(0, |member| member.level);
        let above = found.above.as_deref().map_or(0, |above| self.level(above, user));
        own.max(above)
    }

    /// The membership that counts there, by way of a group above where it gives more.
    pub(super) fn effective(&self, place: &str, user: i64) -> Option<&SimMember> {
        let found = self.places.get(place)?;
        let above = found.above.as_deref().and_then(|above| self.effective(above, user));
        let own = found.members.get(&user);
        [own, above].into_iter().flatten().max_by_key(|member| member.level)
    }
}
