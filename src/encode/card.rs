//! A message as every service can show it: what happened, why it is told, what was done, what can be done.
//!
//! Chats, pagers and ticket systems are written from a card only. All its texts are one line without control or
//! direction-changing characters; what an event's author typed is in `subject`, `facts`, `rows` and `others`, and is escaped
//! for each service's markup by whoever writes it there.

use serde_json::Value;

use super::json::row_json;
use super::mail::{account, clean, colour, people, places, response, short, when};
use super::{Around, Link, Notice, Notification, Other};
use crate::alert::{AlertState, Level, Occasion, Triage};
use crate::time::Timestamp;

/// Rows of evidence that a card has at most; services with less room show fewer.
const ROWS_MAX: usize = 20;
/// Further alerts that are named.
const OTHERS_MAX: usize = 20;
const TITLE_CHARS_MAX: usize = 200;
const VALUE_CHARS_MAX: usize = 200;
const TEXT_CHARS_MAX: usize = 1_000;
const URL_CHARS_MAX: usize = 2_000;
/// Of an id: enough to name it on the command line.
pub(super) const SHORT_CHARS: usize = 8;
/// Of a user's own text.
const LINES_MAX: usize = 30;

/// Whether it still matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It waits for somebody.
    Firing,
    /// Somebody looks into it.
    Acknowledged,
    /// It is over.
    Resolved,
}

/// One message, whatever its receiver.
#[derive(Debug, Clone, PartialEq)]
pub struct Card {
    /// Why an alert is told; none: it is a notice.
    pub occasion: Option<Occasion>,
    /// `alert`, or the notice's kind.
    pub kind: String,
    /// Whether it still matters.
    pub status: Status,
    /// How urgent it is.
    pub level: Level,
    /// The rule's title after what has come of the alert, or the notice's.
    pub title: String,
    /// Whom and what the alert is about: `author_id = 7 (Alice)`. Written by the event's author.
    pub subject: Option<String>,
    /// One sentence on why it is told.
    pub why: String,
    /// What the rule's author says to it, or the notice's lines.
    pub lines: Vec<String>,
    /// Names and values. Written by the event's author.
    pub facts: Vec<(String, String)>,
    /// What the alert's responses did: the standing in a word, what, and how to undo it.
    pub done: Vec<Deed>,
    /// The first events. Written by their author.
    pub rows: Vec<Row>,
    /// How many events there are beside them.
    pub rows_more: u64,
    /// Alerts that are told in the same message, one line each.
    pub others: Vec<String>,
    /// How many there are beside them.
    pub others_more: usize,
    /// Where to read and what to press; only `http` and `https`.
    pub links: Vec<Link>,
    /// What to type to see more.
    pub command: Option<String>,
    /// The rule's id.
    pub rule: Option<String>,
    /// The alert's key.
    pub key: Vec<(String, String)>,
    /// The same for all that is told of one alert: the key by which services take several messages for one.
    pub id: String,
    /// The same for every try of this message, different for every other one.
    pub idempotency_key: String,
    /// What the same service was made to say when it was last told of this alert.
    pub earlier: Option<String>,
    /// When it began, or was written.
    pub at: Timestamp,
}

/// What a response did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    /// `DONE`, `FAILED, ACT BY HAND` …
    pub word: String,
    /// The action and what it says.
    pub text: String,
    /// How to undo it, a line each.
    pub undo: Vec<String>,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// `2026-01-31 09:00:00`, in UTC.
    pub time: String,
    /// The rest of what is known, from the event's type to the address, without what is empty.
    pub parts: Vec<String>,
}

impl Row {
    /// On one line.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{}  {}", self.time, self.parts.join("  "))
    }
}

