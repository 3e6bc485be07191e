use std::fs;

use super::*;
use crate::time::Timestamp;

const RULES: &str = "\
title: One account clones many projects
id: mass-clone
level: high
logsource: {product: gitlab}
detection:
  clone:
    event_type: repository_git_operation
    details.custom_message.action: git-upload-pack
  robot:
    details.author_class: [DeployKey, DeployToken]
  night:
    created_at|hour|gte: 20
    script: event.author_id > 5
  condition: clone and not robot and not night
behavior: {by: author_id, distinct: entity_id, within: 10m, at_least: 3}
---
title: Anything by a robot
id: robots
level: low
logsource: {product: gitlab}
detection:
  robot:
    - {details.author_class|contains: deploy}
    - {author_id|lt: 0}
  condition: robot
---
title: The nightly mirror
logsource: {product: gitlab}
filter:
  rules: [mass-clone]
  mirror: {ip_address|cidr: 10.0.0.0/8}
  condition: mirror
---
title: Far away
id: far
logsource: {product: gitlab}
detection: {a: {event_type: project_destroyed}, condition: a}
";

fn clone(minute: u32, entity: u32, address: &str, class: &str) -> String {
    serde_json::json!({
        "id": format!("e{minute}"), "created_at": format!("2026-03-02T10:{minute:02}:00Z"), "author_id": 7,
        "author_name": "ada", "entity_id": entity, "entity_type": "Project", "entity_path": format!("g/p{entity}"),
        "event_type": "repository_git_operation", "ip_address": address,
        "details": {"author_class": class, "custom_message": {"action": "git-upload-pack"}},
    })
    .to_string()
}

fn read(path: PathBuf) -> Reading {
    let basis = rules::JudgeArgs::default().settle(&[path]).unwrap();
    basis.read(Timestamp::parse("2026-06-01").unwrap()).unwrap()
}

fn shown(events: &[String], only: Option<&str>) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rules.yml");
    fs::write(&path, RULES).unwrap();
    let reading = read(path);
    let mut past = Past::text(&events.join("\n"), None).unwrap();
    let event = past.find("").unwrap().unwrap();
    let cases = explain(&reading, &event, only, (&mut past, Limits::default())).unwrap();
    let all = reading.rules.units().len();
    let event = canonical(&event, &crate::event::Catalogue::built_in());
    show::text(&event, &cases, all, (Paint::plain(), 100)).replace(&format!("{}/", dir.path().display()), "")
}

