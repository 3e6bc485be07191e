//! An event as a script sees it: fields are read out of the event's bytes when the script asks for them.
//!
//! An [`Object`] is the event or an object within it. It knows the places of its fields, and only what is asked
//! for becomes a value of the interpreter. What needs all fields at once (equality, `keys()`, printing) makes
//! the complete form, once.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use rhai::{Dynamic, Map};
use serde_json::Value;

use super::index::{self, Field, UNREAD};
use super::meter::{Answer, charge};
use super::value::{from_json, from_map};
use crate::event::{Catalogue, Event, EventType, canonical};

/// A JSON object of an event. A property that it lacks is `()`; nothing can be written to it. A type of its
/// own rather than a map, so that handing it to a function or out of a window copies a pointer.
#[derive(Debug, Clone)]
pub(super) struct Object {
    view: Arc<View>,
    /// 0 for the whole; for an object within, one more than the number of the field that holds it.
    at: usize,
}

#[derive(Debug)]
struct View {
    of: Of,
    /// Nothing inside where the text is not of the usual kind; then the complete form serves.
    fields: OnceLock<Option<Vec<Field>>>,
    complete: OnceLock<Map>,
    /// For each field the object it holds as a whole of its own, once somebody asked for its complete form.
    apart: OnceLock<Box<[OnceLock<Object>]>>,
}

#[derive(Debug)]
enum Of {
    /// Made from the complete form.
    Complete,
    /// An event, with the canonical fields over the original ones.
    Event(Event, Arc<Catalogue>),
    /// An object within an event.
    Part(Bytes),
}

/// An object whose fields are known: its text, and those of its view that are its own.
struct Known<'a> {
    json: &'a Bytes,
    fields: &'a [Field],
    span: Range<usize>,
}

/// Bytes of a text that are copied for one unit of work, and bytes of other JSON that are parsed for one.
const COPIED_PER_UNIT: u64 = 256;
const PARSED_PER_UNIT: u64 = 32;

