//! The quick way through an event: its bytes as they stand, without laying out the canonical event.
//!
//! What is indexed must be exactly what people search in, the canonical event. For nearly all events one pass over
//! the bytes gives the same; the others are noticed and take the long way:
//!
//! * arrays on the way to a canonical field: it has only the first element, and a null in them hides what else there is;
//! * keys under which Watchfire puts its own values or those of other keys, which hides what was sent;
//! * keys with dots in them, which look like paths, and keys with escapes in them, which look like nothing;
//! * types that are called otherwise now, or stood in the request's header.
//!
//! What is not noticed: a key that an object has twice. All its values are indexed, people see the last one.

use memchr::memmem;

use super::field::CANONICAL;
use crate::event::{Catalogue, Event, Extracted, Format, Plan, Scalar};

/// Reads events of one format.
#[derive(Debug)]
pub(super) struct Glance {
    plan: Plan,
    /// Keys that make an event odd.
    odd: OddKeys,
    /// Keys on the way to a canonical field: of what stands in arrays there, not all counts.
    ways: Vec<&'static str>,
    extracted: Extracted,
}

/// After the indexed fields the plan has this one.
const CREATED_AT: usize = CANONICAL.len();
const CREATED_AT_KEY: &str = "\"created_at\"";
/// Canonical names that Watchfire always fills itself, besides `created_at`.
const HIDING: [&str; 8] = ["category", "tier", "received_at", "source", "forge", "position", "self", "geo"];

impl Glance {
    pub(super) fn new(format: Format) -> Self {
        let names = CANONICAL.map(|(name, _)| name).into_iter().chain(["created_at"]);
        let fields: Vec<String> = names.map(str::to_owned).collect();
        Self {
            plan: Plan::new(format, &fields, true),
            odd: OddKeys::new(&odd_keys(format)),
            ways: ways(format),
            extracted: Extracted::default(),
        }
    }

    /// Reads an event; none if it is an odd one.
    pub(super) fn look<'a>(&'a mut self, event: &'a Event, catalogue: &Catalogue) -> Option<Seen<'a>> {
        let raw = std::str::from_utf8(&event.raw).ok().filter(|_| event.type_hint.is_none())?;
        if has_array(raw, &self.ways)
            || memmem::find(raw.as_bytes(), b"\\u00").is_some()
            || self.odd.occur_in(raw.as_bytes())
        {
            return None;
        }
        self.plan.extract(event, raw, catalogue, &mut self.extracted).ok()?;
        let seen = Seen { extracted: &self.extracted, raw, created_at: created_at(&self.extracted, raw)? };
        seen.is_plain().then_some(seen)
    }
}

/// Texts that begin with a quote, by what stands behind it: quotes are few.
#[derive(Debug)]
struct OddKeys {
    by_first: Box<[Vec<Box<[u8]>>; 256]>,
}

impl OddKeys {
    fn new(keys: &[String]) -> Self {
        let mut by_first = Box::new([const { Vec::new() }; 256]);
        for key in keys.iter().filter_map(|key| key.as_bytes().strip_prefix(b"\"")) {
            if let Some(keys) = key.first().and_then(|first| by_first.get_mut(usize::from(*first))) {
                keys.push(key.into());
            }
        }
        Self { by_first }
    }

    fn occur_in(&self, raw: &[u8]) -> bool {
        memchr::memchr_iter(b'"', raw).any(|at| {
            let behind = raw.get(at + 1..).unwrap_or_default();
            let keys = behind.first().and_then(|first| self.by_first.get(usize::from(*first)));
            keys.is_some_and(|keys| keys.iter().any(|key| behind.starts_with(key)))
        })
    }
}

/// An event that was read.
#[derive(Debug)]
pub(super) struct Seen<'a> {
    extracted: &'a Extracted,
    raw: &'a str,
    /// Where the value of `created_at` begins, which people see in another form; none if there is none.
    created_at: Option<usize>,
}

