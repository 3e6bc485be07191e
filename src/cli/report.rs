//! What a backtest shows: one object per alert or finding, or a summary for people.

use std::collections::BTreeMap;
use std::io::Write;

use rustc_hash::FxHashMap;
use serde_json::{Map, Value, json};

use super::backtest::OutputFormat;
use crate::alert::{Alert, AlertId, Finding, scalar};
use crate::engine::{Effects, RuleSet};
use crate::event::{Event, Position};
use crate::time::Timestamp;

/// Writes results as they come.
pub(super) struct Report {
    mode: Mode,
    wants_alerts: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Nothing but the summary at the end.
    Summary,
    Findings,
    Alerts,
}

/// Sums of a backtest.
#[derive(Debug, Default)]
pub(super) struct Summary {
    events: u64,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    findings: BTreeMap<String, u64>,
    alerts: BTreeMap<AlertId, Alert>,
    unjudged: BTreeMap<(String, String), u64>,
}

/// The senders' ids of the events that may be cited.
pub(super) type Ids = FxHashMap<Position, Box<str>>;

impl Report {
    pub(super) fn new(format: OutputFormat, findings: bool) -> Self {
        let mode = match (findings, format) {
            (true, _) => Mode::Findings,
            (false, OutputFormat::Ndjson) => Mode::Alerts,
            (false, OutputFormat::Text) => Mode::Summary,
        };
        // The summary for people counts them, whatever else is written.
        Self { mode, wants_alerts: mode != Mode::Findings || format == OutputFormat::Text }
    }

    /// Whether anybody will ask for the alerts at the end.
    pub(super) fn wants_alerts(&self) -> bool {
        self.wants_alerts
    }

    pub(super) fn silent() -> Self {
        Self { mode: Mode::Summary, wants_alerts: true }
    }

    pub(super) fn write(
        &self,
        effects: &Effects,
        rules: &RuleSet,
        ids: &Ids,
        output: &mut dyn Write,
    ) -> anyhow::Result<()> {
        if self.mode == Mode::Findings {
            for finding in &effects.findings {
                serde_json::to_writer(&mut *output, &FindingLine::new(finding, rules, ids))?;
                output.write_all(b"\n")?;
            }
        }
        Ok(())
    }

    /// Alerts go out at the end: until then a later event may still change them.
    pub(super) fn finish(
        &self,
        summary: &Summary,
        rules: &RuleSet,
        ids: &Ids,
        output: &mut dyn Write,
    ) -> anyhow::Result<()> {
        if self.mode == Mode::Alerts {
            for alert in summary.alerts_in_order() {
                serde_json::to_writer(&mut *output, &alert_json(alert, rules, ids))?;
                output.write_all(b"\n")?;
            }
        }
        Ok(())
    }
}

fn events_json(positions: &[Position], ids: &Ids) -> Value {
    positions.iter().map(|position| ids.get(position).map_or(Value::Null, |id| scalar(id))).collect()
}

/// One finding as an object.
#[derive(serde::Serialize)]
struct FindingLine<'a> {
    events: Value,
    key: Map<String, Value>,
    level: &'a str,
    reason: &'a str,
    rule: &'a str,
    time: String,
    title: &'a str,
    value: Value,
}

impl<'a> FindingLine<'a> {
    fn new(finding: &'a Finding, rules: &'a RuleSet, ids: &Ids) -> Self {
        let rule = rules.unit(&finding.rule).map(|unit| &unit.rule);
        Self {
            events: events_json(&finding.evidence, ids),
            key: finding.key.to_json(),
            level: rule.map_or("", |rule| rule.level.name()),
            reason: &finding.reason,
            rule: &finding.rule,
            time: finding.time.to_string(),
            title: rule.map_or("", |rule| &rule.title),
            value: number(finding.value),
        }
    }
}

/// One alert as an object: the fields of a finding, and the episode.
fn alert_json(alert: &Alert, rules: &RuleSet, ids: &Ids) -> Value {
    let respond = rules.unit(&alert.rule).map(|unit| unit.rule.respond.clone()).unwrap_or_default();
    json!({
        "id": alert.id.0,
        "rule": alert.rule,
        "title": alert.title,
        "level": alert.level.name(),
        "key": alert.key.to_json(),
        "time": alert.started_at.to_string(),
        "last": alert.last_at.to_string(),
        "findings": alert.findings,
        "value": number(alert.value),
        "reason": alert.reason,
        "events": events_json(&alert.evidence, ids),
        "event_count": alert.evidence_count,
        "respond": respond,
    })
}

fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 9e15 { Value::from(value as i64) } else { Value::from(value) }
}

impl Summary {
    pub(super) fn event(&mut self, event: &Event) {
        self.events += 1;
        self.first = Some(self.first.map_or(event.time, |first| first.min(event.time)));
        self.last = Some(self.last.map_or(event.time, |last| last.max(event.time)));
    }