/// A value that was found, not yet one of the interpreter.
enum Found<'a> {
    /// A field of a view, by its number.
    Field(&'a Object, usize),
    Parsed(Value),
    Text(Cow<'a, str>),
    Whole(i64),
}

impl Object {
    pub(super) fn of_event(event: Event, catalogue: Arc<Catalogue>) -> Self {
        Self::new(Of::Event(event, catalogue))
    }

    pub(super) fn of_map(map: Map) -> Self {
        let object = Self::new(Of::Complete);
        object.view.complete.get_or_init(|| map);
        object
    }

    fn new(of: Of) -> Self {
        let view = View { of, fields: OnceLock::new(), complete: OnceLock::new(), apart: OnceLock::new() };
        Self { view: Arc::new(view), at: 0 }
    }

    /// The event this is, if it is one and no part of one.
    pub(super) fn event(&self) -> Option<&Event> {
        match &self.view.of {
            Of::Event(event, _) if self.at == 0 => Some(event),
            _ => None,
        }
    }

    /// The event types that it is read with.
    pub(super) fn catalogue(&self) -> Option<&Arc<Catalogue>> {
        match &self.view.of {
            Of::Event(_, catalogue) => Some(catalogue),
            Of::Complete | Of::Part(_) => None,
        }
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.view, &other.view) && self.at == other.at
    }

    /// The value of a property, `()` if there is none.
    pub(super) fn get(&self, name: &str) -> Answer<Dynamic> {
        if let Some(apart) = self.unread() {
            return apart.get(name);
        }
        if self.known().is_none() || self.is_laid_over(name) {
            return Ok(self.complete().get(name).cloned().unwrap_or(Dynamic::UNIT));
        }
        self.find(name).map_or(Ok(Dynamic::UNIT), Found::value)
    }

    /// Whether there is such a property, be it null.
    pub(super) fn has(&self, name: &str) -> bool {
        if let Some(apart) = self.unread() {
            return apart.has(name);
        }
        if self.known().is_none() || self.is_laid_over(name) {
            return self.complete().contains_key(name);
        }
        self.find(name).is_some()
    }

    /// Whether the event is enriched there: then only its complete form knows.
    fn is_laid_over(&self, name: &str) -> bool {
        matches!(&self.view.of, Of::Event(_, catalogue) if self.at == 0 && catalogue.enrichment().lays_over(name))
    }

    /// The value at a dotted path; the whole path as one name goes first.
    pub(super) fn at(&self, path: &str) -> Answer<Dynamic> {
        let whole = self.get(path)?;
        let (false, true, Some((first, rest))) = (self.has(path), whole.is_unit(), path.split_once('.'))
        else {
            return Ok(whole);
        };
        let inner = self.get(first)?;
        let inner = inner.read_lock::<Self>().map(|inner| inner.at(rest));
        inner.unwrap_or(Ok(Dynamic::UNIT))
    }

    /// All its properties.
    pub(super) fn complete(&self) -> &Map {
        if let Some(apart) = self.apart() {
            return apart.complete();
        }
        self.view.complete.get_or_init(|| match &self.view.of {
            Of::Complete => Map::new(),
            Of::Event(event, catalogue) => from_map(&canonical(event, catalogue)),
            Of::Part(json) => from_map(&serde_json::from_slice(json).unwrap_or_default()),
        })
    }

    /// An object within another as a whole of its own.
    fn apart(&self) -> Option<&Self> {
        let number = self.at.checked_sub(1)?;
        let (json, fields) = self.view.fields()?;
        let value = fields.get(number)?.value.clone();
        let slots = self.view.apart.get_or_init(|| fields.iter().map(|_| OnceLock::new()).collect());
        let part = || Self::new(Of::Part(json.slice(value.start as usize..value.end as usize)));
        slots.get(number).map(|slot| slot.get_or_init(part))
    }

    /// How many properties it has.
    pub(super) fn len(&self) -> usize {
        self.complete().len()
    }

    /// What stands for an object that was passed over when the whole was read.
    fn unread(&self) -> Option<&Self> {
        if self.at > 0 && self.known().is_none() { self.apart() } else { None }
    }

    /// Its text and the places of its fields; none where the complete form must serve.
    fn known(&self) -> Option<Known<'_>> {
        let (json, fields) = self.view.fields()?;
        let span = match self.at.checked_sub(1) {
            None => 0..fields.len(),
            Some(number) => inside(fields, number)?,
        };
        Some(Known { json, fields, span })
    }

    /// The number of a field as the sender named it; of several, the last.
    fn original(&self, name: &str) -> Option<usize> {
        let Known { json, fields, span } = self.known()?;
        index::named(json, fields, span, name.as_bytes())
    }

    fn find(&self, name: &str) -> Option<Found<'_>> {
        let (Of::Event(event, catalogue), 0) = (&self.view.of, self.at) else {
            return self.original(name).map(|number| Found::Field(self, number));
        };
        match name {
            "created_at" => return Some(Found::Text(event.time.to_string().into())),
            "received_at" => return Some(Found::Text(event.received_at.to_string().into())),
            "source" => return Some(Found::Text(Cow::Borrowed(&event.source))),
            "forge" => return Some(Found::Text(Cow::Borrowed(&event.forge))),
            "position" if event.position > 0 => {
                return Some(Found::Whole(i64::try_from(event.position).unwrap_or(i64::MAX)));
            }
            "event_type" | "category" | "tier" => {
                if let Some(known) = self.event_type(event, catalogue) {
                    let text = match name {
                        "category" => known.category.as_str(),
                        "tier" => known.tier.name(),
                        _ => known.name.as_str(),
                    };
                    return Some(Found::Text(Cow::Borrowed(text)));
                }
            }
            _ => {}
        }
        let found = self.mapped(event, name);
        match (&event.type_hint, name) {
            (Some(hint), "event_type") if found.as_ref().is_none_or(Found::is_null) => {
                Some(Found::Text(Cow::Borrowed(hint)))
            }
            _ => found,
        }
    }

    fn event_type<'a>(&'a self, event: &'a Event, catalogue: &'a Catalogue) -> Option<&'a EventType> {
        match self.mapped(event, "event_type").filter(|found| !found.is_null()) {
            Some(found) => catalogue.get(event.format, found.text()?.as_ref()),
            None => catalogue.get(event.format, event.type_hint.as_deref()?),
        }
    }

    /// The first path of a canonical field that leads to a value, or else the original field of that name.
    fn mapped(&self, event: &Event, name: &str) -> Option<Found<'_>> {
        let paths = event.format.paths(name).unwrap_or_default();
        let mapped = paths.iter().find_map(|path| self.lookup(path).filter(|found| !found.is_null()));
        mapped.or_else(|| self.original(name).map(|number| Found::Field(self, number)))
    }

    /// The value at a path of the tables of formats: through arrays, the first element that has it.
    fn lookup(&self, path: &str) -> Option<Found<'_>> {
        let Known { json, fields, mut span } = self.known()?;
        let mut rest = path;
        while let Some((first, behind)) = rest.split_once('.') {
            let number = index::named(json, fields, span, first.as_bytes())?;
            let value = slice(json, &fields.get(number)?.value);
            match inside(fields, number) {
                Some(inner) if value.first() == Some(&b'{') => span = inner,
                _ => return parsed(value, behind),
            }
            rest = behind;
        }
        index::named(json, fields, span, rest.as_bytes()).map(|number| Found::Field(self, number))
    }

    /// The text of a field's value.
    fn json(&self, number: usize) -> &[u8] {
        let field = self.view.fields().and_then(|(json, fields)| Some((json, fields.get(number)?)));
        field.map_or(&[], |(json, field)| slice(json, &field.value))
    }

    fn is_plain(&self, number: usize) -> bool {
        self.view.fields().and_then(|(_, fields)| fields.get(number)).is_some_and(|field| field.is_plain)
    }
}

