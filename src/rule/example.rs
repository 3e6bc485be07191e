//! `tests` of a rule: events spelled out, and the alerts they must raise.

use serde_json::{Map, Value};

use super::ast::RuleTest;
use super::expression;
use super::read::{self, integer_of};
use super::report::Report;
use super::yaml::{Content, Scalar, ScalarKind, Yaml};
use crate::event::Format;
use crate::time::{Span, Timestamp};

/// Most events in all tests of one rule.
const EVENTS_MAX: usize = 100_000;
/// Most bytes of JSON in all tests of one rule.
const BYTES_MAX: usize = 64 * 1024 * 1024;
/// Where the time of the first event stands if it says none: 2026-01-05T09:00:00Z, a Monday morning.
const START: Timestamp = Timestamp(1_767_603_600_000);
/// How far apart events are that say nothing.
const STEP: Span = Span::seconds(1);

pub(super) const KEYS: [&str; 4] = ["name", "events", "alerts", "until"];
pub(super) const SERIES_KEYS: [&str; 5] = ["repeat", "every", "event", "at", "after"];

/// Reads `tests`. What has a mistake is reported and left out.
pub(super) fn examples(node: &Yaml, product: Option<&str>, report: &mut Report) -> Vec<RuleTest> {
    let Content::List(items) = &node.content else {
        if !node.is_null() {
            read::wrong_type(node, "`tests`", "a list", report);
        }
        return Vec::new();
    };
    let format =
        product.and_then(|product| Format::ALL.into_iter().find(|format| format.is_product(product)));
    let mut writer = Writer {
        report,
        format: format.unwrap_or(Format::Generic),
        events: Vec::new(),
        last: None,
        room: EVENTS_MAX,
        bytes: BYTES_MAX,
    };
    items.iter().enumerate().filter_map(|(index, item)| writer.example(index, item)).collect()
}

struct Writer<'r> {
    report: &'r mut Report,
    format: Format,
    /// Those of the test being read.
    events: Vec<Value>,
    /// The time of the last of them.
    last: Option<Timestamp>,
    /// How many more events and bytes may come.
    room: usize,
    bytes: usize,
}

/// Events to be made of one template.
struct Series<'a> {
    event: &'a Yaml,
    repeat: i64,
    every: Span,
    first: Timestamp,
}

