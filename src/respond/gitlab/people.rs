//! Who somebody is, and why GitLab's accounts are not touched whatever anybody configures.

use crate::deliver::{DeliveryError, one_line};
use crate::respond::Identity;
use crate::respond::client::{Call, another};
use crate::time::Timestamp;

use super::Gitlab;
use super::api::{Container, Own, User};

/// The account that stands for everybody who was deleted (doc/user/profile/account/delete_account.md).
const GHOST: &str = "ghost";

/// Somebody as a sight names him.
pub(super) fn who(user: &User) -> String {
    format!("user {} ({})", user.id, one_line(&user.username, 100))
}

impl Gitlab {
    /// The token's own account.
    pub(super) async fn own(&self, now: Timestamp) -> Result<Own, DeliveryError> {
        self.own.get(&self.client, now).await
    }

    pub(super) async fn user(&self, id: u64, now: Timestamp) -> Result<Option<User>, DeliveryError> {
        let what = format!("look at user {id}");
        let found: Option<User> = self.client.find(Call::get(&format!("users/{id}"), &what), now).await?;
        match found {
            Some(user) if user.id != id => {
                Err(another("GitLab", &format!("user {id}"), &format!("user {}", user.id)))
            }
            found => Ok(found),
        }
    }

    /// Whether the group or project can be seen.
    pub(super) async fn has_container(&self, within: &str, now: Timestamp) -> Result<bool, DeliveryError> {
        let what = format!("look at {within}");
        let found: Option<Container> = self.client.find(Call::get(within, &what), now).await?;
        let Some(found) = found else { return Ok(false) };
        if within.rsplit('/').next() == Some(found.id.to_string().as_str()) {
            return Ok(true);
        }
        Err(another("GitLab", within, &format!("number {}", found.id)))
    }

    /// Why an account must not be touched. `may_be_silent`: whether a token that is no administrator's may do, to whom
    /// GitLab does not say who is one.
    pub(super) fn obstacles(&self, user: &User, own: Own, may_be_silent: bool) -> Vec<String> {
        let who = who(user);
        let mut found = Vec::new();
        if user.id == own.id {
            found.push(format!("{who} is the account Watchfire itself uses"));
        }
        match user.is_admin {
            Some(false) => {}
            Some(true) => found.push(format!("{who} is an administrator")),
            None if may_be_silent && own.is_admin != Some(true) => {}
            None => found.push(format!(
                "{who}: GitLab does not say whether it is an administrator (the token must be an administrator's)"
            )),
        }
        if user.bot == Some(true) {
            found.push(format!("{who} is a bot"));
        }
        if user.username.eq_ignore_ascii_case(GHOST) {
            found.push(format!("{who} is the account of everybody who was deleted"));
        }
        found
    }

    pub(super) fn identity(&self, user: &User) -> Identity {
        Identity {
            forge: self.config.forge.clone(),
            id: user.id.to_string(),
            name: Some(user.username.clone()),
        }
    }

    /// The account in the administrators' pages.
    pub(super) fn user_page(&self, user: &User) -> String {
        format!("{}/admin/users/{}", self.client.site(), one_line(&user.username, 100))
    }
}
