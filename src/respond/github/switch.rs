//! What an account is or is not: blocked for an organisation, suspended on an Enterprise Server.
//!
//! Who is blocked can neither open issues nor comment, and is no collaborator any more. Calls and codes:
//! docs.github.com/rest/orgs/blocking: `GET /orgs/{org}/blocks/{username}` 204 blocked, 404 not; `PUT` 204, 422; `DELETE` 204.
//! Without the scope everything is 404, so the list is asked for first: it must be 200.
//!
//! Suspensions: docs.github.com/enterprise-server, rest/enterprise-admin/users: `PUT /users/{username}/suspended` 204,
//! `DELETE` 204, site administrators only, nobody himself; 403 where an external directory manages the accounts. That an
//! account is suspended shows as `suspended_at`.

use serde_json::{Value, json};

use crate::deliver::{DeliveryError, Method};
use crate::respond::client::Call;
use crate::respond::{Receipt, Sight, Standing, Subject};
use crate::time::Timestamp;

use super::github::login;
use super::people::{User, who};
use super::{Github, GithubDo};

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Switch {
    Block,
    Suspension,
}

impl Switch {
    /// Which one is set, and whether on or off.
    const fn of(change: GithubDo) -> (Self, bool) {
        match change {
            GithubDo::Suspend => (Self::Suspension, true),
            GithubDo::Unsuspend => (Self::Suspension, false),
            GithubDo::Unblock => (Self::Block, false),
            _ => (Self::Block, true),
        }
    }

    /// As it is kept.
    const fn key(self) -> &'static str {
        match self {
            Self::Block => "blocked",
            Self::Suspension => "suspended",
        }
    }

    /// As people call it.
    const fn state(self, is_on: bool) -> &'static str {
        match (self, is_on) {
            (_, true) => self.key(),
            (Self::Block, false) => "not blocked",
            (Self::Suspension, false) => "active",
        }
    }
}

pub(super) async fn look(github: &Github, subject: &Subject, now: Timestamp) -> Result<Sight, DeliveryError> {
    let (switch, wanted) = Switch::of(github.config.change);
    let own = github.own(now).await?;
    let Some(user) = github.user(subject, now).await? else {
        return Ok(Sight::missing(format!("account {}", subject.id), "GitHub has no such account"));
    };
    let mut sight = github.sight(&user, github.obstacles(&user, own));
    let mut is_member = false;
    match switch {
        Switch::Block => {
            let membership = github.membership(&user, now).await?;
            sight.obstacles.extend(github.organization_obstacles(&user, membership.as_ref(), now).await?);
            is_member = membership.is_some();
        }
        Switch::Suspension => {
            if !own.site_admin {
                let why = "the token's account is no site administrator: what GitHub answers is not to be relied on";
                sight.obstacles.push(why.to_owned());
            }
            sight.page = Some(format!("{}/stafftools/users/{}", github.site, user.login));
        }
    }
    let is_on = is_on(github, &user, now).await?;
    sight.state = switch.state(is_on).to_owned();
    sight.before = json!({ switch.key(): is_on });
    sight.standing = if is_on == wanted { Standing::Already } else { Standing::ToDo };
    if sight.standing == Standing::ToDo && wanted && is_member {
        sight.standing = Standing::Impossible;
        sight.obstacles.push(format!(
            "{} is a member of {}, and only others can be blocked: it must be removed first (`do: remove_member`)",
            sight.who, github.organization
        ));
    }
    Ok(sight)
}

async fn is_on(github: &Github, user: &User, now: Timestamp) -> Result<bool, DeliveryError> {
    if Switch::of(github.config.change).0 == Switch::Suspension {
        return Ok(user.suspended_at.is_some());
    }
    let list = format!("orgs/{}/blocks?per_page=1", github.organization);
    let call = Call::get(&list, "whether the token may see who is blocked");
    let answer = github.client.ask(call, None, now).await?;
    if answer.status != 200 {
        return Err(github.client.failure(call, &answer, "200"));
    }
    let path = format!("orgs/{}/blocks/{}", github.organization, user.login);
    let what = format!("whether {} is blocked", who(user));
    let call = Call::get(&path, &what);
    let answer = github.client.ask(call, None, now).await?;
    match answer.status {
        204 => Ok(true),
        404 if answer.json().is_ok_and(|body| body.is_object()) => Ok(false),
        _ => Err(github.client.failure(call, &answer, "204 or 404")),
    }
}

pub(super) async fn act(github: &Github, sight: &Sight, now: Timestamp) -> Result<Receipt, DeliveryError> {
    set(github, sight, Switch::of(github.config.change).1, now).await
}

async fn set(github: &Github, sight: &Sight, is_on: bool, now: Timestamp) -> Result<Receipt, DeliveryError> {
    let login = login(sight)?;
    let (path, what, body) = match Switch::of(github.config.change).0 {
        Switch::Block => {
            let verb = if is_on { "block" } else { "unblock" };
            let organization = &github.organization;
            let what = format!("{verb} {} at {organization}", sight.who);
            (format!("orgs/{organization}/blocks/{login}"), what, None)
        }
        Switch::Suspension => {
            let verb = if is_on { "suspend" } else { "unsuspend" };
            // Shown in the server's own audit log.
            let reason = json!({ "reason": "Watchfire" });
            (format!("users/{login}/suspended"), format!("{verb} {}", sight.who), Some(reason))
        }
    };
    let method = if is_on { Method::PUT } else { Method::DELETE };
    let call = Call::new(&method, &path, &what);
    github.client.change(call, (body, 204), now).await.map(|(receipt, _)| receipt)
}

pub(super) async fn undo(
    github: &Github,
    subject: &Subject,
    before: &Value,
    now: Timestamp,
) -> Result<Receipt, DeliveryError> {
    let switch = Switch::of(github.config.change).0;
    let key = switch.key();
    let wanted = before[key].as_bool().ok_or_else(|| {
        DeliveryError::permanent(format!("whether it was {key} before is not known: a person must decide"))
    })?;
    let Some(user) = github.user(subject, now).await? else {
        let reason = format!("account {} is no longer there: nothing can be undone", subject.id);
        return Err(DeliveryError::permanent(reason));
    };
    if is_on(github, &user, now).await? == wanted {
        return Ok(github.client.nothing(switch.state(wanted)));
    }
    set(github, &github.sight(&user, Vec::new()), wanted, now).await
}
