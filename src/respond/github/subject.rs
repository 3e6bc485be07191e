//! What in GitHub an alert is about: an account, a membership, a credential.

use crate::encode::Notification;
use crate::event::Format;
use crate::respond::target::{elsewhere, lookup, number, target, text};
use crate::respond::{Subject, SubjectKind};

use super::{GithubConfig, GithubDo};

/// What the alert is about, or in a sentence why that cannot be told.
pub(super) fn subject(config: &GithubConfig, notification: &Notification) -> Result<Subject, String> {
    if let Some(reason) = elsewhere(notification, &config.forge, Format::Github) {
        return Err(reason);
    }
    foreseen(config, notification)
}

/// The same, without asking where its events happened.
pub(in crate::respond) fn foreseen(
    config: &GithubConfig,
    notification: &Notification,
) -> Result<Subject, String> {
    if let Some(organization) = &config.organization {
        is_about(organization, notification)?;
    }
    let kind = match config.change {
        GithubDo::RemoveMember => SubjectKind::Membership,
        GithubDo::RevokeCredential => SubjectKind::Token,
        _ => SubjectKind::Account,
    };
    let id = match (&config.target, config.change) {
        (Some(field), GithubDo::RevokeCredential) => {
            number(&target(notification, field)?, "a credential")?.to_string()
        }
        _ => account(config, notification)?,
    };
    Ok(Subject { forge: config.forge.clone(), kind, id, within: config.organization.clone() })
}

/// The account's number, or `@` and its login.
fn account(config: &GithubConfig, notification: &Notification) -> Result<String, String> {
    let found = target(notification, &config.user)?;
    if config.user.ends_with("_id") {
        return Ok(number(&found, "an account")?.to_string());
    }
    if is_login(&found) { Ok(format!("@{found}")) } else { Err(format!("`{found}` is no login of GitHub")) }
}

/// Whether all events are about this organisation, as far as they say.
fn is_about(organization: &str, notification: &Notification) -> Result<(), String> {
    let others = notification.events.iter().map(|event| text(lookup(event, "org")));
    match others.filter(|other| !other.is_empty()).find(|other| !other.eq_ignore_ascii_case(organization)) {
        None => Ok(()),
        Some(other) => Err(format!(
            "the alert has an event of the organisation {other}, and this action is for {organization}"
        )),
    }
}

/// Whether it can be a login or the name of an organisation, and so a part of a path. (Enterprise managed users have an
/// underscore, apps brackets.)
pub(super) fn is_login(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !text.is_empty() && text.len() <= 100 && text.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::encode::Place;
    use crate::encode::tests_support::notification;

    fn found(settings: &str, event: serde_json::Value) -> Result<String, String> {
        let config: GithubConfig =
            serde_yaml::from_str(&format!("{{token: {{env: T}}, {settings}}}")).unwrap();
        let mut given = notification();
        given.alert.key.0.clear();
        given.alert.evidence = vec![1];
        given.alert.evidence_count = 1;
        given.events = vec![event.as_object().unwrap().clone()];
        given.places = [Place { forge: "github".into(), format: Format::Github }].into();
        subject(&config, &given).map(|subject| format!("{:?} {}", subject.kind, subject.id))
    }

    #[test]
    fn an_account_is_a_number_or_a_login_and_never_one_for_the_other() {
        let event = json!({"author_id": "4711", "actor_id": "4711", "actor": "1234", "org": "Mona-Org"});
        let block = "do: block, organization: mona-org";
        assert_eq!(found(block, event.clone()), Ok("Account 4711".into()));
        assert_eq!(found(&format!("{block}, user: actor"), event.clone()), Ok("Account @1234".into()));
        let other = found("do: block, organization: other", event.clone()).unwrap_err();
        assert!(other.contains("organisation Mona-Org"), "{other}");
        assert!(found(block, json!({"author_id": "monalisa"})).is_err());
        let slash = found(&format!("{block}, user: actor"), json!({"actor": "a/../b"}));
        assert!(slash.unwrap_err().contains("no login"));
        let credential = "do: revoke_credential, organization: mona-org, target: credential_id";
        assert_eq!(found(credential, json!({"credential_id": 161_195})), Ok("Token 161195".into()));
        assert!(found(credential, event).unwrap_err().contains("credential_id"));
    }
}
