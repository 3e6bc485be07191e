//! Checkpoints leave the house, and who rewrites the log with its own key is found out by them.

use std::path::Path;

use watchfire::clock::Clock;
use watchfire::log::{PublicKey, VerifyOptions, find_checkpoints};
use watchfire::proof::prove;
use watchfire::time::Span;

use crate::harness::{Daemon, START, Setup, at, deed, until};
use crate::receiver::Receiver;
use crate::smtp::{DOMAIN, MailServer};

fn sections(mails: &MailServer, receiver: &Receiver) -> String {
    format!(
        r#"
actions:
  mail:
    type: email
    smtp: {{host: 127.0.0.1, port: {}, security: none}}
    from: Watchfire <watchfire@{DOMAIN}>
    to: [notary@{DOMAIN}]
  hook: {{type: webhook, url: '{}', secret: {{env: HOOK_SECRET}}, template: 'alerts only: {{{{ alert.id }}}}'}}
forward:
  - {{name: siem, type: http, url: '{}', batch: 7}}
  - {{name: archive, type: file, path: archive.ndjson}}
  - {{name: other, type: file, path: other.ndjson}}
checkpoints: {{every: 1h, to: [mail, hook, siem, archive]}}
"#,
        mails.port(),
        receiver.url("/hook"),
        receiver.url("/siem"),
    )
}

async fn tell(daemon: &Daemon, author: i64) {
    let events: Vec<_> = (0..30).map(|number| deed("user_created", author, at(number))).collect();
    daemon.post_all(&events).await;
}

/// An hour passes, and the checkpoint is in its file.
async fn an_hour_later(daemon: &Daemon, data: &Path, count: usize) {
    daemon.clock.set(daemon.clock.now().plus(Span::minutes(61)));
    let signed = || watchfire::log::own_checkpoints(data).unwrap().len();
    until(|| signed() == count, || format!("{} checkpoints", signed())).await;
}

fn kept_in(text: &str) -> Vec<u64> {
    find_checkpoints(text).unwrap().iter().map(|checkpoint| checkpoint.position).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_that_was_mailed_exposes_who_rewrites_the_log() {
    let (mails, receiver) = (MailServer::start().await, Receiver::start().await);
    let setup = Setup::new(Clock::fixed(START.plus(Span::hours(1))), &sections(&mails, &receiver));
    let data = setup.path("data");
    let daemon = setup.start().await;
    // The first is of an empty log: from then on something must follow.
    until(|| mails.mails().len() == 1, || format!("{:?}", mails.refusals())).await;
    tell(&daemon, 7).await;
    let position = daemon.app.log().position();
    an_hour_later(&daemon, &data, 2).await;
    until(|| mails.mails().len() == 2, || format!("{:?}", mails.refusals())).await;
    daemon.delivered().await;

    // The mail: once, with the delivery's id, found again in its text.
    let mail = mails.mails().remove(1);
    assert_eq!(
        (mail.to.as_slice(), kept_in(&mail.text)),
        (&[format!("notary@{DOMAIN}")][..], vec![position])
    );
    let rows = daemon.app.store().outbox_list(None, 0).unwrap();
    assert_eq!(rows.len(), 4);
    assert!(
        rows.iter()
            .any(|row| mail.id == format!("{}@{DOMAIN}", row.id) && row.alert.0.starts_with("checkpoint/"))
    );
    // The webhook: signed, and in no template.
    let hooks = receiver.at("/hook");
    assert_eq!(hooks.len(), 2);
    let told = hooks[1].json();
    assert_eq!((&told["type"], &told["checkpoint"]["position"]), (&"checkpoint".into(), &position.into()));
    assert_eq!(told["id"], hooks[1].header("webhook-id"));
    // The streams: between the events, and only where it was asked for.
    let siem = || {
        receiver
            .at("/siem")
            .iter()
            .map(|sent| String::from_utf8(sent.body.to_vec()).unwrap())
            .collect::<String>()
    };
    until(|| kept_in(&siem()) == [0, position], siem).await;
    let lines = receiver.lines("/siem");
    assert_eq!(lines.iter().filter(|line| line["event_type"] == "watchfire_checkpoint").count(), 2);
    assert_eq!(lines.len(), 32);
    let file = |name: &str| std::fs::read_to_string(setup.path(name)).unwrap_or_default();
    until(|| kept_in(&file("archive.ndjson")).last() == Some(&position), || file("archive.ndjson")).await;
    until(|| file("other.ndjson").lines().count() == 30, || file("other.ndjson")).await;
    assert!(kept_in(&file("other.ndjson")).is_empty());
    daemon.stop().await;

    // After a restart nothing is sent twice, and what is there agrees.
    let daemon = setup.start().await;
    tell(&daemon, 8).await;
    an_hour_later(&daemon, &data, 3).await;
    until(|| kept_in(&siem()).len() == 3, siem).await;
    until(|| kept_in(&file("archive.ndjson")).len() == 3, || file("archive.ndjson")).await;
    daemon.delivered().await;
    daemon.stop().await;
    let kept = find_checkpoints(&mail.text).unwrap();
    let key = PublicKey::read(&data.join("key.pub")).unwrap();
    let options = VerifyOptions { key: Some(key), ..VerifyOptions::default() };
    let verdict = prove(&data, &options, &kept).unwrap();
    assert!(verdict.is_intact(), "{verdict:?}");
    assert_eq!(kept[0].audit_rows.map(|rows| rows <= verdict.audit.rows), Some(true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_owner_of_the_key_makes_a_log_that_passes_but_for_what_was_mailed() {
    let (mails, receiver) = (MailServer::start().await, Receiver::start().await);
    let setup = Setup::new(Clock::fixed(START.plus(Span::hours(1))), &sections(&mails, &receiver));
    let daemon = setup.start().await;
    tell(&daemon, 7).await;
    an_hour_later(&daemon, &setup.path("data"), 2).await;
    until(|| mails.mails().len() == 2, || format!("{:?}", mails.refusals())).await;
    daemon.stop().await;
    let kept = find_checkpoints(&mails.mails()[1].text).unwrap();

    // Everything made anew with the same key, as if somebody else had done it.
    let forged = Setup::new(Clock::fixed(START.plus(Span::hours(1))), "");
    std::fs::create_dir(forged.path("data")).unwrap();
    for name in ["key", "key.pub"] {
        std::fs::copy(setup.path("data").join(name), forged.path("data").join(name)).unwrap();
    }
    let daemon = forged.start().await;
    tell(&daemon, 8).await;
    an_hour_later(&daemon, &forged.path("data"), 2).await;
    daemon.stop().await;

    let data = forged.path("data");
    let by_itself = prove(&data, &VerifyOptions { deep: true, ..VerifyOptions::default() }, &[]).unwrap();
    assert!(by_itself.is_intact(), "{by_itself:?}");
    let found = prove(&data, &VerifyOptions::default(), &kept).unwrap();
    assert!(found.log.is_ok() && !found.is_intact());
    let wrong = found.kept[0].wrong.as_deref().unwrap();
    assert!(wrong.contains("this entry or one before it was changed"), "{wrong}");
}
