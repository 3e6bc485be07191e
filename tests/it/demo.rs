//! The whole demo in this process: the real daemon between its stand-ins, from the first event to the report.

use std::collections::BTreeSet;

use watchfire::clock::Clock;
use watchfire::demo::{Demo, DemoEvent, Report};

/// Plays one seed to its end; answers the report and all that a person would have been told.
async fn play(folder: &std::path::Path, seed: u64) -> (Report, Vec<DemoEvent>) {
    let demo = Demo::start(folder, seed, Clock::system()).await.unwrap();
    let mut told = Vec::new();
    let mut tell = |event: &DemoEvent| {
        told.push(event.clone());
        Ok(())
    };
    let report = demo.play(false, &mut tell).await.unwrap();
    demo.stop().await.unwrap();
    (report, told)
}

fn author(report: &Report, name: &str) -> i64 {
    report.planted.iter().find(|found| found.name == name).unwrap().author_id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_planted_attack_is_caught_told_and_answered() {
    let folder = tempfile::tempdir().unwrap();
    let (report, told) = play(folder.path(), 7).await;
    assert_eq!(report.planted.len(), 6);
    assert!(report.is_complete() && report.is_quiet(), "{report:#?}");

    let mut blocked = ["mass-clone", "project-deletion-spree", "token-after-failed-sign-ins"]
        .map(|name| author(&report, name));
    blocked.sort_unstable();
    assert_eq!(report.blocked, blocked, "these three and nobody else");
    assert_eq!(report.mails, report.alerts, "one mail for each alert");
    assert!(report.webhooks >= 6 && report.webhooks <= report.alerts, "for each grave one");
    assert_eq!(report.forwarded, report.events, "each event once");
    let archive = std::fs::read_to_string(folder.path().join("archive.ndjson")).unwrap();
    assert_eq!(archive.lines().count() as u64, report.events);

    let seen: BTreeSet<i64> = told
        .iter()
        .filter_map(|event| match event {
            DemoEvent::Blocked { user, state: "blocked" } => Some(*user),
            _ => None,
        })
        .collect();
    assert_eq!(seen, BTreeSet::from(blocked), "the state is read back from the stand-in");
    assert_administrator_is_left_to_a_person(&report, &told);
    assert_mails_can_be_acted_on(&told, report.mails);
}

/// Watchfire never blocks an administrator: it asks.
fn assert_administrator_is_left_to_a_person(report: &Report, told: &[DemoEvent]) {
    let asked: Vec<&str> = told
        .iter()
        .filter_map(|event| match event {
            DemoEvent::Delivered { outcome: Ok(outcome), .. } if outcome.needs_human => {
                Some(outcome.summary.as_str())
            }
            DemoEvent::Delivered { outcome: Err(error), action, .. } => panic!("{action}: {error}"),
            _ => None,
        })
        .collect();
    let who = format!("did not block user {}", author(report, "audit-stream-deleted"));
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert!(asked[0].starts_with(&who) && asked[0].contains("is an administrator"), "{asked:?}");
}

/// Each mail is a page that says what was done; of those about a block, how to undo it.
fn assert_mails_can_be_acted_on(told: &[DemoEvent], count: u64) {
    let pages: Vec<String> = told
        .iter()
        .filter_map(|event| match event {
            DemoEvent::Mail { open, .. } => Some(std::fs::read_to_string(open).unwrap()),
            _ => None,
        })
        .collect();
    assert_eq!(pages.len() as u64, count);
    let with = |text: &str| pages.iter().filter(|page| page.contains(text)).count();
    assert_eq!((with("To undo"), with("read back: blocked")), (3, 3));
    assert_eq!(with("A PERSON MUST DECIDE"), 1);
}
