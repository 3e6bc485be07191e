//! What people read, at 80 columns, and what programs get.

use std::fmt::Write as _;
use std::fs;

use clap::Parser;
use serde_json::Value;
use tempfile::TempDir;

use super::*;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: BacktestArgs,
}

const RULES: &str = "\
title: One account deletes many projects
id: mass-delete
level: high
tags: [destruction]
logsource: {product: gitlab}
detection: {a: {event_type: project_destroyed}, condition: a}
behavior: {by: author_id, within: 10m, at_least: 2}
respond: [block-author, page]
---
title: A project was made public
id: public
level: low
logsource: {product: gitlab}
detection: {a: {event_type: project_visibility_level_updated}, condition: a}
behavior: {by: entity_id, within: 1h, at_least: 2}
respond: [block-author]
---
title: Nobody does this
id: quiet
logsource: {product: gitlab}
detection: {a: {event_type: user_destroyed}, condition: a}
";

const CONFIG: &str = "\
rules: [rules.yml]
actions:
  block-author:
    type: gitlab
    url: https://gitlab.example.com
    token: {env: NOBODY_HAS_THIS}
    do: block
    never: [1, root]
    at_most: {count: 2, per: 1h}
  mail: {type: email, smtp: {host: mail}, from: a@example.com, to: [b@example.com]}
  chat: {type: webhook, url: 'https://chat.example.com'}
  ticket: {type: http, url: 'https://tickets.example.com', kind: respond, dry_run: false, user: entity_id}
routes:
  - {levels: [high], actions: [mail, ticket]}
";

/// A folder with the rules, the configuration and these events, one a minute.
fn folder(config: &str, events: &[(&str, u32, u32)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("rules.yml"), RULES).unwrap();
    fs::write(dir.path().join("watchfire.yaml"), config).unwrap();
    let (mut lines, start) = (String::new(), Timestamp::parse("2026-03-02T10:00:00Z").unwrap());
    for (minute, (kind, author, entity)) in events.iter().enumerate() {
        let time = start.plus(Span::minutes(i64::try_from(minute).unwrap()));
        writeln!(
            lines,
            r#"{{"id":"e{minute}","created_at":"{time}","event_type":"{kind}","author_id":{author},"author_name":"n{author}","entity_id":{entity}}}"#
        )
        .unwrap();
    }
    fs::write(dir.path().join("events.ndjson"), lines).unwrap();
    dir
}

fn run_in(dir: &TempDir, options: &[&str]) -> String {
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let options = options.iter().map(|option| match option.strip_prefix('@') {
        Some(name) => at(name),
        None => (*option).to_owned(),
    });
    let events = at("events.ndjson");
    let all =
        ["backtest", "--events", &events, "--threads", "1"].map(str::to_owned).into_iter().chain(options);
    let args = Cli::try_parse_from(all).unwrap().args;
    let mut output = Vec::new();
    backtest(&args, 80, &mut output).unwrap();
    String::from_utf8(output).unwrap().replace(&format!("{}/", dir.path().display()), "")
}

fn deletions() -> Vec<(&'static str, u32, u32)> {
    let twice =
        |author: u32| [("project_destroyed", author, 100 + author), ("project_destroyed", author, 200)];
    let mut events: Vec<_> = [7, 1, 8, 9, 10].into_iter().flat_map(twice).collect();
    events.extend([("project_visibility_level_updated", 7, 5), ("project_visibility_level_updated", 7, 5)]);
    events.extend([("project_visibility_level_updated", 8, 6), ("project_visibility_level_updated", 9, 6)]);
    // Long enough for the first alert to be over; the limit is free again.
    events.extend([("user_created", 2, 1); 60]);
    events.extend(twice(7));
    events.extend(twice(11));
    events
}

