//! A report while it is made: events and rows come in any order, and are sorted and counted here.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::kinds::{Kind, kind};
use super::sign_in::{SignIns, When};
use super::{Cell, Period, Report, Section, SectionKind, facts};
use crate::alert::{Key, Level, Quality, Verdict};
use crate::event::Format;
use crate::time::Timestamp;

/// Rows that one table has; further ones are counted.
pub const ROWS_KEPT: usize = 20_000;
/// Bytes of text that one table has; rows beyond are counted.
const BYTES_KEPT: usize = 16 << 20;
/// Keys that are named beside one rule.
const KEYS_NAMED: usize = 5;
/// Rules that alerts are summed by.
const RULES_MAX: usize = 5_000;

/// An alert, as far as a report tells of it.
#[derive(Debug, Clone)]
pub struct AlertFact {
    /// When it began.
    pub started_at: Timestamp,
    /// When it was seen last.
    pub last_at: Timestamp,
    /// Its rule's id.
    pub rule: String,
    /// Its rule's title.
    pub title: String,
    /// Its level.
    pub level: Level,
    /// What it is about.
    pub key: Key,
    /// What became of it.
    pub told: Told,
    /// What it turned out to be; none while it is not resolved.
    pub verdict: Option<Verdict>,
}

/// What became of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Told {
    /// It has no action.
    Nobody,
    /// Everything it set off was done.
    Done,
    /// Something is still to be done.
    Waiting,
    /// Something was given up.
    Failed,
}

impl Told {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Failed, "not delivered"),
        (Self::Waiting, "being delivered"),
        (Self::Done, "delivered"),
        (Self::Nobody, "without action"),
    ];
}

/// A delivery that did something to somebody, or that failed.
#[derive(Debug, Clone)]
pub struct ResponseFact {
    /// When it was set off.
    pub at: Timestamp,
    /// The action's name.
    pub action: String,
    /// In a word: done, rehearsed, failed.
    pub state: &'static str,
    /// In a sentence.
    pub result: String,
    /// The title of the alert's rule.
    pub title: String,
    /// The alert's key.
    pub about: String,
    /// The alert's id.
    pub alert: String,
}

/// Something that could not be seen.
#[derive(Debug, Clone)]
pub struct CoverageFact {
    /// From here on …
    pub from: Timestamp,
    /// … to here.
    pub to: Timestamp,
    /// In a word or two.
    pub what: String,
    /// The source.
    pub source: String,
    /// In a sentence.
    pub detail: String,
}

#[derive(Debug, Default)]
struct Table {
    count: u64,
    before: u64,
    rows: Vec<(Timestamp, Vec<Cell>)>,
    bytes: usize,
    left_out: u64,
}

impl Table {
    fn push(&mut self, at: Timestamp, row: Vec<Cell>) {
        self.count += 1;
        if self.rows.len() < ROWS_KEPT && self.bytes < BYTES_KEPT {
            self.bytes += row.iter().map(Cell::bytes).sum::<usize>();
            self.rows.push((at, row));
        } else {
            self.left_out += 1;
        }
    }
}

/// The alerts of one rule and level.
#[derive(Debug, Default)]
struct OfRule {
    title: String,
    count: u64,
    before: u64,
    last: Option<Timestamp>,
    keys: Vec<String>,
    keys_more: u64,
    told: BTreeMap<Told, u64>,
    quality: Quality,
}

/// A report while it is made.
#[derive(Debug)]
pub struct Draft {
    period: Period,
    before: Period,
    bounds: [Timestamp; 3],
    sections: Vec<SectionKind>,
    tables: BTreeMap<SectionKind, Table>,
    sign_ins: SignIns,
    alerts: BTreeMap<(std::cmp::Reverse<Level>, String), OfRule>,
}

impl Draft {
    /// Of a period, with these sections.
    #[must_use]
    pub fn new(period: Period, sections: &[SectionKind]) -> Self {
        let before = period.previous();
        let bounds = [before.start(), period.start(), period.end()];
        let sections = SectionKind::ALL.into_iter().filter(|kind| sections.contains(kind)).collect();
        let (tables, alerts) = (BTreeMap::new(), BTreeMap::new());
        Self { period, before, bounds, sections, tables, sign_ins: SignIns::default(), alerts }
    }

    /// What it is about.
    #[must_use]
    pub const fn period(&self) -> &Period {
        &self.period
    }

    /// What its numbers are compared with.
    #[must_use]
    pub const fn before(&self) -> &Period {
        &self.before
    }

    fn when(&self, at: Timestamp) -> Option<When> {
        let [before, start, end] = self.bounds;
        match at {
            at if at >= end => None,
            at if at >= start => Some(When::Now),
            at if at >= before => Some(When::Before),
            _ => Some(When::Earlier),
        }
    }

    /// Takes an event in its canonical form. Of events before the two periods only sign-ins count: their addresses are
    /// known then.
    pub fn event(&mut self, format: Format, time: Timestamp, event: &Map<String, Value>) {
        let Some(when) = self.when(time) else { return };
        let event_type = event.get("event_type").and_then(Value::as_str).unwrap_or_default();
        let found = kind(format, event_type).map(|kind| facts::settled(kind, event));
        let section = match found {
            Some(Kind::SignedIn | Kind::SignInFailed) => {
                self.sign_ins.add(when, found == Some(Kind::SignInFailed), event);
                None
            }
            Some(Kind::AccessGained | Kind::AccessChanged) => Some(SectionKind::AccessGained),
            Some(Kind::AccessLost) => Some(SectionKind::AccessLost),
            Some(Kind::TokensMade) => Some(SectionKind::TokensMade),
            Some(Kind::TokensRevoked) => Some(SectionKind::TokensRevoked),
            Some(Kind::Destructive) | None => None,
        };
        let is_destructive = found == Some(Kind::Destructive)
            || event.get("tier").and_then(Value::as_str) == Some("destructive");
        let also = is_destructive.then_some(SectionKind::Destructive);
        for section in section.into_iter().chain(also) {
            self.row(section, time, || facts::row(time, event));
        }
    }

