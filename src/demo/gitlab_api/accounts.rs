//! Accounts and their moderation.

use serde_json::{Value, json};

use super::GitlabWorld;
use super::answer::{either, error, forbidden, id, made, refuse};
use crate::demo::stand_in::Reply;
use crate::demo::{AccountState, SimUser};

/// The user as the API shows it; some keys only to administrators.
pub(super) fn shown(user: &SimUser, to_admin: bool) -> Value {
    let page = format!("https://gitlab.example.com/{}", user.username);
    let mut object = json!({
        "id": user.id, "username": user.username, "name": user.name, "state": user.state.name(),
        "locked": false, "avatar_url": null, "web_url": page, "bot": user.bot,
    });
    if to_admin {
        object["is_admin"] = user.is_admin.into();
        object["email"] = format!("{}@example.com", user.username).into();
    }
    object
}

pub(super) fn look(world: &GitlabWorld, me: &SimUser, text: &str) -> Reply {
    either(id(text).map(|id| match world.users.get(&id) {
        Some(user) => Reply::json(200, shown(user, me.is_admin)),
        None => refuse(404, "404 User Not Found"),
    }))
}

pub(super) fn moderate(world: &mut GitlabWorld, me: &SimUser, text: &str, verb: &str) -> Reply {
    if !["block", "unblock", "ban", "unban", "activate", "deactivate"].contains(&verb) {
        return error(404, "404 Not Found");
    }
    if !me.is_admin {
        return forbidden();
    }
    let user = match id::<i64>(text) {
        Ok(id) => id,
        Err(refusal) => return refusal,
    };
    let is_dormant = world.dormant.contains(&user);
    let Some(user) = world.users.get_mut(&user) else { return refuse(404, "404 User Not Found") };
    if verb == "block" && user.id == me.id {
        return refuse(403, "403 Forbidden - The API initiating user cannot be blocked by the API");
    }
    // lib/api/users.rb answers what the service says, and 201 all the same.
    if verb == "unblock" && user.state == AccountState::Active {
        return made(201, false);
    }
    match changed(user, verb, is_dormant) {
        Ok(state) => {
            user.state = state;
            made(201, true)
        }
        Err(reason) => refuse(403, &format!("403 Forbidden - {reason}")),
    }
}

/// The state after the verb, or why it may not be.
fn changed(user: &SimUser, verb: &str, is_dormant: bool) -> Result<AccountState, &'static str> {
    use AccountState::{Active, Banned, Blocked, Deactivated, LdapBlocked};
    match (verb, user.state) {
        (_, _) if user.bot => Err("An internal user cannot be changed"),
        (_, LdapBlocked) => Err("LDAP blocked users cannot be modified by the API"),
        ("block", Active | Deactivated | Blocked) => Ok(Blocked),
        ("block", Banned) => Ok(Banned),
        ("unblock", Blocked) | ("unban", Banned) | ("activate", Active | Deactivated) => Ok(Active),
        ("unblock", Deactivated) => Err("Deactivated users cannot be unblocked by the API"),
        ("unblock", _) => Err("The user is not blocked"),
        ("unban", _) => Err("You cannot unban active users"),
        ("ban", Active) => Ok(Banned),
        ("ban", _) => Err("You cannot ban users that are not active"),
        ("activate", _) => Err("A blocked user must be unblocked to be activated"),
        ("deactivate", Deactivated) => Ok(Deactivated),
        ("deactivate", Active) if is_dormant => Ok(Deactivated),
        ("deactivate", Active) => {
            Err("The user has been active in the past 90 days and cannot be deactivated")
        }
        _ => Err("A blocked user cannot be deactivated by the API"),
    }
}