#[test]
fn the_summary_says_what_each_action_would_have_done_and_to_whom() {
    let dir = folder(CONFIG, &deletions());
    insta::assert_snapshot!(run_in(&dir, &["--config", "@watchfire.yaml"]), @r#"
    78 events from 2026-03-02T10:00:00.000Z to 2026-03-02T11:17:00.000Z, 3 rules
    9 alerts, 9 findings

             high  One account deletes many projects  (mass-delete)
                   7 alerts, 7 findings
                   |█ ██ █ █                                                  ██|
                   author_id = 7 (2), author_id = 1 (1), author_id = 10 (1),
                     author_id = 11 (1), author_id = 8 (1) and 1 more
                   would run: block-author, page, mail, ticket

              low  A project was made public  (public)
                   2 alerts, 2 findings
                   |        █ █                                                 |
                   entity_id = 5 (1), entity_id = 6 (1)
                   would run: block-author

    1 rule found nothing

    what the actions of watchfire.yaml would have done

      block-author  (gitlab, block the account, dry_run)
        due 9 times, at most 7 within an hour (from 2026-03-02T10:00Z)
        dry_run is on: nothing is changed. Without it:
        acts 3 times: accounts 7, 8, 11
        nothing to do 2 times, it was done for an earlier alert: account 7 (2 times)
        held back once, on `never`: account 1
        held back 2 times by the limit of 2 per 1h: accounts 9, 10
        held back once, as the alert is about no one account: entity_id = 6
        not known without asking GitLab: whether the account exists, is blocked
          already, or is an administrator, a bot or Watchfire's own, which are never
          touched; whether it is one of root on `never`

      mail  (email)
        due 7 times, at most 5 within an hour (from 2026-03-02T10:00Z)
        told 7 times: author_id = 7 (2 times), author_id = 1, author_id = 8,
          author_id = 9, author_id = 10, author_id = 11

      page  not configured
        7 alerts name it: it is passed over, nothing happens

      ticket  (http, POST as a response)
        due 7 times, at most 5 within an hour (from 2026-03-02T10:00Z)
        held back 7 times, as the alert is about no one account: author_id = 7 (2
          times), author_id = 1, author_id = 8, author_id = 9, author_id = 10,
          author_id = 11

      never due: chat
    "#);
}

#[test]
fn without_a_configuration_actions_are_only_names() {
    let dir = folder(CONFIG, &deletions());
    let text = run_in(&dir, &["--rules", "@rules.yml"]);
    assert!(text.contains("would run: block-author, page\n"), "{text}");
    assert!(!text.contains("what the actions"), "{text}");
}

#[test]
fn the_summary_is_one_object_for_programs_and_alerts_stay_as_they_are() {
    let dir = folder(CONFIG, &deletions());
    let plain = run_in(&dir, &["--rules", "@rules.yml", "--format", "ndjson"]);
    let with = ["--config", "@watchfire.yaml", "--format", "ndjson", "--summary", "@summary.json"];
    assert_eq!(run_in(&dir, &with), plain, "readers of alerts see no difference");
    let text = fs::read_to_string(dir.path().join("summary.json")).unwrap();
    let summary: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&summary["events"], &summary["rules"][2]["alerts"]), (&78.into(), &0.into()));
    let actions = summary["actions"].as_array().unwrap();
    let of = |name: &str| actions.iter().find(|action| action["action"] == name).unwrap();
    let block = of("block-author");
    assert_eq!((&block["configured"], &block["dry_run"]), (&true.into(), &true.into()));
    let counts: u64 = block["outcomes"]
        .as_object()
        .unwrap()
        .values()
        .map(|outcome| outcome["count"].as_u64().unwrap())
        .sum();
    assert_eq!(Value::from(counts), block["due"], "every alert comes to one of them");
    assert_eq!(block["outcomes"]["held_by_never"]["whom"][0]["who"], "1");
    let with = [&with[..4], &["--findings", "--summary", "@other.json"]].concat();
    assert_eq!(run_in(&dir, &with).lines().count(), 9);
    assert_eq!(
        fs::read_to_string(dir.path().join("other.json")).unwrap(),
        text,
        "whatever is written beside it"
    );
    assert_eq!((&of("page")["configured"], &of("chat")["due"]), (&false.into(), &0.into()));
}

#[test]
fn a_rule_that_only_rehearses_is_told_of() {
    let dir = folder(&CONFIG.replace("do: block\n", "do: block\n    dry_run: false\n"), &deletions());
    let rules = RULES.replace("id: public\n", "id: public\ndry_run: true\n");
    fs::write(dir.path().join("rules.yml"), rules).unwrap();
    let text = run_in(&dir, &["--config", "@watchfire.yaml"]);
    let line = "2 times only in rehearsal, since the rule says dry_run. Without it:";
    assert!(text.contains(line) && text.matches("dry_run").count() == 1, "{text}");
}

#[test]
fn alerts_of_single_events_name_them() {
    let dir = folder(CONFIG, &[("user_created", 2, 1), ("user_destroyed", 2, 1), ("user_destroyed", 3, 1)]);
    for options in [&["--format", "ndjson"][..], &["--findings"]] {
        let text = run_in(&dir, &[&["--rules", "@rules.yml"], options].concat());
        let lines: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let events: Vec<&Value> = lines.iter().map(|line| &line["events"]).collect();
        assert_eq!(events, [&serde_json::json!(["e1"]), &serde_json::json!(["e2"])], "{options:?}");
    }
}