    fn row(&mut self, section: SectionKind, at: Timestamp, row: impl FnOnce() -> Vec<Cell>) {
        match self.when(at) {
            Some(When::Now) => self.tables.entry(section).or_default().push(at, row()),
            Some(When::Before) => self.tables.entry(section).or_default().before += 1,
            Some(When::Earlier) | None => {}
        }
    }

    /// Takes an alert; it counts where it began.
    pub fn alert(&mut self, alert: &AlertFact) {
        let Some(when @ (When::Now | When::Before)) = self.when(alert.started_at) else { return };
        let key = (std::cmp::Reverse(alert.level), alert.rule.clone());
        if !self.alerts.contains_key(&key) && self.alerts.len() >= RULES_MAX {
            return;
        }
        let of_rule = self.alerts.entry(key).or_default();
        of_rule.title.clone_from(&alert.title);
        if when == When::Before {
            of_rule.before += 1;
            return;
        }
        of_rule.count += 1;
        of_rule.last = of_rule.last.max(Some(alert.last_at));
        *of_rule.told.entry(alert.told).or_default() += 1;
        of_rule.quality.add(alert.verdict, 1);
        let about = alert.key.to_string();
        if about.is_empty() || of_rule.keys.contains(&about) {
            return;
        }
        if of_rule.keys.len() < KEYS_NAMED {
            of_rule.keys.push(about);
        } else {
            of_rule.keys_more += 1;
        }
    }

    /// Takes a delivery.
    pub fn response(&mut self, fact: ResponseFact) {
        let ResponseFact { at, action, state, result, title, about, alert } = fact;
        let row = || {
            vec![
                at.into(),
                action.into(),
                state.into(),
                result.into(),
                title.into(),
                about.into(),
                alert.into(),
            ]
        };
        self.row(SectionKind::Responses, at, row);
    }

    /// Takes something that could not be seen; it belongs to each period that it touches.
    pub fn coverage(&mut self, fact: CoverageFact) {
        let [before, start, end] = self.bounds;
        let CoverageFact { from, to, what, source, detail } = fact;
        let touches = |since: Timestamp, until: Timestamp| from < until && to >= since;
        let table = self.tables.entry(SectionKind::Coverage).or_default();
        if touches(before, start) {
            table.before += 1;
        }
        if touches(start, end) {
            table.push(from, vec![from.into(), to.into(), what.into(), source.into(), detail.into()]);
        }
    }

    /// The report.
    #[must_use]
    pub fn finish(mut self, made_at: Timestamp) -> Report {
        let mut sections = Vec::new();
        for kind in std::mem::take(&mut self.sections) {
            sections.push(match kind {
                SectionKind::SignIns => std::mem::take(&mut self.sign_ins).section(),
                SectionKind::Alerts => alerts(std::mem::take(&mut self.alerts)),
                _ => section(kind, self.tables.remove(&kind).unwrap_or_default()),
            });
        }
        let (query, notes) = (String::new(), Vec::new());
        Report { name: None, period: self.period, made_at, query, events: None, notes, sections }
    }
}

fn section(kind: SectionKind, table: Table) -> Section {
    let Table { count, before, mut rows, left_out, .. } = table;
    rows.sort_by_key(|(at, _)| *at);
    let rows = rows.into_iter().map(|(_, row)| row).collect();
    Section { kind, count, before, part: None, rows, left_out }
}

/// How many were not resolved, how many were what, and the precision as `watchfire rules quality` has it.
fn verdicts(quality: &Quality) -> Vec<Cell> {
    let precision = match quality.judged() {
        0 => Cell::from(""),
        judged => Cell::Share(quality.count(Verdict::TruePositive), judged),
    };
    let counts = std::iter::once(quality.unresolved).chain(quality.verdicts);
    counts.map(Cell::Number).chain([precision]).collect()
}

/// The gravest first.
fn alerts(by_rule: BTreeMap<(std::cmp::Reverse<Level>, String), OfRule>) -> Section {
    let (mut count, mut before, mut rows) = (0, 0, Vec::new());
    for ((level, rule), of_rule) in by_rule {
        count += of_rule.count;
        before += of_rule.before;
        if of_rule.count == 0 {
            continue;
        }
        let mut about = of_rule.keys.join("; ");
        if of_rule.keys_more > 0 {
            about = format!("{about} and {} more", of_rule.keys_more);
        }
        let told = Told::ALL.iter().filter_map(|(told, words)| Some((of_rule.told.get(told)?, words)));
        let status: Vec<String> = told.map(|(count, words)| format!("{count} {words}")).collect();
        let mut row = vec![
            level.0.name().into(),
            of_rule.title.into(),
            rule.into(),
            of_rule.count.into(),
            of_rule.before.into(),
            about.into(),
            of_rule.last.map_or_else(|| "".into(), Cell::Time),
            status.join(", ").into(),
        ];
        row.extend(verdicts(&of_rule.quality));
        rows.push(row);
    }
    Section { kind: SectionKind::Alerts, count, before, part: None, rows, left_out: 0 }
}
