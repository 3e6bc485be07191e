//! Rules over rules, from their texts to their alerts, in any order of arrival within the lateness.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::alert::Alert;
use crate::decode::decode;
use crate::engine::{Compiled, Effects, Engine, Limits, RuleSet, testing};
use crate::event::{Catalogue, Entry, Event, Format};
use crate::rule::{Lists, RuleFile, load};
use crate::time::Timestamp;

const LATENESS: Span = Span::minutes(5);
const START: Timestamp = Timestamp(1_790_000_000_000);

fn compiled(texts: &[&str]) -> Compiled {
    testing::compiled(texts, (LATENESS, START))
}

fn rules(texts: &[&str]) -> Arc<RuleSet> {
    let compiled = compiled(texts);
    assert!(compiled.diagnostics.is_empty(), "{:#?}", compiled.diagnostics);
    Arc::new(compiled.rules)
}

/// What happens, by whom, from which address, and how many seconds after the start.
type Deed = (&'static str, u8, u8, i64);

fn entry((kind, author, host, second): Deed, position: u64) -> Entry {
    let time = START.plus(Span::seconds(second));
    let body = json!({
        "id": position, "event_type": kind, "author_id": author, "entity_id": 1, "entity_type": "Project",
        "ip_address": format!("192.0.2.{host}"), "created_at": time.to_string(), "details": {"visibility": host},
    });
    let source: Arc<str> = "gitlab".into();
    let decoded = decode(Format::Gitlab, &source, body.to_string().into_bytes().into(), None, time).unwrap();
    Entry::Event(Event { position, ..decoded.event })
}

/// The alerts as they stand in the end, and what the rules could not judge.
fn alerts(rules: &Arc<RuleSet>, deeds: &[Deed], restores_every: usize) -> (Vec<Alert>, usize) {
    let catalogue = Arc::new(Catalogue::built_in());
    let limits = Limits { lateness: LATENESS, ..Limits::default() };
    let mut engine = Engine::new(Arc::clone(rules), Arc::clone(&catalogue), limits);
    let (mut effects, mut alerts, mut misses) = (Effects::default(), BTreeMap::new(), 0);
    let mut take = |effects: &mut Effects| {
        misses += effects.ledger.len();
        alerts.extend(effects.alerts.iter().map(|opened| (opened.alert.id.clone(), opened.alert.clone())));
        effects.clear();
    };
    for (number, deed) in deeds.iter().enumerate() {
        if number > 0 && number % restores_every == 0 {
            let bytes = engine.snapshot().unwrap();
            engine = Engine::restore(Arc::clone(rules), Arc::clone(&catalogue), limits, &bytes).unwrap();
        }
        engine.handle(&entry(*deed, number as u64 + 1), &mut effects);
        take(&mut effects);
    }
    engine.finish(START.plus(Span::days(30)), &mut effects);
    take(&mut effects);
    (alerts.into_values().filter(|alert| alert.merged_into.is_none()).collect(), misses)
}

type Episode = (String, String, Timestamp, Timestamp);

fn episodes(rules: &Arc<RuleSet>, deeds: &[Deed]) -> BTreeSet<Episode> {
    let (alerts, misses) = alerts(rules, deeds, usize::MAX);
    assert_eq!(misses, 0);
    let episode =
        |alert: Alert| (alert.rule.to_string(), alert.key.to_string(), alert.started_at, alert.last_at);
    alerts.into_iter().map(episode).collect()
}

const DESTROYED: &str = "
title: Destroyed
id: destroyed
level: high
logsource: {product: gitlab}
detection: {s: {event_type: project_destroyed}, condition: s}
score: 40
";
const BURST: &str = "
title: Burst
id: burst
level: high
logsource: {product: gitlab}
detection: {s: {event_type: repository_git_operation}, condition: s}
behavior: {by: author_id, within: 2m, at_least: 3}
score: 35
suppress: 1m
";
const NEW: &str = "
title: New
id: new
level: low
logsource: {product: gitlab}
detection: {s: {event_type: user_sign_in}, condition: s}
behavior: {by: author_id, first_seen: ip_address}
score: 12.5
";
const RISK: &str = "
title: Risk
id: risk
level: critical
behavior: {by: author_id, risk: {at_least: 60, half_life: 10m}}
";
const BURSTS: &str = "
title: Bursts
id: bursts
level: high
correlation: {type: event_count, rules: [burst], group-by: [author_id], timespan: 20m, condition: {gte: 2}, generate: true}
";
const BOTH: &str = "
title: Both
id: both
level: high
correlation: {type: temporal, rules: [bursts, new], group-by: [author_id], timespan: 15m, generate: true}
";
const ORDERED: &str = "
title: Ordered
id: ordered
level: high
correlation: {type: temporal_ordered, rules: [new, burst, destroyed], group-by: [author_id], timespan: 30m, generate: true}
";

const SCORING: &str = "/*
title: Scoring
id: scoring
level: low
logsource: {product: gitlab}
detection: {s: {event_type: user_sign_in}, condition: s}
behavior: {by: author_id}
suppress: 4m
*/
fn on_event(event, state, window) { #{ reason: `${event.id}`, score: event.details.visibility * 10 } }
";

/// What a script says of each event alone, added up.
static SCORED: LazyLock<Arc<RuleSet>> = LazyLock::new(|| rules(&[SCORING, RISK]));

/// All of them, compiled once.
static ALL: LazyLock<Arc<RuleSet>> =
    LazyLock::new(|| rules(&[DESTROYED, BURST, NEW, RISK, BURSTS, BOTH, ORDERED]));

fn deeds() -> impl Strategy<Value = (Vec<Deed>, Vec<Deed>)> {
    let kind = prop_oneof![
        6 => Just("repository_git_operation"), 2 => Just("user_sign_in"), 1 => Just("project_destroyed"),
    ];
    let deed = (kind, 1u8..3, 1u8..6, 0i64..3600, 0i64..LATENESS.0 / 1000);
    prop::collection::vec(deed, 1..100).prop_map(|mut all| {
        all.sort_by_key(|(.., second, _)| *second);
        let in_order = all.iter().map(|(kind, author, host, second, _)| (*kind, *author, *host, *second));
        let in_order = in_order.collect();
        all.sort_by_key(|(.., second, delay)| second + delay);
        let late = all.iter().map(|(kind, author, host, second, _)| (*kind, *author, *host, *second));
        (in_order, late.collect())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn chains_do_not_depend_on_the_order_of_arrival((in_order, late) in deeds()) {
        prop_assert_eq!(episodes(&ALL, &late), episodes(&ALL, &in_order));
    }

    /// Sign-ins alone, so close that many share an alert.
    #[test]
    fn neither_do_the_scores_of_scripts((in_order, late) in deeds()) {
        let signed_in = |deeds: &[Deed]| -> Vec<Deed> {
            deeds.iter().map(|(_, author, host, second)| ("user_sign_in", *author, *host, *second)).collect()
        };
        prop_assert_eq!(episodes(&SCORED, &signed_in(&late)), episodes(&SCORED, &signed_in(&in_order)));
    }

    #[test]
    fn a_restart_changes_nothing((_, late) in deeds(), every in 1usize..20) {
        prop_assert_eq!(alerts(&ALL, &late, every), alerts(&ALL, &late, usize::MAX));
    }
}

fn of<'a>(alerts: &'a [Alert], rule: &str) -> Vec<&'a Alert> {
    alerts.iter().filter(|alert| &*alert.rule == rule).collect()
}

#[test]
fn scores_of_all_rules_add_up() {
    let rules = rules(&[DESTROYED, BURST, RISK]);
    let clone = |second| ("repository_git_operation", 7, 1, second);
    // One burst counts once, however long it is.
    let mut deeds: Vec<Deed> = (0..8).map(|number| clone(number * 10)).collect();
    deeds.push(("project_destroyed", 8, 1, 90));
    let (found, _) = alerts(&rules, &deeds, usize::MAX);
    assert!(of(&found, "risk").is_empty(), "35 and, of another author, 40");
    deeds.push(("project_destroyed", 7, 1, 80));
    let (found, _) = alerts(&rules, &deeds, usize::MAX);
    let [risk] = of(&found, "risk")[..] else { panic!("{found:#?}") };
    assert_eq!(risk.key.get("author_id"), Some("7"));
    assert!(
        risk.reason.starts_with("risk 72.7 (at least 60): 40 from destroyed, 32.7 from burst"),
        "{}",
        risk.reason
    );
    assert_eq!((risk.started_at, risk.evidence.len()), (START.plus(Span::seconds(80)), 2));
}

#[test]
fn a_correlation_counts_alerts_of_alerts() {
    let rules = rules(&[BURST, NEW, BURSTS, BOTH]);
    let burst = |from: i64| (0..4).map(move |number| ("repository_git_operation", 7, 1, from + number));
    let mut deeds: Vec<Deed> = burst(0).collect();
    deeds.push(("user_sign_in", 7, 1, 300));
    let (found, _) = alerts(&rules, &deeds, usize::MAX);
    assert!(of(&found, "bursts").is_empty() && of(&found, "both").is_empty(), "{found:#?}");
    deeds.extend(burst(600));
    let (found, _) = alerts(&rules, &deeds, usize::MAX);
    assert_eq!((of(&found, "bursts").len(), of(&found, "both").len()), (1, 1), "{found:#?}");
    assert_eq!(of(&found, "both")[0].started_at, START.plus(Span::seconds(602)));
}

#[test]
fn what_is_rare_among_all_alerts_about_one() {
    let rare = "
title: Rare
id: rare
level: low
logsource: {product: gitlab}
detection: {s: {event_type: user_sign_in}, condition: s}
behavior: {by: author_id, rare: ip_address, history: 1d, below: 5%, min_events: 20}
score: 60
";
    let rules = rules(&[rare, RISK]);
    let mut deeds: Vec<Deed> =
        (0..30).map(|second| ("user_sign_in", (second % 5) as u8, 1, second)).collect();
    deeds.push(("user_sign_in", 3, 99, 40));
    deeds.extend((50..60).map(|second| ("user_sign_in", 3, 1, second)));
    for every in [usize::MAX, 1] {
        let (found, _) = alerts(&rules, &deeds, every);
        let keys: Vec<_> =
            found.iter().map(|alert| (&*alert.rule, alert.key.get("author_id").unwrap())).collect();
        assert_eq!(BTreeSet::from_iter(keys), BTreeSet::from([("rare", "3"), ("risk", "3")]));
    }
}

#[test]
fn no_rule_is_over_itself() {
    for rules in [["loop-a", "loop-a"], ["loop-b", "loop-a"]] {
        let texts: Vec<String> = ["loop-a", "loop-b"].iter().zip(rules).map(|(id, over)| format!(
            "title: {id}\nid: {id}\ncorrelation: {{type: event_count, rules: [{over}], group-by: [author_id], \
             timespan: 1h, condition: {{gte: 2}}}}\n"
        )).collect();
        let files = texts.iter().map(|text| RuleFile { path: "loop.yml".into(), text: text.clone() });
        let loaded = load(&files.collect::<Vec<_>>(), &Lists::default());
        assert!(loaded.has_errors(), "{:#?}", loaded.diagnostics);
    }
}

#[test]
fn a_risk_does_not_score_for_a_risk() {
    let again = RISK.replace("id: risk", "id: risk-2").replace("title: Risk\n", "title: Risk 2\nscore: 70\n");
    let rules = rules(&[DESTROYED, RISK, &again]);
    let deeds: Vec<Deed> = [0, 1].map(|second| ("project_destroyed", 7, 1, second)).to_vec();
    let (found, _) = alerts(&rules, &deeds, usize::MAX);
    assert_eq!(of(&found, "risk").len(), 1);
    assert_eq!(of(&found, "risk")[0].value, of(&found, "risk-2")[0].value);
}

#[test]
fn a_score_that_cannot_reach_a_risk_is_reported() {
    let by_project = BURST.replace("by: author_id", "by: entity_id");
    let found = compiled(&[&by_project, RISK]).diagnostics;
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].message.contains("does not count"), "{found:#?}");
}
