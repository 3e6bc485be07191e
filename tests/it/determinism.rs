//! Detection is a function of the log and the rules: it does not matter how the log is cut into pieces, whether the
//! state went through bytes, or, within the lateness, in which order events arrived.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use watchfire::alert::{Alert, AlertId, Finding, LedgerEntry};
use watchfire::daemon::{Rulebook, RulebookConfig};
use watchfire::decode::decode;
use watchfire::demo::{FIRST_WEEK, Simulation};
use watchfire::engine::{Effects, Engine, Limits, RuleSet};
use watchfire::event::{Catalogue, Entry, Event, Format};
use watchfire::time::{Span, Timestamp};

use crate::harness::{START, deed};
use crate::stream::{Dice, closing, deleted_rule, prompt_rules, stream, waiting_rules};

const LATENESS: Span = Span::minutes(5);

fn read(paths: Vec<PathBuf>) -> Arc<RuleSet> {
    let config = RulebookConfig { rules: paths, lateness: LATENESS, ..RulebookConfig::default() };
    let reading = Rulebook::new(config, Arc::new(Catalogue::built_in())).read(START);
    assert!(!reading.has_errors(), "{}", reading.render(false));
    reading.rules
}

fn rules(files: &[(String, String)]) -> Arc<RuleSet> {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    read(vec![dir.path().to_owned()])
}

fn shipped_and_own() -> Arc<RuleSet> {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in prompt_rules().iter().chain(&waiting_rules()).chain([&deleted_rule()]) {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    read(vec![root.join("rules/gitlab"), root.join("rules/gitlab-optional"), dir.path().to_owned()])
}

fn engine(rules: &Arc<RuleSet>) -> Engine {
    let limits = Limits { lateness: LATENESS, ..Limits::default() };
    Engine::new(Arc::clone(rules), Arc::new(Catalogue::built_in()), limits)
}

fn event(body: &[u8], received_at: Timestamp) -> Event {
    let source: Arc<str> = "gitlab".into();
    decode(Format::Gitlab, &source, body.to_vec().into(), None, received_at).unwrap().event
}

/// A log of events in the order of their arrival.
fn log(events: impl IntoIterator<Item = (Timestamp, Vec<u8>)>) -> Vec<Entry> {
    let numbered = (1..).zip(events);
    numbered
        .map(|(position, (arrival, body))| Entry::Event(Event { position, ..event(&body, arrival) }))
        .collect()
}

fn bodies(events: &[(Timestamp, Value)]) -> Vec<(Timestamp, Vec<u8>)> {
    events.iter().map(|(time, event)| (*time, event.to_string().into_bytes())).collect()
}

/// All that came out, as it would stand in the store.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    findings: Vec<Finding>,
    alerts: BTreeMap<AlertId, Alert>,
    opened: BTreeSet<AlertId>,
    ledger: BTreeMap<(String, String), u64>,
}

impl Outcome {
    fn take(&mut self, effects: &mut Effects) {
        self.findings.append(&mut effects.findings);
        for opened in &effects.alerts {
            self.alerts.insert(opened.alert.id.clone(), opened.alert.clone());
            if opened.is_new {
                self.opened.insert(opened.alert.id.clone());
            }
        }
        for LedgerEntry { rule, reason, count, .. } in &effects.ledger {
            *self.ledger.entry((rule.to_string(), format!("{reason:?}"))).or_default() += count;
        }
        effects.clear();
    }

    /// Rule, key and episode of each alert.
    fn episodes(&self) -> BTreeSet<(String, String, Timestamp, Timestamp)> {
        let whole = self.alerts.values().filter(|alert| alert.merged_into.is_none());
        whole
            .map(|alert| (alert.rule.to_string(), alert.key.to_string(), alert.started_at, alert.last_at))
            .collect()
    }

    fn count_of(&self, rule: &str) -> usize {
        self.episodes().iter().filter(|(found, ..)| found == rule).count()
    }
}

/// One event after another.
fn live(rules: &Arc<RuleSet>, log: &[Entry]) -> Outcome {
    let (mut engine, mut effects, mut outcome) = (engine(rules), Effects::default(), Outcome::default());
    for entry in log {
        engine.handle(entry, &mut effects);
        outcome.take(&mut effects);
    }
    outcome
}

/// In batches of any size, and with the state written out and read back in between.
fn interrupted(rules: &Arc<RuleSet>, log: &[Entry], seed: u64, restores: u64) -> Outcome {
    let mut dice = Dice::new(seed);
    let (mut engine, mut effects, mut outcome) = (engine(rules), Effects::default(), Outcome::default());
    let every = log.len() as u64 / restores.max(1);
    let mut next = dice.roll(2 * every);
    for (number, entry) in (0..).zip(log) {
        if number == next {
            let bytes = engine.snapshot().unwrap();
            let limits = Limits { lateness: LATENESS, ..Limits::default() };
            let catalogue = Arc::new(Catalogue::built_in());
            engine = Engine::restore(Arc::clone(rules), catalogue, limits, &bytes).unwrap();
            assert!(engine.newcomers().is_empty());
            assert_eq!(engine.position(), entry.position() - 1);
            next += 1 + dice.roll(2 * every);
        }
        engine.handle(entry, &mut effects);
        if dice.roll(50) == 0 {
            outcome.take(&mut effects);
        }
    }
    outcome.take(&mut effects);
    outcome
}

