//! Routes against an interpreter that knows no better, groups against what must hold of them, and the rest by example.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::alert::{Alert, AlertId, Key, Level};
use crate::time::{Span, Timestamp};

fn alert(rule: &str, level: Level) -> Alert {
    Alert {
        id: AlertId("a1".into()),
        rule: rule.into(),
        title: "T".into(),
        level,
        tags: vec!["exfiltration".into()],
        key: Key(vec![("author_id".into(), "7".into())]),
        started_at: Timestamp(0),
        last_at: Timestamp(0),
        position: 1,
        findings: 1,
        value: 1.0,
        reason: "r".into(),
        evidence: vec![1],
        evidence_count: 1,
        merged_into: None,
    }
}

fn scene(entities: &[&str]) -> Scene {
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<String>>();
    Scene {
        source: Some("gitlab".into()),
        forge: Some("gitlab".into()),
        sources: set(&["gitlab"]),
        forges: set(&["gitlab"]),
        authors: BTreeSet::from([("7".into(), "alice".into())]),
        entities: set(entities),
    }
}

fn routes(yaml: &str) -> Vec<Route> {
    serde_yaml::from_str(yaml).unwrap_or_else(|error| panic!("{error}"))
}

fn told(routes: &[Route], named: &[&str], case: &Case<'_>, at: Timestamp) -> Vec<String> {
    let named: Vec<String> = named.iter().map(|name| (*name).to_owned()).collect();
    way(routes, &named, case, at).told.into_iter().map(|told| told.action).collect()
}

const NOON: Timestamp = Timestamp(1_767_614_400_000); // 2026-01-05T12:00:00Z, a Monday

#[test]
fn a_flat_list_means_what_it_always_meant() {
    let list = routes(
        "- {levels: [high, critical], actions: [page]}\n- {tags: [exfiltration], actions: [ticket, page]}\n\
         - {rules: [other], actions: [never]}\n- {actions: [log]}\n",
    );
    let (one, here) = (alert("mass-clone", Level::High), scene(&[]));
    let case = Case { alert: &one, scene: &here };
    assert_eq!(told(&list, &["block", "page"], &case, NOON), ["block", "page", "ticket", "log"]);
    let low = alert("mass-clone", Level::Low);
    assert_eq!(told(&list, &[], &Case { alert: &low, scene: &here }, NOON), ["ticket", "page", "log"]);
}

#[test]
fn children_refine_and_stop_ends_a_list() {
    let tree = routes(
        "- levels: [high]\n  actions: [mail]\n  repeat: 1h\n  routes:\n    - {entities: [shop/*], actions: [shop], stop: true}\n    \
         - {actions: [rest], repeat: 2h}\n- {authors: [alice], actions: [people]}\n\
         - {hours: '22:00-06:00', actions: [night]}\n- {sources: [git*], forges: [gitlab], days: [mon], actions: [monday]}\n",
    );
    let one = alert("r", Level::High);
    let (shop, other) = (scene(&["shop/api", "x"]), scene(&["x"]));
    let of = |scene: &Scene, at| told(&tree, &[], &Case { alert: &one, scene }, at);
    assert_eq!(of(&shop, NOON), ["mail", "shop", "people", "monday"]);
    assert_eq!(of(&other, NOON), ["mail", "rest", "people", "monday"]);
    assert_eq!(of(&other, NOON.plus(Span::hours(36))), ["mail", "rest", "people", "night"]);
    let way = way(&tree, &["mail".to_owned()], &Case { alert: &one, scene: &other }, NOON);
    let repeats: Vec<Option<Span>> = way.told.iter().map(|told| told.manner.repeat).collect();
    // The rule names mail; the route says how.
    assert_eq!(repeats, [Some(Span::hours(1)), Some(Span::hours(2)), None, None]);
}