impl Writer<'_> {
    fn example(&mut self, index: usize, node: &Yaml) -> Option<RuleTest> {
        let errors = self.report.errors();
        let entries = read::map(node, "a test", self.report)?;
        read::only(entries, &KEYS, "a test", self.report);
        let name = read::value(entries, "name").map(|node| read::name(node, "`name`", self.report));
        let until = read::value(entries, "until").map(|node| read::span(node, "`until`", self.report));
        self.events.clear();
        self.last = None;
        match read::value(entries, "events") {
            Some(events) => {
                for item in read::items(events) {
                    if self.item(item).is_none() {
                        break;
                    }
                }
            }
            None if read::is_mistyped(entries, &["events"]) => {}
            None => {
                let noted = read::missing("events", "this test", node.place, self.report);
                noted.help("list the events, or write `events: []`");
            }
        }
        let alerts = match read::value(entries, "alerts") {
            Some(alerts) => self.alerts(alerts),
            None if read::is_mistyped(entries, &["alerts"]) => Vec::new(),
            None => {
                let noted = read::missing("alerts", "this test", node.place, self.report);
                noted.help("say what must be raised, as `alerts: [{author_id: 7}]`; nothing is `alerts: []`");
                Vec::new()
            }
        };
        (self.report.errors() == errors).then(|| RuleTest {
            name: name.flatten().unwrap_or_else(|| format!("test {}", index + 1)),
            events: std::mem::take(&mut self.events),
            alerts,
            until: until.flatten(),
            line: node.place.own_line(),
        })
    }

    fn alerts(&mut self, node: &Yaml) -> Vec<Map<String, Value>> {
        let mut alerts = Vec::new();
        for item in read::items(node) {
            if read::map(item, "an expected alert", self.report).is_none() {
                continue;
            }
            match self.json(item, None) {
                Some(Value::Object(alert)) => alerts.push(alert),
                _ => break,
            }
        }
        alerts
    }

    /// One event, or a series of them. Nothing if it is no use to go on.
    fn item(&mut self, node: &Yaml) -> Option<()> {
        let entries = read::map(node, "an event", self.report)?;
        let template = read::value(entries, "event").filter(|event| event.entries().is_some());
        let keys: Vec<&str> = entries.iter().map(|(key, _)| key.text.as_str()).collect();
        let is_series = template.is_some() || (keys.contains(&"repeat") && keys.contains(&"every"));
        if !is_series {
            let first = self.after(STEP);
            return self.write(&Series { event: node, repeat: 1, every: STEP, first });
        }
        read::only(entries, &SERIES_KEYS, "a series of events", self.report);
        let Some(event) = template else {
            read::missing("event", "this series", node.place, self.report).help("add `event: {…}`");
            return None;
        };
        let repeat = match read::value(entries, "repeat") {
            Some(node) => self.repeat(node)?,
            None => 1,
        };
        let every = match read::value(entries, "every") {
            Some(node) => read::span_or_zero(node, "`every`", self.report)?,
            None => STEP,
        };
        let first = match (read::value(entries, "at"), read::value(entries, "after")) {
            (Some(_), Some(after)) => {
                self.report.error("two-times", after.place, "`at` and `after` cannot both be given");
                return None;
            }
            (Some(at), None) => self.at(at)?,
            (None, Some(after)) => {
                let span = read::span_or_zero(after, "`after`", self.report)?;
                self.last.unwrap_or(START).plus(span)
            }
            (None, None) => self.after(STEP),
        };
        self.write(&Series { event, repeat, every, first })
    }

    fn repeat(&mut self, node: &Yaml) -> Option<i64> {
        let repeat = node.scalar().filter(|scalar| scalar.kind == ScalarKind::Int);
        let repeat = repeat.and_then(|scalar| integer_of(&scalar.text)).filter(|repeat| *repeat >= 0);
        if repeat.is_none() {
            read::wrong_type(node, "`repeat`", "a whole number, not negative", self.report);
        }
        repeat
    }

    /// A length of time from the start of the test, or a time.
    fn at(&mut self, node: &Yaml) -> Option<Timestamp> {
        let text = read::name(node, "`at`", self.report)?;
        let from_start = || read::span_or_zero(node, "`at`", self.report).map(|span| START.plus(span));
        Timestamp::parse(&text).ok().or_else(from_start)
    }

    fn after(&self, span: Span) -> Timestamp {
        self.last.map_or(START, |last| last.plus(span))
    }

    fn write(&mut self, series: &Series<'_>) -> Option<()> {
        if usize::try_from(series.repeat).map_or(true, |repeat| repeat > self.room) {
            let message = format!("the tests of one rule may have {EVENTS_MAX} events in all");
            self.report.error("too-many-values", series.event.place, message).help("repeat less often");
            return None;
        }
        for n in 0..series.repeat {
            let value = self.json(series.event, Some(n))?;
            let Value::Object(mut event) = value else {
                read::wrong_type(series.event, "an event", "a map", self.report);
                return None;
            };
            let planned = Timestamp(series.first.0.saturating_add(series.every.0.saturating_mul(n)));
            self.last = Some(self.complete(&mut event, planned));
            if n == 0 && !self.fits(&event, series) {
                return None;
            }
            self.events.push(Value::Object(event));
        }
        Some(())
    }

    /// Takes the room the series needs, judging by its first event.
    fn fits(&mut self, event: &Map<String, Value>, series: &Series<'_>) -> bool {
        let repeat = usize::try_from(series.repeat).unwrap_or(usize::MAX);
        let size = serde_json::to_string(event).map_or(0, |text| text.len()).saturating_mul(repeat);
        self.room = self.room.saturating_sub(repeat);
        match self.bytes.checked_sub(size) {
            Some(left) => {
                self.bytes = left;
                true
            }
            None => {
                let message = format!("the tests of one rule may have {BYTES_MAX} bytes of events in all");
                self.report.error("too-many-values", series.event.place, message).help("repeat less often");
                false
            }
        }
    }

    /// Fills in the time and the id where the event has none, under the names its format has for them; the
    /// event's time.
    fn complete(&self, event: &mut Map<String, Value>, planned: Timestamp) -> Timestamp {
        let present = |paths: &[&str]| {
            paths.iter().find_map(|path| event.get(*path).filter(|value| !value.is_null())).cloned()
        };
        let times = self.format.paths("created_at").unwrap_or_default();
        let ids = self.format.paths("id").unwrap_or_default();
        let (time, id) = (present(times), present(ids));
        if id.is_none() {
            let key = ids.first().copied().unwrap_or("id");
            event.insert(key.to_owned(), format!("test-{}", self.events.len()).into());
        }
        match time {
            Some(Value::String(text)) => Timestamp::parse(&text).unwrap_or(planned),
            Some(Value::Number(millis)) => millis.as_i64().map_or(planned, Timestamp),
            Some(_) => planned,
            None => {
                let key = times.first().copied().unwrap_or("created_at");
                event.insert(key.to_owned(), planned.to_string().into());
                planned
            }
        }
    }

    /// A node as JSON; `${…}` is filled in where a number is given.
    fn json(&mut self, node: &Yaml, n: Option<i64>) -> Option<Value> {
        match &node.content {
            Content::Map(entries) => {
                let mut object = Map::new();
                for (key, value) in entries {
                    object.insert(key.text.clone(), self.json(value, n)?);
                }
                Some(Value::Object(object))
            }
            Content::List(items) => {
                items.iter().map(|item| self.json(item, n)).collect::<Option<_>>().map(Value::Array)
            }
            Content::Scalar(scalar) => self.scalar(node, scalar, n),
        }
    }

    fn scalar(&mut self, node: &Yaml, scalar: &Scalar, n: Option<i64>) -> Option<Value> {
        let text = &scalar.text;
        Some(match scalar.kind {
            ScalarKind::Null => Value::Null,
            ScalarKind::Bool => Value::Bool(text.eq_ignore_ascii_case("true")),
            ScalarKind::Int | ScalarKind::Float => json_number(text),
            ScalarKind::Str => match n {
                None => Value::String(text.clone()),
                Some(n) => match expression::fill(text, n) {
                    Ok(value) => value,
                    Err(fault) => {
                        let help = "`${…}` takes whole numbers, `n`, `+ - * / %` and parentheses";
                        let place = node.part(fault.offset, 1);
                        self.report.error("bad-expression", place, fault.reason).help(help);
                        return None;
                    }
                },
            },
        })
    }
}

