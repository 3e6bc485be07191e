//! Accounts: block, unblock, ban, unban, deactivate, activate.
//!
//! Calls, codes and states: doc/api/user_moderation.md, doc/administration/moderate_users.md, lib/api/users.rb. An
//! active account can be blocked or banned; a block keeps content visible, a ban hides it; only the matching call lifts
//! either. `POST /users/:id/unblock` may answer 201 with the body `false`, having done nothing: the state is what counts.

use serde_json::{Value, json};

use crate::deliver::{DeliveryError, Method};
use crate::respond::client::Call;
use crate::respond::{Receipt, Sight, Standing, Subject};
use crate::time::Timestamp;

use super::api::text_of;
use super::gitlab::id_of;
use super::people::who;
use super::{Gitlab, GitlabDo};

pub(super) async fn look(gitlab: &Gitlab, subject: &Subject, now: Timestamp) -> Result<Sight, DeliveryError> {
    let id = id_of(subject)?;
    let own = gitlab.own(now).await?;
    let Some(user) = gitlab.user(id, now).await? else {
        return Ok(Sight::missing(format!("user {id}"), "GitLab has no such user"));
    };
    let mut obstacles = gitlab.obstacles(&user, own, false);
    if user.state == "ldap_blocked" {
        obstacles.push(format!("{} is blocked by LDAP, which GitLab's API cannot change", who(&user)));
    }
    Ok(Sight {
        who: who(&user),
        identity: Some(gitlab.identity(&user)),
        standing: standing(gitlab.config.change, &user.state),
        obstacles,
        before: json!({ "state": user.state }),
        page: Some(gitlab.user_page(&user)),
        state: user.state,
    })
}

/// What a change finds to do in a state.
fn standing(change: GitlabDo, state: &str) -> Standing {
    use GitlabDo::{Activate, Ban, Block, Deactivate, Unban, Unblock};
    match (change, state) {
        // Kept out already, by a ban, by LDAP, or because nobody has let the user in yet.
        (Block, "blocked" | "banned" | "ldap_blocked" | "blocked_pending_approval")
        | (Ban, "banned")
        | (Deactivate, "deactivated")
        | (Unblock | Unban | Activate, "active") => Standing::Already,
        (Block | Ban | Deactivate, "active")
        | (Block | Activate, "deactivated")
        | (Unblock, "blocked")
        | (Unban, "banned") => Standing::ToDo,
        _ => Standing::Impossible,
    }
}

/// The state that a change leads to.
const fn goal(change: GitlabDo) -> &'static str {
    match change {
        GitlabDo::Block => "blocked",
        GitlabDo::Ban => "banned",
        GitlabDo::Deactivate => "deactivated",
        _ => "active",
    }
}

/// What a change finds to do in a state (none: the one that it is for), and the state it leads to.
pub(in crate::respond) fn foresee(change: GitlabDo, state: Option<&str>) -> (Standing, &'static str) {
    (state.map_or(Standing::ToDo, |state| standing(change, state)), goal(change))
}

pub(super) async fn act(
    gitlab: &Gitlab,
    subject: &Subject,
    sight: &Sight,
    now: Timestamp,
) -> Result<Receipt, DeliveryError> {
    moderate(gitlab, (id_of(subject)?, &sight.who), gitlab.verb().plain, now).await
}

async fn moderate(
    gitlab: &Gitlab,
    (id, who): (u64, &str),
    verb: &str,
    now: Timestamp,
) -> Result<Receipt, DeliveryError> {
    let (path, what) = (format!("users/{id}/{verb}"), format!("{verb} {who}"));
    let call = Call::new(&Method::POST, &path, &what);
    gitlab.client.change(call, (None, 201), now).await.map(|(receipt, _)| receipt)
}

/// The calls that lead from what it made to what was before. None: there is no such way.
fn way_back(change: GitlabDo, before: &str) -> Option<&'static [&'static str]> {
    use GitlabDo::{Activate, Ban, Block, Deactivate, Unban, Unblock};
    match (change, before) {
        (Block, "active") => Some(&["unblock"]),
        // A block that is lifted leaves an account active.
        (Block, "deactivated") => Some(&["unblock", "deactivate"]),
        (Unblock, "blocked") => Some(&["block"]),
        (Ban, "active") => Some(&["unban"]),
        (Unban, "banned") => Some(&["ban"]),
        (Deactivate, "active") => Some(&["activate"]),
        (Activate, "deactivated") => Some(&["deactivate"]),
        _ => None,
    }
}

/// Whether an undoing that broke off left it so: let in again, and not yet put to sleep as it was before.
pub(super) fn is_half_way(change: GitlabDo, before: &Value, sight: &Sight) -> bool {
    let calls = way_back(change, text_of(before, "state").unwrap_or_default());
    calls.is_some_and(|calls| calls.len() > 1) && sight.state == "active"
}

pub(super) async fn undo(
    gitlab: &Gitlab,
    subject: &Subject,
    before: &Value,
    now: Timestamp,
) -> Result<Receipt, DeliveryError> {
    let id = id_of(subject)?;
    let wanted = text_of(before, "state").unwrap_or_default();
    let Some(user) = gitlab.user(id, now).await? else {
        return Err(DeliveryError::permanent(format!("user {id} is no longer there: nothing can be undone")));
    };
    let (who, change) = (who(&user), gitlab.config.change);
    if user.state == wanted {
        return Ok(gitlab.client.nothing(wanted));
    }
    let Some(calls) = way_back(change, wanted) else {
        return Err(DeliveryError::permanent(format!(
            "{who} was `{wanted}` before, and nothing leads back to that: a person must decide"
        )));
    };
    // A try that was cut short may have left it half-way.
    let is_half_way = calls.len() > 1 && user.state == "active";
    if user.state != goal(change) && !is_half_way {
        let (state, past) = (&user.state, gitlab.verb().past);
        return Err(DeliveryError::permanent(format!(
            "{who} is {state} and not as Watchfire left it when it was {past}: somebody else has changed it since; a \
             person must decide at {}",
            gitlab.user_page(&user)
        )));
    }
    let mut receipt = gitlab.client.nothing(&user.state);
    for verb in calls.iter().skip(usize::from(is_half_way)) {
        receipt = moderate(gitlab, (id, &who), verb, now).await?;
    }
    Ok(receipt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_fits_some_states_and_leads_back() {
        use GitlabDo::{Activate, Ban, Block, Deactivate, Unban, Unblock};
        let states = ["active", "blocked", "banned", "ldap_blocked", "deactivated"];
        let row = |change| {
            let sign = |state: &&str| match standing(change, state) {
                Standing::ToDo => '!',
                Standing::Already => '=',
                Standing::Impossible => '?',
                Standing::Missing => '0',
            };
            states.iter().map(sign).collect::<String>()
        };
        assert_eq!(row(Block), "!===!");
        assert_eq!(row(Ban), "!?=??");
        assert_eq!(row(Unblock), "=!???");
        assert_eq!(row(Unban), "=?!??");
        assert_eq!(row(Deactivate), "!???=");
        assert_eq!(row(Activate), "=???!");
        for change in [Block, Ban, Unblock, Unban, Deactivate, Activate] {
            for state in states {
                let is_todo = standing(change, state) == Standing::ToDo;
                assert_eq!(way_back(change, state).is_some(), is_todo, "{change:?} of {state}");
            }
        }
    }
}
