//! Script rules in the engine: gated by their detection, the same across restarts, in the order of the log.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::alert::LedgerReason;
use crate::decode::decode;
use crate::event::{Catalogue, Entry, Event, Format};
use crate::rule::{Lists, RuleFile, load, render};
use crate::script::Cage;
use crate::time::{Span, Timestamp};

fn compiled(files: &[(&str, String)]) -> (Compiled, Vec<crate::rule::Diagnostic>) {
    let files: Vec<RuleFile> =
        files.iter().map(|(path, text)| RuleFile { path: (*path).into(), text: text.clone() }).collect();
    let loaded = load(&files, &Lists::default());
    let environment = Environment {
        catalogue: Arc::new(Catalogue::built_in()),
        cage: Arc::new(Cage::new(Arc::default())),
        lateness: Span::minutes(5),
        today: Timestamp(0),
    };
    (compile(loaded.rules, &loaded.filters, &environment), loaded.diagnostics)
}

fn rules(files: &[(&str, String)]) -> Arc<RuleSet> {
    let (compiled, diagnostics) = compiled(files);
    assert!(
        diagnostics.is_empty() && compiled.diagnostics.is_empty(),
        "{diagnostics:?} {:?}",
        compiled.diagnostics
    );
    Arc::new(compiled.rules)
}

fn engine(rules: &Arc<RuleSet>) -> Engine {
    Engine::new(Arc::clone(rules), Arc::new(Catalogue::built_in()), Limits::default())
}

fn entry(position: u64, time: i64, body: &Value) -> Entry {
    let source: Arc<str> = "gitlab".into();
    let mut body = body.clone();
    body["created_at"] = Timestamp(time).to_string().into();
    let decoded = decode(Format::Gitlab, &source, body.to_string().into(), None, Timestamp(time)).unwrap();
    Entry::Event(Event { position, ..decoded.event })
}

fn rule(behavior: &str, detection: &str, script: &str) -> String {
    format!(
        "/*\ntitle: T\nid: r\nlogsource: {{product: gitlab}}\n{detection}behavior: {{by: author_id{behavior}}}\n*/\n{script}\n"
    )
}

#[test]
fn a_script_runs_only_for_what_its_detection_lets_through() {
    let throws = "fn on_event(event, state, window) { throw event.event_type }";
    let gate = "detection:\n  deletion: {event_type|startswith: project_}\n  robot: {author_name: bot}\n  condition: deletion and not robot\n";
    for (detection, expected) in [(gate, 10), ("", 40)] {
        let rules = rules(&[("a.rhai", rule("", detection, throws))]);
        let (mut engine, mut effects) = (engine(&rules), Effects::default());
        for number in 0..40 {
            let event_type = if number % 2 == 0 { "project_destroyed" } else { "user_created" };
            let author_name = if number % 4 == 0 { "bot" } else { "ada" };
            let body =
                json!({"id": number, "author_id": 1, "author_name": author_name, "event_type": event_type});
            engine.handle(&entry(number + 1, 1_000_000, &body), &mut effects);
        }
        let [failed] = effects.ledger.as_slice() else { panic!("{:?}", effects.ledger) };
        assert_eq!((failed.reason, failed.count), (LedgerReason::ScriptFailed, expected), "{detection}");
        let detail = failed.detail.as_deref().unwrap();
        assert!(detail.starts_with("line ") && detail.contains(", column "), "{detail}");
    }
}

/// Scripts that keep every sort of value, and look at their window in every way.
const KEEPING: [&str; 3] = [
    "fn on_event(event, state, window) {
        state.n += 1;
        state.mean = (state.mean ?? 0.1) * 0.9 + event.size * 0.1;
        if state.by == () { state.by = #{}; }
        state.by[event.event_type] += event.size;
        state.last = [event.details, event.id, 'x', (), 1.0 / 3.0];
        if state.n % 7 == 0 { #{ reason: `${state.by} ${state.mean} ${state.last}`, value: state.mean } }
    }",
    "fn on_event(event, state, window) {
        if window.count() % 5 == 0 { `${window.count()} ${window.distinct(\"entity_id\")} ${window.sum(\"size\")}` }
    }",
    "fn on_event(event, state, window) {
        let sizes = window.events().map(|e| e.size);
        state.ids = window.events().map(|e| `${e.id}`);
        if sizes.len() > 3 { `${sizes} ${window.first().created_at} ${window.last().details} ${state.ids}` }
    }",
];