impl View {
    /// Its text, and all fields in it.
    fn fields(&self) -> Option<(&Bytes, &[Field])> {
        let json = match &self.of {
            Of::Complete => return None,
            Of::Event(event, _) => &event.raw,
            Of::Part(json) => json,
        };
        let fields = self.fields.get_or_init(|| index::fields(json));
        Some((json, fields.as_deref()?))
    }
}

/// Where the fields inside of a field stand; nothing for an object that was passed over.
fn inside(fields: &[Field], number: usize) -> Option<Range<usize>> {
    let count = fields.get(number)?.inside;
    (count != UNREAD).then_some(number + 1..number + 1 + count as usize)
}

fn slice<'a>(json: &'a [u8], range: &Range<u32>) -> &'a [u8] {
    json.get(range.start as usize..range.end as usize).unwrap_or_default()
}

/// The value at the rest of a path, within a value that is no usual object.
fn parsed<'a>(json: &[u8], rest: &str) -> Option<Found<'a>> {
    let value: Value = serde_json::from_slice(json).ok()?;
    let found = rest.split('.').try_fold(&value, |value, part| match value {
        Value::Object(inner) => inner.get(part),
        Value::Array(items) => items.iter().find_map(|item| item.get(part)),
        _ => None,
    })?;
    Some(Found::Parsed(found.clone()))
}

impl Found<'_> {
    fn json(&self) -> &[u8] {
        match self {
            Self::Field(object, number) => object.json(*number),
            Self::Parsed(_) | Self::Text(_) | Self::Whole(_) => &[],
        }
    }

    fn is_null(&self) -> bool {
        match self {
            Self::Field(..) => self.json().first() == Some(&b'n'),
            Self::Parsed(value) => value.is_null(),
            Self::Text(_) | Self::Whole(_) => false,
        }
    }

    /// Its text, if it is one.
    fn text(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Field(object, number) if object.is_plain(*number) => {
                Some(Cow::Borrowed(plain(self.json())?))
            }
            Self::Field(..) => serde_json::from_slice::<String>(self.json()).ok().map(Cow::Owned),
            Self::Parsed(value) => value.as_str().map(|text| Cow::Owned(text.to_owned())),
            Self::Text(text) => Some(Cow::Borrowed(text)),
            Self::Whole(_) => None,
        }
    }

    /// The value as the interpreter's. What is not read yet costs work by its length.
    fn value(self) -> Answer<Dynamic> {
        let (object, number) = match &self {
            Self::Field(object, number) => (*object, *number),
            Self::Parsed(value) => return Ok(from_json(value)),
            Self::Text(text) => return Ok(text.as_ref().into()),
            Self::Whole(number) => return Ok(Dynamic::from_int(*number)),
        };
        let json = self.json();
        if object.is_plain(number)
            && let Some(text) = plain(json)
        {
            charge(json.len() as u64 / COPIED_PER_UNIT)?;
            return Ok(text.into());
        }
        if json.first() == Some(&b'{') {
            return Ok(Dynamic::from(Object { view: Arc::clone(&object.view), at: number + 1 }));
        }
        charge(json.len() as u64 / PARSED_PER_UNIT)?;
        Ok(whole(json).map_or_else(
            || serde_json::from_slice(json).map_or(Dynamic::UNIT, |value| from_json(&value)),
            Dynamic::from_int,
        ))
    }
}

/// A text without escapes, its quotes taken off.
fn plain(json: &[u8]) -> Option<&str> {
    std::str::from_utf8(json.get(1..json.len().checked_sub(1)?)?).ok()
}

