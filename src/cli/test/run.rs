//! One test: its events through a fresh engine, and what came of them.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value};

use super::alike::{self, Unmatched};
use super::close;
use crate::alert::{Alert, Finding, Key, LedgerEntry, LedgerReason, Level};
use crate::decode::decode;
use crate::detect::Hit;
use crate::engine::{Effects, Engine, Hits, Limits, RuleSet, Unit};
use crate::event::{Catalogue, Event, Format, canonical};
use crate::rule::ast::{Body, Rule, RuleTest};
use crate::time::{Span, Timestamp};

/// Runs tests over one set of rules.
pub(super) struct Runner<'a> {
    pub(super) rules: &'a Arc<RuleSet>,
    catalogue: Arc<Catalogue>,
    limits: Limits,
    /// How many keys were forgotten for want of memory, over all tests.
    evicted: Cell<u64>,
}

/// How a test ended.
#[derive(Debug)]
pub(super) enum Verdict {
    Passed,
    /// An event that is none: its number from 1, and why.
    BadEvent(usize, String),
    Failed(Box<Failure>),
}

/// What was not as expected.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) unmatched: Unmatched,
    /// How near the rule came, one line each.
    pub(super) close: Vec<String>,
}

/// An alert that was raised.
#[derive(Debug, Clone)]
pub(super) struct Raised {
    pub(super) rule: String,
    pub(super) name: Option<String>,
    pub(super) title: String,
    pub(super) level: Level,
    pub(super) key: Key,
    pub(super) findings: u64,
    pub(super) value: f64,
    pub(super) reason: String,
    /// The event that completed it, in canonical form.
    pub(super) event: Map<String, Value>,
}

/// What a test's events led to.
pub(super) struct Story {
    pub(super) events: Vec<Event>,
    /// What they meant to the rule under test.
    pub(super) hits: Vec<Hit>,
    pub(super) effects: Effects,
}

impl<'a> Runner<'a> {
    pub(super) fn new(rules: &'a Arc<RuleSet>, limits: Limits) -> Self {
        Self { rules, catalogue: Arc::clone(rules.catalogue()), limits, evicted: Cell::new(0) }
    }

    /// How many keys were forgotten for want of memory in the tests that ran.
    pub(super) fn evicted(&self) -> u64 {
        self.evicted.get()
    }

    /// Runs one test of the rule with this number.
    pub(super) fn run(&self, number: usize, unit: &Unit, test: &RuleTest) -> Verdict {
        let events = match self.events(&unit.rule, test) {
            Ok(events) => events,
            Err((number, reason)) => return Verdict::BadEvent(number, reason),
        };
        let story = self.tell(number, unit, test, events);
        let raised = self.raised(unit, test, &story);
        let unmatched = alike::compare(&test.alerts, raised);
        if unmatched.is_empty() {
            return Verdict::Passed;
        }
        let ledger: Vec<&LedgerEntry> =
            story.effects.ledger.iter().filter(|entry| entry.rule == unit.rule.id).collect();
        let close = close::lines(unit, &story, &ledger);
        Verdict::Failed(Box::new(Failure { unmatched, close }))
    }

    /// The test's events as the daemon would log them: decoded, duplicates left out, arrived as they happened.
    pub(super) fn events(&self, rule: &Rule, test: &RuleTest) -> Result<Vec<Event>, (usize, String)> {
        let format = self.format(rule);
        let source: Arc<str> = format.name().into();
        let mut seen = BTreeSet::new();
        let mut events = Vec::with_capacity(test.events.len());
        let mut last = Timestamp::default();
        for (number, value) in (1..).zip(&test.events) {
            let decoded = decode(format, &source, Bytes::from(value.to_string()), None, last)
                .map_err(|error| (number, error.to_string()))?;
            if !seen.insert(decoded.dedupe) {
                continue;
            }
            let mut event = decoded.event;
            last = event.time;
            event.received_at = event.time;
            event.position = events.len() as u64 + 1;
            events.push(event);
        }
        Ok(events)
    }

