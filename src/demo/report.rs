//! What was caught against what was planted: the object `demo --once --format json` prints.

use serde::Serialize;

use super::Simulation;
use super::attacks::Planted;
use crate::alert::Alert;
use crate::event::Position;
use crate::time::{Span, Timestamp};

/// The result of one demo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// How many events were sent.
    pub events: u64,
    /// Each attack, and whether it was caught.
    pub planted: Vec<Found>,
    /// How many alerts were raised.
    pub alerts: u64,
    /// How many of them concern nothing that was planted.
    pub unplanned_alerts: u64,
    /// Ids of the accounts that are blocked, ascending.
    pub blocked: Vec<i64>,
    /// How many mails arrived.
    pub mails: u64,
    /// How many webhooks arrived.
    pub webhooks: u64,
    /// How many events were forwarded.
    pub forwarded: u64,
}

/// One planted attack in the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    /// Its name.
    pub name: &'static str,
    /// Whose account.
    pub author_id: i64,
    /// Whether a rule meant for it raised an alert about it.
    pub caught: bool,
    /// That rule's id.
    pub rule: Option<String>,
}

/// What arrived at the demo's stand-ins.
#[derive(Debug, Clone, Default)]
pub struct Arrived {
    /// See [`Report::blocked`].
    pub blocked: Vec<i64>,
    /// See [`Report::mails`].
    pub mails: u64,
    /// See [`Report::webhooks`].
    pub webhooks: u64,
    /// See [`Report::forwarded`].
    pub forwarded: u64,
}

/// An alert may come some time after the attack: correlations wait for their window.
const AFTERWARDS: Span = Span::hours(1);
/// At most so many alerts about nothing planted in a good demo.
const UNPLANNED_MAX: u64 = 3;

impl Report {
    /// Compares. `author_of` gives the author in the event at a log position, for alerts whose key does not
    /// name who it was; alerts that were merged into another are left out.
    #[must_use]
    pub fn build(
        simulation: &Simulation,
        alerts: &[Alert],
        arrived: Arrived,
        author_of: &dyn Fn(Position) -> Option<i64>,
    ) -> Self {
        let alerts: Vec<&Alert> = alerts.iter().filter(|alert| alert.merged_into.is_none()).collect();
        let concerns = |planted: &Planted, alert: &Alert| concerns(planted, alert, author_of);
        let found = simulation.planted.iter().map(|planted| {
            let meant = |alert: &&&Alert| is_meant(planted, &alert.rule) && concerns(planted, alert);
            let alert = alerts.iter().find(meant);
            Found {
                name: planted.name,
                author_id: planted.author_id,
                caught: alert.is_some(),
                rule: alert.map(|alert| alert.rule.to_string()),
            }
        });
        let unplanned = |alert: &&&Alert| !simulation.planted.iter().any(|planted| concerns(planted, alert));
        Self {
            events: simulation.events.len() as u64,
            planted: found.collect(),
            alerts: alerts.len() as u64,
            unplanned_alerts: alerts.iter().filter(unplanned).count() as u64,
            blocked: arrived.blocked,
            mails: arrived.mails,
            webhooks: arrived.webhooks,
            forwarded: arrived.forwarded,
        }
    }

    /// Whether every planted attack was caught: the demo's exit code is 0 then and 1 otherwise.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.planted.iter().all(|found| found.caught)
    }

    /// Whether there were few enough alerts about nothing planted.
    #[must_use]
    pub const fn is_quiet(&self) -> bool {
        self.unplanned_alerts <= UNPLANNED_MAX
    }
}

/// One of the rules meant for the attack, or a variant that carries the attack's name.
fn is_meant(planted: &Planted, rule: &str) -> bool {
    planted.rule_hint.contains(&rule) || rule.contains(planted.name)
}

fn concerns(planted: &Planted, alert: &Alert, author_of: &dyn Fn(Position) -> Option<i64>) -> bool {
    let until = planted.to.plus(AFTERWARDS);
    let overlaps = |from: Timestamp, to: Timestamp| from <= until && to >= planted.from;
    overlaps(alert.started_at, alert.last_at) && is_by(planted, alert, author_of)
}