#[test]
fn a_rule_that_fires_shows_what_it_saw() {
    let events: Vec<String> = (0..3).map(|n| clone(n, 100 + n, "203.0.113.9", "User")).collect();
    insta::assert_snapshot!(shown(&events, None), @r"
    2026-03-02T10:02:00.000Z  repository_git_operation  by ada (7)  on g/p102  from 203.0.113.9

    ✓ One account clones many projects  mass-clone  high
      FIRES    3 different entity_id within 10m (at least 3)
      rule     rules.yml:1
      key      author_id = 7
      window   3 different entity_id within 10m; it takes at least 3
                 2026-03-02T10:00:00.000Z  repository_git_operation  100
                 2026-03-02T10:01:00.000Z  repository_git_operation  101
                 2026-03-02T10:02:00.000Z  repository_git_operation  102
      ✓ clone and not robot and not night
      ├─ ✓ clone
      │  ├─ ✓ event_type is repository_git_operation
      │  └─ ✓ details.custom_message.action is git-upload-pack
      ├─ ✓ not robot
      │  └─ ✗ details.author_class is one of DeployKey, DeployToken   (is User)
      └─ ✓ not night
         ├─ ✗ hour of created_at >= 20   (is 2026-03-02T10:02:00Z)
         └─ ✓ script: event.author_id > 5
      · not excepted by The nightly mirror  rules.yml:27
      └─ ✗ mirror
         └─ ✗ ip_address lies in 10.0.0.0/8   (is 203.0.113.9)

    rules that fire: 1, that do not: 0, not shown: 2 (--rule ID shows one)
    ");
}

#[test]
fn a_rule_that_does_not_fire_says_why() {
    let robot = [clone(1, 100, "203.0.113.9", "DeployKey")];
    insta::assert_snapshot!(shown(&robot, None), @r"
    2026-03-02T10:01:00.000Z  repository_git_operation  by ada (7)  on g/p100  from 203.0.113.9

    ✓ Anything by a robot  robots  low
      FIRES    one matching event
      rule     rules.yml:17
      key      author_id = 7
      ✓ robot
      └─ ✓ one of
         ├─ ✓ details.author_class contains deploy   (is DeployKey)
         └─ ✗ author_id < 0   (is 7)

    ✗ One account clones many projects  mass-clone  high
      no       the condition does not hold: `robot` matches
      rule     rules.yml:1
      ✗ clone and not robot and not night
      ├─ ✓ clone
      │  ├─ ✓ event_type is repository_git_operation
      │  └─ ✓ details.custom_message.action is git-upload-pack
      ├─ ✗ not robot
      │  └─ ✓ details.author_class is one of DeployKey, DeployToken   (is DeployKey)
      └─ ✓ not night
         ├─ ✗ hour of created_at >= 20   (is 2026-03-02T10:01:00Z)
         └─ ✓ script: event.author_id > 5
      · not excepted by The nightly mirror  rules.yml:27
      └─ ✗ mirror
         └─ ✗ ip_address lies in 10.0.0.0/8   (is 203.0.113.9)

    rules that fire: 1, that do not: 1, not shown: 1 (--rule ID shows one)
    ");
    let few = shown(&[clone(1, 100, "203.0.113.9", "User")], Some("mass-clone"));
    assert!(few.contains("counted, but the window is not full"), "{few}");
    assert!(few.contains("1 different entity_id within 10m; it takes at least 3"), "{few}");
    let excepted = shown(&[clone(1, 100, "10.1.2.3", "User")], Some("mass-clone"));
    assert!(excepted.contains("excepted by `The nightly mirror` (rules.yml:27)"), "{excepted}");
    let anonymous = clone(1, 100, "203.0.113.9", "User").replace("\"author_id\":7", "\"author_id\":null");
    let anonymous = shown(&[anonymous], Some("mass-clone"));
    assert!(anonymous.contains("not judged: the event lacks a field of the key"), "{anonymous}");
    let far = shown(&[clone(1, 100, "203.0.113.9", "User")], Some("far"));
    assert!(far.contains("✗ event_type is project_destroyed   (is repository_git_operation)"), "{far}");
}

#[test]
fn the_window_of_an_event_in_the_log_is_that_of_its_time() {
    let events: Vec<String> = (0..5).map(|n| clone(n, 100 + n, "203.0.113.9", "User")).collect();
    let data = crate::cli::testing::data_dir(&events);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rules.yml");
    fs::write(&path, RULES).unwrap();
    let reading = read(path);
    let mut past = Past::stored(crate::cli::data::reader(data.path()).unwrap());
    for (id, position, fires) in [("e1", 2, false), ("position:3", 3, true), ("e4", 5, true)] {
        let event = past.find(id).unwrap().unwrap();
        assert_eq!(event.position, position);
        let cases = explain(&reading, &event, Some("mass-clone"), (&mut past, Limits::default())).unwrap();
        assert_eq!(cases[0].fires, fires, "{}", cases[0].verdict);
        assert!(cases[0].window[0].starts_with(&position.to_string()), "{:?}", cases[0].window);
    }
    assert!(past.find("e9").unwrap().is_none() && past.find("position:9").unwrap().is_none());
    assert!(past.find("position:x").is_err());
}

#[test]
fn events_are_read_from_lines_arrays_and_pretty_objects() {
    let one = clone(1, 100, "a", "User");
    let pretty =
        serde_json::to_string_pretty(&serde_json::from_str::<serde_json::Value>(&one).unwrap()).unwrap();
    for text in [format!("{one}\n{one}\n"), format!("[{one}, {pretty}]"), format!("{pretty}\n\n{pretty}")] {
        let mut past = Past::text(&text, None).unwrap();
        let event = past.find("whatever").unwrap().unwrap();
        assert_eq!((event.position, event.format, &*event.source), (2, Format::Gitlab, "gitlab"));
    }
    assert!(Past::text("", None).is_err());
    assert!(Past::text("[1]", None).is_err());
}
