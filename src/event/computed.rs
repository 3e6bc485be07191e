//! Fields that stand in no event but are worked out from those that do: once per event, and only those that somebody
//! wants.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde_json::{Map, Value};
use smallvec::SmallVec;

use super::canonical::lookup;
use super::extract::{Extracted, Held};
use super::plan::{Field, Own as Made, Plan};
use super::{Format, extract};
use crate::enrich::{Enrichment, Fact, Geo, GeoField, Own, Row, Table, Wanted};

/// Working some fields out of others.
#[derive(Debug, Clone)]
pub(super) struct Step {
    part: Part,
    /// Which fields it looks at, by their place in the plan.
    inputs: SmallVec<[usize; 2]>,
    outputs: Vec<Output>,
}

#[derive(Debug, Clone)]
enum Part {
    Geo(Arc<Geo>),
    Own(Arc<Own>),
    Table(Arc<Table>),
}

/// A field to fill in.
#[derive(Debug, Clone)]
struct Output {
    /// Its place in the plan.
    field: usize,
    what: Wanted,
    /// Where the event itself may have it, for `geo`.
    sent: Vec<u16>,
}

/// The fields of a plan: those that were asked for, then those that others are worked out of.
pub(super) struct Fields {
    names: Vec<String>,
    wanted: Vec<(usize, Wanted)>,
}

impl Fields {
    /// Which of these fields are worked out, and what further fields that takes.
    pub(super) fn new(asked: &[String], enrichment: &Enrichment) -> Self {
        let mut own = Self { names: asked.to_vec(), wanted: Vec::new() };
        let mut next = 0;
        // What a table looks up may itself be worked out.
        while let Some(name) = own.names.get(next) {
            if let Some(wanted) = enrichment.wanted(name) {
                own.wanted.push((next, wanted));
                for input in inputs(wanted, enrichment) {
                    own.place(input);
                }
            }
            next += 1;
        }
        own
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    pub(super) fn is_computed(&self, field: usize) -> bool {
        self.wanted.iter().any(|(known, _)| *known == field)
    }

    /// The field's place; it is added if nobody asked for it.
    fn place(&mut self, name: &str) -> usize {
        self.names.iter().position(|known| known == name).unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        })
    }

    /// The steps in an order in which each finds what it looks at. `slot` answers where the event itself may have
    /// a field.
    pub(super) fn steps(mut self, enrichment: &Enrichment, mut slot: impl FnMut(&str) -> u16) -> Vec<Step> {
        let rank = |wanted: &Wanted| match wanted {
            Wanted::Geo(_) => 0,
            Wanted::Own => 1,
            Wanted::Cell(table, _) => table + 2,
        };
        let mut wanted = std::mem::take(&mut self.wanted);
        wanted.sort_by_key(|(field, wanted)| (rank(wanted), *field));
        let mut steps: Vec<(usize, Step)> = Vec::new();
        for (field, what) in wanted {
            let sent = match what {
                Wanted::Geo(fact) => vec![slot(fact.name())],
                Wanted::Own | Wanted::Cell(..) => Vec::new(),
            };
            let output = Output { field, what, sent };
            match steps.last_mut().filter(|(known, _)| *known == rank(&what)) {
                Some((_, step)) => step.outputs.push(output),
                None => {
                    let Some(part) = part(what, enrichment) else { continue };
                    let inputs = inputs(what, enrichment).into_iter().map(|name| self.place(name)).collect();
                    steps.push((rank(&what), Step { part, inputs, outputs: vec![output] }));
                }
            }
        }
        steps.into_iter().map(|(_, step)| step).collect()
    }
}

fn inputs(wanted: Wanted, enrichment: &Enrichment) -> Vec<&str> {
    match wanted {
        Wanted::Geo(_) => vec!["ip_address"],
        Wanted::Own => vec!["author_id", "author_name"],
        Wanted::Cell(table, _) => {
            let table = enrichment.tables().get(table);
            table.map(|table| table.inputs().iter().map(String::as_str).collect()).unwrap_or_default()
        }
    }
}

fn part(wanted: Wanted, enrichment: &Enrichment) -> Option<Part> {
    Some(match wanted {
        Wanted::Geo(_) => Part::Geo(Arc::clone(enrichment.geo()?)),
        Wanted::Own => Part::Own(Arc::clone(enrichment.own()?)),
        Wanted::Cell(table, _) => Part::Table(Arc::clone(enrichment.tables().get(table)?)),
    })
}

/// Addresses of which the answers are remembered: few authors are awake at a time, and they do many things.
const MEMOS: usize = 256;
/// Longer texts are no addresses.
const ADDRESS_BYTES_MAX: usize = 64;

