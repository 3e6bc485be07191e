//! The main job: events come in, a rule fires, people are told, the account is blocked, everything is passed on.

use serde_json::{Value, json};
use watchfire::clock::Clock;
use watchfire::demo::{AccountState, MailSink};

use crate::harness::{HOOK_SECRET, Setup, at, clone, gitlab_with, until};
use crate::receiver::{Received, Receiver};

/// The parts of the configuration that say where the stand-ins are.
fn sections(mail: &MailSink, gitlab: &str, receiver: &Receiver) -> String {
    format!(
        r#"
actions:
  page-secops:
    type: email
    smtp: {{host: 127.0.0.1, port: {}, security: none}}
    from: "Watchfire <watchfire@example.com>"
    to: [secops@example.com, oncall@example.com]
  block-author: {{type: gitlab, url: '{gitlab}', token: {{env: GITLAB_TOKEN}}, do: block, dry_run: false}}
  hook: {{type: webhook, url: '{}', secret: {{env: HOOK_SECRET}}}}
routes: [{{levels: [high, critical], actions: [hook]}}]
forward:
  - {{name: siem, type: http, url: '{}', batch: 7}}
  - {{name: archive, type: file, path: archive.ndjson}}
  - {{name: only-five, type: http, url: '{}', condition: {{entity_id: 105}}}}
"#,
        mail.address().port(),
        receiver.url("/hook"),
        receiver.url("/siem"),
        receiver.url("/five"),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mass_cloning_is_told_and_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let mail = MailSink::start(folder.path(), None).await.unwrap();
    let gitlab = gitlab_with(5..=9).await;
    let receiver = Receiver::start().await;
    let setup = Setup::new(Clock::system(), &sections(&mail, &gitlab.url(), &receiver));
    setup.shipped_rule("mass-clone.yml");
    let daemon = setup.start().await;
    // Author 7 copies 24 projects; 8 works on one all day; 9 stays one below the line.
    for number in 0..24 {
        let time = at(number * 20);
        daemon.post(&clone(7, 100 + number, time)).await;
        daemon.post(&clone(8, 55, time)).await;
        if number < 19 {
            daemon.post(&clone(9, 200 + number, time)).await;
        }
    }
    daemon.judged().await;
    let alert = daemon.only_alert();
    assert_eq!((&*alert.rule, alert.key.get("author_id")), ("gitlab-mass-clone", Some("7")));
    assert_eq!((alert.started_at, alert.last_at), (at(19 * 20), at(23 * 20)));
    assert_eq!((alert.findings, alert.value), (5, 24.0));
    daemon.delivered().await;

    assert_eq!(gitlab.blocked(), [7]);
    assert_eq!(gitlab.state_of(8), Some(AccountState::Active));
    let rows = daemon.deliveries(&alert);
    let outcome =
        |action: &str| rows.iter().find(|row| row.action == action).unwrap().outcome.clone().unwrap();
    let block = outcome("block-author");
    assert!(block.changed && block.summary.contains("read back: blocked"), "{block:?}");

    let mails = mail.mails();
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].to, ["secops@example.com", "oncall@example.com"]);
    assert_eq!(mails[0].subject, "[Watchfire] HIGH One account copies many projects: user7");
    let plain = text_part(&std::fs::read_to_string(&mails[0].eml).unwrap());
    let html = std::fs::read_to_string(mails[0].html.as_ref().unwrap()).unwrap();
    for part in [&plain, &html] {
        let part = part.split_whitespace().collect::<Vec<_>>().join(" ");
        for wanted in [
            "user7",
            "different entity_id",
            "within 10m",
            "blocked user 7",
            "read back: blocked",
            "responses undo",
        ] {
            assert!(part.contains(wanted), "the mail does not say `{wanted}`:\n{part}");
        }
    }

    let hooks = receiver.at("/hook");
    assert_eq!(hooks.len(), 1);
    verify(&hooks[0]);
    let told = hooks[0].json();
    assert_eq!(told["id"], hooks[0].header("webhook-id"));
    assert_eq!(told["alert"]["id"], json!(alert.id.0));
    assert_eq!(told["alert"]["key"], json!({"author_id": 7}));
    assert_eq!(told["responses"][0]["changed"], true, "it waited for the block: {told}");
    assert_eq!(told["events"].as_array().map(Vec::len), Some(alert.evidence.len()));

    forwarded_is_stored(&daemon, &receiver, &setup).await;
    daemon.stop().await;
}

async fn forwarded_is_stored(daemon: &crate::harness::Daemon, receiver: &Receiver, setup: &Setup) {
    let stored: Vec<Value> = daemon.canonical().into_iter().map(Value::Object).collect();
    assert_eq!(stored.len(), 24 + 24 + 19);
    let count = || receiver.lines("/siem").len();
    until(|| count() >= stored.len(), || format!("{} forwarded", count())).await;
    assert_eq!(receiver.lines("/siem"), stored);
    assert!(receiver.at("/siem").iter().all(|batch| batch.header("content-type") == "application/x-ndjson"));
    let archive = || -> Vec<Value> {
        let text = std::fs::read_to_string(setup.path("archive.ndjson")).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    };
    until(|| archive().len() >= stored.len(), || format!("{} archived", archive().len())).await;
    assert_eq!(archive(), stored);
    let five: Vec<Value> = stored.into_iter().filter(|event| event["entity_id"] == 105).collect();
    assert_eq!(five.len(), 1);
    until(|| !receiver.lines("/five").is_empty(), || "no selected event".to_owned()).await;
    daemon.metric_becomes("watchfire_forward_lag{forward=\"only-five\"}", 0.0).await;
    assert_eq!(receiver.lines("/five"), five);
}

/// As a receiver with the standard library of Standard Webhooks does it: signature, and no older than 5 minutes.
fn verify(hook: &Received) {
    let verifier = standardwebhooks::Webhook::new(HOOK_SECRET).unwrap();
    verifier.verify(&hook.body, &hook.headers).unwrap();
    let mut changed = hook.body.to_vec();
    changed.push(b' ');
    assert!(verifier.verify(&changed, &hook.headers).is_err(), "a changed body must not pass");
}

/// The plain part of a mail with its quoted-printable encoding undone.
fn text_part(mail: &str) -> String {
    let plain = mail.split("text/plain").nth(1).unwrap();
    let plain = plain.split("text/html").next().unwrap().replace("=\r\n", "").replace("=\n", "");
    let mut bytes = Vec::new();
    let mut rest = plain.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = (*first == b'=').then(|| after.get(..2)).flatten();
        let code = code.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).unwrap()
}
