//! Memberships in groups and projects: removed or lowered, and put back with their role, end and custom role.
//!
//! Calls and codes: doc/api/members.md, lib/api/members.rb. Only a membership of the group or project itself can be changed
//! there; who is in it by way of a group above is refused. Memberships of their own in groups and projects below are left
//! (`skip_subresources`), since undoing would have to know them all.

use serde_json::{Map, Value, json};

use crate::deliver::{DeliveryError, Method};
use crate::respond::client::{Call, another};
use crate::respond::{Receipt, Sight, Standing, Subject};
use crate::time::Timestamp;

use super::Gitlab;
use super::api::{Member, Membership, User};
use super::gitlab::{id_of, within};
use super::people::who;

const KINDS: &[&str] = &["groups", "projects"];
const OWNER: u64 = 50;
const PAGE: usize = 100;
/// So many pages of members are read to find another owner.
const PAGES_MAX: usize = 50;

pub(super) async fn look(gitlab: &Gitlab, subject: &Subject, now: Timestamp) -> Result<Sight, DeliveryError> {
    let (id, place) = (id_of(subject)?, within(subject, KINDS)?);
    let own = gitlab.own(now).await?;
    let Some(user) = gitlab.user(id, now).await? else {
        return Ok(Sight::missing(format!("user {id} in {place}"), "GitLab has no such user"));
    };
    let mut sight = Sight {
        who: format!("{} in {place}", who(&user)),
        identity: Some(gitlab.identity(&user)),
        state: String::new(),
        standing: Standing::Already,
        obstacles: gitlab.obstacles(&user, own, true),
        before: Value::Null,
        page: Some(gitlab.user_page(&user)),
    };
    match direct(gitlab, place, id, now).await? {
        Some(member) => found(gitlab, (&mut sight, place), &member, now).await?,
        None => not_direct(gitlab, (&mut sight, place), &user, now).await?,
    }
    Ok(sight)
}

async fn direct(
    gitlab: &Gitlab,
    place: &str,
    id: u64,
    now: Timestamp,
) -> Result<Option<Member>, DeliveryError> {
    member(gitlab, &format!("{place}/members/{id}"), id, now).await
}

async fn member(
    gitlab: &Gitlab,
    path: &str,
    id: u64,
    now: Timestamp,
) -> Result<Option<Member>, DeliveryError> {
    let what = format!("look at the membership of user {id}");
    let found: Option<Member> = gitlab.client.find(Call::get(path, &what), now).await?;
    match found {
        Some(member) if member.id != id => {
            Err(another("GitLab", &format!("member {id}"), &format!("member {}", member.id)))
        }
        found => Ok(found),
    }
}

/// Completes the sight of a member.
async fn found(
    gitlab: &Gitlab,
    (sight, place): (&mut Sight, &str),
    member: &Member,
    now: Timestamp,
) -> Result<(), DeliveryError> {
    let is_as_low =
        gitlab.config.to.is_some_and(|to| member.access_level <= to.level() && member.member_role.is_none());
    sight.state = role(member.access_level);
    sight.before = membership(member);
    sight.standing = if is_as_low { Standing::Already } else { Standing::ToDo };
    if !is_as_low && member.access_level >= OWNER {
        match has_another_owner(gitlab, place, member.id, now).await? {
            Some(true) => {}
            Some(false) => sight.obstacles.push(format!("{} is its last owner", sight.who)),
            None => sight
                .obstacles
                .push(format!("it has too many members to tell whether {} is its last owner", sight.who)),
        }
    }
    Ok(())
}

/// Who is no member of the place itself may be one by way of a group above it.
async fn not_direct(
    gitlab: &Gitlab,
    (sight, place): (&mut Sight, &str),
    user: &User,
    now: Timestamp,
) -> Result<(), DeliveryError> {
    let inherited = member(gitlab, &format!("{place}/members/all/{}", user.id), user.id, now).await?;
    if let Some(member) = inherited {
        sight.state = format!("{}, by way of a group above", role(member.access_level));
        sight.standing = Standing::Impossible;
        let who = &sight.who;
        sight.obstacles.push(format!(
            "{who} is a member by way of a group above or an invited group: it must be done there"
        ));
        return Ok(());
    }
    // The same 404 is given for a place that the token may not see.
    if !gitlab.has_container(place, now).await? {
        sight.standing = Standing::Missing;
        sight.state = format!("{place} is not there, or not to be seen with this token");
        return Ok(());
    }
    "no member".clone_into(&mut sight.state);
    Ok(())
}

/// Whether somebody else who may sign in owns it too, as a member of its own: GitLab keeps the last of these. None: there
/// are too many members to tell.
async fn has_another_owner(
    gitlab: &Gitlab,
    place: &str,
    id: u64,
    now: Timestamp,
) -> Result<Option<bool>, DeliveryError> {
    for page in 1..=PAGES_MAX {
        let path = format!("{place}/members?per_page={PAGE}&page={page}");
        let call = Call::get(&path, "look for other owners");
        let answer = gitlab.client.ask(call, None, now).await?;
        if answer.status != 200 {
            return Err(gitlab.client.failure(call, &answer, "200"));
        }
        let members: Vec<Value> = gitlab.client.parsed(call, &answer)?;
        let is_other_owner = |member: &Value| {
            member["access_level"].as_u64() == Some(OWNER)
                && member["id"].as_u64().is_some_and(|other| other != id)
                && member["state"] == "active"
        };
        if members.iter().any(is_other_owner) {
            return Ok(Some(true));
        }
        if members.len() < PAGE {
            return Ok(Some(false));
        }
    }
    Ok(None)
}

