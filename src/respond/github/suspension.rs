//! Suspensions: keep an account out of an Enterprise Server.
//!
//! Calls and codes: docs.github.com/enterprise-server, rest/enterprise-admin/users: `PUT /users/{username}/suspended` 204,
//! `DELETE` 204, site administrators only, nobody himself; 403 where an external directory manages the accounts. That an
//! account is suspended shows as `suspended_at`.

use serde_json::{Value, json};

use crate::deliver::{DeliveryError, Method};
use crate::respond::client::Call;
use crate::respond::{Receipt, Sight, Standing, Subject};
use crate::time::Timestamp;

use super::github::login;
use super::{Github, GithubDo};

pub(super) async fn look(github: &Github, subject: &Subject, now: Timestamp) -> Result<Sight, DeliveryError> {
    let own = github.own(now).await?;
    let Some(user) = github.user(subject, now).await? else {
        return Ok(github.missing(format!("account {}", subject.id), "GitHub has no such account"));
    };
    let mut sight = github.sight(&user, github.obstacles(&user, own));
    if !own.site_admin {
        sight.obstacles.push(
            "the token's account is no site administrator: what GitHub answers is not to be relied on"
                .to_owned(),
        );
    }
    let is_suspended = user.suspended_at.is_some();
    sight.state = if is_suspended { "suspended" } else { "active" }.to_owned();
    sight.before = json!({ "suspended": is_suspended });
    sight.standing = if is_suspended == (github.config.change == GithubDo::Suspend) {
        Standing::Already
    } else {
        Standing::ToDo
    };
    sight.page = Some(format!("{}/stafftools/users/{}", github.site, user.login));
    Ok(sight)
}

pub(super) async fn set(
    github: &Github,
    sight: &Sight,
    suspended: bool,
    now: Timestamp,
) -> Result<Receipt, DeliveryError> {
    let path = format!("users/{}/suspended", login(sight)?);
    let (method, verb) = if suspended { (Method::PUT, "suspend") } else { (Method::DELETE, "unsuspend") };
    let what = format!("{verb} {}", sight.who);
    let call = Call::new(&method, &path, &what);
    // Shown in the server's own audit log.
    let body = Some(json!({ "reason": "Watchfire" }));
    github.client.change(call, (body, 204), now).await.map(|(receipt, _)| receipt)
}

pub(super) async fn undo(
    github: &Github,
    subject: &Subject,
    before: &Value,
    now: Timestamp,
) -> Result<Receipt, DeliveryError> {
    let wanted = before["suspended"].as_bool().ok_or_else(|| {
        DeliveryError::permanent("whether it was suspended before is not known: a person must decide")
    })?;
    let Some(user) = github.user(subject, now).await? else {
        let reason = format!("account {} is no longer there: nothing can be undone", subject.id);
        return Err(DeliveryError::permanent(reason));
    };
    if user.suspended_at.is_some() == wanted {
        return Ok(github.client.nothing(if wanted { "suspended" } else { "active" }));
    }
    set(github, &github.sight(&user, Vec::new()), wanted, now).await
}