fn stream(seed: u64, count: u64) -> Vec<Entry> {
    let mut dice = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut roll = |sides: u64| {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        dice % sides
    };
    (1..=count)
        .map(|position| {
            let late = roll(120) as i64 * 1000;
            let event_type = ["user_created", "project_destroyed", "x"][roll(3) as usize];
            let body = json!({
                "id": position, "author_id": roll(3), "entity_id": roll(4), "size": roll(1000) as f64 / 7.0,
                "event_type": event_type,
                "details": {"a": [roll(9), "ä", null], "b": {"c": roll(2) == 0}},
            });
            entry(position, 1_700_000_000_000 + position as i64 * 10_000 - late, &body)
        })
        .collect()
}

/// The keys of a snapshot stand in no order, so two are compared by what they hold.
fn kept(engine: &Engine) -> (usize, usize, BTreeMap<String, Option<Vec<u64>>>) {
    let keys = (0..3).map(|author| format!("{author}\u{1f}"));
    (
        engine.state_bytes(),
        engine.keys(),
        keys.map(|key| (key.clone(), engine.remembered("r", &key))).collect(),
    )
}

#[test]
fn a_restart_at_any_time_changes_nothing() {
    for script in KEEPING {
        let rules = rules(&[("a.rhai", rule(", within: 2m", "", script))]);
        let log = stream(7, 120);
        let (mut whole, mut expected) = (engine(&rules), Effects::default());
        let (mut cut, mut found) = (engine(&rules), Effects::default());
        for (number, entry) in log.iter().enumerate() {
            whole.handle(entry, &mut expected);
            if number % 3 == 0 {
                let bytes = cut.snapshot().unwrap();
                let catalogue = Arc::new(Catalogue::built_in());
                cut = Engine::restore(Arc::clone(&rules), catalogue, Limits::default(), &bytes).unwrap();
                assert_eq!(cut.snapshot().unwrap().len(), bytes.len());
            }
            cut.handle(entry, &mut found);
        }
        assert!(expected.findings.len() > 5, "{} findings of {script}", expected.findings.len());
        assert!(expected.ledger.is_empty(), "{:?}", expected.ledger);
        assert_eq!(found.findings, expected.findings);
        assert_eq!(found.alerts, expected.alerts);
        assert_eq!(kept(&cut).2, kept(&whole).2);
    }
}

#[test]
fn scripts_see_the_order_of_the_log() {
    let script = "fn on_event(event, state, window) { `${window.events().map(|e| e.id)}` }";
    let rules = rules(&[("a.rhai", rule(", within: 1m", "", script))]);
    let (mut engine, mut effects) = (engine(&rules), Effects::default());
    let start = 1_700_000_000_000;
    // 3 comes late, 4 is late beyond the window but not beyond the lateness, 6 beyond both.
    let seconds = [0, 50, 20, -70, 61, -400, 100];
    for (position, second) in (1..).zip(seconds) {
        let body = json!({"id": position, "author_id": 1, "event_type": "x"});
        engine.handle(&entry(position, start + second * 1000, &body), &mut effects);
    }
    let seen: Vec<&str> = effects.findings.iter().map(|finding| &*finding.reason).collect();
    assert_eq!(seen, ["[1]", "[1, 2]", "[1, 2, 3]", "[1, 2, 3, 4]", "[2, 3, 5]", "[2, 5, 7]"]);
    let [late] = effects.ledger.as_slice() else { panic!("{:?}", effects.ledger) };
    assert_eq!((late.reason, late.count, late.first), (LedgerReason::TooLate, 1, 6));
}

#[test]
fn mistakes_in_scripts_are_shown_where_they_stand() {
    let file = rule("", "", "fn on_event(event, state, window) {\n    let a = lowr(event.x);\n}");
    let inline = "title: T\nid: i\nlogsource: {product: gitlab}\ndetection:\n  a:\n    event_type: x\n    script: levl(event.details.to) > 4\n  b:\n    script: |\n      event.id == 1\n        && matchs(event.x, \"a\")\n  condition: a or b\n";
    let block = inline.replace("levl", "level");
    for (path, text, place, shown) in [
        ("a.rhai", file, (8, 13, 4), "did you mean `lower`?"),
        ("a.yml", inline.to_owned(), (7, 13, 4), "did you mean `level`?"),
        ("b.yml", block, (11, 12, 6), "did you mean `matches`?"),
    ] {
        let (compiled, diagnostics) = compiled(&[(path, text.clone())]);
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        let [found] = compiled.diagnostics.as_slice() else { panic!("{:?}", compiled.diagnostics) };
        assert_eq!((found.line, found.column, found.width), place, "{path}: {found:?}");
        let picture = render(&compiled.diagnostics, &|_| Some(text.as_str()), false);
        assert!(picture.contains(shown) && picture.contains("^^^^"), "{picture}");
    }
}

