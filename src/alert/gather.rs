//! What alerts have in common that belong to one incident.

use super::Key;

/// What an alert is about, in the words that the alerts of one incident share: its author, else its entity, else its
/// whole key, else the rule; and the forge, since every forge numbers its people anew.
#[must_use]
pub fn about(key: &Key, rule: &str, forge: Option<&str>) -> String {
    let of = |field: &&str| {
        key.get(field).filter(|value| !value.is_empty()).map(|value| format!("{field} = {value}"))
    };
    let found = ["author_id", "entity_path", "entity_id"].iter().find_map(of);
    let text = found.unwrap_or_else(|| match key.0.as_slice() {
        [] => format!("rule = {rule}"),
        _ => key.to_string(),
    });
    match forge {
        Some(forge) => format!("{text} at {forge}"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_author_comes_first() {
        let about = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            about(&Key(pairs.collect()), "r", Some("gitlab"))
        };
        assert_eq!(about(&[("ip_address", "192.0.2.1"), ("author_id", "7")]), "author_id = 7 at gitlab");
        assert_eq!(about(&[("author_id", ""), ("entity_id", "3")]), "entity_id = 3 at gitlab");
        assert_eq!(about(&[("ip_address", "192.0.2.1")]), "ip_address = 192.0.2.1 at gitlab");
        assert_eq!(about(&[]), "rule = r at gitlab");
        assert_eq!(super::about(&Key::default(), "r", None), "rule = r");
    }
}
