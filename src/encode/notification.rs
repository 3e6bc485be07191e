//! All that an action is told about an alert.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::alert::{Alert, Level, Occasion, Triage};
use crate::event::{Event, Format};

/// What a rule's file says to the people who get its alerts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleText {
    /// `description`.
    pub description: Option<String>,
    /// `references`.
    pub references: Vec<String>,
    /// `falsepositives`.
    pub falsepositives: Vec<String>,
    /// The fingerprint of its meaning, in hex; none while it is not loaded.
    pub version: Option<String>,
    /// `dry_run`: responses to its alerts only rehearse.
    pub dry_run: bool,
}

/// Where an event happened, and how it is written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The system.
    pub forge: Arc<str>,
    /// The form.
    pub format: Format,
}

impl From<&Event> for Place {
    fn from(event: &Event) -> Self {
        Self { forge: Arc::clone(&event.forge), format: event.format }
    }
}

/// One alert on its way to one action.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    /// Why it is told now.
    pub occasion: Occasion,
    /// The alert.
    pub alert: Alert,
    /// Where it stands.
    pub triage: Triage,
    /// Further alerts that are told in the same message, oldest first.
    pub others: Vec<Other>,
    /// The rule's texts.
    pub rule: RuleText,
    /// The alert's evidence as canonical events, oldest first; those that retention has removed are missing.
    pub events: Vec<Map<String, Value>>,
    /// Where these events happened. Not read from their fields: those an event's sender can write too.
    pub places: BTreeSet<Place>,
    /// What the alert's responses did so far.
    pub responses: Vec<Response>,
    /// The incident it belongs to, if there is more in it than this alert.
    pub incident: Option<Around>,
    /// What the same action said when it last told of this alert: of a ticket system, which ticket that made.
    pub earlier: Option<String>,
    /// The same for every try of this delivery, different for every other one.
    pub idempotency_key: String,
    /// Which try this is, from 1.
    pub attempt: u32,
}

/// What else is about the same author or entity, at about the same time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Around {
    /// The incident's id.
    pub id: String,
    /// What its alerts have in common: `author_id = 7 at gitlab`.
    pub about: String,
    /// How many alerts are in it, this one among them; counted up to one more than [`Around::ALERTS_MAX`].
    pub alerts: u64,
    /// The gravest one's level.
    pub level: Level,
    /// The gravest one's title, and how many rules more are among those that were counted.
    pub title: String,
}

impl Around {
    /// More alerts of an incident are not counted for a message.
    pub const ALERTS_MAX: u64 = 1_000;
}

/// A further alert in the same message.
#[derive(Debug, Clone, PartialEq)]
pub struct Other {
    /// The alert.
    pub alert: Alert,
    /// Where it stands.
    pub triage: Triage,
    /// Its rule's texts.
    pub rule: RuleText,
}

/// What a response to an alert did, or why it did not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Response {
    /// The action's configured name.
    pub action: String,
    /// Where it stands.
    pub state: ResponseState,
    /// Whether the world is different now.
    pub changed: bool,
    /// Whether it was only rehearsed.
    pub dry_run: bool,
    /// Whether a person must decide.
    pub needs_human: bool,
    /// What it did, or the error of its last try.
    pub summary: Option<String>,
    /// How a person undoes it.
    pub undo: Option<String>,
}

/// Where a response stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ResponseState {
    /// It has not been tried with success yet, and will be.
    Pending,
    /// It waits for people to approve it.
    Waiting,
    /// It came to an end.
    Done,
    /// It was given up.
    Failed,
}

#[cfg(test)]
pub(crate) mod tests_support {
    //! One notification that every test of this folder and of the actions uses.

    use serde_json::json;

    use super::*;
    use crate::alert::{AlertId, Key, Level};
    use crate::time::Timestamp;

    pub(crate) fn alert() -> Alert {
        Alert {
            id: AlertId("0123456789abcdef0123456789abcdef".into()),
            rule: "gitlab-mass-clone".into(),
            title: "One account clones many projects".into(),
            level: Level::High,
            tags: vec!["attack.t1213.003".into()],
            key: Key(vec![("author_id".into(), "7".into())]),
            started_at: Timestamp::parse("2026-01-31T09:00:00Z").unwrap(),
            last_at: Timestamp::parse("2026-01-31T09:08:00Z").unwrap(),
            position: 40,
            findings: 3,
            value: 22.0,
            reason: "22 different entity_id within 10m, at least 20".into(),
            evidence: (40..62).collect(),
            evidence_count: 25,
            merged_into: None,
        }
    }

    /// What else there is about the same account.
    pub(crate) fn around() -> Around {
        Around {
            id: "7c1e09abffff".into(),
            about: "author_id = 7 at gitlab".into(),
            alerts: 3,
            level: Level::Critical,
            title: "A token burst".into(),
        }
    }

    /// A further alert, as it was opened.
    pub(crate) fn other(alert: Alert) -> Other {
        Other { alert, triage: Triage::default(), rule: RuleText::default() }
    }

    pub(crate) fn event(n: u32) -> Map<String, Value> {
        let event = json!({
            "id": n, "author_id": 7, "author_name": "alice <alice@example.com>", "author_class": "User",
            "created_at": format!("2026-01-31T09:{:02}:05.000Z", n % 60), "event_type": "repository_git_operation",
            "entity_path": format!("shop/project-{n}"), "target_type": "Project", "target_details": "project",
            "ip_address": "203.0.113.9", "source": "gitlab", "position": 40 + n,
        });
        event.as_object().unwrap().clone()
    }

    pub(crate) fn notification() -> Notification {
        let response = |action: &str, state, summary: &str| Response {
            action: action.into(),
            state,
            changed: state == ResponseState::Done,
            dry_run: false,
            needs_human: false,
            summary: Some(summary.into()),
            undo: None,
        };
        let mut blocked =
            response("block-author", ResponseState::Done, "blocked user 7 (alice); read back: blocked");
        blocked.undo = Some("Admin area > Users > alice > Unblock".into());
        Notification {
            occasion: Occasion::Opened,
            triage: Triage::default(),
            others: Vec::new(),
            alert: alert(),
            rule: RuleText {
                description: Some(
                    "Someone copies far more projects in ten minutes than a person reads.".into(),
                ),
                references: vec!["https://attack.mitre.org/techniques/T1213/003/".into()],
                falsepositives: vec!["A new colleague setting up a workstation".into()],
                version: None,
                dry_run: false,
            },
            events: (0..22).map(event).collect(),
            places: BTreeSet::from([Place { forge: "gitlab".into(), format: Format::Gitlab }]),
            responses: vec![
                blocked,
                response("ticket", ResponseState::Failed, "POST https://tickets answered 500"),
            ],
            incident: None,
            earlier: None,
            idempotency_key: "fedcba9876543210".into(),
            attempt: 1,
        }
    }
}