    pub(super) fn add(&mut self, effects: &Effects, wants_alerts: bool) {
        for finding in &effects.findings {
            match self.findings.get_mut(&*finding.rule) {
                Some(count) => *count += 1,
                None => {
                    self.findings.insert(finding.rule.to_string(), 1);
                }
            }
        }
        for opened in effects.alerts.iter().filter(|_| wants_alerts) {
            self.alerts.insert(opened.alert.id.clone(), opened.alert.clone());
        }
        for entry in &effects.ledger {
            let reason = serde_json::to_value(entry.reason).ok();
            let reason = reason.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
            *self.unjudged.entry((entry.rule.to_string(), reason)).or_default() += entry.count;
        }
    }

    /// Without those that turned out to be part of another, by the log position that opened them.
    fn alerts_in_order(&self) -> Vec<&Alert> {
        let mut alerts: Vec<&Alert> =
            self.alerts.values().filter(|alert| alert.merged_into.is_none()).collect();
        alerts.sort_by(|a, b| (a.position, &a.rule, &a.key).cmp(&(b.position, &b.rule, &b.key)));
        alerts
    }

    pub(super) fn print(&self, rules: &RuleSet, output: &mut dyn Write) -> anyhow::Result<()> {
        let (first, last) = (self.first.unwrap_or_default(), self.last.unwrap_or_default());
        let (events, alerts) = (self.events, self.alerts_in_order());
        writeln!(output, "{events} events from {first} to {last}, {} rules", rules.units().len())?;
        writeln!(output, "{} alerts, {} findings\n", alerts.len(), self.findings.values().sum::<u64>())?;
        for unit in rules.units() {
            let own: Vec<&Alert> =
                alerts.iter().copied().filter(|alert| alert.rule == unit.rule.id).collect();
            let findings = self.findings.get(&*unit.rule.id).copied().unwrap_or_default();
            if own.is_empty() && findings == 0 {
                continue;
            }
            writeln!(output, "{:>13}  {}  ({})", unit.rule.level.name(), unit.rule.title, unit.rule.id)?;
            let silent = if unit.is_silent { ", only for correlations" } else { "" };
            writeln!(output, "               {} alerts, {findings} findings{silent}", own.len())?;
            if !own.is_empty() {
                writeln!(output, "               {}", histogram(&own, first, last))?;
                writeln!(output, "               {}", top_keys(&own))?;
            }
            if !unit.rule.respond.is_empty() && !own.is_empty() {
                writeln!(output, "               would run: {}", unit.rule.respond.join(", "))?;
            }
        }
        let quiet = rules.units().iter().filter(|unit| !self.findings.contains_key(&*unit.rule.id)).count();
        writeln!(output, "\n{quiet} rules found nothing")?;
        for ((rule, reason), count) in &self.unjudged {
            writeln!(output, "not judged: {count} events by {rule} ({reason})")?;
        }
        Ok(())
    }

    /// What changed from another version of the rules to these.
    pub(super) fn print_difference(&self, old: &Self, output: &mut dyn Write) -> anyhow::Result<()> {
        let identity = |alert: &Alert| (alert.rule.to_string(), alert.key.clone(), alert.started_at);
        let ours: BTreeMap<_, &Alert> =
            self.alerts_in_order().into_iter().map(|a| (identity(a), a)).collect();
        let theirs: BTreeMap<_, &Alert> =
            old.alerts_in_order().into_iter().map(|a| (identity(a), a)).collect();
        writeln!(output, "\ncompared with the other version:")?;
        let mut same = 0;
        for (identity, alert) in &ours {
            if theirs.contains_key(identity) {
                same += 1;
            } else {
                writeln!(output, "  + {} {} {}", alert.started_at, alert.rule, alert.key)?;
            }
        }
        for (_, alert) in theirs.iter().filter(|(identity, _)| !ours.contains_key(*identity)) {
            writeln!(output, "  - {} {} {}", alert.started_at, alert.rule, alert.key)?;
        }
        writeln!(output, "  {same} alerts are in both")?;
        Ok(())
    }
}

/// Alerts over time as a row of blocks.
fn histogram(alerts: &[&Alert], first: Timestamp, last: Timestamp) -> String {
    const WIDTH: usize = 60;
    const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let span = last.since(first).0.max(1) as f64;
    let mut counts = [0u32; WIDTH];
    for alert in alerts {
        let share = alert.started_at.since(first).0 as f64 / span;
        let place = ((share * WIDTH as f64) as usize).min(WIDTH - 1);
        counts[place] += 1;
    }
    let most = counts.iter().copied().max().unwrap_or(1).max(1);
    let bars = counts.iter().map(|count| BLOCKS[(count * 8).div_ceil(most).min(8) as usize]);
    format!("|{}|", bars.collect::<String>())
}

fn top_keys(alerts: &[&Alert]) -> String {
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for alert in alerts {
        *counts.entry(alert.key.to_string()).or_default() += 1;
    }
    let mut counts: Vec<(String, u32)> = counts.into_iter().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let shown: Vec<String> = counts.iter().take(5).map(|(key, count)| format!("{key} ({count})")).collect();
    let more = counts.len().saturating_sub(5);
    let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{tail}", shown.join(", "))
}
