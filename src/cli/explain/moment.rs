//! One rule, one key, one moment: what the rule knew of the key then, and why it fired or not.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::case::{Judge, key_of, waiting};
use super::past::Past;
use crate::alert::{Finding, LedgerEntry, scalar};
use crate::cli::terminal::{Paint, clean, labelled};
use crate::cli::{ledger, report};
use crate::daemon::Reading;
use crate::detect::Hit;
use crate::engine::{Effects, Engine, Hits, Limits, Unit};
use crate::event::{Catalogue, Entry, Event, Position, canonical};
use crate::time::{Span, Timestamp};

/// What is asked about.
pub(super) struct Moment<'a> {
    pub(super) reading: &'a Reading,
    pub(super) unit: &'a Unit,
    /// The key's fields and values; those of the rule's key, or some of them.
    pub(super) key: Vec<(String, String)>,
    pub(super) at: Timestamp,
    pub(super) limits: Limits,
}

/// How many events are told.
const TOLD_MAX: usize = 8;

/// What was gathered up to the moment.
#[derive(Default)]
struct Gathered {
    /// Events of the key that the rule counted, the newest ones, and how many.
    counted: VecDeque<(Hit, Event)>,
    counted_all: u64,
    /// The last event of the key that the rule did not count, and how many.
    passed_over: Option<Event>,
    passed_over_all: u64,
    findings: Vec<Finding>,
    ledger: BTreeMap<String, (LedgerEntry, u64)>,
}

