//! What the demo's terminal shows: plain lines with a status line beneath that is written over in place.
//!
//! A formatter that is told what happened and writes to whatever it is given. No alternate screen: the story
//! stays in the terminal's history.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::Report;
use super::organisation::SimUser;
use crate::alert::{Alert, AlertId, Level};
use crate::store::Outcome;
use crate::time::{Span, Timestamp};

/// Something to show.
#[derive(Debug, Clone)]
pub enum DemoEvent {
    /// Everything runs; the story begins.
    Started(Places),
    /// The daemon has accepted events.
    Received {
        /// How many so far.
        count: u64,
        /// The newest one's simulated time.
        at: Timestamp,
        /// What the machine's clock says, for the rate.
        now: Timestamp,
    },
    /// An alert was raised or has changed; shown the first time.
    Alert(Box<Alert>),
    /// One of an alert's actions has ended.
    Delivered {
        /// Whose.
        alert: AlertId,
        /// Its configured name.
        action: String,
        /// What it did, or why it failed.
        outcome: Result<Outcome, String>,
    },
    /// A mail has arrived at the mail sink.
    Mail {
        /// Its recipients.
        to: Vec<String>,
        /// Its subject.
        subject: String,
        /// The file to open.
        open: PathBuf,
    },
    /// An account's state, as the stand-in has it.
    Blocked {
        /// The account.
        user: i64,
        /// The state's name in the API.
        state: &'static str,
    },
    /// The story is over.
    Finished(Box<Report>),
}

/// What runs where.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// Where the daemon takes events.
    pub ingest: String,
    /// The stand-in of GitLab's API.
    pub gitlab: String,
    /// Where mails are put.
    pub mails: PathBuf,
    /// The daemon's data.
    pub data: PathBuf,
    /// The daemon's configuration.
    pub config: PathBuf,
    /// The daemon's metrics.
    pub metrics: String,
}

/// What the terminal can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Style {
    /// ANSI colours; off with `NO_COLOR` and where the output is no terminal.
    pub colour: bool,
    /// The status line may be written over; off where the output is no terminal.
    pub in_place: bool,
}

/// Shows a demo.
#[derive(Debug)]
pub struct Screen {
    style: Style,
    people: BTreeMap<i64, String>,
    /// Number and title of each alert shown.
    alerts: BTreeMap<AlertId, usize>,
    blocked: BTreeMap<i64, &'static str>,
    status: Status,
}

#[derive(Debug, Default)]
struct Status {
    count: u64,
    at: Timestamp,
    /// The first count and clock, and the clock of the last time it was drawn.
    begun: Option<(u64, Timestamp)>,
    now: Timestamp,
    drawn: Option<Timestamp>,
    visible: bool,
}

/// The status line is drawn at most this often.
const REDRAW: Span = Span::millis(100);
const WIDTH: usize = 78;

impl Screen {
    /// For these accounts, whose names are shown instead of their numbers.
    #[must_use]
    pub fn new(users: &[SimUser], style: Style) -> Self {
        let people = users.iter().map(|user| (user.id, format!("{} (@{})", user.name, user.username)));
        Self {
            style,
            people: people.collect(),
            alerts: BTreeMap::new(),
            blocked: BTreeMap::new(),
            status: Status::default(),
        }
    }

