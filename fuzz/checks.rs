//! What the fuzz targets hold Watchfire to. The tests replay the corpus through the same functions.
//!
//! Each function takes whatever bytes come and panics where a promise is broken.

use std::fmt;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};
use watchfire::decode::{blank, decode};
use watchfire::engine::{Compiled, Effects, Engine, Environment, Hits, Limits, RuleSet, compile};
use watchfire::event::{Catalogue, Entry, Event, Extracted, Format, Plan, Scalar, canonical};
use watchfire::query::Query;
use watchfire::rule::ast::{Body, Detection, Filter, Rule};
use watchfire::rule::{Diagnostic, Lists, Loaded, RuleFile, Severity, lint, load, print_condition, render};
use watchfire::script::{Cage, ListTable};
use watchfire::time::{Span, Timestamp};

/// 2026-01-05T09:00:00Z.
const NOW: Timestamp = Timestamp(1_767_603_600_000);

static CATALOGUE: LazyLock<Arc<Catalogue>> = LazyLock::new(|| Arc::new(Catalogue::built_in()));
static LISTS: LazyLock<Lists> = LazyLock::new(|| {
    let mut lists = Lists::new();
    lists.insert("vip", vec!["alice".to_owned(), "svc-*".to_owned()]);
    lists.insert("nets", vec!["10.0.0.0/8".to_owned(), "fd00::/8".to_owned()]);
    lists
});
static ENVIRONMENT: LazyLock<Environment> = LazyLock::new(|| {
    let members = [("vip", vec!["alice"])];
    Environment {
        catalogue: Arc::clone(&CATALOGUE),
        cage: Arc::new(Cage::new(Arc::new(members.into_iter().collect::<ListTable>()))),
        lateness: Span::minutes(5),
        today: NOW,
    }
});
/// Rules of every kind of test and several behaviours, to run events through.
static RULES: LazyLock<Arc<RuleSet>> = LazyLock::new(|| {
    let loaded = read("rules.yml", include_str!("rules.yml"));
    assert_eq!(loaded.diagnostics, [], "the fixed rules");
    let compiled = compile(loaded.rules, &loaded.filters, &ENVIRONMENT);
    assert_eq!(compiled.diagnostics, [], "the fixed rules");
    Arc::new(compiled.rules)
});
/// Events to run rules on.
static EVENTS: LazyLock<Vec<Event>> = LazyLock::new(|| {
    let lines = include_str!("events.ndjson").lines();
    let events = lines.zip(1..).map(|(line, position)| {
        let (name, json) = line.split_once(' ').expect("a format before each event");
        let format = Format::named(name).expect("a known format");
        let decoded = decode(format, &format.name().into(), Bytes::from(json), None, NOW).expect("an event");
        Event { position, ..decoded.event }
    });
    events.collect()
});

/// Loading never panics, every diagnostic lies inside the file, and a rule that loads also compiles, or says why not.
pub fn rule_file(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        rules("rule.yml", text);
    }
}

/// As [`rule_file`], for scripts.
pub fn script_file(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        rules("rule.rhai", text);
    }
}

/// A condition that loads prints as one that means the same; the same text over rules is read by the same parser.
pub fn condition(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let quoted = Value::from(text).to_string();
    let first = detection_of(&quoted);
    if let Some(detection) = &first {
        let names: Vec<&str> = detection.selections.iter().map(|selection| selection.name.as_str()).collect();
        let printed = print_condition(&detection.condition, &names);
        let second = detection_of(&Value::from(printed.as_str()).to_string());
        let second = second.unwrap_or_else(|| panic!("`{printed}` does not read back"));
        assert_eq!(detection.condition, second.condition, "{printed}");
    }
    let temporal = include_str!("temporal.yml").replace("CONDITION", &quoted);
    rules("temporal.yml", &temporal);
}

