//! Who somebody is at GitHub, and who is not touched whatever anybody configures.
//!
//! Shapes and codes: docs.github.com/rest, "Users" and "Organization members": `GET /user`, `GET /user/{account_id}`, `GET
//! /users/{username}`, `GET /user/memberships/orgs/{org}`, `GET /orgs/{org}/memberships/{username}`, `GET
//! /orgs/{org}/members?role=admin`.

use serde::Deserialize;
use serde_json::Value;

use crate::deliver::{DeliveryError, one_line};
use crate::respond::client::{Call, another};
use crate::respond::{Identity, Sight, Subject};
use crate::time::Timestamp;

use super::Github;
use super::subject::is_login;

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct User {
    pub(super) id: u64,
    pub(super) login: String,
    /// `User`, `Bot`, `Organization`.
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) site_admin: bool,
    /// Enterprise Server only.
    #[serde(default)]
    pub(super) suspended_at: Option<String>,
}

/// The account that the token belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) struct Own {
    pub(super) id: u64,
    #[serde(default)]
    pub(super) site_admin: bool,
}

/// A membership in an organisation.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Membership {
    /// `active`, or `pending` for an invitation.
    pub(super) state: String,
    /// `admin` for owners, `member`, `billing_manager`.
    pub(super) role: String,
    #[serde(default)]
    pub(super) user: Option<MemberUser>,
}

/// Whose membership it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) struct MemberUser {
    pub(super) id: u64,
}

/// The role of owners.
pub(super) const OWNER: &str = "admin";

/// Somebody as a sight names him.
pub(super) fn who(user: &User) -> String {
    format!("account {} ({})", user.id, one_line(&user.login, 100))
}

impl Github {
    /// The token's own account.
    pub(super) async fn own(&self, now: Timestamp) -> Result<Own, DeliveryError> {
        self.own.get(&self.client, now).await
    }

    /// The account that a subject names by its number, or by `@` and its login.
    pub(super) async fn user(
        &self,
        subject: &Subject,
        now: Timestamp,
    ) -> Result<Option<User>, DeliveryError> {
        let what = format!("look at account {}", subject.id);
        let path = match (subject.id.strip_prefix('@'), subject.id.parse::<u64>()) {
            (Some(login), _) if is_login(login) => format!("users/{login}"),
            (None, Ok(id)) if id > 0 => format!("user/{id}"),
            _ => {
                let reason = format!("`{}` is neither an account's number nor @ and its login", subject.id);
                return Err(DeliveryError::permanent(reason));
            }
        };
        let found: Option<User> = self.client.find(Call::get(&path, &what), now).await?;
        let Some(user) = found else { return Ok(None) };
        let is_meant = match subject.id.strip_prefix('@') {
            Some(login) => user.login.eq_ignore_ascii_case(login),
            None => user.id.to_string() == subject.id,
        };
        if is_meant { Ok(Some(user)) } else { Err(another("GitHub", &subject.id, &who(&user))) }
    }

    /// A membership of the organisation; none: 404.
    pub(super) async fn membership(
        &self,
        user: &User,
        now: Timestamp,
    ) -> Result<Option<Membership>, DeliveryError> {
        let (path, what) = (
            format!("orgs/{}/memberships/{}", self.organization, user.login),
            format!("look at the membership of {}", who(user)),
        );
        let found: Option<Membership> = self.client.find(Call::get(&path, &what), now).await?;
        match found.as_ref().and_then(|found| found.user) {
            Some(other) if other.id != user.id => {
                Err(another("GitHub", &who(user), &format!("account {}", other.id)))
            }
            _ => Ok(found),
        }
    }

    /// Why an account must not be touched.
    pub(super) fn obstacles(&self, user: &User, own: Own) -> Vec<String> {
        let who = who(user);
        let mut found = Vec::new();
        if user.id == own.id {
            found.push(format!("{who} is the account Watchfire itself uses"));
        }
        if user.kind != "User" {
            found.push(format!("{who} is no person's account but a {}", one_line(&user.kind, 50)));
        }
        if user.site_admin {
            found.push(format!("{who} is a site administrator"));
        }
        found
    }

    /// Why a member must not be touched, and whether the token may change the organisation at all.
    pub(super) async fn organization_obstacles(
        &self,
        user: &User,
        membership: Option<&Membership>,
        now: Timestamp,
    ) -> Result<Vec<String>, DeliveryError> {
        let organization = &self.organization;
        let mut found = Vec::new();
        let path = format!("user/memberships/orgs/{organization}");
        let call = Call::get(&path, "whether the token's account owns the organisation");
        let own: Option<Membership> = self.client.find(call, now).await?;
        if own.is_none_or(|own| own.role != OWNER || own.state != "active") {
            found.push(format!(
                "the token's account is no owner of {organization}: what GitHub answers is not to be relied on"
            ));
        }
        if membership.is_some_and(|membership| membership.role == OWNER) {
            let last = if self.has_another_owner(user, now).await? { "an owner" } else { "the last owner" };
            found.push(format!("{} is {last} of {organization}", who(user)));
        }
        Ok(found)
    }

    async fn has_another_owner(&self, user: &User, now: Timestamp) -> Result<bool, DeliveryError> {
        let path = format!("orgs/{}/members?role=admin&per_page=2", self.organization);
        let call = Call::get(&path, "look for other owners");
        let owners: Option<Vec<Value>> = self.client.find(call, now).await?;
        Ok(owners.is_some_and(|owners| {
            owners.iter().any(|owner| owner["id"].as_u64().is_some_and(|id| id != user.id))
        }))
    }

    pub(super) fn identity(&self, user: &User) -> Identity {
        Identity { forge: self.config.forge.clone(), id: user.id.to_string(), name: Some(user.login.clone()) }
    }

    /// An account that is known, before it is said what is with it.
    pub(super) fn sight(&self, user: &User, obstacles: Vec<String>) -> Sight {
        Sight {
            identity: Some(self.identity(user)),
            obstacles,
            page: Some(format!("{}/{}", self.site, user.login)),
            ..Sight::missing(who(user), "")
        }
    }
}