/// What was answered for recent addresses, as texts: a place is the same every time, and formatting it costs more
/// than comparing an address.
#[derive(Debug, Default)]
pub(super) struct Memo {
    plan: u64,
    slots: Vec<Option<Known>>,
}

#[derive(Debug)]
struct Known {
    address: Box<str>,
    /// One per output.
    found: Box<[Found]>,
}

#[derive(Debug, Clone)]
enum Found {
    /// No database knows the address in that respect.
    Unsettled,
    Missing,
    Text(Box<str>),
    Number(Box<str>),
}

impl Memo {
    fn begin(&mut self, plan: u64) {
        if self.plan != plan || self.slots.is_empty() {
            self.plan = plan;
            self.slots.clear();
            self.slots.resize_with(MEMOS, || None);
        }
    }

    fn get(&mut self, address: &str, geo: &Geo, outputs: &[Output]) -> &[Found] {
        let mut hasher = rustc_hash::FxHasher::default();
        address.hash(&mut hasher);
        let place = usize::try_from(hasher.finish() >> 40).unwrap_or(0) % MEMOS;
        let Some(slot) = self.slots.get_mut(place) else { return &[] };
        if slot.as_ref().is_none_or(|known| *known.address != *address) {
            let answer = geo.answer(address);
            let found = outputs.iter().map(|output| match output.what {
                Wanted::Geo(fact) => match answer.get(fact) {
                    _ if !answer.settles(fact) => Found::Unsettled,
                    None => Found::Missing,
                    Some(Fact::Text(text)) => Found::Text(text.into()),
                    Some(Fact::Number(number)) => Found::Number(number.to_string().into()),
                },
                Wanted::Own | Wanted::Cell(..) => Found::Missing,
            });
            *slot = Some(Known { address: address.into(), found: found.collect() });
        }
        slot.as_ref().map(|known| &*known.found).unwrap_or_default()
    }
}

impl Extracted {
    /// Fills in the fields that are worked out; those that stand in the event are resolved.
    pub(super) fn compute(&mut self, plan: &Plan, forge: &str, raw: &str) {
        let mut memo = std::mem::take(&mut self.memo);
        memo.begin(plan.fingerprint);
        for step in &plan.steps {
            match &step.part {
                Part::Geo(geo) => self.geo(step, geo, raw, &mut memo),
                Part::Own(own) => {
                    let mut texts = step.inputs.iter().map(|field| self.text(*field, raw));
                    let is_own = own.is(forge, texts.next().flatten(), texts.next().flatten());
                    for output in &step.outputs {
                        self.set(output.field, Held::Bool(is_own));
                    }
                }
                Part::Table(table) => self.cells(step, table, raw),
            }
        }
        self.memo = memo;
    }

    fn geo(&mut self, step: &Step, geo: &Geo, raw: &str, memo: &mut Memo) {
        let address = step.inputs.first().and_then(|field| self.text(*field, raw));
        let address = address.filter(|address| address.len() <= ADDRESS_BYTES_MAX);
        let found = address.map(|address| memo.get(address, geo, &step.outputs)).unwrap_or_default();
        for (index, output) in step.outputs.iter().enumerate() {
            match found.get(index).unwrap_or(&Found::Unsettled) {
                Found::Unsettled => self.set_sent(output.field, &output.sent),
                Found::Missing => {}
                Found::Text(text) => {
                    let (start, end) = self.keep(text);
                    self.set(output.field, Held::Scratch(start, end));
                }
                Found::Number(text) => {
                    let (start, end) = self.keep(text);
                    self.set(output.field, Held::Number(start, end));
                }
            }
        }
    }

    fn cells(&mut self, step: &Step, table: &Table, raw: &str) {
        let mut key = std::mem::take(&mut self.key);
        let row = {
            let values: SmallVec<[&str; 2]> =
                step.inputs.iter().map_while(|field| self.text(*field, raw)).collect();
            let is_whole = values.len() == step.inputs.len();
            if is_whole { table.row(values.into_iter(), &mut key) } else { None }
        };
        for output in &step.outputs {
            if let (Some(row), Wanted::Cell(_, column)) = (row, output.what)
                && let Some(cell) = row.cell(column)
            {
                let (start, end) = self.keep(cell);
                self.set(output.field, Held::Scratch(start, end));
            }
        }
        self.key = key;
    }
}