#[test]
fn a_whole_week_is_judged_the_same_however_it_is_cut() {
    let simulation = Simulation::new(11, FIRST_WEEK);
    let week = simulation.events.iter().map(|event| (event.at, event.body.clone()));
    let log = log(week);
    let rules = shipped_and_own();
    let live = live(&rules, &log);
    assert!(live.alerts.len() > 10, "only {} alerts", live.alerts.len());
    let other = interrupted(&rules, &log, 2, 12);
    assert_eq!(other.findings, live.findings);
    assert_eq!(other.alerts, live.alerts);
    assert_eq!(other.ledger, live.ledger);
}

#[test]
fn a_busy_stream_is_judged_the_same_however_it_is_cut() {
    let files = [prompt_rules(), waiting_rules(), vec![deleted_rule()]].concat();
    let rules = rules(&files);
    for seed in 0..4 {
        let mut events = stream(seed, 3000);
        events.push(closing(&events));
        let log = log(bodies(&events));
        let live = live(&rules, &log);
        for (name, _) in &files {
            assert!(live.count_of(name.trim_end_matches(".yml")) > 0, "{name} never fires with seed {seed}");
        }
        let other = interrupted(&rules, &log, seed + 100, 60);
        assert_eq!(other.findings, live.findings, "seed {seed}");
        assert_eq!(other.alerts, live.alerts, "seed {seed}");
        assert_eq!(other.ledger, live.ledger, "seed {seed}");
    }
}

/// Lets each event arrive up to `late` after its time.
fn delayed(events: &[(Timestamp, Value)], late: Span, dice: &mut Dice) -> Vec<(Timestamp, Vec<u8>)> {
    let mut arrivals: Vec<(Timestamp, Vec<u8>)> = bodies(events);
    for (arrival, _) in &mut arrivals {
        *arrival = arrival.plus(Span::millis(dice.roll(late.0 as u64).cast_signed()));
    }
    arrivals.sort_by_key(|(arrival, _)| *arrival);
    arrivals
}

#[test]
fn any_order_within_the_lateness_gives_the_same_alerts() {
    for file in [prompt_rules(), waiting_rules()].concat() {
        let rules = rules(std::slice::from_ref(&file));
        for seed in 0..4 {
            let mut dice = Dice::new(seed);
            let events = stream(seed, 1500);
            let last = closing(&events);
            let in_order = {
                let mut events = events.clone();
                events.push(last.clone());
                live(&rules, &log(bodies(&events)))
            };
            for round in 0..2 {
                let mut arrivals = delayed(&events, LATENESS, &mut dice);
                arrivals.push((last.0, last.1.to_string().into_bytes()));
                let late = live(&rules, &log(arrivals));
                assert_eq!(late.ledger, in_order.ledger, "{} seed {seed} round {round}", file.0);
                let (found, expected) = (late.episodes(), in_order.episodes());
                let missing: Vec<_> = expected.difference(&found).collect();
                let surplus: Vec<_> = found.difference(&expected).collect();
                assert!(
                    missing.is_empty() && surplus.is_empty(),
                    "{} seed {seed} round {round}:\nmissing {missing:#?}\nsurplus {surplus:#?}",
                    file.0
                );
            }
        }
    }
}

#[test]
fn what_is_wrong_with_some_events_is_nothing_to_the_others() {
    let files = [prompt_rules(), waiting_rules(), vec![deleted_rule()]].concat();
    let rules = rules(&files);
    let mut events = stream(5, 2000);
    events.push(closing(&events));
    let plain = live(&rules, &log(bodies(&events)));
    let mut dice = Dice::new(5);
    let mut mixed = Vec::new();
    let mut strangers = 0;
    for (arrival, body) in bodies(&events) {
        let stray = match dice.roll(12) {
            // From far in the future: judged when it arrives, and moves nobody's window.
            0 => Some(deed("login_failed_with_standard_authentication", 999, arrival.plus(Span::days(400)))),
            // Without its key.
            1 => {
                strangers += 1;
                let mut stray = deed("login_failed_with_standard_authentication", 0, arrival);
                stray.as_object_mut().unwrap().remove("author_id");
                Some(stray)
            }
            // Of no known type, nor anything else that is known.
            2 => Some(
                serde_json::json!({"unheard": "of", "author_id": 998, "created_at": arrival.to_string()}),
            ),
            // Hours too late.
            3 => Some(deed("user_sign_in", 997, arrival.minus(Span::hours(5)))),
            _ => None,
        };
        mixed.extend(stray.map(|stray| (arrival, stray.to_string().into_bytes())));
        mixed.push((arrival, body));
    }
    let mixed = live(&rules, &log(mixed));
    let of_others = |outcome: &Outcome| -> BTreeSet<(String, String, Timestamp, Timestamp, u64)> {
        let alerts = outcome.alerts.values();
        let known = alerts.filter(|alert| alert.key.get("author_id").is_some_and(|author| author.len() < 3));
        known
            .map(|alert| {
                let Alert { rule, key, started_at, last_at, findings, .. } = alert.clone();
                (rule.to_string(), key.to_string(), started_at, last_at, findings)
            })
            .collect()
    };
    assert_eq!(of_others(&mixed), of_others(&plain));
    assert_eq!(mixed.ledger[&("it-count".to_owned(), "MissingKey".to_owned())], strangers);
    assert!(mixed.ledger.keys().any(|(_, reason)| reason == "TooLate"), "{:?}", mixed.ledger);
    assert!(plain.ledger.is_empty(), "{:?}", plain.ledger);
}