#[test]
fn what_is_wrong_says_where() {
    for (yaml, words) in [
        ("- {levels: [hihg], actions: [a]}\n", "hihg"),
        ("- {entity: [a], actions: [a]}\n", "unknown field `entity`"),
        ("- {actions: [a], repeat: 5}\n", "length of time"),
        ("- {actions: [a], repeat: 1ms}\n", "1s at least"),
        ("- {actions: [a], hours: 8-18}\n", "08:00-18:00"),
        ("- {actions: [a], time_zone: Berln}\n", "no time zone"),
        ("- {actions: [a], group: {by: []}}\n", "`by` is empty"),
        ("- {actions: [a], escalate: [{actions: [b]}]}\n", "after"),
    ] {
        let error = serde_yaml::from_str::<Vec<Route>>(yaml).unwrap_err().to_string();
        assert!(error.contains(words), "{yaml}: {error}");
    }
    for (yaml, words) in [
        ("{name: a, reason: r}", "needs a time"),
        ("{name: a, reason: '', days: [sun]}", "a name and a reason"),
        ("{name: a, reason: r, from: 2026-01-01, days: [sun]}", "either weekly"),
        ("{name: a, reason: r, from: 2026-01-02, until: 2026-01-01}", "ends before"),
        ("{name: a, reason: r, from: 2026-01-01, until: 2027-01-01}", "longer than"),
        ("{name: a, reason: r, from: soon, until: 2027-01-01}", "no such time"),
    ] {
        let error = serde_yaml::from_str::<Window>(yaml).unwrap_err().to_string();
        assert!(error.contains(words), "{yaml}: {error}");
    }
}

#[test]
fn matchers_match_what_they_say() {
    let one = alert("gitlab-mass-clone", Level::High);
    let here = scene(&["shop/api", "shop/web"]);
    let case = Case { alert: &one, scene: &here };
    for (matchers, is_held) in [
        (&["rule=gitlab-*"][..], true),
        (&["rule=gitlab-mass-clone", "level=high", "tag=exfiltration"], true),
        (&["rule!=other", "author=alice"], true),
        (&["author=7"], true),
        (&["author_id=7"], true),
        (&["author_id=8"], false),
        (&["entity=shop/*"], true),
        // One of its entities is elsewhere: it is told.
        (&["entity=shop/api"], false),
        (&["entity=~shop/(api|web)"], true),
        (&["rule=g*", "entity!=*web"], false),
        (&["rule=~gitlab"], false),
        (&["rule=~gitlab.*", "source!~gith.b"], true),
        (&["project_id=9"], false),
        (&["rule=gitlab-*", "project_id!=9"], true),
        (&["author=\"alice\""], true),
    ] {
        assert_eq!(Matchers::parse(matchers).unwrap().hold(&case), is_held, "{matchers:?}");
    }
    let nowhere = Scene::default();
    let nothing = Case { alert: &one, scene: &nowhere };
    assert!(!Matchers::parse(&["entity=*"]).is_ok_and(|matchers| matchers.hold(&nothing)));
    for matcher in ["author!=x", "entity!~x", "source!=x", "forge!=x"] {
        let matchers = Matchers::parse(&["rule=*clone", matcher]).unwrap();
        assert!(matchers.hold(&case) && !matchers.hold(&nothing), "{matcher}");
    }
    assert!(
        !Matchers::parse(&["source=gitlab"]).unwrap().hold(&nothing),
        "what is not known is not silenced"
    );
}

fn policy(yaml: &str) -> Policy {
    #[derive(serde::Deserialize)]
    #[serde(default)]
    #[derive(Default)]
    struct Sections {
        inhibit: Vec<Inhibition>,
        maintenance: Vec<Window>,
        storm: Storm,
    }
    let Sections { inhibit, maintenance, storm } =
        serde_yaml::from_str(yaml).unwrap_or_else(|error| panic!("{error}"));
    Policy { inhibit, maintenance, storm, notices: Notices::default() }
}

fn by(policy: &Policy, case: &Case<'_>, facts: &Facts<'_>, at: Timestamp) -> Vec<HeldBy> {
    hold(policy, case, facts, at).into_iter().map(|hold| hold.by).collect()
}