#[test]
fn a_script_in_a_file_of_its_own_is_the_same_rule() {
    let script =
        "fn on_event(event, state, window) {\n    state.n += 1;\n    if state.n % 3 == 0 { `${state.n}` }\n}";
    let yaml =
        "title: T\nid: r\nlogsource: {product: gitlab}\nbehavior: {by: author_id, script: s/three.rhai}\n";
    let mut found = Vec::new();
    for files in [
        vec![("a.rhai", rule("", "", script))],
        vec![("a.yml", yaml.to_owned()), ("s/three.rhai", format!("{script}\n"))],
    ] {
        let rules = rules(&files);
        let (mut engine, mut effects) = (engine(&rules), Effects::default());
        for entry in stream(3, 40) {
            engine.handle(&entry, &mut effects);
        }
        assert!(effects.findings.len() > 5 && effects.ledger.is_empty(), "{:?}", effects.ledger);
        found.push((effects.findings, rules.units()[0].fingerprint));
    }
    assert_eq!(found[0], found[1]);
}

#[test]
fn moving_in_its_file_makes_no_other_rule() {
    let fingerprint = |files: &[(&str, String)]| rules(files).units()[0].fingerprint;
    let script = "fn on_event(event, state, window) { true }";
    let inline = |before: &str, expression: &str| {
        let detection = format!("detection:\n  a:\n    script: {expression}\n  condition: a\n");
        format!("{before}title: T\nid: r\nlogsource: {{product: gitlab}}\n{detection}")
    };
    let yaml = "title: T\nid: r\nlogsource: {product: gitlab}\nbehavior: {by: author_id, script: s.rhai}\n";
    let named = |path: &'static str, script: &str| {
        vec![("a.yml", yaml.replace("s.rhai", path)), (path, script.to_owned())]
    };
    let changed = script.replace("true", "false");
    for (before, moved, changed) in [
        (
            vec![("a.rhai", rule("", "", script))],
            vec![("b.rhai", rule("", "", &format!("\n\n{script}")).replace("*/\n\n\n", "# more\n\n*/\n"))],
            vec![("a.rhai", rule("", "", &changed))],
        ),
        (
            vec![("a.yml", inline("", "event.id == 1"))],
            vec![("a.yml", inline("# more\n\n", "event.id == 1").replace("  a:\n", "  a:\n\n"))],
            vec![("a.yml", inline("", "event.id == 2"))],
        ),
        (named("s.rhai", script), named("t.rhai", script), named("s.rhai", &changed)),
    ] {
        assert_eq!(fingerprint(&before), fingerprint(&moved), "{moved:?}");
        assert_ne!(fingerprint(&before), fingerprint(&changed), "{changed:?}");
    }
}

#[test]
fn mistakes_in_a_shared_script_are_shown_in_its_file_and_once() {
    let yaml = |id: &str| {
        format!("title: {id}\nid: {id}\nlogsource: {{product: gitlab}}\nbehavior: {{script: s.rhai}}\n")
    };
    let files =
        |script: &str| vec![("a.yml", yaml("a")), ("b.yml", yaml("b")), ("s.rhai", script.to_owned())];
    let (broken, diagnostics) = compiled(&files("// 1\nfn on_event(e, s, w) { lowr(e.x) }"));
    assert_eq!((broken.rules.units().len(), diagnostics.len()), (0, 0));
    let shown: Vec<_> =
        broken.diagnostics.iter().map(|found| (&*found.path, found.line, found.column)).collect();
    assert_eq!(shown, [("s.rhai", 2, 24), ("a.yml", 1, 1), ("b.yml", 1, 1)]);
    assert!(broken.diagnostics[1].message.contains("its script s.rhai"), "{:?}", broken.diagnostics);

    let rules = rules(&files("fn on_event(e, s, w) {\n  throw \"no\"\n}"));
    let (mut engine, mut effects) = (engine(&rules), Effects::default());
    engine.handle(&entry(1, 1_000_000, &json!({"id": 1})), &mut effects);
    let details: Vec<_> = effects.ledger.iter().map(|entry| entry.detail.as_deref()).collect();
    assert_eq!(details, [Some("s.rhai, line 2, column 3: no"); 2]);
}