impl Card {
    /// Of an alert.
    #[must_use]
    pub fn of(notification: &Notification) -> Self {
        let Notification { occasion, alert, triage, others, events, .. } = notification;
        let rows: Vec<Row> = events.iter().take(ROWS_MAX).map(|event| row(&row_json(event))).collect();
        let shown = u64::try_from(rows.len()).unwrap_or(u64::MAX);
        let name = account(events).map_or_else(String::new, |name| format!(" ({name})"));
        let subject = clean(&format!("{}{name}", alert.key), TITLE_CHARS_MAX);
        let links = notification.rule.references.iter();
        let links = links.enumerate().map(|(n, url)| Link { label: read_label(n), url: url.clone() });
        Self {
            occasion: Some(*occasion),
            kind: "alert".to_owned(),
            status: status(triage.state),
            level: alert.level,
            title: clean(&format!("{}{}", before(*occasion, triage), alert.title), TITLE_CHARS_MAX),
            subject: Some(subject).filter(|subject| !subject.is_empty()),
            why: clean(&alert.reason, TEXT_CHARS_MAX),
            lines: notification.rule.description.iter().map(|text| clean(text, TEXT_CHARS_MAX)).collect(),
            facts: facts(notification),
            done: notification.responses.iter().map(|told| deed(&response(told))).collect(),
            rows,
            rows_more: alert.evidence_count.saturating_sub(shown),
            others: others.iter().take(OTHERS_MAX).map(other).collect(),
            others_more: others.len().saturating_sub(OTHERS_MAX),
            links: links.filter(is_web).collect(),
            command: Some(format!("watchfire alert {}", short(&alert.id))),
            rule: Some(clean(&alert.rule, VALUE_CHARS_MAX)),
            key: alert
                .key
                .0
                .iter()
                .map(|(name, value)| (name.clone(), clean(value, VALUE_CHARS_MAX)))
                .collect(),
            id: alert.id.0.clone(),
            idempotency_key: notification.idempotency_key.clone(),
            earlier: notification.earlier.clone(),
            at: alert.started_at,
        }
    }

    /// Of what is no alert, under this idempotency key.
    #[must_use]
    pub fn of_notice(notice: &Notice, key: &str) -> Self {
        Self {
            occasion: None,
            kind: clean(&notice.kind, VALUE_CHARS_MAX),
            status: Status::Firing,
            level: notice.level,
            title: clean(&notice.title, TITLE_CHARS_MAX),
            subject: None,
            why: String::new(),
            lines: Vec::new(),
            facts: notice.lines.iter().map(|line| fact(line)).collect(),
            done: Vec::new(),
            rows: Vec::new(),
            rows_more: 0,
            others: Vec::new(),
            others_more: 0,
            links: notice.links.iter().filter(|link| is_web(link)).cloned().collect(),
            command: notice.alert.as_ref().map(|id| format!("watchfire alert {}", short(id))),
            rule: None,
            key: Vec::new(),
            // What is pressed in a pager for an alert must not close a notice about it.
            id: format!("notice-{key}"),
            idempotency_key: key.to_owned(),
            earlier: None,
            at: notice.at,
        }
    }

    /// Why it is told: what is said first.
    pub fn reasons(&self) -> impl Iterator<Item = &String> {
        let own = self.why.is_empty().then_some(&self.lines);
        Some(&self.why).filter(|why| !why.is_empty()).into_iter().chain(own.into_iter().flatten())
    }

    /// What the rule's author says to it, of which people need less than of what has happened.
    pub fn advice(&self) -> impl Iterator<Item = &String> {
        (!self.why.is_empty()).then_some(&self.lines).into_iter().flatten()
    }

    /// `HIGH One account clones many projects`: what our own rules and people wrote.
    #[must_use]
    pub fn heading(&self) -> String {
        format!("{} {}", self.level.name().to_uppercase(), self.title)
    }

    /// What the alert is about, in lines of `name: value` for a message about something else.
    #[must_use]
    pub fn gist(&self) -> Vec<String> {
        let facts =
            self.facts.iter().filter(|(name, _)| ["Who", "When (UTC)", "Where"].contains(&name.as_str()));
        let pairs = facts.map(|(name, value)| format!("{name}: {value}"));
        [format!("Alert: {}", self.heading()), format!("Why: {}", self.why)]
            .into_iter()
            .chain(pairs)
            .collect()
    }

