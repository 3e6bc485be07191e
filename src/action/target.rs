//! Whether an alert is about somebody whom an action is never to touch.

use crate::encode::Notification;
use crate::event::Format;
use crate::respond::{target, text};

use super::Name;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::tests_support::notification;

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
}
