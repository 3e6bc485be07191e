use std::fs;
use std::path::Path;

use super::*;
use crate::daemon::Reading;
use crate::engine::Limits;
use crate::time::Timestamp;

fn read(paths: &[PathBuf]) -> Reading {
    let basis = rules::JudgeArgs::default().settle(paths).unwrap();
    basis.read(Timestamp::parse("2026-06-01").unwrap()).unwrap()
}

fn with<T>(text: &str, check: impl Fn(&Report<'_>, &Path) -> T) -> T {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rule.yml");
    fs::write(&path, text).unwrap();
    let reading = read(&[path]);
    check(&Report::new(&Runner::new(&reading.rules, Limits::default())), dir.path())
}

const RULE: &str = "\
title: Many deleted comments
id: many
logsource: {product: gitlab}
detection:
  deleted: {event_type: comment_deleted}
  condition: deleted
behavior: {by: author_id, within: 10m, at_least: 3}
tests:
";

#[test]
fn all_tests_of_the_shipped_rules_pass() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shipped = ["rules", "examples/rules", "examples/coming-from"].map(|folder| root.join(folder));
    let reading = read(&shipped);
    let report = Report::new(&Runner::new(&reading.rules, Limits::default()));
    let text = report.text(Paint::plain());
    assert_eq!(report.failed(), 0, "{text}");
    assert!(text.contains(" passed, 0 failed in "), "{text}");
}

#[test]
fn a_failing_test_says_what_happened_and_how_close_it_came() {
    let tests = "  - name: two are not three
    events: {repeat: 2, every: 1m, event: {event_type: comment_deleted, author_id: 7}}
    alerts: [{author_id: 7}]
  - name: somebody else
    events: {repeat: 4, every: 1m, event: {event_type: comment_deleted, author_id: 8}}
    alerts: [{author_id: 7, level: medium}]
  - name: fits
    events: {repeat: 3, every: 1m, event: {event_type: comment_deleted, author_id: 8}}
    alerts: [{author_id: \"8\", level: medium, value: 3, reason: 3 events, event_type: comment_deleted}]
  - name: nobody
    events: [{event_type: comment_deleted}, {event_type: user_created}, {event_type: comment_deleted, created_at: never}]
    alerts: []
";
    let shown = with(&format!("{RULE}{tests}"), |report, dir| {
        report.text(Paint::plain()).replace(&format!("{}/", dir.display()), "")
    });
    insta::assert_snapshot!(shown, @r"
    FAILED rule.yml:9: two are not three
      Many deleted comments (many)
      expected, but not raised:
        - {author_id: 7}
      how close it came:
        2 of 2 events match
        author_id = 7: at most 2 events within 10m; it takes at least 3

    FAILED rule.yml:12: somebody else
      Many deleted comments (many)
      expected, but not raised:
        - {author_id: 7, level: medium}
            author_id is 8, not 7
      raised, but not expected:
        + {author_id: 8}
            2 findings: 4 events within 10m (at least 3)
      how close it came:
        4 of 4 events match
        author_id = 8: at most 4 events within 10m; it takes at least 3

    FAILED rule.yml:18: nobody
      event 3 is no event: the event's time `never` is no time; send RFC 3339 such as 2026-01-31T09:00:00.000Z, or epoch milliseconds

    1 passed, 3 failed in 1 rule
    ");
}

#[test]
fn sequences_and_absences_are_judged_to_their_end() {
    let text = "\
title: Opened, then merged
id: pair
logsource: {product: gitlab}
detection:
  opened: {event_type: comment_created}
  merged: {event_type: comment_deleted}
  condition: opened or merged
behavior: {by: author_id, within: 10m, sequence: [opened, merged], unless: closed}
tests:
  - name: the other way round
    events: [{event_type: comment_deleted, author_id: 7}, {event_type: comment_created, author_id: 7}]
    alerts: [{author_id: 7}]
---
title: Silence
id: silence
logsource: {product: gitlab}
detection:
  opened: {event_type: comment_created}
  merged: {event_type: comment_deleted}
  condition: opened or merged
behavior: {by: author_id, within: 10m, absence: {of: merged, after: opened}}
tests:
  - {name: silent, events: [{event_type: comment_created, author_id: 7}], alerts: [{author_id: 7}]}
  - {name: not yet, events: [{event_type: comment_created, author_id: 7}], alerts: [], until: 9m}
";
    let text = text.replace(", unless: closed", "");
    let shown = with(&text, |report, _| report.text(Paint::plain()));
    assert!(
        shown.contains("author_id = 7: saw merged, opened; it takes opened, merged within 10m"),
        "{shown}"
    );
    assert!(shown.ends_with("2 passed, 1 failed in 2 rules\n"), "{shown}");
}

#[test]
fn a_correlation_is_tested_with_the_rules_it_is_over() {
    let text = "\
title: A comment was deleted
name: deleted
logsource: {product: gitlab}
detection: {a: {event_type: comment_deleted}, condition: a}
tests:
  - {name: alone, events: [{event_type: comment_deleted, author_id: 7}], alerts: [{author_id: 7}]}
---
title: Often
id: often
correlation: {type: event_count, rules: [deleted], group-by: [author_id], timespan: 10m, condition: {gte: 2}}
tests:
  - name: twice
    events: {repeat: 2, event: {event_type: comment_deleted, author_id: 7}}
    alerts: [{author_id: 7, rule: often}]
---
title: No tests
logsource: {product: gitlab}
detection: {a: {event_type: comment_created}, condition: a}
";
    let shown = with(text, |report, _| report.text(Paint::plain()));
    assert_eq!(shown, "note: 1 rule has no tests: no-tests\n2 passed, 0 failed in 2 rules\n");
}

#[test]
fn programs_get_json_and_xml() {
    let tests =
        "  - {name: 'a <b> & \"c\"', events: [], alerts: [{author_id: 7}]}\n  - {events: [], alerts: []}\n";
    with(&format!("{RULE}{tests}"), |report, _| {
        let json: serde_json::Value = serde_json::from_str(&report.json().unwrap()).unwrap();
        assert_eq!((&json["passed"], &json["failed"]), (&1.into(), &1.into()));
        assert_eq!(json["tests"][0]["line"], 9);
        assert!(json["tests"][0]["explanation"].as_str().unwrap().contains("expected, but not raised"));
        let xml = report.junit();
        assert!(xml.contains("tests=\"2\" failures=\"1\""), "{xml}");
        assert!(xml.contains("name=\"a &lt;b&gt; &amp; &quot;c&quot;\""), "{xml}");
        assert!(xml.contains("<failure message=\"1 alerts missing, 0 not expected\">"), "{xml}");
    });
}

#[test]
fn keys_that_were_forgotten_are_told() {
    let rule = format!(
        "{RULE}  - name: many
    events: {{repeat: 3000, every: 1s, event: {{event_type: comment_deleted, author_id: '${{n}}'}}}}
    alerts: []
"
    );
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rule.yml");
    fs::write(&path, rule.replace("10m", "3d")).unwrap();
    let reading = read(&[path]);
    let text = |limits| Report::new(&Runner::new(&reading.rules, limits)).text(Paint::plain());
    let small = Limits { state_bytes_max: 100_000, rule_bytes_max: 100_000, ..Limits::default() };
    assert!(text(small).contains("keys were forgotten at the memory limits"), "{}", text(small));
    assert!(!text(Limits::default()).contains("forgotten"));
}