    /// The heading and whom it is about, at most so many characters: one line for services that have no more.
    #[must_use]
    pub fn headline(&self, chars_max: usize) -> String {
        let subject = self.subject.as_ref().map_or_else(String::new, |subject| format!(": {subject}"));
        clean(&format!("{}{subject}", self.heading()), chars_max)
    }

    /// Another title; it is cleaned as every text is.
    pub fn retitle(&mut self, title: &str) {
        self.title = clean(title, TITLE_CHARS_MAX);
    }

    /// Another reason, of several lines if need be, in place of the rule's.
    pub fn reword(&mut self, text: &str) {
        self.why = String::new();
        self.lines = text.lines().map(|line| clean(line, TEXT_CHARS_MAX)).take(LINES_MAX).collect();
    }

    /// `#b83a0b`: of its level, or green once it is over.
    #[must_use]
    pub const fn colour(&self) -> &'static str {
        match self.status {
            Status::Resolved => "#2f6b3a",
            Status::Firing | Status::Acknowledged => colour(self.level),
        }
    }

    /// The last line: by what people and programs know it again.
    #[must_use]
    pub fn foot(&self) -> String {
        match self.occasion {
            Some(occasion) => format!("Watchfire alert {} ({occasion})", self.id, occasion = occasion.name()),
            None => format!("Watchfire {} {}", self.kind, self.id),
        }
    }
}

/// What is said before an alert's title, of what has come of it.
pub(super) fn before(occasion: Occasion, triage: &Triage) -> String {
    let by = triage.changed_by.as_ref().map_or_else(String::new, |who| format!(" by {who}"));
    match occasion {
        Occasion::Opened => String::new(),
        Occasion::Reminder => "Still not acknowledged: ".to_owned(),
        Occasion::Escalated => "Escalated, nobody has acknowledged it: ".to_owned(),
        Occasion::Acknowledged => format!("Acknowledged{by}: "),
        Occasion::Resolved => {
            let verdict = triage.verdict.map(|verdict| verdict.name().replace('_', " "));
            let verdict = verdict.map_or_else(String::new, |verdict| format!(", {verdict}"));
            format!("Resolved{by}{verdict}: ")
        }
        Occasion::Reopened => format!("Reopened{by}: "),
        Occasion::Undo => "To be undone: ".to_owned(),
    }
}

const fn status(state: AlertState) -> Status {
    match state {
        AlertState::Open => Status::Firing,
        AlertState::Acknowledged => Status::Acknowledged,
        AlertState::Resolved => Status::Resolved,
    }
}

fn facts(notification: &Notification) -> Vec<(String, String)> {
    let Notification { alert, triage, events, .. } = notification;
    let mut facts = Vec::new();
    let mut add = |name: &str, value: String| facts.push((name.to_owned(), clean(&value, VALUE_CHARS_MAX)));
    let (people, people_more) = people(events);
    for person in &people {
        add("Who", who(person));
    }
    if people_more > 0 {
        add("Who", format!("and {people_more} more"));
    }
    add("When (UTC)", when(alert));
    let (places, places_more) = places(events);
    if !places.is_empty() {
        let more = if places_more > 0 { format!(" and {places_more} more") } else { String::new() };
        add("Where", format!("{}{more}", places.join(", ")));
    }
    add("Events", alert.evidence_count.to_string());
    if alert.findings > 1 {
        add("Findings", alert.findings.to_string());
    }
    if let Some(around) = &notification.incident {
        add("What else", what_else(around));
    }
    let said = [("Assigned to", &triage.assignee), ("Note", &triage.note)];
    for (name, value) in said {
        if let Some(value) = value {
            add(name, value.clone());
        }
    }
    let tags = if alert.tags.is_empty() { String::new() } else { format!(" ({})", alert.tags.join(", ")) };
    add("Rule", format!("{}{tags}", alert.rule));
    facts
}