fn json_number(text: &str) -> Value {
    if let Some(number) = integer_of(text) {
        return number.into();
    }
    if let Ok(number) = text.parse::<u64>() {
        return number.into();
    }
    let float = read::number_of(text).and_then(serde_json::Number::from_f64);
    float.map_or_else(|| Value::String(text.to_owned()), Value::Number)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{diagnostics_of, rule_of};
    use super::*;

    const HEAD: &str =
        "title: T\nlogsource: {product: gitlab}\ndetection:\n  a: {x: 1}\n  condition: a\ntests:\n";

    fn check(tests: &str) -> Vec<RuleTest> {
        rule_of(&format!("{HEAD}{tests}")).tests
    }

    fn times(test: &RuleTest) -> Vec<&str> {
        test.events.iter().map(|event| &event["created_at"].as_str().unwrap()[11..23]).collect()
    }

    #[test]
    fn series_are_spelled_out() {
        let tests = check(
            "  - name: twenty\n    events: {repeat: 20, every: 25s, event: {author_id: 7, entity_id: \"${100 + n}\", details: {k: [\"p${n}\", yes, 1.5, null, true]}}}\n    alerts: [{author_id: 7}]\n    until: 1h\n",
        );
        let [test] = tests.as_slice() else { panic!() };
        assert_eq!((test.name.as_str(), test.line, test.until), ("twenty", 7, Some(Span::hours(1))));
        assert_eq!(test.events.len(), 20);
        assert_eq!(
            test.events[19],
            json!({"author_id": 7, "entity_id": 119, "details": {"k": ["p19", "yes", 1.5, null, true]},
                   "id": "test-19", "created_at": "2026-01-05T09:07:55.000Z"})
        );
        assert_eq!(Value::Object(test.alerts[0].clone()), json!({"author_id": 7}));
    }

    #[test]
    fn times_follow_each_other() {
        let tests = check(
            "  - events:\n    - {x: 1}\n    - {x: 2}\n    - {after: 5m, event: {x: 3}}\n    - {x: 4, id: 9}\n    - {at: 1h, repeat: 2, every: 1m, event: {x: 5}}\n    - {at: '2026-01-05T12:00:00Z', event: {x: 6}}\n    - {x: 7, created_at: 2026-01-05T13:00:00Z}\n    - {x: 8}\n    alerts: []\n",
        );
        let expected = [
            "09:00:00.000",
            "09:00:01.000",
            "09:05:01.000",
            "09:05:02.000",
            "10:00:00.000",
            "10:01:00.000",
            "12:00:00.000",
        ];
        let test = &tests[0];
        assert_eq!(test.events[3]["id"], 9);
        assert_eq!(test.events[7]["created_at"], "2026-01-05T13:00:00Z");
        assert_eq!(test.events[8]["created_at"], "2026-01-05T13:00:01.000Z");
        let mut shown = test.clone();
        shown.events.truncate(7);
        assert_eq!(times(&shown), expected);
        assert_eq!(test.name, "test 1");
    }

    #[test]
    fn other_forges_have_their_own_names_for_time_and_id() {
        let text = HEAD.replace("gitlab", "github") + "  - {events: [{x: 1}], alerts: []}\n";
        let rule = rule_of(&text);
        assert_eq!(rule.tests[0].events[0]["_document_id"], "test-0");
        let text = HEAD.replace("gitlab", "bitbucket") + "  - {events: [{x: 1}], alerts: []}\n";
        assert_eq!(rule_of(&text).tests[0].events[0]["timestamp"], "2026-01-05T09:00:00.000Z");
    }

    #[test]
    fn mistakes_in_tests_are_named() {
        for (tests, expected) in [
            ("  - {event: [], alerts: []}", "7:6 unknown-key: unknown key `event` in a test"),
            ("  - {alerts: []}", "7:5 missing-key: this test has no `events`"),
            ("  - {events: []}", "7:5 missing-key: this test has no `alerts`"),
            ("  - {events: [5], alerts: []}", "7:15 wrong-type: an event must be a map"),
            ("  - {events: [{repat: 5, event: {}}], alerts: []}", "7:16 unknown-key: unknown key `repat`"),
            (
                "  - {events: {repeat: 5, every: 1s}, alerts: []}",
                "7:14 missing-key: this series has no `event`",
            ),
            ("  - {events: {repeat: -1, event: {}}, alerts: []}", "7:23 wrong-type: `repeat`"),
            ("  - {events: {repeat: 200000, event: {}}, alerts: []}", "7:38 too-many-values:"),
            ("  - {events: [{x: '${m}'}], alerts: []}", "7:22 bad-expression: expected a whole number"),
            ("  - {events: [], alerts: [7]}", "7:27 wrong-type: an expected alert must be a map"),
            ("  - {events: [], alerts: [], until: 5}", "7:37 bad-span: `until`"),
            ("  5", "7:3 wrong-type: `tests` must be a list"),
        ] {
            let found: Vec<String> = diagnostics_of(&format!("{HEAD}{tests}"))
                .iter()
                .map(|d| format!("{}:{} {}: {}", d.line, d.column, d.code, d.message))
                .collect();
            assert!(found.iter().any(|line| line.starts_with(expected)), "{tests}: {found:#?}");
        }
    }
}
