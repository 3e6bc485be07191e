//! What a backtest shows: one object per alert or finding, or a summary for people.

use std::collections::BTreeMap;
use std::io::Write;

use rustc_hash::FxHashMap;
use serde_json::{Map, Value, json};

use super::backtest::{OutputFormat, Rehearsal};
use super::ledger;
use super::terminal::{clean, wrap};
use crate::alert::{Alert, AlertId, Finding, LedgerReason, scalar};
use crate::engine::{Effects, Limits, RuleSet, Unit};
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
    unjudged: BTreeMap<(String, LedgerReason), u64>,
}

/// A backtest and what it was judged by, to give account of.
pub(super) struct Account<'a> {
    pub(super) summary: &'a Summary,
    pub(super) rules: &'a RuleSet,
    pub(super) limits: Limits,
    /// Where a configuration says what actions there are.
    pub(super) rehearsal: Option<&'a Rehearsal>,
    /// How many lines were no events.
    pub(super) refused: u64,
}

/// The senders' ids of the events that may be cited.
pub(super) type Ids = FxHashMap<Position, Box<str>>;

impl Report {
    /// `is_summed`: somebody wants the sums as well, who is no reader of the text.
    pub(super) fn new(format: OutputFormat, findings: bool, is_summed: bool) -> Self {
        let mode = match (findings, format) {
            (true, _) => Mode::Findings,
            (false, OutputFormat::Ndjson) => Mode::Alerts,
            (false, OutputFormat::Text) => Mode::Summary,
        };
        // The summary for people counts them, whatever else is written.
        Self { mode, wants_alerts: mode != Mode::Findings || format == OutputFormat::Text || is_summed }
    }

    /// Whether anybody will ask for the alerts at the end.
    pub(super) fn wants_alerts(&self) -> bool {
        self.wants_alerts
    }

    /// Whether the ids of events are still asked for when all is judged.
    pub(super) fn cites_at_end(&self) -> bool {
        self.mode == Mode::Alerts
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
            *self.unjudged.entry((entry.rule.to_string(), entry.reason)).or_default() += entry.count;
        }
    }

    /// Without those that turned out to be part of another, by the log position that opened them.
    pub(super) fn alerts_in_order(&self) -> Vec<&Alert> {
        let mut alerts: Vec<&Alert> =
            self.alerts.values().filter(|alert| alert.merged_into.is_none()).collect();
        alerts.sort_by(|a, b| (a.position, &a.rule, &a.key).cmp(&(b.position, &b.rule, &b.key)));
        alerts
    }
}

