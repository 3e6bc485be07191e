//! Members of groups and projects.

use serde_json::{Value, json};

use super::answer::{either, error, forbidden, id, refuse};
use super::{GitlabWorld, SimMember, accounts};
use crate::demo::stand_in::{Asked, Reply};
use crate::demo::{AccountState, SimUser};

const OWNER: u64 = 50;
/// Who may manage the members of a project; of a group, only owners.
const MAINTAINER: u64 = 40;
const LEVELS: [u64; 7] = [5, 10, 15, 20, 30, 40, 50];

fn shown(world: &GitlabWorld, user: i64, member: &SimMember) -> Value {
    let mut object =
        world.users.get(&user).map_or_else(|| json!({ "id": user }), |user| accounts::shown(user, false));
    object["access_level"] = member.level.into();
    object["created_at"] = "2026-01-01T09:00:00.000Z".into();
    object["expires_at"] = member.expires_at.clone().into();
    object["member_role"] = member.role.map_or(Value::Null, |role| json!({"id": role, "name": "custom"}));
    object
}

pub(super) fn list(world: &GitlabWorld, asked: &Asked, place: &str) -> Reply {
    let number = |name: &str, usual: u64| {
        asked.number(name).and_then(|value| usize::try_from(value).ok()).unwrap_or(usual as usize)
    };
    let (size, page) = (number("per_page", 20).clamp(1, 100), number("page", 1).max(1));
    let members = world.places.get(place).map(|place| &place.members);
    let all = members.into_iter().flatten().map(|(user, member)| shown(world, *user, member));
    Reply::json(200, all.skip(size * (page - 1)).take(size).collect())
}

pub(super) fn look(world: &GitlabWorld, (place, text): (&str, &str), with_above: bool) -> Reply {
    either(id(text).map(|user: i64| {
        let found = match with_above {
            true => world.effective(place, user),
            false => world.places.get(place).and_then(|place| place.members.get(&user)),
        };
        found.map_or_else(
            || refuse(404, "404 Not found"),
            |member| Reply::json(200, shown(world, user, member)),
        )
    }))
}

/// Whether somebody may set members there, up to that role.
fn manages(world: &GitlabWorld, me: &SimUser, place: &str, level: u64) -> bool {
    let own = world.level(place, me.id);
    let needed = if place.starts_with("groups") { OWNER } else { MAINTAINER };
    me.is_admin || (own >= needed && own >= level)
}

/// Role, end and custom role as the parameters say.
fn wanted(asked: &Asked, before: Option<&SimMember>) -> Result<SimMember, Reply> {
    let level = asked.number("access_level").ok_or_else(|| error(400, "access_level is missing"))?;
    if !LEVELS.contains(&level) {
        return Err(error(400, "access_level does not have a valid value"));
    }
    let expires_at = match asked.parameter("expires_at") {
        None => before.and_then(|before| before.expires_at.clone()),
        Some(day) => day.as_str().filter(|day| !day.is_empty()).map(str::to_owned),
    };
    let role = match asked.parameter("member_role_id") {
        None => before.and_then(|before| before.role),
        Some(role) => role.as_u64(),
    };
    Ok(SimMember { level, expires_at, role })
}

pub(super) fn add(world: &mut GitlabWorld, asked: &Asked, me: &SimUser, place: &str) -> Reply {
    let wanted = match wanted(asked, None) {
        Ok(wanted) => wanted,
        Err(refusal) => return refusal,
    };
    if !manages(world, me, place, wanted.level) {
        return forbidden();
    }
    let Some(user) = asked.number("user_id").and_then(|id| i64::try_from(id).ok()) else {
        return error(400, "user_id is missing");
    };
    if !world.users.contains_key(&user) {
        return refuse(404, "404 User Not Found");
    }
    let members = world.places.entry(place.to_owned()).or_default();
    if members.members.contains_key(&user) {
        return refuse(409, "Member already exists");
    }
    members.members.insert(user, wanted.clone());
    Reply::json(201, shown(world, user, &wanted))
}

/// Whether it is the only one who owns the place and may sign in.
fn is_last_owner(world: &GitlabWorld, place: &str, user: i64) -> bool {
    let Some(found) = world.places.get(place) else { return false };
    let owns = |user: &i64, member: &SimMember| {
        let is_active = world.users.get(user).is_some_and(|user| user.state == AccountState::Active);
        member.level == OWNER && is_active
    };
    let is_owner = found.members.get(&user).is_some_and(|member| member.level == OWNER);
    is_owner && !found.members.iter().any(|(other, member)| *other != user && owns(other, member))
}

/// The member to change, if the caller may.
fn target(world: &GitlabWorld, me: &SimUser, (place, text): (&str, &str)) -> Result<(i64, SimMember), Reply> {
    let user: i64 = id(text)?;
    let found = world.places.get(place).and_then(|place| place.members.get(&user));
    let found = found.cloned().ok_or_else(|| refuse(404, "404 Not found"))?;
    if !manages(world, me, place, found.level) || is_last_owner(world, place, user) {
        return Err(forbidden());
    }
    Ok((user, found))
}

pub(super) fn update(
    world: &mut GitlabWorld,
    asked: &Asked,
    me: &SimUser,
    (place, text): (&str, &str),
) -> Reply {
    either(target(world, me, (place, text)).and_then(|(user, before)| {
        let wanted = wanted(asked, Some(&before))?;
        if !manages(world, me, place, wanted.level) {
            return Err(forbidden());
        }
        if let Some(found) = world.places.get_mut(place) {
            found.members.insert(user, wanted.clone());
        }
        Ok(Reply::json(200, shown(world, user, &wanted)))
    }))
}

pub(super) fn remove(world: &mut GitlabWorld, me: &SimUser, (place, text): (&str, &str)) -> Reply {
    either(target(world, me, (place, text)).map(|(user, _)| {
        if let Some(found) = world.places.get_mut(place) {
            found.members.remove(&user);
        }
        Reply::empty()
    }))
}
