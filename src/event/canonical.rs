//! The event as people and receivers see it: canonical fields laid over the original ones.

use serde_json::{Map, Value};

use super::mend::mended;
use super::{Catalogue, Event};

/// The event as one JSON object: every original field under its original name, the canonical fields on top.
///
/// Where an original field has the name of a canonical one and another meaning (Bitbucket's `source`), the
/// canonical one wins here; rules and the stored bytes still have the original. Bytes that are no object,
/// which the decoder never lets through, give an object with the canonical fields alone.
#[must_use]
pub fn canonical(event: &Event, catalogue: &Catalogue) -> Map<String, Value> {
    let mended =
        || mended(std::str::from_utf8(&event.raw).ok()?).and_then(|raw| serde_json::from_str(&raw).ok());
    let read: Option<Map<String, Value>> = serde_json::from_slice(&event.raw).ok().or_else(mended);
    let mut object = read.unwrap_or_default();
    for mapping in event.format.mappings() {
        let found = mapping.paths.iter().find_map(|path| lookup(&object, path));
        if let Some(value) = found.cloned() {
            object.insert(mapping.field.to_owned(), value);
        }
    }
    if let (Some(hint), true) = (&event.type_hint, object.get("event_type").is_none_or(Value::is_null)) {
        object.insert("event_type".to_owned(), Value::from(hint.as_ref()));
    }
    if let Some(name) = object.get("event_type").and_then(Value::as_str) {
        let known = catalogue.get(event.format, name);
        if let Some(known) = known {
            object.insert("category".to_owned(), known.category.as_str().into());
            object.insert("tier".to_owned(), known.tier.name().into());
            object.insert("event_type".to_owned(), known.name.as_str().into());
        }
    }
    object.insert("created_at".to_owned(), event.time.to_string().into());
    object.insert("received_at".to_owned(), event.received_at.to_string().into());
    object.insert("source".to_owned(), event.source.as_ref().into());
    object.insert("forge".to_owned(), event.forge.as_ref().into());
    if event.position > 0 {
        object.insert("position".to_owned(), event.position.into());
    }
    super::computed::lay_over(&mut object, catalogue.enrichment());
    object
}

/// The value at a dotted path; through arrays, the first element that has it.
pub(super) fn lookup<'a>(object: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    let mut parts = path.split('.');
    let first = object.get(parts.next()?)?;
    parts
        .try_fold(first, |value, part| match value {
            Value::Object(inner) => inner.get(part),
            Value::Array(items) => items.iter().find_map(|item| item.get(part)),
            _ => None,
        })
        .filter(|value| !value.is_null())
}

#[cfg(test)]
mod tests {
    use crate::decode::blank;
    use crate::event::{Event, Extracted, Format, Plan};

    use super::*;

    #[test]
    fn the_forge_is_the_one_of_the_source_whatever_the_event_says() {
        let catalogue = Catalogue::built_in();
        let raw = r#"{"forge":"gitlab","actor_id":4711,"action":"repo.destroy"}"#;
        let blank = blank(Format::Github, &"ci".into(), crate::time::Timestamp(0));
        let event = Event { forge: "github-a".into(), raw: raw.into(), ..blank };
        assert_eq!(canonical(&event, &catalogue)["forge"], "github-a");
        let plan = Plan::new(Format::Github, &["forge".to_owned(), "author_id".to_owned()], false);
        let mut extracted = Extracted::default();
        plan.extract(&event, raw, &catalogue, &mut extracted).unwrap();
        assert_eq!(extracted.text(0, raw), Some("github-a"));
        assert_eq!(extracted.text(1, raw), Some("4711"));
    }
}
