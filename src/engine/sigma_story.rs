//! For the tests that hold Sigma's rules against events: rule text in, findings out, through the whole engine.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Compiled, Effects, Engine, Environment, Limits, compile};
use crate::alert::{Alert, Finding, LedgerEntry, LedgerReason};
use crate::decode::decode;
use crate::event::{Catalogue, Entry, Event, Format};
use crate::rule::{Diagnostic, Lists, RuleFile, load};
use crate::script::{Cage, ListTable};
use crate::time::{Span, Timestamp};

/// 2026-01-05T09:00:00Z, a Monday.
pub(super) const START: Timestamp = Timestamp(1_767_603_600_000);

/// What came of some events.
#[derive(Debug)]
pub(super) struct Story {
    pub(super) findings: Vec<Finding>,
    /// As they stand at the end, without those that are part of another.
    pub(super) alerts: Vec<Alert>,
    pub(super) ledger: Vec<LedgerEntry>,
}

impl Story {
    /// The findings of one rule.
    pub(super) fn of(&self, rule: &str) -> Vec<&Finding> {
        self.findings.iter().filter(|finding| &*finding.rule == rule).collect()
    }

    /// For each alert its rule, its key, and the seconds from the start at which it began and was last seen.
    pub(super) fn told(&self) -> Vec<String> {
        let second = |time: Timestamp| time.since(START).0 / 1000;
        let alerts = self.alerts.iter();
        let mut told: Vec<String> = alerts
            .map(|a| format!("{} {} {}-{}", a.rule, a.key, second(a.started_at), second(a.last_at)))
            .collect();
        told.sort();
        told
    }

    /// How many events a rule could not judge for this reason.
    pub(super) fn missed(&self, rule: &str, reason: LedgerReason) -> u64 {
        let entries = self.ledger.iter().filter(|entry| &*entry.rule == rule && entry.reason == reason);
        entries.map(|entry| entry.count).sum()
    }
}

pub(super) fn lists() -> Lists {
    let mut lists = Lists::new();
    lists.insert("vip", vec!["alice".to_owned(), "svc-*".to_owned()]);
    lists.insert("nets", vec!["10.0.0.0/8".to_owned(), "fd00::/8".to_owned()]);
    lists.insert("limits", vec!["5".to_owned()]);
    lists
}

/// Compiles the rules of a text; anything but a warning fails the test.
pub(super) fn compiled(rules: &str) -> Compiled {
    compiled_on(rules, START)
}

pub(super) fn compiled_on(rules: &str, today: Timestamp) -> Compiled {
    let file = RuleFile { path: "rules.yml".into(), text: rules.to_owned() };
    let loaded = load(&[file], &lists());
    assert!(!loaded.has_errors(), "{:?}\n{rules}", loaded.diagnostics);
    let environment = Environment {
        catalogue: Arc::new(Catalogue::built_in()),
        cage: Arc::new(Cage::new(Arc::new(ListTable::default()))),
        lateness: Span::minutes(5),
        today,
    };
    compile(loaded.rules, &loaded.filters, &environment)
}

/// What loading a text says, if it says something.
pub(super) fn first_diagnostic(rules: &str) -> Option<Diagnostic> {
    let file = RuleFile { path: "rules.yml".into(), text: rules.to_owned() };
    load(&[file], &lists()).diagnostics.into_iter().next()
}

/// An event of the generic format, so many seconds after the start.
pub(super) fn at(seconds: i64, mut event: Value) -> Value {
    event["created_at"] = json!(START.plus(Span::seconds(seconds)).to_string());
    event
}

/// Runs events through rules in the order in which they are given, then lets two days pass.
pub(super) fn story(rules: &str, events: &[Value]) -> Story {
    tell(compiled(rules), Format::Generic, events)
}

/// One event of the generic format as its sender wrote it.
pub(super) fn tell_raw(rules: &str, event: &str) -> Story {
    tell_texts(compiled(rules), Format::Generic, std::iter::once(event.to_owned()))
}

pub(super) fn tell(compiled: Compiled, format: Format, events: &[Value]) -> Story {
    tell_texts(compiled, format, events.iter().map(Value::to_string))
}

fn tell_texts(compiled: Compiled, format: Format, events: impl Iterator<Item = String>) -> Story {
    assert!(
        compiled.diagnostics.iter().all(|found| found.severity == crate::rule::Severity::Warning),
        "{:?}",
        compiled.diagnostics
    );
    let catalogue = Arc::new(Catalogue::built_in());
    let mut engine = Engine::new(Arc::new(compiled.rules), catalogue, Limits::default());
    let (mut effects, mut latest) = (Effects::default(), START);
    for (position, event) in (1..).zip(events) {
        let raw = Bytes::from(event);
        let decoded = decode(format, &format.name().into(), raw, None, latest).unwrap();
        latest = latest.max(decoded.event.time);
        engine.handle(&Entry::Event(Event { position, received_at: latest, ..decoded.event }), &mut effects);
    }
    engine.finish(latest.plus(Span::days(2)), &mut effects);
    let alerts = effects.alerts.into_iter().map(|opened| opened.alert);
    Story {
        findings: effects.findings,
        alerts: alerts.filter(|alert| alert.merged_into.is_none()).collect(),
        ledger: effects.ledger,
    }
}

/// A rule with one selection of these lines.
pub(super) fn rule_with(entries: &str) -> String {
    let lines: String = entries.lines().map(|line| format!("    {line}\n")).collect();
    format!("title: T\nlogsource: {{product: generic}}\ndetection:\n  s:\n{lines}  condition: s\n")
}

/// Whether a selection of these lines matches an event.
pub(super) fn matches(entries: &str, event: Value) -> bool {
    !story(&rule_with(entries), &[at(0, event)]).findings.is_empty()
}

/// Two plain rules, `one` for `f: 1` and `two` for `f: 2`, and a correlation `both` with these lines.
pub(super) fn pair(correlation: &str) -> String {
    let rule = |name: &str, value: u8| {
        format!(
            "title: {name}\nname: {name}\nid: {name}\nlogsource: {{product: generic}}\n\
             detection: {{s: {{f: {value}}}, condition: s}}\n---\n"
        )
    };
    let lines: String = correlation.lines().map(|line| format!("  {line}\n")).collect();
    format!("{}{}title: Both\nid: both\ncorrelation:\n{lines}", rule("one", 1), rule("two", 2))
}