impl Plan {
    /// As [`Plan::new`], with the fields that the enrichment knows worked out.
    #[must_use]
    pub fn enriched(format: Format, fields: &[String], takes_all: bool, enrichment: &Enrichment) -> Self {
        let all = Fields::new(fields, enrichment);
        let mut plan = Self::empty(format, all.names(), takes_all);
        let field = |(index, name): (usize, &String)| match all.is_computed(index) {
            true => plan.made(Made::Computed),
            false => plan.field(format, name),
        };
        let sources: Vec<Field> = all.names().iter().enumerate().map(field).collect();
        plan.fields = sources.into();
        let steps = all.steps(enrichment, |name| plan.slot(name));
        let mut hasher = rustc_hash::FxHasher::default();
        plan.fingerprint.hash(&mut hasher);
        for step in &steps {
            let hash: &[u8] = match &step.part {
                Part::Geo(geo) => geo.hash(),
                Part::Own(_) => &[],
                Part::Table(table) => table.hash(),
            };
            (hash, &step.inputs).hash(&mut hasher);
        }
        if !steps.is_empty() {
            plan.fingerprint = hasher.finish();
        }
        plan.steps = steps;
        plan
    }
}

/// Lays the fields that are worked out over an event's other canonical ones.
pub(super) fn lay_over(object: &mut Map<String, Value>, enrichment: &Enrichment) {
    if let Some(geo) = enrichment.geo() {
        lay_geo(object, geo);
    }
    if let Some(own) = enrichment.own() {
        let [forge, id, name] = ["forge", "author_id", "author_name"].map(|field| text(object, field));
        let is_own = own.is(forge.as_deref().unwrap_or_default(), id.as_deref(), name.as_deref());
        object.insert("self".to_owned(), is_own.into());
    }
    let mut key = String::new();
    for table in enrichment.tables() {
        let values: Option<Vec<String>> = table.inputs().iter().map(|input| text(object, input)).collect();
        let values = values.unwrap_or_default();
        let row = match values.is_empty() {
            true => None,
            false => table.row(values.iter().map(String::as_str), &mut key),
        };
        lay_row(object, table, row);
    }
}

fn lay_geo(object: &mut Map<String, Value>, geo: &Geo) {
    let address = text(object, "ip_address").filter(|address| address.len() <= ADDRESS_BYTES_MAX);
    let Some(address) = address else { return };
    let answer = geo.answer(&address);
    let settled = || GeoField::ALL.into_iter().filter(|field| answer.settles(*field));
    if settled().next().is_none() {
        return;
    }
    for field in settled() {
        let value = match answer.get(field) {
            None => None,
            Some(Fact::Text(text)) => Some(Value::from(text)),
            Some(Fact::Number(number)) => Some(extract::json_number(number)),
        };
        put(object, "geo", field.key(), value);
    }
}

fn lay_row(object: &mut Map<String, Value>, table: &Table, row: Option<Row<'_>>) {
    for (index, column) in table.columns().enumerate() {
        let value = row.and_then(|row| row.cell(index)).map(Value::from);
        put(object, table.name(), column, value);
    }
}

/// Sets or removes one key of an inner object. What the sender has there instead of an object gives way.
fn put(object: &mut Map<String, Value>, outer: &str, key: &str, value: Option<Value>) {
    object.remove(&format!("{outer}.{key}"));
    match (value, object.get_mut(outer)) {
        (Some(value), Some(Value::Object(inner))) => {
            inner.insert(key.to_owned(), value);
        }
        (Some(value), _) => {
            let inner = Map::from_iter([(key.to_owned(), value)]);
            object.insert(outer.to_owned(), Value::Object(inner));
        }
        (None, Some(Value::Object(inner))) => {
            inner.remove(key);
        }
        (None, _) => {}
    }
}