/// `3 alerts about author_id = 7 at gitlab, the gravest: HIGH A token burst and 1 more rule (incident 7c1e09ab)`.
pub(super) fn what_else(around: &Around) -> String {
    let Around { id, about, alerts, level, title } = around;
    let (level, id) = (level.name().to_uppercase(), id.chars().take(SHORT_CHARS).collect::<String>());
    let alerts = match *alerts {
        counted if counted <= Around::ALERTS_MAX => counted.to_string(),
        _ => format!("more than {}", Around::ALERTS_MAX),
    };
    format!("{alerts} alerts about {about}, the gravest: {level} {title} (incident {id})")
}

fn who(person: &Value) -> String {
    let text = |name: &str| person.get(name).and_then(Value::as_str).unwrap_or_default();
    let mut said = if text("name").is_empty() { "(no name)".to_owned() } else { text("name").to_owned() };
    for (before, name) in [(", id ", "id"), (", ", "class"), (" from ", "from")] {
        if !text(name).is_empty() {
            said.push_str(&format!("{before}{}", text(name)));
        }
    }
    match person.get("from_more").and_then(Value::as_u64) {
        Some(more) if more > 0 => format!("{said} and {more} more"),
        _ => said,
    }
}

/// A notice's line is a sentence, or a name and a value.
fn fact(line: &str) -> (String, String) {
    match line.split_once(": ") {
        Some((name, value)) if name.chars().count() <= 40 => {
            (clean(name, VALUE_CHARS_MAX), clean(value, TEXT_CHARS_MAX))
        }
        _ => (String::new(), clean(line, TEXT_CHARS_MAX)),
    }
}

fn row(json: &Value) -> Row {
    let text =
        |name: &str| clean(json.get(name).and_then(Value::as_str).unwrap_or_default(), VALUE_CHARS_MAX);
    let parts = ["event_type", "entity", "target", "ip"].map(text);
    Row { time: text("time"), parts: parts.into_iter().filter(|part| !part.is_empty()).collect() }
}

fn deed(json: &Value) -> Deed {
    let text = |name: &str| json.get(name).and_then(Value::as_str).unwrap_or_default();
    let summary = if text("summary").is_empty() { String::new() } else { format!(": {}", text("summary")) };
    let undo = json.get("undo").and_then(Value::as_array).into_iter().flatten();
    Deed {
        word: text("word").to_owned(),
        text: format!("{}{summary}", text("action")),
        undo: undo.filter_map(|line| line.as_str().map(str::to_owned)).collect(),
    }
}

pub(super) fn other(Other { alert, triage, .. }: &Other) -> String {
    let state = match triage.state {
        AlertState::Open => "",
        AlertState::Acknowledged => "acknowledged: ",
        AlertState::Resolved => "resolved: ",
    };
    let key = if alert.key.0.is_empty() { String::new() } else { format!(": {}", alert.key) };
    let level = alert.level.name().to_uppercase();
    clean(&format!("{level} {state}{}{key} ({})", alert.title, alert.id), VALUE_CHARS_MAX)
}

fn read_label(n: usize) -> String {
    if n == 0 { "Read about it".to_owned() } else { format!("Read about it ({})", n + 1) }
}

