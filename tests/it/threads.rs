//! A backtest says the same with any number of threads, byte for byte: also about lines that are no events, events
//! that come twice, and events that have no time of their own.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

const RULES: &str = "\
title: Anybody
id: anybody
logsource: {product: gitlab}
detection: {sel: {author_id|exists: true}, condition: sel}
behavior: {by: author_id, within: 30m, at_least: 12}
---
title: Made
id: made
logsource: {product: gitlab}
detection: {sel: {event_type|contains: [created, key, fork]}, condition: sel}
---
title: Even
id: even
logsource: {product: gitlab}
detection:
  sel:
    script: 'type_of(event.author_id) == \"i64\" && event.author_id % 7 == 3'
  condition: sel
behavior: {by: author_id, distinct: event_type, within: 2h, at_least: 4}
";

/// Every seventh line is something else than a whole event.
fn disturbed(events: &str) -> String {
    let mut text = String::new();
    for (number, line) in events.lines().enumerate() {
        let _ = match number % 70 {
            7 => writeln!(text),
            14 => writeln!(text, "{{\"id\": 1, oops}}"),
            21 => writeln!(text, "{line}\n{line}"),
            28 => {
                let mut event: Value = serde_json::from_str(line).unwrap();
                event.as_object_mut().unwrap().remove("created_at");
                writeln!(text, "{event}")
            }
            35 => writeln!(text, "   {line}\r"),
            42 => writeln!(text, "{{\"created_at\":\"yesterday\"}}"),
            _ => writeln!(text, "{line}"),
        };
    }
    text
}

fn run(arguments: &[&str]) -> (String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_watchfire")).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr))
}

#[test]
fn a_backtest_says_the_same_with_any_number_of_threads() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (events, _) = run(&["generate", "--count", "6000", "--seed", "5"]);
    let events = file("events.ndjson", &disturbed(&events));
    let rules = file("rules.yml", RULES);
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/gitlab");
    let shipped = shipped.to_str().unwrap();
    let backtest = ["backtest", "--rules", &rules, "--rules", shipped, "--events", &events];
    for more in [
        &["--format", "ndjson", "--findings"][..],
        &["--format", "ndjson"],
        &["--format", "text", "--against", shipped],
    ] {
        let with = |threads: &str| run(&[&backtest[..], more, &["--threads", threads]].concat());
        let one = with("1");
        assert!(one.1.contains("lines are no events"), "{}", one.1);
        for id in ["anybody", "made", "even"] {
            assert!(one.0.contains(id), "{id} says nothing: {}", one.0);
        }
        for threads in ["2", "5"] {
            let (output, errors) = with(threads);
            assert!(output == one.0, "another output with {threads} threads and {more:?}");
            assert_eq!(errors, one.1);
        }
    }
}