/// Extraction agrees with the tree that serde_json makes; one pass over the bytes means what two mean; state survives
/// a snapshot. The first byte chooses the format.
pub fn event(data: &[u8]) {
    let Some((format, raw)) = data.split_first() else { return };
    let format = Format::ALL[usize::from(*format) % Format::ALL.len()];
    if let Ok(text) = std::str::from_utf8(raw) {
        extraction(text);
    }
    let source: Arc<str> = format.name().into();
    let mut once = Hits::default();
    let mut read = Event { position: 1, raw: Bytes::copy_from_slice(raw), ..blank(format, &source, NOW) };
    let in_one = RULES.read(&mut read, &mut once);
    let in_two = decode(format, &source, Bytes::copy_from_slice(raw), None, NOW);
    assert_eq!(in_one.is_ok(), in_two.is_ok(), "one pass {in_one:?}, two {in_two:?}");
    let (Ok(_), Ok(in_two)) = (in_one, in_two) else { return };
    let event = Event { position: 1, received_at: in_two.event.time, ..in_two.event };
    assert_eq!(read, event);
    let mut twice = Hits::default();
    RULES.hits(&event, &mut twice);
    assert_eq!((&once.hits, &once.misses), (&twice.hits, &twice.misses));
    assert!(!canonical(&event, &CATALOGUE).is_empty(), "an event is an object with at least its time");
    let mut effects = Effects::default();
    let mut engine = Engine::new(Arc::clone(&RULES), Arc::clone(&CATALOGUE), Limits::default());
    engine.handle(&Entry::Event(event), &mut effects);
    let bytes = engine.snapshot().expect("a snapshot");
    let again = Engine::restore(Arc::clone(&RULES), Arc::clone(&CATALOGUE), Limits::default(), &bytes);
    assert_eq!(again.and_then(|engine| engine.snapshot()).expect("the same snapshot"), bytes);
}

/// A query that reads can be asked of any event, and rules out none that it finds.
pub fn query(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Query::parse(text, NOW) {
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok(query) => {
            assert!(query.hints().iter().all(|hint| !hint.is_empty()));
            let (from, to) = query.time_range();
            for event in EVENTS.iter() {
                let object = canonical(event, &CATALOGUE);
                if query.matches(&object) {
                    assert!(!query.is_ruled_out(event), "ruled out what it finds: {object:?}");
                    assert!((from..=to).contains(&event.time), "outside {from}..{to}: {object:?}");
                }
            }
        }
    }
}

fn read(path: &str, text: &str) -> Loaded {
    load(&[RuleFile { path: path.into(), text: text.to_owned() }], &LISTS)
}

fn detection_of(condition: &str) -> Option<Detection> {
    let text = include_str!("condition.yml").replace("CONDITION", condition);
    match read("condition.yml", &text).rules.pop()?.body {
        Body::Single(detection) => Some(detection),
        other => panic!("{other:?}"),
    }
}

fn rules(path: &str, text: &str) {
    let Loaded { rules, filters, diagnostics, .. } = read(path, text);
    diagnostics.iter().for_each(|diagnostic| inside(text, diagnostic));
    let shown = render(&diagnostics, &|_| Some(text), true);
    assert_eq!(shown.is_empty(), diagnostics.is_empty());
    for rule in &rules {
        lint(rule, &CATALOGUE, Some(text)).iter().for_each(|diagnostic| inside(text, diagnostic));
    }
    run(text, rules, &filters);
}

/// Compiles the rules and lets them judge some events.
fn run(text: &str, rules: Vec<Rule>, filters: &[Filter]) {
    let ids: Vec<Arc<str>> = rules.iter().map(|rule| Arc::clone(&rule.id)).collect();
    let Compiled { rules, diagnostics } = compile(rules, filters, &ENVIRONMENT);
    diagnostics.iter().for_each(|diagnostic| inside(text, diagnostic));
    let has_errors = diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    let missing = ids.iter().find(|id| rules.unit(id).is_none());
    assert!(has_errors || missing.is_none(), "{missing:?} is left out and nothing says so");
    let mut engine = Engine::new(Arc::new(rules), Arc::clone(&CATALOGUE), Limits::default());
    let mut effects = Effects::default();
    for event in EVENTS.iter() {
        engine.handle(&Entry::Event(event.clone()), &mut effects);
    }
    engine.finish(NOW.plus(Span::days(1)), &mut effects);
    engine.snapshot().expect("a snapshot");
}

/// The end of a line is a place, and so is the line after the last one.
fn inside(text: &str, diagnostic: &Diagnostic) {
    let lines: Vec<&str> = text.split('\n').collect();
    let Some(index) = (diagnostic.line as usize).checked_sub(1) else { return };
    let Some(line) = lines.get(index) else { panic!("{diagnostic:?} lies behind line {}", lines.len()) };
    let length = line.chars().count();
    let (column, width) = (diagnostic.column as usize, diagnostic.width as usize);
    assert!(column >= 1 && width >= 1, "{diagnostic:?} has no place");
    assert!(column <= length + 1, "{diagnostic:?} lies behind the {length} characters of its line");
    assert!(column + width <= length + 2, "{diagnostic:?} ends behind the {length} characters of its line");
}

/// Names that no format maps to others.
const FIELDS: [&str; 6] = ["a", "a.b", "c.d.e", "b", "details.x", "a_name_that_is_longer_than_words"];

