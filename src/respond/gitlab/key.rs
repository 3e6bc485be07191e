//! SSH keys of users and deploy keys of projects.
//!
//! Calls and codes: doc/api/keys.md (`GET /keys/:id`, administrators only), doc/api/user_keys.md (`DELETE
//! /users/:id/keys/:key_id`), doc/api/deploy_keys.md. A deleted key is answered with 404. What it was stays in `before`,
//! so that a person can add it again: the public key is no secret.

use serde_json::{Value, json};

use crate::deliver::{DeliveryError, Method, one_line};
use crate::respond::client::{Call, another};
use crate::respond::{Identity, Receipt, Sight, Standing, Subject};
use crate::time::Timestamp;

use super::api::Key;
use super::gitlab::{id_of, within};
use super::people::who;
use super::{Gitlab, GitlabDo};

pub(super) async fn look(gitlab: &Gitlab, subject: &Subject, now: Timestamp) -> Result<Sight, DeliveryError> {
    let id = id_of(subject)?;
    let is_deploy_key = gitlab.config.change == GitlabDo::DeleteDeployKey;
    let path = match is_deploy_key {
        true => format!("{}/deploy_keys/{id}", within(subject, &["projects"])?),
        false => format!("keys/{id}"),
    };
    let what = format!("look at key {id}");
    let found: Option<Key> = gitlab.client.find(Call::get(&path, &what), now).await?;
    match found {
        Some(key) if key.id != id => Err(another("GitLab", &format!("key {id}"), &format!("key {}", key.id))),
        Some(key) if is_deploy_key => deploy_key(gitlab, subject, &key),
        Some(key) => users_key(gitlab, subject, &key, now).await,
        None => absent(gitlab, subject, now).await,
    }
}

async fn users_key(
    gitlab: &Gitlab,
    subject: &Subject,
    key: &Key,
    now: Timestamp,
) -> Result<Sight, DeliveryError> {
    let own = gitlab.own(now).await?;
    let named = format!("SSH key {} (`{}`)", key.id, one_line(&key.title, 100));
    let mut sight = sight(named, key);
    let Some(owner) = &key.user else {
        sight.obstacles.push(format!("{} belongs to no user: it is a deploy key", sight.who));
        return Ok(sight);
    };
    let place = within(subject, &["users"])?;
    if place != format!("users/{}", owner.id) {
        sight.obstacles.push(format!("it belongs to user {}, and the alert is about {place}", owner.id));
    }
    let Some(user) = gitlab.user(owner.id, now).await? else {
        sight.obstacles.push(format!("its account, user {}, cannot be looked up", owner.id));
        return Ok(sight);
    };
    sight.obstacles.extend(gitlab.obstacles(&user, own, false));
    sight.who = format!("{} of {}", sight.who, who(&user));
    sight.identity = Some(gitlab.identity(&user));
    sight.page = Some(gitlab.user_page(&user));
    Ok(sight)
}

fn deploy_key(gitlab: &Gitlab, subject: &Subject, key: &Key) -> Result<Sight, DeliveryError> {
    let place = within(subject, &["projects"])?;
    let named = format!("deploy key {} (`{}`) of {place}", key.id, one_line(&key.title, 100));
    let mut sight = sight(named, key);
    // No account: its own kind of identity, so that nobody's number is taken for it.
    let id = format!("deploy_key/{}", key.id);
    sight.identity = Some(Identity { forge: gitlab.config.forge.clone(), id, name: None });
    Ok(sight)
}

fn sight(who: String, key: &Key) -> Sight {
    Sight {
        who,
        identity: None,
        state: "there".to_owned(),
        standing: Standing::ToDo,
        obstacles: Vec::new(),
        before: json!({
            "title": key.title, "key": key.key, "can_push": key.can_push, "expires_at": key.expires_at,
        }),
        page: None,
    }
}

/// GitLab answers 404: the key is gone if the account or project is still to be seen.
async fn absent(gitlab: &Gitlab, subject: &Subject, now: Timestamp) -> Result<Sight, DeliveryError> {
    let place = within(subject, &["users", "projects"])?;
    let who = format!("key {} of {place}", subject.id);
    if !gitlab.has_container(place, now).await? {
        return Ok(Sight::missing(who, &format!("{place} is not there, or not to be seen with this token")));
    }
    Ok(Sight { standing: Standing::Already, ..Sight::missing(who, "not there (any more)") })
}

pub(super) async fn act(
    gitlab: &Gitlab,
    subject: &Subject,
    sight: &Sight,
    now: Timestamp,
) -> Result<Receipt, DeliveryError> {
    let id = id_of(subject)?;
    let path = match gitlab.config.change {
        GitlabDo::DeleteDeployKey => format!("{}/deploy_keys/{id}", within(subject, &["projects"])?),
        _ => format!("{}/keys/{id}", within(subject, &["users"])?),
    };
    let what = format!("delete {}", sight.who);
    let call = Call::new(&Method::DELETE, &path, &what);
    gitlab.client.change(call, (None::<Value>, 204), now).await.map(|(receipt, _)| receipt)
}
