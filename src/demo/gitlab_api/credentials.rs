//! Access tokens and keys.

use serde_json::{Value, json};

use super::answer::{either, forbidden, id, refuse};
use super::{GitlabWorld, SimToken, accounts};
use crate::demo::SimUser;
use crate::demo::stand_in::Reply;

const MAINTAINER: u64 = 40;

fn shown_token(id: u64, token: &SimToken) -> Value {
    json!({
        "id": id, "name": token.name, "revoked": token.revoked, "active": !token.revoked, "user_id": token.user,
        "scopes": ["api"], "created_at": "2026-01-01T09:00:00.000Z", "expires_at": "2027-01-01", "last_used_at": null,
    })
}

/// A personal token: 404 is for administrators alone, everybody else gets 401.
pub(super) fn token(world: &GitlabWorld, me: &SimUser, text: &str) -> Reply {
    either(id(text).map(|id: u64| match world.access_tokens.get(&id) {
        Some(token) if me.is_admin || token.user == me.id => Reply::json(200, shown_token(id, token)),
        None if me.is_admin => refuse(404, "404 Not Found"),
        _ => refuse(401, "401 Unauthorized"),
    }))
}

pub(super) fn revoke(world: &mut GitlabWorld, me: &SimUser, text: &str) -> Reply {
    either(id(text).map(|id: u64| match world.access_tokens.get_mut(&id) {
        Some(token) if !me.is_admin && token.user != me.id => refuse(401, "401 Unauthorized"),
        Some(token) if token.revoked => refuse(400, "400 Bad request"),
        Some(token) => {
            token.revoked = true;
            Reply::empty()
        }
        None => refuse(404, "404 Not Found"),
    }))
}

/// Whether somebody may manage what belongs to a place.
fn manages(world: &GitlabWorld, me: &SimUser, place: &str) -> bool {
    me.is_admin || world.level(place, me.id) >= MAINTAINER
}

/// The token of a project or group.
fn of_place(world: &GitlabWorld, place: &str, id: u64) -> Option<SimToken> {
    world.access_tokens.get(&id).filter(|token| token.place.as_deref() == Some(place)).cloned()
}

fn no_such_token(place: &str, id: u64) -> Reply {
    let kind = if place.starts_with("groups") { "group" } else { "project" };
    refuse(404, &format!("404 Could not find {kind} access token with token_id: {id} Not Found"))
}

pub(super) fn resource_token(world: &GitlabWorld, me: &SimUser, (place, text): (&str, &str)) -> Reply {
    if !manages(world, me, place) {
        return refuse(401, "401 Unauthorized");
    }
    either(id(text).map(|id: u64| match of_place(world, place, id) {
        Some(token) => Reply::json(200, shown_token(id, &token)),
        None => no_such_token(place, id),
    }))
}

/// Revoking it removes its bot, and then it is not found any more.
pub(super) fn revoke_resource_token(
    world: &mut GitlabWorld,
    me: &SimUser,
    (place, text): (&str, &str),
) -> Reply {
    let is_allowed = manages(world, me, place);
    either(id(text).map(|id: u64| match of_place(world, place, id) {
        None => no_such_token(place, id),
        Some(token) if !is_allowed => refuse(400, &format!("{} cannot delete {}", me.username, token.name)),
        Some(token) => {
            world.users.remove(&token.user);
            world.access_tokens.remove(&id);
            Reply::empty()
        }
    }))
}

/// `GET /keys/:id`: administrators only; deploy keys are keys without an account.
pub(super) fn key(world: &GitlabWorld, me: &SimUser, text: &str) -> Reply {
    if !me.is_admin {
        return forbidden();
    }
    either(id(text).map(|id: u64| {
        let Some(key) = world.keys.get(&id) else { return refuse(404, "404 Not Found") };
        let user = key.user.and_then(|user| world.users.get(&user)).map(|user| accounts::shown(user, true));
        Reply::json(
            200,
            json!({
                "id": id, "title": key.title, "key": format!("ssh-ed25519 AAAA{id} {}", key.title),
                "created_at": "2026-01-01T09:00:00.000Z", "expires_at": null, "usage_type": "auth", "user": user,
            }),
        )
    }))
}

pub(super) fn delete_key(world: &mut GitlabWorld, me: &SimUser, (user, text): (&str, &str)) -> Reply {
    if !me.is_admin {
        return forbidden();
    }
    let (user, id) = match (id::<i64>(user), id::<u64>(text)) {
        (Ok(user), Ok(id)) => (user, id),
        (Err(refusal), _) | (_, Err(refusal)) => return refusal,
    };
    if !world.users.contains_key(&user) {
        return refuse(404, "404 User Not Found");
    }
    if world.keys.get(&id).is_none_or(|key| key.user != Some(user)) {
        return refuse(404, "404 Key Not Found");
    }
    world.keys.remove(&id);
    Reply::empty()
}

pub(super) fn deploy_key(world: &GitlabWorld, me: &SimUser, (place, text): (&str, &str)) -> Reply {
    if !manages(world, me, place) {
        return forbidden();
    }
    either(id(text).map(|id: u64| match world.keys.get(&id) {
        Some(key) if key.places.contains(place) => Reply::json(
            200,
            json!({
                "id": id, "title": key.title, "key": format!("ssh-ed25519 AAAA{id} {}", key.title),
                "fingerprint": "4a:9d", "created_at": "2026-01-01T09:00:00.000Z", "expires_at": null, "can_push": true,
            }),
        ),
        _ => refuse(404, "404 Not found"),
    }))
}

pub(super) fn delete_deploy_key(world: &mut GitlabWorld, me: &SimUser, (place, text): (&str, &str)) -> Reply {
    if !manages(world, me, place) {
        return forbidden();
    }
    either(id(text).map(|id: u64| {
        let Some(key) = world.keys.get_mut(&id).filter(|key| key.places.contains(place)) else {
            return refuse(404, "404 Deploy Key Not Found");
        };
        key.places.remove(place);
        if key.places.is_empty() {
            world.keys.remove(&id);
        }
        Reply::empty()
    }))
}
