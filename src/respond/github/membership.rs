//! Membership in an organisation: removed, and invited back.
//!
//! Calls and codes: docs.github.com/rest/orgs/members: `DELETE /orgs/{org}/memberships/{username}` 204 (an invitation is
//! cancelled by it), 403, 404; `PUT` of the same 200, 403, 422. Who was removed comes back only by an invitation, which he
//! must accept (members of enterprises with managed users need not); his teams are not restored by it.

use serde_json::{Value, json};

use crate::deliver::{DeliveryError, Method};
use crate::respond::client::Call;
use crate::respond::{Receipt, Sight, Standing, Subject};
use crate::time::Timestamp;

use super::Github;
use super::github::login;
use super::people::who;

pub(super) async fn look(github: &Github, subject: &Subject, now: Timestamp) -> Result<Sight, DeliveryError> {
    let own = github.own(now).await?;
    let Some(user) = github.user(subject, now).await? else {
        return Ok(Sight::missing(format!("account {}", subject.id), "GitHub has no such account"));
    };
    let membership = github.membership(&user, now).await?;
    let mut sight = github.sight(&user, github.obstacles(&user, own));
    sight.obstacles.extend(github.organization_obstacles(&user, membership.as_ref(), now).await?);
    match membership {
        None => {
            sight.standing = Standing::Already;
            sight.state = format!("no member of {}", github.organization);
        }
        Some(membership) => {
            let invited = if membership.state == "pending" { "invited as " } else { "" };
            sight.state = format!("{invited}{}", membership.role);
            sight.standing = Standing::ToDo;
            sight.before = json!({ "role": membership.role });
        }
    }
    Ok(sight)
}

pub(super) async fn act(github: &Github, sight: &Sight, now: Timestamp) -> Result<Receipt, DeliveryError> {
    let path = format!("orgs/{}/memberships/{}", github.organization, login(sight)?);
    let what = format!("remove {} from {}", sight.who, github.organization);
    let call = Call::new(&Method::DELETE, &path, &what);
    github.client.change(call, (None, 204), now).await.map(|(receipt, _)| receipt)
}

pub(super) async fn undo(
    github: &Github,
    subject: &Subject,
    before: &Value,
    now: Timestamp,
) -> Result<Receipt, DeliveryError> {
    let role = before["role"].as_str().unwrap_or_default();
    // Owners are never removed, and no undo makes one.
    if role != "member" {
        let reason = format!("its role was `{role}`: only members are invited back; a person must decide");
        return Err(DeliveryError::permanent(reason));
    }
    let Some(user) = github.user(subject, now).await? else {
        let reason = format!("account {} is no longer there: nothing can be undone", subject.id);
        return Err(DeliveryError::permanent(reason));
    };
    if let Some(membership) = github.membership(&user, now).await? {
        if membership.role == role {
            return Ok(github.client.nothing(&membership.role));
        }
        return Err(DeliveryError::permanent(format!(
            "{} is {} now, so somebody else has changed it since: a person must decide",
            who(&user),
            membership.role
        )));
    }
    let path = format!("orgs/{}/memberships/{}", github.organization, user.login);
    let what = format!("invite {} to {} again", who(&user), github.organization);
    let call = Call::new(&Method::PUT, &path, &what);
    let body = Some(json!({ "role": role }));
    github.client.change(call, (body, 200), now).await.map(|(receipt, _)| receipt)
}
