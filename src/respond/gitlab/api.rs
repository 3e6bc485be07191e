//! The parts of GitLab's answers that matter here.
//!
//! Shapes: doc/api/users.md, doc/api/personal_access_tokens.md, doc/api/project_access_tokens.md,
//! doc/api/group_access_tokens.md, doc/api/user_keys.md, doc/api/keys.md, doc/api/deploy_keys.md, doc/api/members.md. A
//! field that decides whether somebody may be touched has no default.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An account as `GET /users/:id` shows it to an administrator.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct User {
    pub(super) id: u64,
    pub(super) username: String,
    pub(super) state: String,
    /// Only administrators are told.
    #[serde(default)]
    pub(super) is_admin: Option<bool>,
    #[serde(default)]
    pub(super) bot: Option<bool>,
}

/// The account that the token belongs to: `GET /user`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) struct Own {
    pub(super) id: u64,
    /// Only administrators are told.
    #[serde(default)]
    pub(super) is_admin: Option<bool>,
}

/// `GET /personal_access_tokens/:id`, `GET /{projects,groups}/:id/access_tokens/:id`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Token {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) revoked: bool,
    pub(super) active: bool,
    pub(super) user_id: u64,
    #[serde(default)]
    pub(super) scopes: Vec<String>,
    #[serde(default)]
    pub(super) expires_at: Option<String>,
}

/// `GET /keys/:id`, `GET /projects/:id/deploy_keys/:id`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Key {
    pub(super) id: u64,
    pub(super) title: String,
    /// The public key.
    #[serde(default)]
    pub(super) key: Option<String>,
    /// Whose it is; deploy keys have none.
    #[serde(default)]
    pub(super) user: Option<KeyUser>,
    #[serde(default)]
    pub(super) can_push: Option<bool>,
    #[serde(default)]
    pub(super) expires_at: Option<String>,
}

/// The account of a key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct KeyUser {
    pub(super) id: u64,
}

/// `GET /{groups,projects}/:id/members/:user_id`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Member {
    pub(super) id: u64,
    pub(super) access_level: u64,
    #[serde(default)]
    pub(super) expires_at: Option<String>,
    #[serde(default)]
    pub(super) member_role: Option<MemberRole>,
}

/// A custom role (Ultimate).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) struct MemberRole {
    pub(super) id: u64,
}

/// What a membership is to be again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Membership {
    pub(super) access_level: u64,
    /// A day.
    pub(super) expires_at: Option<String>,
    /// The id of the custom role.
    pub(super) member_role: Option<u64>,
}

impl From<&Member> for Membership {
    fn from(member: &Member) -> Self {
        Self {
            access_level: member.access_level,
            // Older versions answer with a time; what is set is a day.
            expires_at: member.expires_at.as_ref().map(|at| at.chars().take(10).collect()),
            member_role: member.member_role.map(|role| role.id),
        }
    }
}

/// A group or a project, of which only its number matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) struct Container {
    pub(super) id: u64,
}

/// The text under a name.
pub(super) fn text_of<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name)?.as_str()
}