impl Account<'_> {
    /// The summary for people.
    pub(super) fn print(&self, width: usize, output: &mut dyn Write) -> anyhow::Result<()> {
        let (summary, rules) = (self.summary, self.rules);
        let (first, last) = (summary.first.unwrap_or_default(), summary.last.unwrap_or_default());
        let alerts = summary.alerts_in_order();
        let found = summary.findings.values().sum::<u64>();
        let events = counted(summary.events, "event");
        writeln!(output, "{events} from {first} to {last}, {}", counted(rules.units().len() as u64, "rule"))?;
        writeln!(output, "{}, {}\n", counted(alerts.len() as u64, "alert"), counted(found, "finding"))?;
        for unit in rules.units() {
            let own: Vec<&Alert> =
                alerts.iter().copied().filter(|alert| alert.rule == unit.rule.id).collect();
            self.print_rule(unit, &own, width, output)?;
        }
        let is_quiet = |unit: &&Unit| !summary.findings.contains_key(&*unit.rule.id);
        let quiet = rules.units().iter().filter(is_quiet).count() as u64;
        writeln!(output, "{} found nothing", counted(quiet, "rule"))?;
        for ((rule, reason), count) in &summary.unjudged {
            let what = if *reason == LedgerReason::Evicted { "key" } else { "event" };
            let why = ledger::words(*reason);
            let line = format!("not judged: {} by {rule}: {why}", counted(*count, what));
            write!(output, "{}", wrap(&clean(&line), (0, 2), width))?;
        }
        write!(output, "{}", self.forgotten(width))?;
        if let Some(rehearsal) = self.rehearsal {
            write!(output, "\n{}", rehearsal.text(width))?;
        }
        Ok(())
    }

    fn print_rule(
        &self,
        unit: &Unit,
        own: &[&Alert],
        width: usize,
        output: &mut dyn Write,
    ) -> anyhow::Result<()> {
        const INDENT: (usize, usize) = (15, 17);
        let summary = self.summary;
        let findings = summary.findings.get(&*unit.rule.id).copied().unwrap_or_default();
        if own.is_empty() && findings == 0 {
            return Ok(());
        }
        let head = format!("{:>13}  {}", unit.rule.level.name(), clean(&unit.rule.title));
        let id = format!("({})", unit.rule.id);
        let is_long = head.chars().count() + 2 + id.chars().count() > width;
        let gap = if is_long { "\n               " } else { "  " };
        writeln!(output, "{head}{gap}{id}")?;
        let silent = if unit.is_silent { ", only for correlations" } else { "" };
        let (alerts, findings) = (counted(own.len() as u64, "alert"), counted(findings, "finding"));
        writeln!(output, "               {alerts}, {findings}{silent}")?;
        if !own.is_empty() {
            let (first, last) = (summary.first.unwrap_or_default(), summary.last.unwrap_or_default());
            writeln!(output, "               {}", histogram(own, (first, last), width))?;
            write!(output, "{}", wrap(&clean(&top_keys(own)), INDENT, width))?;
            let actions = match self.rehearsal {
                Some(rehearsal) => rehearsal.actions_of(&unit.rule.id),
                None => unit.rule.respond.as_slice(),
            };
            if !actions.is_empty() {
                let would = format!("would run: {}", actions.join(", "));
                write!(output, "{}", wrap(&clean(&would), INDENT, width))?;
            }
        }
        Ok(writeln!(output)?)
    }

    /// Whether keys were forgotten for want of memory, and what to do.
    fn forgotten(&self, width: usize) -> String {
        let evicted =
            self.summary.unjudged.iter().filter(|((_, reason), _)| *reason == LedgerReason::Evicted);
        let (rules, keys) = evicted.fold((0, 0), |(rules, keys), (_, count)| (rules + 1, keys + count));
        if keys == 0 {
            return String::new();
        }
        let Limits { state_bytes_max, rule_bytes_max, .. } = self.limits;
        let line = format!(
            "memory: {} of {} were forgotten at the limits ({} in all, {} a rule): alerts about them may be missing. A \
             daemon with these limits forgets the same; raise `limits: {{state, state_per_rule}}` in the configuration",
            counted(keys, "key"),
            counted(rules, "rule"),
            size(state_bytes_max),
            size(rule_bytes_max),
        );
        wrap(&line, (0, 2), width)
    }

    /// The same as one object, for programs.
    pub(super) fn json(&self) -> Value {
        let summary = self.summary;
        let alerts = summary.alerts_in_order();
        let rule = |unit: &Unit| {
            let own = alerts.iter().filter(|alert| alert.rule == unit.rule.id).count();
            let findings = summary.findings.get(&*unit.rule.id).copied().unwrap_or_default();
            json!({
                "rule": unit.rule.id, "title": unit.rule.title, "level": unit.rule.level.name(),
                "alerts": own, "findings": findings, "respond": unit.rule.respond,
            })
        };
        let unjudged = summary
            .unjudged
            .iter()
            .map(|((rule, reason), count)| json!({"rule": rule, "reason": reason, "count": count}));
        json!({
            "events": summary.events,
            "refused": self.refused,
            "first": summary.first.map(|first| first.to_string()),
            "last": summary.last.map(|last| last.to_string()),
            "alerts": alerts.len(),
            "findings": summary.findings.values().sum::<u64>(),
            "rules": self.rules.units().iter().map(rule).collect::<Vec<_>>(),
            "not_judged": unjudged.collect::<Vec<_>>(),
            "limits": {
                "lateness_ms": self.limits.lateness.0,
                "state_bytes": self.limits.state_bytes_max,
                "rule_bytes": self.limits.rule_bytes_max,
            },
            "actions": self.rehearsal.map(Rehearsal::json),
            "routes": self.rehearsal.map(Rehearsal::routes_json),
        })
    }
}

/// `1 alert`, `2 alerts`.
pub(super) fn counted(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Bytes for people: `256MiB`.
fn size(bytes: usize) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let whole = units.iter().find(|(bits, _)| bytes >= 1 << bits && bytes.trailing_zeros() >= *bits);
    whole.map_or_else(|| format!("{bytes}B"), |(bits, unit)| format!("{}{unit}", bytes >> bits))
}

/// Alerts over time as a row of blocks.
fn histogram(alerts: &[&Alert], (first, last): (Timestamp, Timestamp), width: usize) -> String {
    let places = width.saturating_sub(18).clamp(20, 60);
    const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let span = last.since(first).0.max(1) as f64;
    let mut counts = vec![0u32; places];
    for alert in alerts {
        let share = alert.started_at.since(first).0 as f64 / span;
        let place = ((share * places as f64) as usize).min(places - 1);
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
