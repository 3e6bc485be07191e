//! Whom and what an alert is about.

use serde_json::{Map, Value};

use crate::encode::Notification;
use crate::event::Format;

/// The one value of `field` in the alert: from its key, or else from its events if all of them are at hand and
/// agree. Never a guess: where they differ, or some are missing, the answer is why there is none. Events of nobody
/// (a number that is no account's) have no say beside those of an account.
///
/// # Errors
/// The sentence that says why there is none.
pub fn target(notification: &Notification, field: &str) -> Result<String, String> {
    let alert = &notification.alert;
    if let Some(value) = alert.key.get(field) {
        return Ok(value.to_owned());
    }
    agreed(notification, field, |event| text(lookup(event, field)))
}

/// The one thing that `read` finds in all events, all of which must be at hand. `what` is for the sentence.
///
/// # Errors
/// The sentence that says why there is none.
pub(super) fn agreed(
    notification: &Notification,
    what: &str,
    read: impl Fn(&Map<String, Value>) -> String,
) -> Result<String, String> {
    let seen = u64::try_from(notification.events.len()).unwrap_or(u64::MAX);
    if seen == 0 || seen < notification.alert.evidence_count {
        return Err(format!("the alert's key has no `{what}`, and not all of its events are at hand"));
    }
    let mut values: Vec<String> = notification.events.iter().map(read).collect();
    values.sort_unstable();
    values.dedup();
    if values.iter().any(|value| !is_nobody(value)) {
        values.retain(|value| !is_nobody(value));
    }
    match values.as_slice() {
        [one] if !one.is_empty() => Ok(one.clone()),
        [_] => Err(format!("neither the alert's key nor its events have `{what}`")),
        _ => Err(format!("the alert's events have {} different values of `{what}`", values.len())),
    }
}

/// Why an alert is not known to be about this system, if so. The number of an account means somebody else in another
/// system, and whoever may send events of one system can write any number into them.
#[must_use]
pub fn elsewhere(notification: &Notification, forge: &str, format: Format) -> Option<String> {
    let missing = notification.alert.evidence.len().saturating_sub(notification.events.len());
    if notification.places.is_empty() {
        return Some(
            "none of the alert's events is at hand, so it is not known where they happened".to_owned(),
        );
    }
    if missing > 0 {
        let why = "so it is not known where they happened";
        return Some(format!("{missing} of the alert's events are not at hand, {why}"));
    }
    foreign(notification, forge, format)
}

/// Likewise, of the events that are at hand.
#[must_use]
pub fn foreign(notification: &Notification, forge: &str, expected: Format) -> Option<String> {
    if let Some(other) = notification.alert.key.get("forge").filter(|other| *other != forge) {
        return Some(format!("the alert is about the forge {other}, and this action is for {forge}"));
    }
    let other =
        notification.places.iter().find(|place| *place.forge != *forge || place.format != expected)?;
    let (name, format) = (&other.forge, other.format.name());
    Some(format!(
        "the alert has an event of the forge {name} in the format {format}, and this action is for {} events of \
         {forge}; if they are the same system, set `forge` of the source or of the action",
        expected.name()
    ))
}

/// Whether it is a number that is no account's. GitLab gives -1 to whoever is not signed in, as at a failed sign-in,
/// and further numbers below zero to deploy tokens and keys.
fn is_nobody(value: &str) -> bool {
    value.parse::<i64>().is_ok_and(|number| number <= 0)
}

/// The value under a name, or at a dotted path.
pub(super) fn lookup<'a>(event: &'a Map<String, Value>, field: &str) -> Option<&'a Value> {
    if let Some(value) = event.get(field) {
        return Some(value);
    }
    let mut parts = field.split('.');
    let first = event.get(parts.next()?)?;
    parts.try_fold(first, |value, part| value.get(part))
}

/// A value as a person writes it; nothing where there is none.
#[must_use]
pub fn text(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// The number of something, from 1.
pub(super) fn number(text: &str, what: &str) -> Result<u64, String> {
    match text.trim().parse::<u64>() {
        Ok(id) if id > 0 => Ok(id),
        _ => Err(format!("`{text}` is not the number of {what}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::Place;
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

    #[test]
    fn a_field_may_be_a_path() {
        let mut given = notification();
        given.alert.evidence_count = 22;
        for event in &mut given.events {
            event.insert("details".into(), serde_json::json!({"token": {"id": 5}}));
        }
        assert_eq!(target(&given, "details.token.id"), Ok("5".into()));
        assert!(target(&given, "details.token.nothing").is_err());
    }

    /// GitHub's account 4711 is not GitLab's user 4711, nor is the other GitLab's.
    #[test]
    fn events_of_another_forge_are_about_nobody_here() {
        let place = |forge: &str, format| Place { forge: forge.into(), format };
        let where_else = |given: &Notification| elsewhere(given, "gitlab", Format::Gitlab);
        assert_eq!(where_else(&notification()), None);
        for other in [
            place("github", Format::Github),
            place("gitlab", Format::Github),
            place("gitlab-b", Format::Gitlab),
        ] {
            let mut given = notification();
            given.places.insert(other);
            assert!(where_else(&given).unwrap().contains("an event of the forge"));
        }
        let mut given = notification();
        given.alert.key.0.push(("forge".into(), "gitlab-b".into()));
        assert!(where_else(&given).unwrap().contains("about the forge gitlab-b"));
        let mut given = notification();
        given.events.pop();
        assert!(where_else(&given).unwrap().contains("1 of the alert's events"));
        given.places.clear();
        assert!(where_else(&given).unwrap().contains("none of the alert's events"));
    }
}