#[test]
fn an_open_alert_holds_back_what_it_explains() {
    let policy = policy(
        "inhibit: [{when: {rules: [takeover]}, hold: {levels: [low, medium, high]}, equal: [author_id], for: 2h}]\n",
    );
    let (cause, here) = (Alert { id: AlertId("c".into()), ..alert("takeover", Level::Critical) }, scene(&[]));
    let open = |alert: &Alert| [OpenAlert { alert: alert.clone(), scene: here.clone(), changed_at: NOON }];
    let one = alert("noise", Level::Medium);
    let case = Case { alert: &one, scene: &here };
    let held = |alert: &Alert, at| {
        let open = Inhibitors::new(&policy, open(alert));
        by(&policy, &case, &Facts { open: Some(&open), ..Facts::default() }, at)
    };
    assert_eq!(held(&cause, NOON), [HeldBy::Inhibition]);
    assert_eq!(held(&cause, NOON.plus(Span::hours(2))), [], "that was long ago");
    let stranger = Alert { key: Key(vec![("author_id".into(), "8".into())]), ..cause.clone() };
    assert_eq!(held(&stranger, NOON), [], "somebody else");
    let keyless = Alert { key: Key::default(), ..cause.clone() };
    assert_eq!(held(&keyless, NOON), [], "what is missing is not equal");
    assert_eq!(held(&one, NOON), [], "itself");
    // Of two that could each hold the other back neither does.
    let both = Alert { level: Level::High, ..cause };
    let other = Alert { id: AlertId("d".into()), ..both.clone() };
    let theirs = Inhibitors::new(&policy, open(&other));
    let facts = Facts { open: Some(&theirs), ..Facts::default() };
    assert_eq!(by(&policy, &Case { alert: &both, scene: &here }, &facts, NOON), []);
    assert!(hold(&policy, &case, &facts, NOON)[0].spares_responses);
}

#[test]
fn windows_and_storms_hold_back_and_say_so() {
    let policy = policy(
        "maintenance:\n  - {name: patch, reason: update, days: [mon], hours: '11:00-13:00', match: {entities: [infra/*]}}\n  \
         - {name: move, reason: new house, from: '2026-01-06 01:00', until: '2026-01-06 03:00', time_zone: Europe/Berlin}\n\
         storm: {per_hour: 3, rules: {chatty: 5, free: 0}}\n",
    );
    let one = alert("r", Level::High);
    let (infra, mixed) = (scene(&["infra/a"]), scene(&["infra/a", "shop/b"]));
    let at = |text: &str| Timestamp::parse(text).unwrap();
    let held = |scene: &Scene, at| by(&policy, &Case { alert: &one, scene }, &Facts::default(), at);
    assert_eq!(held(&infra, NOON), [HeldBy::Maintenance]);
    assert_eq!(held(&mixed, NOON), [], "not all of it is being worked on");
    assert_eq!(held(&infra, NOON.plus(Span::hours(1))), []);
    assert_eq!(held(&mixed, at("2026-01-06T00:00:00Z")), [HeldBy::Maintenance]);
    assert_eq!(held(&mixed, at("2026-01-06T02:00:00Z")), []);
    let storm = |rule: &str, recent| {
        let one = alert(rule, Level::High);
        let facts = Facts { recent, ..Facts::default() };
        hold(&policy, &Case { alert: &one, scene: &mixed }, &facts, NOON).len()
    };
    assert_eq!((storm("r", 2), storm("r", 3), storm("chatty", 4), storm("chatty", 5)), (0, 1, 0, 1));
    assert_eq!(storm("free", 1_000_000), 0);
    assert_eq!(Storm::default().limit("r"), Some(100));
}

#[test]
fn dead_ends_are_found() {
    let tree = routes(
        "- {levels: [high], actions: [a], stop: true, routes: [{levels: [low], actions: [b]}]}\n\
         - {levels: [high], actions: [c]}\n- {levels: [low], entities: [x], actions: [d], stop: true}\n\
         - {levels: [low], actions: [e]}\n- {levels: [critical], actions: [f]}\n",
    );
    let rules = [("one", Level::High, [].as_slice()), ("two", Level::Low, [].as_slice())];
    let found: Vec<Vec<usize>> = dead_ends(&tree, &rules).into_iter().map(|dead| dead.path).collect();
    assert_eq!(found, [vec![1, 1], vec![2], vec![5]]);
    assert_eq!(dead_ends(&tree, &[]), [], "without rules nothing is known");
}