impl<'a> Seen<'a> {
    /// The text of a field, by its place in [`CANONICAL`].
    pub(super) fn field(&self, index: usize) -> Option<&'a str> {
        self.extracted.text(index, self.raw)
    }

    /// All texts and numbers in which words are looked for.
    pub(super) fn texts(&self) -> impl Iterator<Item = &'a str> {
        let start = self.raw.as_ptr() as usize;
        self.extracted.all(self.raw).filter_map(move |scalar| match scalar {
            Scalar::Text(text) | Scalar::Number(text) => {
                let place = (text.as_ptr() as usize).checked_sub(start);
                (place.is_none() || place != self.created_at).then_some(text)
            }
            Scalar::Null | Scalar::Bool(_) | Scalar::Composite => None,
        })
    }

    fn is_plain(&self) -> bool {
        let is_single = |index: usize| {
            let mut values = self.extracted.values(index, self.raw);
            !matches!(values.next(), Some(Scalar::Composite)) && values.next().is_none()
        };
        let event_type = CANONICAL.iter().position(|(name, _)| *name == "event_type").unwrap_or_default();
        (0..CREATED_AT).all(is_single)
            && (self.field(event_type).is_none() || self.extracted.place(event_type).is_some())
    }
}

/// Where `created_at` stands, none within if nothing is called so; none at all if that cannot be told.
fn created_at(extracted: &Extracted, raw: &str) -> Option<Option<usize>> {
    let mut values = extracted.values(CREATED_AT, raw);
    let first = values.next();
    if matches!(first, Some(Scalar::Composite)) || values.next().is_some() {
        return None;
    }
    if first.and_then(Scalar::text).is_none() {
        return Some(None);
    }
    let place = extracted.place(CREATED_AT)?.start;
    let before = raw.get(..place)?;
    let before = before.strip_suffix('"').unwrap_or(before).trim_end().strip_suffix(':')?.trim_end();
    // The time may stand under another name.
    Some(before.ends_with(CREATED_AT_KEY).then_some(place))
}

/// Whether one of these keys has an array; now and then also where a text only looks like one.
fn has_array(raw: &str, keys: &[&str]) -> bool {
    memchr::memchr_iter(b'[', raw.as_bytes()).any(|at| {
        let before = raw.get(..at).and_then(|before| before.trim_end().strip_suffix(':'));
        let key = before.and_then(|before| before.trim_end().strip_suffix('"')?.rsplit('"').next());
        key.is_some_and(|key| keys.contains(&key))
    })
}

fn ways(format: Format) -> Vec<&'static str> {
    let mappings = || format.mappings().iter();
    let parts = mappings().flat_map(|mapping| mapping.paths).flat_map(|path| path.split('.'));
    mappings().map(|mapping| mapping.field).chain(parts).collect()
}

fn odd_keys(format: Format) -> Vec<String> {
    let quoted = |key: &str| format!("\"{key}\"");
    let mut keys: Vec<String> = HIDING.map(quoted).into();
    keys.push("\"geo.".to_owned());
    for mapping in format.mappings() {
        // What stands under the canonical name itself gives way to what stands under the first path.
        if mapping.paths.first().is_some_and(|path| *path != mapping.field) {
            keys.push(quoted(mapping.field));
        }
        let outer = mapping.paths.iter().filter_map(|path| path.split_once('.'));
        keys.extend(outer.map(|(outer, _)| format!("\"{outer}.")));
    }
    keys.sort();
    keys.dedup();
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_keys_are_found_behind_any_quote() {
        let keys = odd_keys(Format::Github);
        assert!(keys.len() > 5 && keys.iter().all(|key| key.starts_with('"')), "{keys:?}");
        let odd = OddKeys::new(&keys);
        for key in &keys {
            assert!(odd.occur_in(format!("{{\"a\":1,{key}").as_bytes()), "{key}");
            assert!(!odd.occur_in(format!("{{\"a\":1,{}", &key[1..]).as_bytes()), "{key}");
            assert!(!odd.occur_in(&key.as_bytes()[..key.len() - 1]), "{key}");
        }
    }

    #[test]
    fn arrays_matter_only_on_the_way_to_a_field() {
        let ways = ways(Format::Gitlab);
        for (raw, is_odd) in [
            (r#"{"details":{"approvers":["a"]}}"#, false),
            (r#"{"details" : [{"author_name":"a"}]}"#, true),
            ("{\"author_id\"\n:\t[7]}", true),
            (r#"{"x":[["author_id"],[1]],"y":"author_id: [1]"}"#, false),
            (r#"{"meta":{"correlation_id":[null]}}"#, true),
        ] {
            assert_eq!(has_array(raw, &ways), is_odd, "{raw}");
        }
    }
}
