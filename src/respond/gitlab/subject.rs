//! What in GitLab an alert is about: an account, a token, a key, a membership.

use serde_json::{Map, Value};

use crate::encode::Notification;
use crate::event::Format;
use crate::respond::target::{agreed, elsewhere, lookup, number, target, text};
use crate::respond::{Subject, SubjectKind};

use super::config::Family;
use super::{GitlabConfig, GitlabDo};

/// What the alert is about, or in a sentence why that cannot be told.
pub(super) fn subject(config: &GitlabConfig, notification: &Notification) -> Result<Subject, String> {
    if let Some(reason) = elsewhere(notification, &config.forge, Format::Gitlab) {
        return Err(reason);
    }
    foreseen(config, notification)
}

/// The same, without asking where its events happened.
pub(in crate::respond) fn foreseen(
    config: &GitlabConfig,
    notification: &Notification,
) -> Result<Subject, String> {
    let of =
        |kind, id: u64, within| Subject { forge: config.forge.clone(), kind, id: id.to_string(), within };
    match config.change.family() {
        Family::Account => Ok(of(SubjectKind::Account, user(config, notification)?, None)),
        Family::Member => {
            let id = user(config, notification)?;
            match entity(notification)? {
                within if within.starts_with("users/") => {
                    Err(format!("the alert is about {within}, and memberships are in groups and projects"))
                }
                within => Ok(of(SubjectKind::Membership, id, Some(within))),
            }
        }
        Family::Token => {
            let id = thing(config, notification, "an access token", &["PersonalAccessToken"])?;
            let within = entity(notification)?;
            Ok(of(SubjectKind::Token, id, (!within.starts_with("users/")).then_some(within)))
        }
        Family::Key => {
            let wanted = if config.change == GitlabDo::DeleteDeployKey { "projects/" } else { "users/" };
            let id = thing(config, notification, "a key", &["Key", "DeployKey"])?;
            match entity(notification)? {
                within if within.starts_with(wanted) => Ok(of(SubjectKind::Key, id, Some(within))),
                other => Err(format!("the alert is about {other}, and this action is for keys of {wanted}")),
            }
        }
    }
}

/// The number behind an author's id. Deploy keys and tokens have negative ones and are no accounts.
fn user(config: &GitlabConfig, notification: &Notification) -> Result<u64, String> {
    let found = target(notification, &config.user)?;
    match found.trim().parse::<i64>() {
        Ok(id) if id > 0 => Ok(id.unsigned_abs()),
        Ok(-2) => Err("author -2 is a deploy token, not a user; revoke it by hand".to_owned()),
        Ok(-3) => Err("author -3 is a deploy key, not a user; remove it by hand".to_owned()),
        Ok(id) => Err(format!("author {id} is not a user account")),
        Err(_) => Err(format!("`{found}` is not a GitLab user id")),
    }
}

/// Where it happened, as the API's paths name it: `groups/5`, `projects/9`, `users/7`.
fn entity(notification: &Notification) -> Result<String, String> {
    let kind = target(notification, "entity_type")?;
    let id = number(&target(notification, "entity_id")?, "a group, project or user")?;
    match kind.as_str() {
        "Group" => Ok(format!("groups/{id}")),
        "Project" => Ok(format!("projects/{id}")),
        "User" => Ok(format!("users/{id}")),
        other => Err(format!("the alert is about a {other}, not a group, a project or a user")),
    }
}

/// The id of a token or key: from the configured field, or else from the events.
fn thing(
    config: &GitlabConfig,
    notification: &Notification,
    what: &str,
    kinds: &[&str],
) -> Result<u64, String> {
    let found = match &config.target {
        Some(field) => target(notification, field)?,
        None => agreed(notification, &format!("id of {what}"), |event| id_of(event, kinds))?,
    };
    number(&found, what)
}

