//! What happened while nobody listened, and what happened long ago: fetched, imported, stored once.

use reqwest::Method;
use serde_json::{Value, json};
use watchfire::clock::Clock;
use watchfire::demo::{AuditApi, Holder};
use watchfire::store::GapState;

use crate::harness::{ADMIN_TOKEN, GITLAB_TOKEN, START, Setup, answer, at, clone, deed, until};

const DELETED: &str = "title: Deleted\nid: deleted\nlogsource: {product: gitlab}\n\
    detection: {any: {event_type: project_destroyed}, condition: any}\n";

async fn forge() -> AuditApi {
    AuditApi::start(&[(GITLAB_TOKEN, Holder::Administrator)]).await.unwrap()
}

fn setup(clock: &Clock, forge: &AuditApi, more: &str) -> Setup {
    let text = format!(
        "data_dir: data\nlisten: 127.0.0.1:0\nsources:\n  \
         - {{name: gitlab, type: gitlab, path: /ingest/gitlab, token: {{env: TOKEN}}}}\n  \
         - {{name: api, type: gitlab_api, url: '{}', token: {{env: GITLAB_TOKEN}}{more}}}\n\
         rules: [rules]\napi: {{token: {{env: ADMIN_TOKEN}}}}\n",
        forge.url()
    );
    let setup = Setup::with_config(clock.clone(), &text);
    setup.rule("deleted.yml", DELETED);
    setup
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_is_a_gap_that_is_filled_and_judged() {
    let (clock, forge) = (Clock::fixed(START), forge().await);
    let setup = setup(&clock, &forge, ", fills: [gitlab], only_fills: true");
    let daemon = setup.start().await;
    let before = [deed("user_created", 4, at(10)), clone(4, 1, at(20))];
    before.iter().for_each(|event| forge.happen(event));
    clock.set(at(30));
    daemon.post_all(&before).await;
    assert!(daemon.app.store().gaps(0).unwrap().is_empty());
    clock.set(at(60));
    daemon.stop().await;

    let missed =
        [deed("user_created", 5, at(100)), clone(5, 2, at(110)), deed("project_destroyed", 5, at(120))];
    missed.iter().for_each(|event| forge.happen(event));
    clock.set(at(600));
    let daemon = setup.start().await;
    let gap = || daemon.app.store().gaps(0).unwrap().remove(0);
    until(|| gap().state != GapState::Open, || format!("{:?}\n{:#?}", gap(), forge.calls())).await;
    let gap = gap();
    assert_eq!((gap.source.as_str(), gap.from, gap.to), ("gitlab", at(60), at(600)));
    assert_eq!((gap.state, gap.filled), (GapState::Partly, 2));
    let why = gap.why.unwrap();
    assert!(why.contains("repository_git_operation (1)"), "the clone is lost, and it is said: {why}");
    daemon.judged().await;
    let alert = daemon.only_alert();
    assert_eq!(
        (alert.rule.as_ref(), alert.key.get("author_id")),
        ("deleted", Some("5")),
        "it is not too late"
    );
    assert_eq!(daemon.metric("watchfire_gaps{state=\"partly\"}").await, Some(1.0));
    assert_eq!(daemon.metric("watchfire_gap_seconds{state=\"partly\"}").await, Some(540.0));
    // The look that filled it goes on for a moment.
    let (status, report) =
        daemon.answers("/readyz", |report| report["polls"]["api"]["state"] == "good").await;
    assert_eq!(status, 200, "{report}");

    // Had GitLab's job only been late, the same event would come now.
    let (status, answer) = daemon.gitlab(&missed[0].to_string()).await;
    assert_eq!((status, answer), (200, json!({"stored": 0, "duplicates": 1})));
    let sources: Vec<String> = daemon.stored().iter().map(|event| event.source.to_string()).collect();
    assert_eq!(sources, ["gitlab", "gitlab", "api", "api"]);
    daemon.stop().await;
    let daemon = setup.start().await;
    assert_eq!(daemon.only_alert(), alert);
    assert_eq!(daemon.app.store().gaps(0).unwrap().len(), 1, "no time has passed since");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beside_a_stream_the_api_brings_what_the_stream_lost() {
    let (clock, forge) = (Clock::fixed(START), forge().await);
    let setup = setup(&clock, &forge, ", every: 1m");
    let events = [deed("user_created", 4, at(-50)), deed("project_destroyed", 4, at(-40))];
    events.iter().for_each(|event| forge.happen(event));
    let daemon = setup.start().await;
    until(|| daemon.stored().len() == 2, || format!("{:#?}", forge.calls())).await;
    let (status, answer) = daemon.gitlab(&events[0].to_string()).await;
    assert_eq!((status, answer), (200, json!({"stored": 0, "duplicates": 1})));
    let later = deed("project_destroyed", 6, at(20));
    forge.happen(&later);
    let calls = forge.calls().len();
    clock.set(at(61));
    until(|| daemon.stored().len() == 3, || format!("{:#?}", forge.calls())).await;
    assert!(forge.calls().len() > calls);
    daemon.judged().await;
    let raised: Vec<String> = daemon.raised().into_iter().map(|(_, author)| author).collect();
    assert_eq!(raised, ["4", "6"]);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_past_is_imported_through_the_running_daemon_and_raises_no_alerts() {
    let clock = Clock::fixed(START);
    let setup = Setup::new(clock.clone(), "");
    setup.rule("deleted.yml", DELETED);
    let daemon = setup.start().await;
    daemon.post_all(&[deed("user_created", 4, at(-3_600))]).await;
    let body = Value::from(vec![
        deed("project_destroyed", 4, at(-90_000)),
        json!({"id": at(-3_600).0, "author_id": 4, "entity_id": 5, "created_at": at(-3_600).to_string(), "details": {}}),
        json!({"created_at": "yesterday"}),
    ]);
    let import = |query: &str| {
        daemon
            .request(Method::POST, &format!("/api/v1/import?format=gitlab{query}"))
            .bearer_auth(ADMIN_TOKEN)
            .body(body.to_string())
    };
    let (status, said) = answer(import("")).await;
    assert_eq!((status, &said["stored"], &said["duplicates"]), (200, &json!(1), &json!(1)), "{said}");
    assert_eq!(said["rejected"][0]["line"], 1, "{said}");
    daemon.judged().await;
    assert!(daemon.alerts().is_empty());
    assert_eq!(&*daemon.stored()[1].source, "past/import");
    let (_, said) = answer(import("&judge=true")).await;
    assert_eq!((&said["stored"], &said["duplicates"]), (&json!(0), &json!(2)), "it is known: {said}");

    let one = deed("project_destroyed", 8, at(-80_000)).to_string();
    let judged = daemon
        .request(Method::POST, "/api/v1/import?source=old&judge=true")
        .bearer_auth(ADMIN_TOKEN)
        .body(one);
    assert_eq!(answer(judged).await.0, 200);
    daemon.judged().await;
    assert_eq!(daemon.raised(), [("deleted".to_owned(), "8".to_owned())]);

    let bare = daemon.request(Method::POST, "/api/v1/import").body("{}");
    assert_eq!(answer(bare).await.0, 401);
    for query in ["source=past/x", "source=A", "format=xml", "odd=1"] {
        let request = daemon.request(Method::POST, &format!("/api/v1/import?{query}"));
        let (status, _) = answer(request.bearer_auth(ADMIN_TOKEN).body("{}")).await;
        assert_eq!(status, 400, "{query}");
    }
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_imports_through_the_daemon_that_holds_the_folder() {
    let setup = Setup::new(Clock::system(), "");
    let daemon = setup.start().await;
    let events: Vec<String> = (0..2_500).map(|n| deed("user_created", n, at(n)).to_string()).collect();
    let lines = [&events[1..], &["oops".to_owned()], &events[..1]].concat().join("\n");
    std::fs::write(setup.path("audit_json.log"), lines).unwrap();
    std::fs::write(setup.path("token"), ADMIN_TOKEN).unwrap();
    let (file, token) = (setup.path("audit_json.log"), setup.path("token"));
    let import = move |url: String, is_through: bool| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_watchfire"));
        command.arg("import").arg(&file);
        if is_through {
            command.args(["--url", &url, "--token-file"]).arg(&token);
        } else {
            command.arg("--data-dir").arg(file.with_file_name("data"));
        }
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let url = daemon.url("");
    let (refused, through) = tokio::task::spawn_blocking(move || {
        (import(url.clone(), false), [import(url.clone(), true), import(url, true)])
    })
    .await
    .unwrap();
    assert_eq!(refused.0, Some(1));
    assert!(refused.2.contains("--url"), "{}", refused.2);
    for ((code, said, mistakes), counts) in through.iter().zip([
        "stored 2500 as source past/import, known already 0",
        "stored 0 as source past/import, known already 2500",
    ]) {
        assert_eq!(*code, Some(1), "one line is no event");
        assert!(said.contains(counts), "{said}");
        assert!(mistakes.contains("audit_json.log:2500: "), "{mistakes}");
    }
    assert_eq!(daemon.stored().len(), 2_500);
    assert!(daemon.stored().is_sorted_by_key(|event| event.time));
    daemon.stop().await;
}