/// Only what a browser opens; other schemes start programs.
fn is_web(link: &Link) -> bool {
    let is_short =
        link.url.len() <= URL_CHARS_MAX && !link.url.contains(|c: char| c.is_control() || c.is_whitespace());
    is_short && (link.url.starts_with("https://") || link.url.starts_with("http://"))
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::{self, notification};
    use super::*;
    use crate::alert::{AlertId, Verdict};

    #[test]
    fn a_card_says_what_there_is_to_know() {
        let card = Card::of(&notification());
        assert_eq!(
            card.headline(200),
            "HIGH One account clones many projects: author_id = 7 (alice <alice@example.com>)"
        );
        assert_eq!((card.rows.len(), card.rows_more, card.status), (20, 5, Status::Firing));
        let facts: Vec<_> = card.facts.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        assert_eq!(
            facts,
            [
                "Who: alice <alice@example.com>, id 7, User from 203.0.113.9",
                "When (UTC): 2026-01-31 09:00:00 to 09:08:00",
                "Where: shop/project-0, shop/project-1, shop/project-2 and 19 more",
                "Events: 25",
                "Findings: 3",
                "Rule: gitlab-mass-clone (attack.t1213.003)",
            ]
        );
        assert_eq!(card.done[1].text, "ticket: POST https://tickets answered 500");
        assert_eq!(card.links[0].url, "https://attack.mitre.org/techniques/T1213/003/");
        assert_eq!(card.foot(), "Watchfire alert 0123456789abcdef0123456789abcdef (opened)");
        let gist = card.gist();
        assert_eq!(gist.len(), 5, "{gist:?}");
        assert_eq!(gist[0], "Alert: HIGH One account clones many projects");
    }

    #[test]
    fn what_else_there_is_and_what_a_user_wrote_is_told() {
        let incident = Some(tests_support::around());
        let mut card = Card::of(&Notification { incident, ..notification() });
        let said =
            "3 alerts about author_id = 7 at gitlab, the gravest: CRITICAL A token burst (incident 7c1e09ab)";
        assert!(card.facts.contains(&("What else".to_owned(), said.to_owned())), "{:?}", card.facts);
        let many = Around { alerts: Around::ALERTS_MAX + 1, ..tests_support::around() };
        assert!(what_else(&many).starts_with("more than 1000 alerts about"), "{}", what_else(&many));
        let texts = |lines: &mut dyn Iterator<Item = &String>| lines.cloned().collect::<Vec<_>>();
        assert_eq!(texts(&mut card.reasons()), ["22 different entity_id within 10m, at least 20"]);
        assert_eq!(
            texts(&mut card.advice()),
            ["Someone copies far more projects in ten minutes than a person reads."]
        );
        card.reword("one\ntwo");
        assert_eq!((texts(&mut card.reasons()).len(), texts(&mut card.advice()).len()), (2, 0));
    }

    #[test]
    fn every_occasion_is_told_in_the_title() {
        let mut notification = notification();
        notification.triage.changed_by = Some("bob".into());
        notification.triage.verdict = Some(Verdict::FalsePositive);
        let titles: Vec<String> = Occasion::ALL
            .into_iter()
            .map(|occasion| Card::of(&Notification { occasion, ..notification.clone() }).title)
            .collect();
        assert_eq!(titles.iter().collect::<std::collections::BTreeSet<_>>().len(), Occasion::ALL.len());
        assert!(
            titles.contains(&"Resolved by bob, false positive: One account clones many projects".to_owned())
        );
    }

    #[test]
    fn a_notice_is_a_card_with_an_id_of_its_own() {
        let link = |url: &str| Link { label: "Approve".into(), url: url.into() };
        let notice = Notice {
            kind: "approval".into(),
            title: "Approval wanted".into(),
            level: Level::High,
            lines: vec!["rule: r".into(), "It expires.".into()],
            links: vec![link("https://w.example/a"), link("javascript:alert(1)"), link("https://a b")],
            alert: Some(AlertId("0123".into())),
            at: Timestamp(0),
        };
        let card = Card::of_notice(&notice, "key");
        assert_eq!(card.id, "notice-key");
        assert_eq!(card.facts, [("rule".into(), "r".into()), (String::new(), "It expires.".into())]);
        assert_eq!(card.links.len(), 1);
    }

    #[test]
    fn several_alerts_fit_one_card() {
        let mut notification = notification();
        notification.others = vec![tests_support::other(notification.alert.clone()); 30];
        let card = Card::of(&notification);
        assert_eq!((card.others.len(), card.others_more), (20, 10));
        assert!(card.others[0].starts_with("HIGH One account clones many projects: author_id = 7"));
    }
}
