//! A draft finds what it was drafted from, and nothing of the history.

use std::io::Write as _;

use super::*;

fn line(kind: &str, author: u32, entity: u32, second: u32) -> String {
    format!(
        r#"{{"id":"{kind}-{author}-{entity}-{second}","author_id":{author},"entity_id":{entity},"entity_type":"Project","event_type":"{kind}","details":{{"with":"{kind}"}},"created_at":"2026-01-05T{:02}:{:02}:{:02}Z"}}"#,
        9 + second / 3600,
        second / 60 % 60,
        second % 60
    )
}

fn draft(examples: &[String], history: &[String]) -> (String, bool, usize) {
    draft_with(rules::ShowArgs::default(), examples, history)
}

fn draft_with(show: rules::ShowArgs, examples: &[String], history: &[String]) -> (String, bool, usize) {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, lines: &[String]| {
        let path = dir.path().join(name);
        let mut file = std::fs::File::create(&path).unwrap();
        lines.iter().for_each(|line| writeln!(file, "{line}").unwrap());
        path
    };
    let args = DraftArgs {
        events: file("examples.ndjson", examples).to_str().unwrap().to_owned(),
        history: Some(file("history.ndjson", history)),
        store: false,
        data_dir: None,
        since: None,
        keep: Vec::new(),
        source: None,
        show,
    };
    let Examples::Events(examples) = Examples::file(&args.events, None).unwrap() else { panic!() };
    let catalogue = args.show.catalogue().unwrap();
    let mut facts = Facts::of(&examples, &[], &catalogue);
    each(&args, &examples, &mut |event| facts.meet(event, &catalogue)).unwrap();
    let chosen = facts.choose();
    let crowd =
        crowd(&args, &examples, &chosen, &catalogue).unwrap().filter(|_| facts.remaining(&chosen) > 0);
    let text =
        Draft { examples: &examples, facts: &facts, chosen: &chosen, crowd: crowd.as_ref() }.text().unwrap();
    let (found, alerts) = tried(&args, &examples, &text).unwrap();
    (text, found, alerts)
}

#[test]
fn what_never_happened_needs_no_number() {
    let history: Vec<String> = (0..50).map(|n| line("project_created", n % 5, n, n * 60)).collect();
    let (text, found, alerts) = draft(&[line("project_destroyed", 7, 1, 10)], &history);
    assert!(text.contains("event_type: project_destroyed") && !text.contains("behavior"), "{text}");
    assert!(!text.contains("entity_id:") && !text.contains("author_id: 7\n  "), "{text}");
    assert_eq!((found, alerts), (true, 0), "{text}");
}

#[test]
fn what_is_usual_one_by_one_is_told_by_its_number() {
    let history: Vec<String> =
        (0..200).map(|n| line("repository_git_operation", n % 5, 1 + n % 3, n * 30)).collect();
    let examples: Vec<String> =
        (0..20).map(|n| line("repository_git_operation", 9, 100 + n, n * 15)).collect();
    let (text, found, alerts) = draft(&examples, &history);
    assert!(text.contains("distinct: entity_id, within: 5m") || text.contains("within: 5m"), "{text}");
    assert_eq!((found, alerts), (true, 0), "{text}");
}

#[test]
fn what_lookups_say_is_a_fact_like_any_other() {
    use clap::Parser;

    #[derive(Parser)]
    struct Show {
        #[command(flatten)]
        args: rules::ShowArgs,
    }

    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    std::fs::create_dir(dir.path().join("lists")).unwrap();
    put("watchfire.yaml", "rules: [people.yml]\nlists: lists\n");
    put("people.yml", "lookup: people\nmatch: {author_id: id}\nas: author\n");
    put("lists/people.csv", "id,team\n1,development\n2,development\n9,sales\n");
    let config = dir.path().join("watchfire.yaml");
    let show = Show::try_parse_from(["show", "--config", config.to_str().unwrap()]).unwrap().args;
    let history: Vec<String> = (0..50).map(|n| line("project_exported", 1 + n % 2, n, n * 60)).collect();
    let (text, found, alerts) = draft_with(show, &[line("project_exported", 9, 77, 10)], &history);
    assert!(text.contains("author.team: sales"), "{text}");
    assert_eq!((found, alerts), (true, 0), "{text}");
}