/// A whole number of so few digits that it fits.
fn whole(json: &[u8]) -> Option<i64> {
    let (digits, sign) = json.strip_prefix(b"-").map_or((json, 1), |digits| (digits, -1));
    let is_short = (1..=18).contains(&digits.len()) && (digits.len() == 1 || digits.first() != Some(&b'0'));
    if !is_short || (sign < 0 && digits == b"0") {
        return None;
    }
    let number = digits
        .iter()
        .try_fold(0_i64, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0')));
    number.map(|number| number * sign)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::Format;
    use crate::time::Timestamp;

    const NAMES: [&str; 25] = [
        "id",
        "author_id",
        "author_name",
        "entity_path",
        "event_type",
        "category",
        "tier",
        "created_at",
        "time",
        "source",
        "forge",
        "position",
        "received_at",
        "details",
        "action",
        "actor",
        "author_class",
        "event_name",
        "x",
        "a.b",
        "entity_id",
        "ip_address",
        "auditType",
        "data",
        "missing",
    ];

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            Just(serde_json::from_str("-0").unwrap()),
            any::<f64>().prop_filter_map("finite", |number| number.is_finite().then(|| Value::from(number))),
            "[a-zäσ\"\\\\\n/ ]{0,20}".prop_map(Value::from),
            prop::sample::select(&["user_created", "repository_git_operation"][..]).prop_map(Value::from),
        ];
        let key = prop_oneof![prop::sample::select(&NAMES[..]).prop_map(str::to_owned), "[a-f\"ä]{0,9}"];
        leaf.prop_recursive(3, 30, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((key.clone(), inner), 0..8)
                    .prop_map(|entries| Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    fn same(lazy: &Dynamic, complete: &Dynamic) -> bool {
        match (lazy.read_lock::<Object>(), complete.read_lock::<Object>()) {
            (Some(lazy), Some(complete)) => {
                let names = complete.complete().keys().map(|name| name.as_str()).chain(NAMES);
                names.into_iter().all(|name| {
                    lazy.has(name) == complete.has(name)
                        && same(&lazy.get(name).unwrap(), &complete.get(name).unwrap())
                })
            }
            _ => format!("{lazy:?}") == format!("{complete:?}"),
        }
    }

    #[test]
    fn objects_are_read_however_deep_they_are() {
        let levels = 40;
        let json = format!("{}{{\"x\":7}}{}", "{\"a\":".repeat(levels), "}".repeat(levels));
        let event = Event {
            position: 1,
            received_at: Timestamp(0),
            time: Timestamp(0),
            source: "s".into(),
            forge: "s".into(),
            format: Format::Generic,
            type_hint: None,
            raw: json.into(),
        };
        crate::script::meter::suspend();
        let mut value = Dynamic::from(Object::of_event(event, Arc::new(Catalogue::built_in())));
        for _ in 0..levels {
            let next = value.read_lock::<Object>().unwrap().get("a").unwrap();
            assert!(next.read_lock::<Object>().unwrap().len() == 1, "{next:?}");
            value = next;
        }
        let deepest = value.read_lock::<Object>().unwrap();
        assert!(deepest.get("x").unwrap().as_int() == Ok(7) && deepest.has("x") && !deepest.has("a"));
    }

    proptest! {
        #[test]
        fn it_reads_what_the_canonical_form_holds(
            fields in prop::collection::vec((prop::sample::select(&NAMES[..]), json()), 0..9),
            is_pretty: bool,
            format in prop::sample::select(&Format::ALL[..]),
            hint in prop::option::of(prop::sample::select(&["user_created", "unknown"][..])),
            position in 0..3_u64,
        ) {
            let object: serde_json::Map<String, Value> =
                fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            let raw = if is_pretty { serde_json::to_string_pretty(&object) } else { serde_json::to_string(&object) };
            let event = Event {
                position,
                received_at: Timestamp(5_000),
                time: Timestamp(1_000),
                source: "s".into(),
                forge: "s".into(),
                format,
                type_hint: hint.map(Into::into),
                raw: raw.unwrap().into(),
            };
            let catalogue = Arc::new(Catalogue::built_in());
            crate::script::meter::suspend();
            let lazy = Object::of_event(event.clone(), Arc::clone(&catalogue));
            let complete = Object::of_map(from_map(&canonical(&event, &catalogue)));
            for name in NAMES.into_iter().chain(object.keys().map(String::as_str)) {
                let (found, expected) = (lazy.get(name).unwrap(), complete.get(name).unwrap());
                prop_assert!(same(&found, &expected), "{}: {:?}, not {:?}", name, found, expected);
                prop_assert_eq!(lazy.has(name), complete.has(name), "{}", name);
            }
        }
    }
}