/// By the key where it names somebody, else by the authors of the evidence.
fn is_by(planted: &Planted, alert: &Alert, author_of: &dyn Fn(Position) -> Option<i64>) -> bool {
    if let Some(author) = alert.key.get("author_id") {
        return author == planted.author_id.to_string();
    }
    let login = |field| alert.key.get(field) == Some(planted.username.as_str());
    alert.key.get("ip_address") == Some(planted.address.as_str())
        || ["author_name", "entity_path", "target_details"].into_iter().any(login)
        || alert.evidence.iter().any(|position| author_of(*position) == Some(planted.author_id))
}

#[cfg(test)]
mod tests {
    use super::super::traffic::STORY;
    use super::*;
    use crate::alert::{AlertId, Key, Level};

    fn alert(rule: &str, key: &[(&str, String)], at: Timestamp) -> Alert {
        Alert {
            id: AlertId(format!("{rule}{}", at.0)),
            rule: rule.into(),
            title: rule.to_owned(),
            level: Level::High,
            tags: Vec::new(),
            key: Key(key.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()),
            started_at: at,
            last_at: at,
            position: 1,
            findings: 1,
            value: 1.0,
            reason: String::new(),
            evidence: vec![41],
            evidence_count: 1,
            merged_into: None,
        }
    }

    fn nobody(_: Position) -> Option<i64> {
        None
    }

    #[test]
    fn an_attack_is_caught_by_its_rule_its_author_and_its_time_together() {
        let simulation = &*STORY;
        let clone = simulation.planted[0].clone();
        let author = || [("author_id", clone.author_id.to_string())];
        let caught = |alert: Alert| {
            let report = Report::build(simulation, &[alert], Arrived::default(), &nobody);
            (report.planted[0].caught, report.unplanned_alerts)
        };
        assert_eq!(caught(alert("gitlab-mass-clone", &author(), clone.to)), (true, 0));
        assert_eq!(caught(alert("gitlab-other", &author(), clone.to)), (false, 0), "planned, another rule");
        let late = clone.to.plus(Span::hours(2));
        assert_eq!(caught(alert("gitlab-mass-clone", &author(), late)), (false, 1));
        let other = [("author_id", "31".to_owned())];
        assert_eq!(caught(alert("gitlab-mass-clone", &other, clone.to)), (false, 1));
        let merged = Alert {
            merged_into: Some(AlertId("x".into())),
            ..alert("gitlab-mass-clone", &author(), clone.to)
        };
        assert_eq!(caught(merged), (false, 0));
    }

    #[test]
    fn a_key_without_author_is_traced_by_address_login_or_evidence() {
        let simulation = &*STORY;
        let guessed = &simulation.planted[2];
        let rule = "gitlab-token-after-failed-sign-ins";
        let author = guessed.author_id;
        for key in [("ip_address", guessed.address.clone()), ("entity_path", guessed.username.clone())] {
            let alerts = [alert(rule, &[key], guessed.to)];
            assert!(Report::build(simulation, &alerts, Arrived::default(), &nobody).planted[2].caught);
        }
        let alerts = [alert(rule, &[("entity_id", "1".to_owned())], guessed.to)];
        let traced =
            Report::build(simulation, &alerts, Arrived::default(), &|at| (at == 41).then_some(author));
        assert!(traced.planted[2].caught);
        assert!(!Report::build(simulation, &alerts, Arrived::default(), &nobody).planted[2].caught);
    }

    #[test]
    fn the_object_has_the_promised_keys_and_decides_the_exit_code() {
        let simulation = &*STORY;
        let all: Vec<Alert> = simulation
            .planted
            .iter()
            .map(|p| alert(p.rule_hint[0], &[("author_id", p.author_id.to_string())], p.to))
            .collect();
        let arrived = Arrived { blocked: vec![30], mails: 6, webhooks: 5, forwarded: 100 };
        let report = Report::build(simulation, &all, arrived, &nobody);
        assert!(report.is_complete() && report.is_quiet());
        assert!(!Report::build(simulation, &all[1..], Arrived::default(), &nobody).is_complete());
        let json = serde_json::to_value(&report).unwrap();
        let keys: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
        let mut promised =
            ["events", "planted", "alerts", "unplanned_alerts", "blocked", "mails", "webhooks", "forwarded"];
        promised.sort_unstable();
        assert_eq!(keys, promised);
        assert_eq!(json["planted"][0]["rule"], "gitlab-mass-clone");
        assert_eq!(json["planted"][0]["caught"], true);
    }
}