fn extraction(raw: &str) {
    static PLAN: LazyLock<[Plan; 2]> = LazyLock::new(|| {
        [false, true].map(|takes_all| Plan::new(Format::Generic, &FIELDS.map(str::to_owned), takes_all))
    });
    let event = Event {
        position: 1,
        received_at: NOW,
        time: NOW,
        source: "fuzz".into(),
        forge: "fuzz".into(),
        format: Format::Generic,
        type_hint: None,
        raw: Bytes::new(),
    };
    let tree = serde_json::from_str::<Tree>(raw).ok().filter(|tree| matches!(tree, Tree::Object(_)));
    let mut out = Extracted::default();
    for plan in PLAN.iter() {
        // Twice: the second time the keys are where they are expected.
        for _ in 0..2 {
            let is_read = plan.extract(&event, raw, &CATALOGUE, &mut out).is_ok();
            let Some(tree) = &tree else { continue };
            assert!(is_read, "the parser reads it");
            for (index, field) in FIELDS.iter().enumerate() {
                let found: Vec<String> = out.values(index, raw).map(plain).collect();
                assert_eq!(found, tree.values(field), "{field}");
            }
        }
        if let (Some(tree), true) = (&tree, std::ptr::eq(plan, &PLAN[1])) {
            let found = out.all(raw).filter(|scalar| *scalar != Scalar::Null);
            assert_eq!(found.map(plain).collect::<Vec<String>>(), tree.scalars());
        }
    }
}

fn plain(scalar: Scalar<'_>) -> String {
    match scalar {
        Scalar::Null => "null".to_owned(),
        Scalar::Bool(value) => value.to_string(),
        Scalar::Number(text) => number(text),
        Scalar::Text(text) => format!("text {text}"),
        Scalar::Composite => "composite".to_owned(),
    }
}

/// Whole numbers beyond 64 bits keep their digits in an event, and are rounded by the parser.
fn number(text: &str) -> String {
    let is_beyond = text.parse::<i64>().is_err() && text.parse::<u64>().is_err();
    match text.parse::<f64>() {
        Ok(rounded) if is_beyond => format!("number {rounded:e}"),
        _ => format!("number {text}"),
    }
}

/// JSON with every key, also those that stand twice.
enum Tree {
    Leaf(Value),
    Array(Vec<Self>),
    Object(Vec<(String, Self)>),
}

impl Tree {
    /// The values of a dotted path in the order of the text; a key with the dots in its name counts too.
    fn values(&self, field: &str) -> Vec<String> {
        let path: Vec<&str> = field.split('.').collect();
        let mut found = Vec::new();
        if let Self::Object(entries) = self {
            for (key, value) in entries {
                if *key == path[0] {
                    value.at(&path[1..], &mut found);
                } else if key == field {
                    value.at(&[], &mut found);
                }
            }
        }
        found
    }

    fn at(&self, path: &[&str], found: &mut Vec<String>) {
        match (self, path) {
            (Self::Array(items), _) if !items.is_empty() => {
                items.iter().for_each(|item| item.at(path, found))
            }
            (_, []) => found.push(self.plain()),
            (Self::Object(entries), [first, rest @ ..]) => {
                entries.iter().filter(|(key, _)| key == first).for_each(|(_, value)| value.at(rest, found));
            }
            _ => {}
        }
    }

    /// All but nulls, which no keyword finds.
    fn scalars(&self) -> Vec<String> {
        match self {
            Self::Leaf(Value::Null) => Vec::new(),
            Self::Leaf(_) => vec![self.plain()],
            Self::Array(items) => items.iter().flat_map(Self::scalars).collect(),
            Self::Object(entries) => entries.iter().flat_map(|(_, value)| value.scalars()).collect(),
        }
    }

    fn plain(&self) -> String {
        match self {
            Self::Leaf(Value::Null) => "null".to_owned(),
            Self::Leaf(Value::Number(number)) => {
                let text = number.to_string();
                self::number(text.strip_suffix(".0").unwrap_or(&text))
            }
            Self::Leaf(Value::String(text)) => format!("text {text}"),
            Self::Leaf(value) => value.to_string(),
            Self::Array(_) | Self::Object(_) => "composite".to_owned(),
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Growing)
    }
}

struct Growing;

impl<'de> Visitor<'de> for Growing {
    type Value = Tree;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Leaf(Value::Null))
    }
    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Leaf(value.into()))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Leaf(value.into()))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Leaf(value.into()))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        Ok(Tree::Leaf(Number::from_f64(value).map_or(Value::Null, Value::Number)))
    }
    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Leaf(value.into()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tree, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Tree::Array(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Tree::Object(entries))
    }
}