/// The id in one event. An event about a token has the token as its target, or (of personal ones) its owner, and then
/// the token's id only in the message: "Created personal access token with id 12", "… with token_id: 12 with scopes".
fn id_of(event: &Map<String, Value>, kinds: &[&str]) -> String {
    let kind = text(lookup(event, "target_type"));
    if kinds.contains(&kind.as_str()) {
        return text(lookup(event, "target_id"));
    }
    let message = text(lookup(event, "details.custom_message"));
    if !message.contains(" access token ") {
        return String::new();
    }
    let at = [" token_id: ", " with id "].iter().find_map(|mark| Some(message.split_once(mark)?.1));
    at.map(|rest| rest.chars().take_while(char::is_ascii_digit).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::encode::tests_support::notification;

    fn told(events: &[Value]) -> Notification {
        let mut given = notification();
        given.alert.key.0.clear();
        given.alert.evidence = (0..events.len() as u64).collect();
        given.alert.evidence_count = events.len() as u64;
        given.events = events.iter().map(|event| event.as_object().unwrap().clone()).collect();
        given
    }

    fn found(verb: &str, events: &[Value]) -> Result<(SubjectKind, String, Option<String>), String> {
        let yaml = format!("{{url: 'https://x', token: {{env: T}}, do: {verb}}}");
        let config: GitlabConfig = serde_yaml::from_str(&yaml).unwrap();
        subject(&config, &told(events)).map(|subject| (subject.kind, subject.id, subject.within))
    }

    #[test]
    fn tokens_are_found_where_gitlab_names_them() {
        let personal = json!({"author_id": 7, "entity_type": "User", "entity_id": 7, "target_type": "User", "target_id": 7,
            "details": {"custom_message": "Created personal access token with id 12"}});
        assert_eq!(found("revoke_token", &[personal]), Ok((SubjectKind::Token, "12".into(), None)));
        let project = |kind: &str, id: u64| {
            json!({"author_id": 7, "entity_type": "Project", "entity_id": 9,
            "target_type": kind, "target_id": id, "details": {"custom_message":
                "Created project access token with token_id: 31 with scopes: [\"api\"] and Maintainer access level."}})
        };
        let expected = Ok((SubjectKind::Token, "31".into(), Some("projects/9".into())));
        assert_eq!(found("revoke_token", &[project("User", 900)]), expected);
        assert_eq!(found("revoke_token", &[project("PersonalAccessToken", 31)]), expected);
        assert!(
            found("revoke_token", &[project("User", 900), project("PersonalAccessToken", 32)])
                .unwrap_err()
                .contains("2 different")
        );
        let clone = json!({"author_id": 7, "entity_type": "Project", "entity_id": 9, "target_type": "Project",
            "target_id": 9, "details": {"custom_message": {"action": "git-upload-pack"}}});
        assert!(found("revoke_token", &[clone]).unwrap_err().contains("id of an access token"));
        let named_so = json!({"entity_type": "User", "entity_id": 7, "target_type": "User", "target_id": 7,
            "details": {"custom_message": "Changed name to x with id 1"}});
        assert!(found("revoke_token", &[named_so]).is_err(), "what a user writes is no token");
    }

    #[test]
    fn keys_and_memberships_belong_somewhere() {
        let key = |kind: &str, entity: &str| json!({"author_id": 7, "entity_type": entity, "entity_id": 9, "target_type": kind, "target_id": 5});
        assert_eq!(
            found("delete_ssh_key", &[key("Key", "User")]),
            Ok((SubjectKind::Key, "5".into(), Some("users/9".into())))
        );
        assert_eq!(
            found("delete_deploy_key", &[key("DeployKey", "Project")]),
            Ok((SubjectKind::Key, "5".into(), Some("projects/9".into())))
        );
        assert!(found("delete_deploy_key", &[key("Key", "User")]).unwrap_err().contains("keys of projects/"));
        assert!(found("delete_ssh_key", &[key("User", "User")]).is_err(), "the target is no key");
        assert_eq!(
            found("remove_member", &[key("User", "Group")]),
            Ok((SubjectKind::Membership, "7".into(), Some("groups/9".into())))
        );
        assert!(found("remove_member", &[key("User", "User")]).unwrap_err().contains("groups and projects"));
        let instance = key("User", "Gitlab::Audit::InstanceScope");
        assert!(found("remove_member", &[instance]).unwrap_err().contains("InstanceScope"));
    }

    #[test]
    fn authors_that_are_no_users_are_not_looked_up() {
        for (id, part) in [
            (json!(-3), "deploy key"),
            (json!(-2), "deploy token"),
            (json!(0), "not a user"),
            (json!("a"), "id"),
        ] {
            let error = found("block", &[json!({"author_id": id})]).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