/// What a route of the property test asks: some levels, whether a path is shop's.
fn any_route() -> impl Strategy<Value = Route> {
    let node = |children: Vec<Route>| {
        let levels = proptest::collection::vec(0..5_usize, 0..3);
        let parts = (levels, any::<bool>(), any::<bool>(), proptest::collection::vec(0..6_u8, 0..3));
        parts.prop_map(move |(levels, is_shop, stop, actions)| {
            let entities = if is_shop { vec!["shop/*".parse().unwrap()] } else { Vec::new() };
            let levels = levels.into_iter().map(|level| Level::ALL[level]).collect();
            Route {
                when: Condition { levels, entities, ..Condition::default() },
                actions: actions.into_iter().map(|number| format!("action{number}")).collect(),
                routes: children.clone(),
                stop,
                ..Route::default()
            }
        })
    };
    node(Vec::new())
        .prop_recursive(3, 20, 3, move |inner| proptest::collection::vec(inner, 0..4).prop_flat_map(node))
}

/// All routes with the conditions on the way to them, and those before each in its list.
fn listed<'r>(list: &'r [Route], above: &[usize], found: &mut BTreeMap<Vec<usize>, &'r Route>) {
    for (number, route) in list.iter().enumerate() {
        let path: Vec<usize> = above.iter().copied().chain([number]).collect();
        listed(&route.routes, &path, found);
        found.insert(path, route);
    }
}

proptest! {
    /// A route counts if it and all above it match, and none before it, at any height, matches and stops.
    #[test]
    fn the_way_is_what_a_naive_interpreter_finds(
        tree in proptest::collection::vec(any_route(), 0..5), level in 0..5_usize, is_shop: bool
    ) {
        let one = alert("r", Level::ALL[level]);
        let here = scene(if is_shop { &["shop/a"] } else { &["x"] });
        let mut all = BTreeMap::new();
        listed(&tree, &[], &mut all);
        let matches = |route: &Route| {
            (route.when.levels.is_empty() || route.when.levels.contains(&one.level))
                && (route.when.entities.is_empty() || is_shop)
        };
        let counts = |path: &[usize]| (1..=path.len()).all(|length| {
            let (own, before) = path[..length].split_last().unwrap();
            let earlier = (0..*own).map(|number| before.iter().copied().chain([number]).collect::<Vec<_>>());
            matches(all[&path[..length]]) && earlier.map(|path| all[&path]).all(|route| !(matches(route) && route.stop))
        });
        let mut expected: Vec<&String> = Vec::new();
        // A map of paths is in the order of the tree, parents first.
        for (path, route) in &all {
            if counts(path) {
                for action in &route.actions {
                    if !expected.contains(&action) {
                        expected.push(action);
                    }
                }
            }
        }
        let case = Case { alert: &one, scene: &here };
        let found = told(&tree, &[], &case, NOON);
        prop_assert_eq!(found.iter().collect::<Vec<_>>(), expected);
        let seen: BTreeSet<Vec<usize>> = trace(&tree, &case, NOON).into_iter()
            .filter(|visit| visit.passed == Passed::Matched)
            .map(|visit| visit.path.into_iter().map(|number| number - 1).collect()).collect();
        let counted: BTreeSet<Vec<usize>> = all.keys().filter(|path| counts(path)).cloned().collect();
        prop_assert_eq!(seen, counted);
    }

    /// Whatever comes when, and whenever messages are tried: every alert is in one message, no message is due before the
    /// interval after the one before has passed, and none waits longer than it may.
    #[test]
    fn every_alert_is_told_once_and_in_time(
        steps in proptest::collection::vec((0..120_i64, any::<bool>()), 1..60), wait in 0..60_i64, interval in 1..300_i64
    ) {
        let group = Group {
            by: vec![Field::Rule], wait: Span::seconds(wait), interval: Span::seconds(interval), repeat: None,
        };
        let (mut now, mut state) = (NOON, None::<GroupState>);
        let mut messages: Vec<(Timestamp, Vec<usize>, Timestamp)> = Vec::new();
        for (number, (pause, is_tried)) in steps.iter().enumerate() {
            now = now.plus(Span::seconds(*pause));
            // What is due is tried, sooner or later.
            if *is_tried && let Some(state) = state.as_mut().filter(|state| state.last_due <= now) {
                state.open = None;
                state.size = 0;
            }
            match join(&group, state.as_ref(), now) {
                Joined::Waiting(open) => {
                    let message = &mut messages[open.parse::<usize>().unwrap()];
                    message.1.push(number);
                    state.as_mut().unwrap().size += 1;
                }
                Joined::New(due) => {
                    prop_assert!(due >= now && due <= now.plus(group.wait.max(group.interval)));
                    if let Some((last, ..)) = messages.last() {
                        prop_assert!(due >= last.plus(group.interval), "sooner than the interval");
                    }
                    messages.push((due, vec![number], now));
                    state = Some(GroupState { open: Some((messages.len() - 1).to_string()), size: 1, last_due: due });
                }
            }
        }
        let all: Vec<usize> = messages.iter().flat_map(|message| message.1.clone()).collect();
        prop_assert_eq!(all, (0..steps.len()).collect::<Vec<_>>());
    }
}

