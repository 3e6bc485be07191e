//! Whom an alert is about.

use crate::encode::Notification;
use crate::event::Format;

use super::Name;

/// The one value of `field` in the alert: from its key, or else from its events if all of them are at hand and
/// agree. Never a guess: where they differ, or some are missing, the answer is why there is none. Events of nobody
/// (see [`is_nobody`]) have no say beside those of an account.
pub(super) fn target(notification: &Notification, field: &str) -> Result<String, String> {
    let alert = &notification.alert;
    if let Some(value) = alert.key.get(field) {
        return Ok(value.to_owned());
    }
    let seen = u64::try_from(notification.events.len()).unwrap_or(u64::MAX);
    if seen == 0 || seen < alert.evidence_count {
        return Err(format!("the alert's key has no `{field}`, and not all of its events are at hand"));
    }
    let mut values: Vec<String> = notification.events.iter().map(|event| text(event.get(field))).collect();
    values.sort_unstable();
    values.dedup();
    if values.iter().any(|value| !is_nobody(value)) {
        values.retain(|value| !is_nobody(value));
    }
    match values.as_slice() {
        [one] if !one.is_empty() => Ok(one.clone()),
        [_] => Err(format!("neither the alert's key nor its events have `{field}`")),
        _ => Err(format!("the alert's events have {} different values of `{field}`", values.len())),
    }
}

/// Whether it is a number that is no account's. GitLab gives -1 to whoever is not signed in, as at a failed sign-in,
/// and further numbers below zero to deploy tokens and keys.
fn is_nobody(value: &str) -> bool {
    value.parse::<i64>().is_ok_and(|number| number <= 0)
}

/// What comes of comparing an alert with `never`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It is about this one, who is on it.
    On(String),
    Off,
    /// It cannot be told, for this reason.
    Unknown(String),
}

/// Whether an alert is about somebody on `never`, by the alert's `field` and, in GitHub's events, the author's name. What
/// other forges' events call their authors is a name that everybody gives himself.
pub(super) fn on_never(never: &[Name], notification: &Notification, field: &str) -> Found {
    if never.is_empty() {
        return Found::Off;
    }
    let who = match target(notification, field) {
        Ok(who) => who,
        Err(reason) => return Found::Unknown(reason),
    };
    let id: Option<i64> = who.trim().parse().ok();
    if never.iter().any(|entry| id.map_or_else(|| entry.is_name(&who), |id| entry.is_id(id))) {
        return Found::On(who);
    }
    let places = &notification.places;
    let has_usernames = !places.is_empty() && places.iter().all(|place| place.format == Format::Github);
    if has_usernames {
        let mut names = author_names(notification);
        if let Some(name) = names.find(|name| never.iter().any(|entry| entry.is_name(name))) {
            return Found::On(name);
        }
    }
    // Who cannot be compared with what is written there might be the one who is meant.
    let odd = never.iter().find(|entry| entry.id().is_some() != id.is_some());
    match odd {
        Some(name) if id.is_some() && !has_usernames => {
            let name = &name.0;
            Found::Unknown(format!(
                "`{field}` is a number, and whose name `{name}` is these events do not tell: write its id"
            ))
        }
        Some(number) if id.is_none() => {
            let number = &number.0;
            Found::Unknown(format!(
                "`{field}` is no number, and who has the id {number} it does not tell: write the name"
            ))
        }
        _ => Found::Off,
    }
}

/// What the events call their authors.
fn author_names(notification: &Notification) -> impl Iterator<Item = String> {
    notification.events.iter().map(|event| text(event.get("author_name"))).filter(|name| !name.is_empty())
}

fn text(value: Option<&serde_json::Value>) -> String {
    match value {
        None | Some(serde_json::Value::Null) => String::new(),
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::tests_support::{event, notification};

    #[test]
    fn the_key_decides_and_the_events_only_when_they_agree() {
        let mut given = notification();
        assert_eq!(target(&given, "author_id"), Ok("7".into()));
        given.alert.key.0.clear();
        assert!(target(&given, "author_id").unwrap_err().contains("not all of its events"));
        given.alert.evidence_count = 22;
        assert_eq!(target(&given, "author_id"), Ok("7".into()));
        assert!(target(&given, "nobody").unwrap_err().contains("neither"));
        given.events[3].insert("author_id".into(), 8.into());
        assert!(target(&given, "author_id").unwrap_err().contains("2 different"));
        given.events = vec![event(1)];
        given.events[0].remove("author_id");
        given.alert.evidence_count = 1;
        assert!(target(&given, "author_id").is_err());
        given.events.clear();
        given.alert.evidence_count = 0;
        assert!(target(&given, "author_id").is_err());
    }

    #[test]
    fn numbers_are_ids_and_display_names_are_nobodys() {
        let never = |yaml: &str| serde_yaml::from_str::<Vec<Name>>(yaml).unwrap();
        let mut given = notification();
        for event in &mut given.events {
            event.insert("author_name".into(), "root".into());
        }
        let found = |given: &Notification, yaml: &str| on_never(&never(yaml), given, "author_id");
        assert_eq!(found(&given, "[7]"), Found::On("7".into()));
        assert_eq!(found(&given, "[1]"), Found::Off);
        assert_eq!(found(&given, "[7, root]"), Found::On("7".into()));
        // Anybody may call himself root: that must not save him, nor may the real one be taken for anybody.
        assert!(matches!(found(&given, "[root]"), Found::Unknown(reason) if reason.contains("write its id")));
        given.places = [crate::encode::Place { forge: "github".into(), format: Format::Github }].into();
        assert_eq!(found(&given, "[root]"), Found::On("root".into()), "GitHub tells the login");
        assert_eq!(found(&given, "[bob]"), Found::Off);
        given.alert.key.0[0].1 = "1".into();
        given.events.iter_mut().for_each(|event| {
            event.insert("author_name".into(), "7".into());
        });
        assert_eq!(found(&given, "[7]"), Found::Off, "a login 7 is not the id 7");
    }

    /// Failed sign-ins have the author -1, whoever tried; the sign-in after them has the account.
    #[test]
    fn events_of_nobody_have_no_say_beside_those_of_an_account() {
        let mut given = notification();
        given.alert.key.0.clear();
        given.alert.evidence_count = 4;
        let mut of = |authors: [i64; 4]| {
            given.events = authors
                .map(|author| {
                    let mut event = event(1);
                    event.insert("author_id".into(), author.into());
                    event
                })
                .into();
            target(&given, "author_id")
        };
        assert_eq!(of([-1, -1, 7, 7]), Ok("7".into()));
        assert_eq!(of([-3, -1, 7, 0]), Ok("7".into()));
        assert!(of([-1, 7, 8, 7]).unwrap_err().contains("2 different"));
        assert_eq!(of([-3, -3, -3, -3]), Ok("-3".into()), "a deploy key alone: the action says what that is");
        assert!(of([-1, -3, -1, -1]).unwrap_err().contains("2 different"));
        given.events[0].remove("author_id");
        given.events[1].insert("author_id".into(), 7.into());
        assert!(target(&given, "author_id").is_err(), "an event without the field is not passed over");
    }
}