/// A field's first text, as rules see it.
fn text(object: &Map<String, Value>, field: &str) -> Option<String> {
    let value = object.get(field).or_else(|| lookup(object, field))?;
    let value = match value {
        Value::Array(items) => items.iter().find(|item| !item.is_null())?,
        other => other,
    };
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) => Some(value.to_string()),
        Value::Number(_) => {
            let text = value.to_string();
            Some(text.strip_suffix(".0").map_or(text.clone(), str::to_owned))
        }
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Catalogue, Event, canonical};
    use super::*;
    use crate::enrich::testing::{enrichment, geo, people};
    use crate::time::Timestamp;

    const FIELDS: [&str; 8] = [
        "geo.country",
        "geo.city",
        "geo.latitude",
        "geo.asn",
        "self",
        "author.team",
        "author.role",
        "author_name",
    ];

    fn event(format: Format, body: &Value) -> Event {
        Event {
            position: 1,
            received_at: Timestamp(0),
            time: Timestamp(0),
            source: "s".into(),
            forge: "s".into(),
            format,
            type_hint: None,
            raw: body.to_string().into(),
        }
    }

    /// What rules see, checked against what people see.
    fn seen(enrichment: &Enrichment, body: &Value) -> Vec<Option<String>> {
        let event = event(Format::Gitlab, body);
        let fields = FIELDS.map(str::to_owned);
        let plan = Plan::enriched(Format::Gitlab, &fields, false, enrichment);
        let catalogue = Catalogue::built_in().with(enrichment.clone());
        let mut out = Extracted::default();
        let raw = std::str::from_utf8(&event.raw).unwrap();
        let mut last = Vec::new();
        // Again, so that what is remembered is told as well.
        for _ in 0..2 {
            plan.extract(&event, raw, &catalogue, &mut out).unwrap();
            last = (0..fields.len()).map(|field| out.text(field, raw).map(str::to_owned)).collect();
        }
        let shown = canonical(&event, &catalogue);
        let people: Vec<Option<String>> = fields.iter().map(|field| text(&shown, field)).collect();
        assert_eq!(last, people, "{body}");
        last
    }

    fn texts(values: [Option<&str>; 8]) -> Vec<Option<String>> {
        values.map(|value| value.map(str::to_owned)).to_vec()
    }

    #[test]
    fn rules_and_people_see_the_same() {
        let all = enrichment();
        let body = json!({"ip_address": "203.0.113.9", "author_id": 9, "author_name": "ANN"});
        let expected = texts([
            Some("DE"),
            Some("Munich"),
            Some("48.137"),
            Some("64500"),
            Some("true"),
            Some("red"),
            Some("dev"),
            Some("ANN"),
        ]);
        assert_eq!(seen(&all, &body), expected);
        // Elsewhere in the event, an empty cell, another author.
        let body =
            json!({"details": {"ip_address": "198.51.100.200", "author_name": "bob"}, "author_id": "8"});
        let expected =
            texts([Some("US"), None, Some("38"), None, Some("false"), None, Some("ops"), Some("bob")]);
        assert_eq!(seen(&all, &body), expected);
        assert_eq!(
            seen(&all, &json!({"author_name": null})),
            texts([None, None, None, None, Some("false"), None, None, None])
        );
    }

    #[test]
    fn a_database_s_answer_wins_and_is_whole() {
        let all = enrichment();
        let sent = json!({"country": "XX", "city": "Nowhere", "asn": 1});
        // The place is known without a city; the network is not, so the sender's word counts.
        let body =
            json!({"ip_address": "198.51.100.200", "geo": sent, "author": {"team": "mine", "name": "x"}});
        let expected = [Some("US"), None, Some("38"), Some("1"), Some("false"), None, None, None];
        assert_eq!(seen(&all, &body), texts(expected));
        // Nothing is known of the address.
        let body = json!({"ip_address": "10.0.0.1", "geo": sent});
        let expected = [Some("XX"), Some("Nowhere"), None, Some("1"), Some("false"), None, None, None];
        assert_eq!(seen(&all, &body), texts(expected));
        // Nothing is configured.
        let body =
            json!({"ip_address": "203.0.113.9", "geo": sent, "self": true, "author": {"team": "mine"}});
        let expected = [Some("XX"), Some("Nowhere"), None, Some("1"), Some("true"), Some("mine"), None, None];
        assert_eq!(seen(&Enrichment::default(), &body), texts(expected));
    }

    #[test]
    fn a_table_may_look_at_what_is_worked_out() {
        let column = |text: &str| -> Arc<[String]> { vec![text.to_owned()].into() };
        let risk = vec![("risk".to_owned(), column("high"))];
        let (table, _) = Table::new("place", vec!["geo.country".to_owned()], &[column("de")], risk);
        let tables = vec![people("ann,red,dev\n"), Arc::new(table)];
        let enrichment = Enrichment::new(Some(Arc::new(geo())), None, tables);
        let fields = ["place.risk".to_owned()];
        let plan = Plan::enriched(Format::Github, &fields, false, &enrichment);
        let event = event(Format::Github, &json!({"actor_ip": "203.0.113.1"}));
        let catalogue = Catalogue::built_in().with(enrichment);
        let raw = std::str::from_utf8(&event.raw).unwrap();
        let mut out = Extracted::default();
        plan.extract(&event, raw, &catalogue, &mut out).unwrap();
        assert_eq!(out.text(0, raw), Some("high"));
        assert_eq!(canonical(&event, &catalogue)["place"], json!({"risk": "high"}));
    }

    #[test]
    fn a_plan_differs_with_what_it_works_out() {
        let fields = ["author.team".to_owned()];
        let plan = |rows: &str| {
            let enrichment = Enrichment::default().with_tables(vec![people(rows)]);
            Plan::enriched(Format::Gitlab, &fields, false, &enrichment).fingerprint
        };
        assert_ne!(plan("ann,red,dev\n"), plan("ann,blue,dev\n"));
        assert_eq!(plan("ann,red,dev\n"), plan("ann,red,dev\n"));
    }
}