/// What the course of a past decides about alerts of (rule, level, author), one a minute.
fn course(policy: Policy, tree: &str, alerts: &[(&str, Level, &str)]) -> Vec<Passage> {
    let mut course = Course::new(policy, routes(tree));
    let nature = |name: &str| match name {
        "nobody" => None,
        name if name.starts_with("block") => Some(Nature::Responds),
        _ => Some(Nature::Tells),
    };
    let one = |(minute, (rule, level, author)): (i64, &(&str, Level, &str))| {
        let id = AlertId(format!("{minute}"));
        let key = Key(vec![("author_id".into(), (*author).into())]);
        let alert = Alert { id, key, ..alert(rule, *level) };
        let here = scene(&[]);
        course.decide(&Case { alert: &alert, scene: &here }, &[], &nature, NOON.plus(Span::minutes(minute)))
    };
    (0..).zip(alerts).map(one).collect()
}

#[test]
fn a_course_holds_back_and_gathers_as_the_store_does() {
    let policy = policy(
        "inhibit: [{when: {rules: [takeover]}, hold: {rules: [noise]}, equal: [author_id], for: 2h}]\n\
         storm: {per_hour: 2}\n",
    );
    let tree = "- {levels: [high], actions: [mail, nobody], group: {by: [rule], wait: 90s, interval: 10m}}\n\
                - {actions: [block], routes: [{rules: [takeover], actions: [page], escalate: [{after: 5m, actions: [lead]}]}]}\n";
    let (high, low) = (Level::High, Level::Low);
    let passages = course(
        policy,
        tree,
        &[
            ("takeover", high, "7"),
            ("takeover", high, "8"),
            ("noise", low, "7"),
            ("noise", low, "9"),
            ("takeover", high, "9"),
            ("takeover", high, "9"),
        ],
    );
    let fates: Vec<String> = passages
        .iter()
        .map(|passage| {
            let fates = passage.told.iter().map(|(told, fate)| format!("{} {fate:?}", told.action));
            fates.collect::<Vec<_>>().join(", ")
        })
        .collect();
    assert_eq!(
        fates,
        [
            "mail Opens, nobody Alone, block Alone, page Alone",
            "mail Joins, nobody Alone, block Alone, page Alone",
            "block Alone",
            "block Alone",
            "mail Held, nobody Alone, block Held, page Held",
            "mail Held, nobody Alone, block Held, page Held",
        ]
    );
    assert_eq!(passages[0].routes, [vec![1], vec![2], vec![2, 1]]);
    assert_eq!((passages[0].escalate.len(), passages[4].escalate.len()), (1, 0));
    assert_eq!(passages[2].holds[0].by, HeldBy::Inhibition, "and its response is made all the same");
    let storms: Vec<bool> = passages.iter().map(|passage| passage.begins_storm).collect();
    assert_eq!(storms, [false, false, false, false, true, false]);
}