    /// How the events of a rule's tests are written: as its product, or as that of the rules it is over.
    fn format(&self, rule: &Rule) -> Format {
        let over = match &rule.body {
            Body::Correlation(correlation) => {
                correlation.rules.first().and_then(|name| self.rules.unit(name))
            }
            _ => None,
        };
        let product = rule.logsource.product.as_ref();
        let product = product.or_else(|| over.and_then(|unit| unit.rule.logsource.product.as_ref()));
        let format = product.and_then(|name| Format::ALL.into_iter().find(|format| format.is_product(name)));
        format.unwrap_or(Format::Generic)
    }

    fn tell(&self, number: usize, unit: &Unit, test: &RuleTest, events: Vec<Event>) -> Story {
        let mut engine = Engine::new(Arc::clone(self.rules), Arc::clone(&self.catalogue), self.limits);
        let (mut effects, mut hits) = (Effects::default(), Hits::default());
        let mut own = Vec::new();
        for event in &events {
            self.rules.hits(event, &mut hits);
            own.extend(hits.hits.iter().filter(|hit| hit.detector as usize == number).cloned());
            engine.judge(event, &hits, &mut effects);
        }
        if let Some(newest) = engine.newest() {
            let on = test.until.unwrap_or_else(|| window(unit));
            engine.finish(newest.plus(on).plus(Span::millis(1)), &mut effects);
        }
        let evicted = effects.ledger.iter().filter(|entry| entry.reason == LedgerReason::Evicted);
        self.evicted.set(self.evicted.get() + evicted.map(|entry| entry.count).sum::<u64>());
        Story { events, hits: own, effects }
    }

    /// The alerts that the test is about: the rule's own, and those of rules that it names.
    fn raised(&self, unit: &Unit, test: &RuleTest, story: &Story) -> Vec<Raised> {
        let named: Vec<String> =
            test.alerts.iter().filter_map(|alert| alert.get("rule")).map(alike::text).collect();
        let is_meant = |unit: &Unit| {
            named.iter().any(|name| **name == *unit.rule.id || Some(name) == unit.rule.name.as_ref())
        };
        let mut raised = Vec::new();
        for other in self.rules.units() {
            if other.rule.id != unit.rule.id && !is_meant(other) {
                continue;
            }
            // A rule that only feeds correlations alerts nobody; what it finds counts instead.
            if other.is_silent {
                let own = story.effects.findings.iter().filter(|finding| finding.rule == other.rule.id);
                raised.extend(own.map(|finding| self.finding(other, finding, story)));
            } else {
                let alerts = story.effects.alerts.iter().map(|opened| &opened.alert);
                let own = alerts.filter(|a| a.rule == other.rule.id && a.merged_into.is_none());
                raised.extend(own.map(|alert| self.alert(other, alert, story)));
            }
        }
        raised
    }

    fn alert(&self, unit: &Unit, alert: &Alert, story: &Story) -> Raised {
        Raised {
            rule: alert.rule.to_string(),
            name: unit.rule.name.clone(),
            title: alert.title.clone(),
            level: alert.level,
            key: alert.key.clone(),
            findings: alert.findings,
            value: alert.value,
            reason: alert.reason.clone(),
            event: self.event(story, alert.position),
        }
    }

    fn finding(&self, unit: &Unit, finding: &Finding, story: &Story) -> Raised {
        Raised {
            rule: finding.rule.to_string(),
            name: unit.rule.name.clone(),
            title: unit.rule.title.clone(),
            level: unit.rule.level,
            key: finding.key.clone(),
            findings: 1,
            value: finding.value,
            reason: finding.reason.clone(),
            event: self.event(story, finding.position),
        }
    }

    fn event(&self, story: &Story, position: u64) -> Map<String, Value> {
        let index = usize::try_from(position).ok().and_then(|position| position.checked_sub(1));
        let event = index.and_then(|index| story.events.get(index));
        event.map(|event| canonical(event, &self.catalogue)).unwrap_or_default()
    }
}

/// For how long after an event the rule may still come to a conclusion.
fn window(unit: &Unit) -> Span {
    match &unit.rule.body {
        Body::Single(_) => Span::default(),
        Body::Behavior(_, behavior) | Body::Script(_, behavior, _) => behavior.within,
        Body::Correlation(correlation) => correlation.within,
    }
}
