//! Whom an alert is about.

use crate::encode::Notification;

/// The one value of `field` in the alert: from its key, or else from its events if all of them are at hand and
/// agree. Never a guess: where they differ, or some are missing, the answer is why there is none.
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
    match values.as_slice() {
        [one] if !one.is_empty() => Ok(one.clone()),
        [_] => Err(format!("neither the alert's key nor its events have `{field}`")),
        _ => Err(format!("the alert's events have {} different values of `{field}`", values.len())),
    }
}

/// What the events call their authors.
pub(super) fn author_names(notification: &Notification) -> impl Iterator<Item = String> {
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
}
