//! `occasions`: when an action is told of an alert.

use serde::{Deserialize, Deserializer, de};

use crate::alert::Occasion;

/// The occasions that an action names: at least one, since one that is told of nothing is a slip, and none that only
/// responses have.
pub(super) fn named<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Occasion>>, D::Error> {
    let named = Option::<Vec<Occasion>>::deserialize(deserializer)?;
    match named.as_deref() {
        Some([]) => {
            Err(de::Error::custom("expected at least one occasion; leave `occasions` out for the usual ones"))
        }
        Some(some) if some.contains(&Occasion::Undo) => {
            Err(de::Error::custom("`undo` is for responses; nobody is told of it"))
        }
        _ => Ok(named),
    }
}

#[cfg(test)]
mod tests {
    use crate::action::ActionConfig;

    #[test]
    fn a_list_that_names_nothing_or_an_undoing_is_a_mistake() {
        for kind in [
            "type: webhook\nurl: 'https://x'",
            "type: command\ncommand: [/bin/true]",
            "type: email\nsmtp: {host: mail}\nfrom: a@b.c\nto: [d@e.f]",
            "type: slack\nurl: 'https://x'",
        ] {
            let read =
                |list: &str| serde_yaml::from_str::<ActionConfig>(&format!("{kind}\noccasions: {list}\n"));
            for (list, part) in [("[]", "at least one"), ("[opened, undo]", "for responses")] {
                let error = read(list).unwrap_err();
                assert!(error.to_string().contains(part), "{kind}: {error}");
                assert_eq!(
                    error.location().map(|at| at.line()),
                    Some(kind.lines().count() as u64 + 1),
                    "{error}"
                );
            }
            read("[opened, resolved]").unwrap();
        }
        let response = "type: gitlab\nurl: 'https://x'\ntoken: {env: T}\ndo: block\noccasions: []\n";
        let error = serde_yaml::from_str::<ActionConfig>(response).unwrap_err();
        assert!(error.to_string().contains("unknown field `occasions`"), "{error}");
    }
}