#[test]
fn the_limits_of_the_configuration_hold_and_what_was_forgotten_is_said() {
    let events: Vec<(&str, u32, u32)> = (0..20_000).map(|author| ("project_destroyed", author, 1)).collect();
    let small = "rules: [rules.yml]\nlimits: {state: 1MiB, state_per_rule: 1MiB}\n";
    let dir = folder(small, &events);
    let text = run_in(&dir, &["--config", "@watchfire.yaml", "--lateness", "300d"]);
    let told: Vec<&str> = text.lines().filter(|line| line.contains("not judged")).collect();
    assert!(told.iter().any(|line| line.contains("keys by mass-delete")), "{text}");
    let memory = text.split("memory: ").nth(1).unwrap().replace("\n  ", " ");
    assert!(memory.contains("of 1 rule were forgotten at the limits (1MiB in all, 1MiB a rule)"), "{text}");
    let text = run_in(&dir, &["--rules", "@rules.yml", "--lateness", "300d"]);
    assert!(!text.contains("memory:"), "the default limits are larger: {text}");
}

#[test]
fn the_stores_folder_is_the_configurations_unless_it_is_given() {
    let dir = folder("rules: [rules.yml]\n", &[]);
    let args = |options: &[&str]| Cli::try_parse_from(options).unwrap().args;
    let rules = dir.path().join("rules.yml");
    let alone = args(&["backtest", "--rules", rules.to_str().unwrap(), "--store"]);
    let error = backtest(&alone, 80, &mut io::sink()).unwrap_err().to_string();
    assert!(error.contains("--data-dir, or --config"), "{error}");
    fs::write(dir.path().join("watchfire.yaml"), "rules: [rules.yml]\ndata_dir: nowhere\n").unwrap();
    let config = dir.path().join("watchfire.yaml");
    let configured = args(&["backtest", "--config", config.to_str().unwrap(), "--store"]);
    let error = backtest(&configured, 80, &mut io::sink()).unwrap_err().to_string();
    assert!(error.contains("nowhere is no folder"), "{error}");
}

#[test]
fn versions_are_compared_by_the_stretches_of_their_alerts() {
    let one = ("project_destroyed", 7, 1);
    let other = ("user_created", 7, 1);
    let events = [one, one, one, other, other, one, other, other, other, one, other, other, other, one, one];
    let dir = folder("", &events);
    let rule = |least: u32, more: &str| {
        format!(
            "title: T\nid: t\nlogsource: {{product: gitlab}}\ndetection: {{a: {{event_type: project_destroyed}}, condition: a}}\nbehavior: {{by: author_id, within: 4m, at_least: {least}}}\n{more}"
        )
    };
    let difference = |new: &str, old: &str| {
        fs::write(dir.path().join("new.yml"), new).unwrap();
        fs::write(dir.path().join("old.yml"), old).unwrap();
        let text = run_in(&dir, &["--rules", "@new.yml", "--against", "@old.yml"]);
        text.split_once("compared with the other version:\n").unwrap().1.to_owned()
    };
    let (two, three) = (rule(2, ""), rule(3, ""));
    let at = |mark: char, minute: u32| format!("  {mark} 2026-03-02T10:{minute:02}:00.000Z t author_id = 7");
    assert_eq!(difference(&two, &two), "  2 alerts are in both\n");
    let expected = format!("{}  (begins 1m earlier, ends 3m later)\n{}\n", at('~', 1), at('+', 14));
    assert_eq!(difference(&two, &three), expected + "  1 alert is in both, 1 of them over another stretch\n");
    let expected = format!("{}  (begins 1m later, ends 3m earlier)\n{}\n", at('~', 2), at('-', 14));
    assert_eq!(difference(&three, &two), expected + "  1 alert is in both, 1 of them over another stretch\n");
    let expected = format!("{}  (was 2 alerts, is 1 alert)\n", at('~', 1));
    let bridged = difference(&rule(2, "suppress: 1h\n"), &two);
    assert_eq!(bridged, expected + "  1 alert is in both, 1 of them over another stretch\n");
    let expected = format!("{}  (was 1 alert, is 2 alerts, begins 1m later)\n", at('~', 1));
    let split = difference(&two, &rule(1, "suppress: 1h\n"));
    assert_eq!(split, expected + "  2 alerts are in both, 2 of them over another stretch\n");
}