impl Moment<'_> {
    /// Judges the history up to the moment and tells what came of it.
    pub(super) fn tell(&self, past: &mut Past, look: (Paint, usize)) -> anyhow::Result<String> {
        let rules = &self.reading.rules;
        let catalogue = Arc::clone(rules.catalogue());
        let mut engine = Engine::new(Arc::clone(rules), Arc::clone(&catalogue), self.limits);
        let (mut hits, mut effects, mut gathered) =
            (Hits::default(), Effects::default(), Gathered::default());
        past.before(Position::MAX, &mut |entry| {
            match entry {
                Entry::Event(event) if event.time > self.at => return,
                Entry::Event(event) => {
                    rules.hits(event, &mut hits);
                    self.gather(event, &hits, &catalogue, &mut gathered);
                    engine.judge(event, &hits, &mut effects);
                }
                Entry::Tick { .. } => engine.handle(entry, &mut effects),
            }
            self.keep(&mut effects, &mut gathered);
        })?;
        engine.finish(self.at.plus(Span::millis(1)), &mut effects);
        self.keep(&mut effects, &mut gathered);
        let known = gathered.counted.back().map(|(hit, _)| hit.key.clone());
        let known = known.and_then(|key| engine.known(&self.unit.rule.id, &key, self.at)).unwrap_or_default();
        self.text(&gathered, &known, look)
    }

    fn gather(&self, event: &Event, hits: &Hits, catalogue: &Catalogue, gathered: &mut Gathered) {
        let number = self.reading.rules.number(&self.unit.rule.id);
        let own = hits.hits.iter().filter(|hit| Some(hit.detector as usize) == number);
        let mut is_counted = false;
        for hit in own.filter(|hit| self.is_asked(hit)) {
            is_counted = true;
            gathered.counted_all += 1;
            gathered.counted.push_back((hit.clone(), event.clone()));
            if gathered.counted.len() > TOLD_MAX {
                gathered.counted.pop_front();
            }
        }
        if !is_counted && self.is_of_key(&canonical(event, catalogue)) {
            gathered.passed_over_all += 1;
            gathered.passed_over = Some(event.clone());
        }
    }

    fn keep(&self, effects: &mut Effects, gathered: &mut Gathered) {
        for finding in effects.findings.drain(..).filter(|finding| finding.rule == self.unit.rule.id) {
            if self.key.iter().all(|(field, value)| finding.key.get(field) == Some(value.as_str())) {
                gathered.findings.push(finding);
            }
        }
        for entry in effects.ledger.drain(..).filter(|entry| entry.rule == self.unit.rule.id) {
            let count = entry.count;
            let reason = ledger::words(entry.reason).to_owned();
            gathered.ledger.entry(reason).and_modify(|known| known.1 += count).or_insert((entry, count));
        }
        effects.clear();
    }

    /// Whether a hit is about the asked key.
    fn is_asked(&self, hit: &Hit) -> bool {
        let key = key_of(self.unit, hit);
        self.key.iter().all(|(field, value)| key.get(field).is_none_or(|known| known == value))
    }

    /// Whether an event is about it, by its own fields.
    fn is_of_key(&self, event: &Map<String, Value>) -> bool {
        self.key.iter().all(|(field, value)| match event.get(field) {
            Some(Value::String(text)) => text == value,
            Some(other) => scalar(value) == *other,
            None => false,
        })
    }

    fn text(
        &self,
        gathered: &Gathered,
        known: &[String],
        (paint, width): (Paint, usize),
    ) -> anyhow::Result<String> {
        let rule = &self.unit.rule;
        let key: Vec<String> = self.key.iter().map(|(field, value)| format!("{field} = {value}")).collect();
        let mut text = format!("{}  {}\n", paint.bold(&clean(&rule.title)), paint.dim(&rule.id));
        writeln!(text, "  key      {}\n  at       {}", clean(&key.join(", ")), self.at)?;
        let reach = self.unit.detector.within();
        let held = gathered.findings.iter().rev().find(|finding| finding.time.plus(reach) >= self.at);
        let last = gathered.findings.last();
        let (word, verdict) = match (held, last) {
            (Some(finding), _) => ("FIRED", format!("{} ({})", finding.reason, finding.time)),
            (None, Some(last)) => {
                ("no", format!("not then; it last fired at {}: {}", last.time, last.reason))
            }
            (None, None) if gathered.counted_all == 0 => {
                ("no", "no event of this key counted until then".to_owned())
            }
            (None, None) => ("no", waiting(&self.unit.detector)),
        };
        let mut line = |name: &str, said: &str| {
            text.push_str(&labelled(name, said, width));
        };
        line(word, &verdict);
        for (index, said) in known.iter().enumerate() {
            line(if index == 0 { "knew" } else { "" }, said);
        }
        if gathered.counted_all > 0 {
            if known.is_empty() && self.unit.detector.is_stateful() {
                line("knew", "nothing of this key any more: what it did is too long ago");
            }
            let count = report::counted(gathered.counted_all, "event");
            line("counted", &format!("{count} of this key until then"));
        }
        for (hit, event) in &gathered.counted {
            let value = hit.value.as_deref().unwrap_or_default().replace(Hit::SEPARATOR, ", ");
            let shown = canonical(event, self.reading.rules.catalogue());
            let kind = shown.get("event_type").and_then(Value::as_str).unwrap_or("event");
            let told = clean(&format!("{kind}  {value}"));
            writeln!(text, "           {}  {}", event.time, told.trim_end())?;
        }
        for (reason, (_, count)) in &gathered.ledger {
            let told =
                format!("{} not judged, whatever their key: {reason}", report::counted(*count, "event"));
            text.push_str(&labelled("ledger", &told, width));
        }
        if let Some(event) = &gathered.passed_over {
            let passed = report::counted(gathered.passed_over_all, "event");
            writeln!(text, "  not      {passed} of this key did not count; the last one:")?;
            writeln!(text, "           {}  {}", event.time, self.why_not(event)?)?;
        }
        Ok(text)
    }

    /// Why an event did not count.
    fn why_not(&self, event: &Event) -> anyhow::Result<String> {
        let (reading, limits) = (self.reading, self.limits);
        let judge = Judge { reading, event, catalogue: Arc::clone(reading.rules.catalogue()), limits };
        let mut cases = [judge.look(self.unit)?];
        judge.conclude(&mut cases, &mut Past::Events(Vec::new()))?;
        Ok(cases.into_iter().next().map(|case| clean(&case.verdict)).unwrap_or_default())
    }
}