    /// Shows one thing.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn show(&mut self, event: &DemoEvent, out: &mut dyn Write) -> io::Result<()> {
        let block = match event {
            DemoEvent::Received { count, at, now } => return self.received(*count, *at, *now, out),
            DemoEvent::Started(places) => self.header(places),
            DemoEvent::Alert(alert) => self.alert(alert),
            DemoEvent::Delivered { alert, action, outcome } => self.delivered(alert, action, outcome),
            DemoEvent::Mail { to, subject, open } => self.mail(&to.join(", "), subject, open),
            DemoEvent::Blocked { user, state } => self.blocked(*user, state),
            DemoEvent::Finished(report) => self.summary(report),
        };
        if block.is_empty() {
            return Ok(());
        }
        self.wipe(out)?;
        out.write_all(block.as_bytes())?;
        if !matches!(event, DemoEvent::Started(_) | DemoEvent::Finished(_)) {
            self.draw(out)?;
        }
        out.flush()
    }

    fn received(&mut self, count: u64, at: Timestamp, now: Timestamp, out: &mut dyn Write) -> io::Result<()> {
        let status = &mut self.status;
        (status.count, status.at, status.now) = (count, at, now);
        status.begun.get_or_insert((count, now));
        if status.drawn.is_some_and(|drawn| now.since(drawn) < REDRAW) {
            return Ok(());
        }
        status.drawn = Some(now);
        self.wipe(out)?;
        self.draw(out)?;
        out.flush()
    }

    fn wipe(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if std::mem::take(&mut self.status.visible) { out.write_all(b"\r\x1b[2K") } else { Ok(()) }
    }

    fn draw(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if !self.style.in_place || self.status.begun.is_none() {
            return Ok(());
        }
        self.status.visible = true;
        let line = self.status_line();
        out.write_all(self.paint(&line, DIM).as_bytes())
    }

    fn status_line(&self) -> String {
        let status = &self.status;
        let (first, begun) = status.begun.unwrap_or_default();
        let millis = status.now.since(begun).0.max(1);
        let rate = u128::from(status.count - first.min(status.count)) * 1000 / millis.unsigned_abs() as u128;
        let (time, events) = (day_and_time(status.at), status.count);
        let (alerts, blocked) = (counted(self.alerts.len() as u64, "alert"), self.blocked.len());
        format!("{time}  {}  {rate}/s  {alerts}  {blocked} blocked", counted(events, "event"))
    }

    fn header(&self, places: &Places) -> String {
        let mut text = format!("{}\n\n", self.paint("Watchfire: a week at a simulated company", BOLD));
        let rows = [
            ("daemon takes events at", places.ingest.clone()),
            ("stand-in GitLab API at", places.gitlab.clone()),
            ("mails are put into", places.mails.display().to_string()),
            ("data is in", places.data.display().to_string()),
            ("configuration is", places.config.display().to_string()),
        ];
        for (what, place) in rows.iter().filter(|(_, place)| !place.is_empty()) {
            line(&mut text, format_args!("  {what:<24}{place}"));
        }
        text.push('\n');
        text
    }

    fn alert(&mut self, alert: &Alert) -> String {
        if alert.merged_into.is_some() || self.alerts.contains_key(&alert.id) {
            return String::new();
        }
        let number = self.alerts.len() + 1;
        self.alerts.insert(alert.id.clone(), number);
        let level =
            self.paint(&format!(" {} ", alert.level.name().to_uppercase()), level_colour(alert.level));
        let title = self.paint(&plain(&alert.title), BOLD);
        let mut text = String::from("\n");
        line(&mut text, format_args!("{} {level} alert {number}: {title}", day_and_time(alert.last_at)));
        line(&mut text, format_args!("   who    {}", self.who(alert)));
        line(&mut text, format_args!("   why    {}", wrap(&plain(&alert.reason), WIDTH - 10, "          ")));
        let evidence = counted(alert.evidence_count, "event");
        line(&mut text, format_args!("   rule   {} ({evidence})", plain(&alert.rule)));
        text
    }

    fn who(&self, alert: &Alert) -> String {
        let author = alert.key.get("author_id").and_then(|id| id.parse().ok());
        match author.and_then(|id: i64| self.people.get(&id).map(|name| (id, name))) {
            Some((id, name)) => format!("{name}, user {id}"),
            None => plain(&alert.key.to_string()),
        }
    }

    fn delivered(&self, alert: &AlertId, action: &str, outcome: &Result<Outcome, String>) -> String {
        let of = self.alerts.get(alert).map_or_else(String::new, |number| format!(" of alert {number}"));
        let (mark, colour, text) = match outcome {
            Ok(outcome) if outcome.needs_human => ("asks  ", YELLOW, &outcome.summary),
            Ok(outcome) if outcome.dry_run => ("would ", YELLOW, &outcome.summary),
            Ok(outcome) => ("done  ", GREEN, &outcome.summary),
            Err(reason) => ("failed", RED, reason),
        };
        let action = plain(action);
        let text = wrap(&plain(text), WIDTH - 10, "          ");
        let mut block = String::new();
        line(&mut block, format_args!("   {} {action}{of}: {text}", self.paint(mark, colour)));
        // The first of several ways, on one line so that it can be copied; the mail has them all.
        if let Some(undo) = outcome.as_ref().ok().and_then(|outcome| outcome.undo.as_deref()?.lines().next())
        {
            line(&mut block, format_args!("          undo: {}", plain(undo)));
        }
        block
    }

    fn mail(&self, to: &str, subject: &str, open: &Path) -> String {
        let (mark, to) = (self.paint("mail  ", CYAN), plain(to));
        let subject = wrap(&plain(subject), WIDTH - 10, "          ");
        format!("   {mark} to {to}\n          {subject}\n          open {}\n", open.display())
    }

    fn blocked(&mut self, user: i64, state: &'static str) -> String {
        if self.blocked.insert(user, state) == Some(state) {
            return String::new();
        }
        let name = self.people.get(&user).cloned().unwrap_or_else(|| format!("user {user}"));
        format!("   {} {name}, user {user}; GitLab now says: {state}\n", self.paint("state ", MAGENTA))
    }

    fn summary(&self, report: &Report) -> String {
        let mut text = format!("\n{}\n\n", self.paint("What was planted, and what was caught", BOLD));
        for found in &report.planted {
            let mark = if found.caught { self.paint("caught", GREEN) } else { self.paint("MISSED", RED) };
            let name = self.people.get(&found.author_id).map_or("", String::as_str);
            let rule = found.rule.as_deref().unwrap_or("no alert");
            line(&mut text, format_args!("  {mark}  {:<36}{name}", found.name));
            line(&mut text, format_args!("          {}", self.paint(rule, DIM)));
        }
        let blocked = report.blocked.len();
        line(
            &mut text,
            format_args!(
                "
  {}, {} ({} unplanned), {blocked} blocked",
                counted(report.events, "event"),
                counted(report.alerts, "alert"),
                report.unplanned_alerts
            ),
        );
        let (mails, webhooks) = (counted(report.mails, "mail"), counted(report.webhooks, "webhook"));
        line(
            &mut text,
            format_args!("  {mails}, {webhooks}, {} forwarded", counted(report.forwarded, "event")),
        );
        text
    }

    fn paint(&self, text: &str, colour: &str) -> String {
        if self.style.colour { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const MAGENTA: &str = "35";
const CYAN: &str = "36";

const fn level_colour(level: Level) -> &'static str {
    match level {
        Level::Informational => "30;47",
        Level::Low => "30;46",
        Level::Medium => "30;43",
        Level::High => "97;41",
        Level::Critical => "1;97;45",
    }
}

/// Adds a line; blanks at its end go.
fn line(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.push_str(what.to_string().trim_end());
    text.push('\n');
}

/// `1 alert`, `2 alerts`.
fn counted(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// Names and messages come from whoever sent the event: no control character reaches the terminal.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// `Mon 02 Mar 14:07`.
fn day_and_time(at: Timestamp) -> String {
    let civil = at.civil();
    civil.strftime("%a %d %b %H:%M").to_string()
}

/// Breaks between words; the following lines begin with the indent.
fn wrap(text: &str, width: usize, indent: &str) -> String {
    let mut out = String::new();
    let mut used = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if used > 0 && used + 1 + length > width {
            out.push('\n');
            out.push_str(indent);
            used = 0;
        } else if used > 0 {
            out.push(' ');
            used += 1;
        }
        out.push_str(word);
        used += length;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::AccountState;
    use super::super::report::Found;
    use super::*;
    use crate::alert::Key;

    const PLAIN: Style = Style { colour: false, in_place: false };
    const FULL: Style = Style { colour: true, in_place: true };

    fn user() -> SimUser {
        SimUser {
            id: 30,
            username: "ada.adler".into(),
            name: "Ada Adler".into(),
            is_admin: false,
            bot: false,
            state: AccountState::Active,
        }
    }

    fn alert(reason: &str) -> Alert {
        let at = Timestamp::parse("2026-03-03T02:48:00Z").unwrap();
        Alert {
            id: AlertId("a1".into()),
            rule: "gitlab-mass-clone".into(),
            title: "One account clones many projects".into(),
            level: Level::High,
            tags: Vec::new(),
            key: Key(vec![("author_id".into(), "30".into())]),
            started_at: at,
            last_at: at,
            position: 1,
            findings: 1,
            value: 20.0,
            reason: reason.into(),
            evidence: vec![1],
            evidence_count: 20,
            merged_into: None,
        }
    }

    fn shown(style: Style, events: &[DemoEvent]) -> String {
        let mut out = Vec::new();
        let mut screen = Screen::new(&[user()], style);
        for event in events {
            screen.show(event, &mut out).unwrap();
        }
        String::from_utf8(out).unwrap()
    }

    fn story() -> Vec<DemoEvent> {
        let outcome = |summary: &str, undo: Option<&str>| Outcome {
            changed: true,
            dry_run: false,
            summary: summary.into(),
            undo: undo.map(str::to_owned),
            needs_human: false,
        };
        let at = Timestamp::parse("2026-03-03T02:48:00Z").unwrap();
        let report = Report {
            events: 18_000,
            planted: vec![
                Found {
                    name: "mass-clone",
                    author_id: 30,
                    caught: true,
                    rule: Some("gitlab-mass-clone".into()),
                },
                Found { name: "audit-stream-deleted", author_id: 31, caught: false, rule: None },
            ],
            alerts: 1,
            unplanned_alerts: 0,
            blocked: vec![30],
            mails: 1,
            webhooks: 0,
            forwarded: 18_000,
        };
        vec![
            DemoEvent::Started(Places {
                ingest: "http://127.0.0.1:1/ingest/gitlab".into(),
                gitlab: "http://127.0.0.1:2".into(),
                mails: "/tmp/d/mails".into(),
                ..Places::default()
            }),
            DemoEvent::Received { count: 1, at, now: Timestamp(0) },
            DemoEvent::Received { count: 401, at, now: Timestamp(2000) },
            DemoEvent::Alert(Box::new(alert(
                "20 different entity_id within 10m, at least 20 are too many; the usual number for this account is 2",
            ))),
            DemoEvent::Alert(Box::new(alert("again"))),
            DemoEvent::Delivered {
                alert: AlertId("a1".into()),
                action: "block-author".into(),
                outcome: Ok(outcome(
                    "blocked user 30 (ada.adler); read back: blocked",
                    Some("POST /users/30/unblock"),
                )),
            },
            DemoEvent::Blocked { user: 30, state: "blocked" },
            DemoEvent::Blocked { user: 30, state: "blocked" },
            DemoEvent::Delivered {
                alert: AlertId("a1".into()),
                action: "hook".into(),
                outcome: Err("503".into()),
            },
            DemoEvent::Mail {
                to: vec!["secops@example.com".into()],
                subject: "[high] One account clones many projects".into(),
                open: "/tmp/d/mails/001.html".into(),
            },
            DemoEvent::Finished(Box::new(report)),
        ]
    }

    #[test]
    fn without_a_terminal_the_story_is_plain_lines() {
        let text = shown(PLAIN, &story());
        assert!(!text.contains('\x1b') && !text.contains('\r'));
        insta::assert_snapshot!(text, @"
        Watchfire: a week at a simulated company

          daemon takes events at  http://127.0.0.1:1/ingest/gitlab
          stand-in GitLab API at  http://127.0.0.1:2
          mails are put into      /tmp/d/mails


        Tue 03 Mar 02:48  HIGH  alert 1: One account clones many projects
           who    Ada Adler (@ada.adler), user 30
           why    20 different entity_id within 10m, at least 20 are too many; the
                  usual number for this account is 2
           rule   gitlab-mass-clone (20 events)
           done   block-author of alert 1: blocked user 30 (ada.adler); read back: blocked
                  undo: POST /users/30/unblock
           state  Ada Adler (@ada.adler), user 30; GitLab now says: blocked
           failed hook of alert 1: 503
           mail   to secops@example.com
                  [high] One account clones many projects
                  open /tmp/d/mails/001.html

        What was planted, and what was caught

          caught  mass-clone                          Ada Adler (@ada.adler)
                  gitlab-mass-clone
          MISSED  audit-stream-deleted
                  no alert

          18000 events, 1 alert (0 unplanned), 1 blocked
          1 mail, 0 webhooks, 18000 events forwarded
        ");
    }

    #[test]
    fn in_a_terminal_the_status_line_is_replaced_and_coloured() {
        let text = shown(FULL, &story()[1..4]);
        assert!(text.contains("Tue 03 Mar 02:48  401 events  200/s  0 alerts  0 blocked"));
        assert!(text.contains("\r\x1b[2K\nTue 03 Mar 02:48 \x1b[97;41m HIGH \x1b[0m alert 1"));
        assert!(text.contains("1 alert "), "drawn again beneath the alert");
    }

    #[test]
    fn the_status_line_is_drawn_ten_times_a_second_at_most() {
        let at = Timestamp(0);
        let quick: Vec<DemoEvent> =
            (0..100).map(|n| DemoEvent::Received { count: n, at, now: Timestamp(n as i64 * 10) }).collect();
        assert_eq!(shown(FULL, &quick).matches("events").count(), 10);
    }

    #[test]
    fn an_events_text_cannot_steer_the_terminal() {
        let text = shown(FULL, &[DemoEvent::Alert(Box::new(alert("red \x1b[31m\u{9b}2J\r\nnew line")))]);
        assert!(text.contains("red [31m 2J new line"), "{text:?}");
    }
}
