//! Access tokens: personal ones by their number, those of a project or group by its and theirs.
//!
//! Calls and codes: doc/api/personal_access_tokens.md, doc/api/project_access_tokens.md, doc/api/group_access_tokens.md,
//! lib/api/resource_access_tokens.rb. A personal token stays there as `revoked`. One of a project or group belongs to an
//! account that GitLab removes with it, after which it answers 404: that counts as revoked only while the project or
//! group itself can be seen.

use serde_json::{Value, json};

use crate::deliver::{DeliveryError, Method, one_line};
use crate::respond::client::{Call, another};
use crate::respond::{Receipt, Sight, Standing, Subject};
use crate::time::Timestamp;

use super::Gitlab;
use super::api::Token;
use super::gitlab::{id_of, within};
use super::people::who;

/// The token's path below the API.
fn path(subject: &Subject) -> Result<String, DeliveryError> {
    let id = id_of(subject)?;
    match subject.within {
        None => Ok(format!("personal_access_tokens/{id}")),
        Some(_) => Ok(format!("{}/access_tokens/{id}", within(subject, &["projects", "groups"])?)),
    }
}

pub(super) async fn look(gitlab: &Gitlab, subject: &Subject, now: Timestamp) -> Result<Sight, DeliveryError> {
    let (id, path) = (id_of(subject)?, path(subject)?);
    let own = gitlab.own(now).await?;
    let what = format!("look at access token {id}");
    let found: Option<Token> = gitlab.client.find(Call::get(&path, &what), now).await?;
    let Some(token) = found else { return absent(gitlab, subject, now).await };
    if token.id != id {
        return Err(another("GitLab", &format!("access token {id}"), &format!("access token {}", token.id)));
    }
    let owner = gitlab.user(token.user_id, now).await?;
    let mut obstacles = match &owner {
        Some(owner) if subject.within.is_none() => gitlab.obstacles(owner, own, false),
        // Such a token's account is a bot by nature, and Watchfire's own may be one.
        Some(owner) if owner.id == own.id => vec!["it is the token that Watchfire itself uses".to_owned()],
        Some(_) => Vec::new(),
        None => vec![format!("its account, user {}, cannot be looked up", token.user_id)],
    };
    if token.revoked {
        obstacles.clear();
    }
    let state = match (token.revoked, token.active) {
        (true, _) => "revoked",
        (false, true) => "active",
        (false, false) => "expired",
    };
    let owned_by = owner.as_ref().map_or_else(|| format!("user {}", token.user_id), who);
    Ok(Sight {
        who: format!("access token {id} (`{}`) of {owned_by}", one_line(&token.name, 100)),
        identity: owner.as_ref().map(|owner| gitlab.identity(owner)),
        state: state.to_owned(),
        standing: if state == "active" { Standing::ToDo } else { Standing::Already },
        obstacles,
        before: json!({
            "name": token.name, "scopes": token.scopes, "expires_at": token.expires_at, "user_id": token.user_id
        }),
        page: owner.as_ref().map(|owner| gitlab.user_page(owner)),
    })
}

/// GitLab answers 404.
async fn absent(gitlab: &Gitlab, subject: &Subject, now: Timestamp) -> Result<Sight, DeliveryError> {
    let who = format!("access token {}", subject.id);
    if subject.within.is_none() {
        return Ok(Sight::missing(who, "GitLab has no such token"));
    }
    let place = within(subject, &["projects", "groups"])?;
    if !gitlab.has_container(place, now).await? {
        return Ok(Sight::missing(who, &format!("{place} is not there, or not to be seen with this token")));
    }
    let gone = Sight::missing(format!("{who} of {place}"), "not there (any more)");
    Ok(Sight { standing: Standing::Already, ..gone })
}

pub(super) async fn act(
    gitlab: &Gitlab,
    subject: &Subject,
    sight: &Sight,
    now: Timestamp,
) -> Result<Receipt, DeliveryError> {
    let (path, what) = (path(subject)?, format!("revoke {}", sight.who));
    let call = Call::new(&Method::DELETE, &path, &what);
    gitlab.client.change(call, (None::<Value>, 204), now).await.map(|(receipt, _)| receipt)
}
