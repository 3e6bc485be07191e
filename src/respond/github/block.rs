//! Blocks of an organisation: who is blocked can neither open issues nor comment, and is no collaborator any more.
//!
//! Calls and codes: docs.github.com/rest/orgs/blocking: `GET /orgs/{org}/blocks/{username}` 204 blocked, 404 not; `PUT` 204,
//! 422; `DELETE` 204. Without the scope everything is 404, so the list is asked for first: it must be 200.

use serde_json::{Value, json};

use crate::deliver::{DeliveryError, Method};
use crate::respond::client::Call;
use crate::respond::{Receipt, Sight, Standing, Subject};
use crate::time::Timestamp;

use super::github::login;
use super::people::{User, who};
use super::{Github, GithubDo};

pub(super) async fn look(github: &Github, subject: &Subject, now: Timestamp) -> Result<Sight, DeliveryError> {
    let own = github.own(now).await?;
    let Some(user) = github.user(subject, now).await? else {
        return Ok(github.missing(format!("account {}", subject.id), "GitHub has no such account"));
    };
    let membership = github.membership(&user, now).await?;
    let mut sight = github.sight(&user, github.obstacles(&user, own));
    sight.obstacles.extend(github.organization_obstacles(&user, membership.as_ref(), now).await?);
    let is_blocked = is_blocked(github, &user, now).await?;
    sight.state = if is_blocked { "blocked" } else { "not blocked" }.to_owned();
    sight.before = json!({ "blocked": is_blocked });
    sight.standing = if is_blocked == (github.config.change == GithubDo::Block) {
        Standing::Already
    } else {
        Standing::ToDo
    };
    if sight.standing == Standing::ToDo && github.config.change == GithubDo::Block && membership.is_some() {
        sight.standing = Standing::Impossible;
        sight.obstacles.push(format!(
            "{} is a member of {}, and only others can be blocked: it must be removed first (`do: remove_member`)",
            sight.who, github.organization
        ));
    }
    Ok(sight)
}

async fn is_blocked(github: &Github, user: &User, now: Timestamp) -> Result<bool, DeliveryError> {
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

pub(super) async fn set(
    github: &Github,
    sight: &Sight,
    blocked: bool,
    now: Timestamp,
) -> Result<Receipt, DeliveryError> {
    let path = format!("orgs/{}/blocks/{}", github.organization, login(sight)?);
    let (method, verb) = if blocked { (Method::PUT, "block") } else { (Method::DELETE, "unblock") };
    let what = format!("{verb} {} at {}", sight.who, github.organization);
    let call = Call::new(&method, &path, &what);
    github.client.change(call, (None, 204), now).await.map(|(receipt, _)| receipt)
}

pub(super) async fn undo(
    github: &Github,
    subject: &Subject,
    before: &Value,
    now: Timestamp,
) -> Result<Receipt, DeliveryError> {
    let wanted = before["blocked"].as_bool().ok_or_else(|| {
        DeliveryError::permanent("whether it was blocked before is not known: a person must decide")
    })?;
    let Some(user) = github.user(subject, now).await? else {
        let reason = format!("account {} is no longer there: nothing can be undone", subject.id);
        return Err(DeliveryError::permanent(reason));
    };
    if is_blocked(github, &user, now).await? == wanted {
        return Ok(github.client.nothing(if wanted { "blocked" } else { "not blocked" }));
    }
    set(github, &github.sight(&user, Vec::new()), wanted, now).await
}