fn membership(member: &Member) -> Value {
    serde_json::to_value(Membership::from(member)).unwrap_or_default()
}

/// A role as people call it.
fn role(level: u64) -> String {
    let name = match level {
        0 => "no access",
        5 => "minimal access",
        10 => "guest",
        15 => "planner",
        20 => "reporter",
        25 => "security manager",
        30 => "developer",
        40 => "maintainer",
        OWNER => "owner",
        other => return format!("access level {other}"),
    };
    name.to_owned()
}

pub(super) async fn act(
    gitlab: &Gitlab,
    subject: &Subject,
    sight: &Sight,
    now: Timestamp,
) -> Result<Receipt, DeliveryError> {
    let (id, place) = (id_of(subject)?, within(subject, KINDS)?);
    let what = format!("{} {}", gitlab.verb().plain, sight.who);
    let Some(to) = gitlab.config.to else {
        let path = format!("{place}/members/{id}?skip_subresources=true");
        let call = Call::new(&Method::DELETE, &path, &what);
        return gitlab.client.change(call, (None, 204), now).await.map(|(receipt, _)| receipt);
    };
    let before: Option<Membership> = serde_json::from_value(sight.before.clone()).ok();
    let before =
        before.ok_or_else(|| DeliveryError::permanent(format!("{what}: its role is not known any more")))?;
    // The day on which it ends stays; a custom role goes, for it gives more than the role it is based on.
    let lowered = lowered(&before, to.level());
    set(gitlab, (place, id, &what), &lowered, before.member_role.is_some(), now).await
}

/// What a membership is lowered to. Whoever has less than that by the role that a custom one is based on stays there.
fn lowered(before: &Membership, to: u64) -> Membership {
    Membership { access_level: before.access_level.min(to), member_role: None, ..before.clone() }
}

/// Sets role, end and custom role of a member.
async fn set(
    gitlab: &Gitlab,
    (place, id, what): (&str, u64, &str),
    wanted: &Membership,
    had_custom_role: bool,
    now: Timestamp,
) -> Result<Receipt, DeliveryError> {
    let path = format!("{place}/members/{id}");
    let call = Call::new(&Method::PUT, &path, what);
    let body = body(wanted, had_custom_role);
    gitlab.client.change(call, (Some(body), 200), now).await.map(|(receipt, _)| receipt)
}

fn body(wanted: &Membership, had_custom_role: bool) -> Value {
    let mut body = Map::new();
    body.insert("access_level".to_owned(), wanted.access_level.into());
    if let Some(at) = &wanted.expires_at {
        body.insert("expires_at".to_owned(), at.as_str().into());
    }
    if wanted.member_role.is_some() || had_custom_role {
        body.insert("member_role_id".to_owned(), json!(wanted.member_role));
    }
    Value::Object(body)
}

pub(super) async fn undo(
    gitlab: &Gitlab,
    subject: &Subject,
    before: &Value,
    now: Timestamp,
) -> Result<Receipt, DeliveryError> {
    let (id, place) = (id_of(subject)?, within(subject, KINDS)?);
    let wanted: Membership = serde_json::from_value(before.clone()).map_err(|error| {
        DeliveryError::permanent(format!("what user {id} was in {place} before is not readable: {error}"))
    })?;
    let (what, role) = (format!("put user {id} back into {place}"), role(wanted.access_level));
    let current = direct(gitlab, place, id, now).await?;
    match (gitlab.config.to, current) {
        (_, Some(member)) if Membership::from(&member) == wanted => Ok(gitlab.client.nothing(&role)),
        (Some(to), Some(member)) if member.access_level == wanted.access_level.min(to.level()) => {
            set(gitlab, (place, id, &what), &wanted, member.member_role.is_some(), now).await
        }
        (None, None) => {
            let path = format!("{place}/members");
            let call = Call::new(&Method::POST, &path, &what);
            let mut body = body(&wanted, false);
            body["user_id"] = id.into();
            gitlab.client.change(call, (Some(body), 201), now).await.map(|(receipt, _)| receipt)
        }
        (_, current) => {
            let is = current.map_or_else(|| "no member".to_owned(), |member| self::role(member.access_level));
            Err(DeliveryError::permanent(format!(
                "{what} as {role}: user {id} is {is} now, so somebody else has changed it since: a person must decide"
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_to_change_is_sent() {
        let plain = Membership { access_level: 30, expires_at: None, member_role: None };
        assert_eq!(body(&plain, false), json!({"access_level": 30}));
        assert_eq!(body(&plain, true), json!({"access_level": 30, "member_role_id": null}));
        let custom =
            Membership { access_level: 10, expires_at: Some("2027-01-31".into()), member_role: Some(4) };
        assert_eq!(
            body(&custom, false),
            json!({"access_level": 10, "expires_at": "2027-01-31", "member_role_id": 4})
        );
    }

    #[test]
    fn nobody_is_lowered_to_more_than_he_had() {
        let of = |access_level, member_role| Membership { access_level, expires_at: None, member_role };
        assert_eq!(lowered(&of(40, None), 20), of(20, None));
        assert_eq!(lowered(&of(10, Some(4)), 20), of(10, None), "a custom role that is based on guest");
    }

    #[test]
    fn an_end_is_a_day_whatever_the_version_writes() {
        let member = |at: &str| -> Member {
            serde_json::from_value(json!({"id": 7, "access_level": 30, "expires_at": at})).unwrap()
        };
        assert_eq!(
            Membership::from(&member("2012-10-22T14:13:35Z")),
            Membership::from(&member("2012-10-22"))
        );
    }
}
