//! Rules change while the daemon runs.
//!
//! Files are read together: when a rule that was written later counts, those written before it do as well.

use watchfire::clock::Clock;
use watchfire::time::Span;

use crate::harness::{START, Setup, at, clone, deed};

fn single(id: &str, event_type: &str) -> String {
    format!(
        "title: {id}\nid: {id}\nlogsource: {{product: gitlab}}\n\
         detection: {{any: {{event_type: {event_type}}}, condition: any}}\n"
    )
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(rule, author)| ((*rule).to_owned(), (*author).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_picked_up_as_they_change() {
    let setup = Setup::new(Clock::system(), "");
    setup.rule("one.yml", &single("one", "user_created"));
    let daemon = setup.start().await;
    daemon.metric_becomes("watchfire_rules", 1.0).await;
    setup.rule("two.yml", &single("two", "user_created"));
    daemon.metric_becomes("watchfire_rules", 2.0).await;
    daemon.post_all(&[deed("user_created", 4, at(0))]).await;
    assert_eq!(daemon.raised(), pairs(&[("one", "4"), ("two", "4")]));

    // Changed, and a further one as the sign that both were read.
    setup.rule("two.yml", &single("two", "user_destroyed"));
    setup.rule("three.yml", &single("three", "group_destroyed"));
    daemon.metric_becomes("watchfire_rules", 3.0).await;
    daemon.post_all(&[deed("user_created", 5, at(1)), deed("user_destroyed", 6, at(2))]).await;
    assert_eq!(daemon.raised()[2..], pairs(&[("one", "5"), ("two", "6")]));

    std::fs::remove_file(setup.path("rules/two.yml")).unwrap();
    daemon.metric_becomes("watchfire_rules", 2.0).await;
    daemon.post_all(&[deed("user_destroyed", 7, at(3)), deed("group_destroyed", 8, at(4))]).await;
    assert_eq!(daemon.raised()[4..], pairs(&[("three", "8")]));
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_file_keeps_its_last_good_version() {
    let setup = Setup::new(Clock::system(), "");
    setup.rule("one.yml", &single("one", "user_created"));
    let daemon = setup.start().await;
    setup.rule("one.yml", "title: one\nid: one\ndetection: {any: {event_type: [}, condition");
    daemon.metric_becomes("watchfire_rule_files_broken", 1.0).await;
    setup.rule("new.yml", "detection: nonsense");
    daemon.metric_becomes("watchfire_rule_files_broken", 2.0).await;
    setup.rule("two.yml", &single("two", "user_created"));
    daemon.metric_becomes("watchfire_rules", 2.0).await;
    daemon.post_all(&[deed("user_created", 4, at(0))]).await;
    assert_eq!(daemon.raised(), pairs(&[("one", "4"), ("two", "4")]));
    // Mended.
    std::fs::remove_file(setup.path("rules/new.yml")).unwrap();
    setup.rule("one.yml", &single("one", "user_destroyed"));
    daemon.metric_becomes("watchfire_rule_files_broken", 0.0).await;
    setup.rule("three.yml", &single("three", "group_destroyed"));
    daemon.metric_becomes("watchfire_rules", 3.0).await;
    daemon.post_all(&[deed("user_created", 5, at(1)), deed("user_destroyed", 6, at(2))]).await;
    assert_eq!(daemon.raised()[2..], pairs(&[("two", "5"), ("one", "6")]));
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unchanged_rules_keep_what_they_know() {
    let setup = Setup::new(Clock::system(), "");
    setup.shipped_rule("mass-clone.yml");
    let daemon = setup.start().await;
    let events: Vec<_> = (0..20).map(|number| clone(7, 100 + number, at(number * 20))).collect();
    daemon.post_all(&events[..10]).await;
    setup.rule("a-new-first-one.yml", &single("new", "user_created"));
    daemon.metric_becomes("watchfire_rules", 2.0).await;
    daemon.post_all(&events[10..]).await;
    let alert = daemon.only_alert();
    assert_eq!((&*alert.rule, alert.value, alert.evidence_count), ("gitlab-mass-clone", 20.0, 20));
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_added_today_learns_from_yesterday() {
    let setup = Setup::new(Clock::system(), "");
    let daemon = setup.start().await;
    // Author 4 signs in from one address for twenty days; author 5 did so once, long ago.
    let past = START.minus(Span::days(100));
    let mut events = vec![deed("user_sign_in", 5, past)];
    events.extend((0..20).map(|day| deed("user_sign_in", 4, START.minus(Span::days(20 - day)))));
    daemon.post_all(&events).await;
    let rule = |id: &str, behavior: &str| {
        format!(
            "title: {id}\nid: {id}\nlogsource: {{product: gitlab}}\n\
             detection: {{any: {{event_type: user_sign_in}}, condition: any}}\nbehavior: {behavior}\n"
        )
    };
    setup.rule("new.yml", &rule("new", "{by: author_id, first_seen: ip_address, learn: 14d}"));
    setup.rule("woke.yml", &rule("woke", "{by: author_id, dormant: 60d}"));
    daemon.metric_becomes("watchfire_rules", 2.0).await;
    assert!(daemon.alerts().is_empty(), "nobody wants to hear of yesterday");
    daemon.post_all(&[deed("user_sign_in", 4, at(1))]).await;
    assert!(daemon.alerts().is_empty(), "known and awake: {:?}", daemon.alerts());
    let mut elsewhere = deed("user_sign_in", 4, at(2));
    elsewhere["ip_address"] = "203.0.113.9".into();
    daemon.post_all(&[elsewhere, deed("user_sign_in", 5, at(3))]).await;
    assert_eq!(daemon.raised(), pairs(&[("new", "4"), ("woke", "5")]));
    assert_eq!(daemon.alerts()[1].value, 100.0);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_configuration_changes_tokens_and_routes_and_a_broken_one_nothing() {
    let receiver = crate::receiver::Receiver::start().await;
    let sections = |action: &str| {
        format!(
            "actions:\n  hook: {{type: webhook, url: '{}'}}\nroutes: [{{actions: [hook]}}]\n",
            receiver.url(action)
        )
    };
    let setup = Setup::new(Clock::system(), &sections("/before"));
    setup.rule("one.yml", &single("one", "user_created"));
    let daemon = setup.start().await;
    let path = setup.path("watchfire.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("sources:", "sauces:")).unwrap();
    let error = daemon.app.reload().await.unwrap_err().to_string();
    assert!(error.contains("sauces") && error.contains("sources"), "{error}");
    daemon.post_all(&[deed("user_created", 4, at(0))]).await;
    daemon.delivered().await;
    assert_eq!(receiver.at("/before").len(), 1);

    std::fs::write(&path, text.replace("/before", "/after").replace("{env: TOKEN}", "{env: ADMIN_TOKEN}"))
        .unwrap();
    daemon.app.reload().await.unwrap();
    let event = deed("user_created", 5, at(1)).to_string();
    assert_eq!(daemon.gitlab(&event).await.0, 401, "the old token counts no more");
    let request =
        daemon.request(reqwest::Method::POST, "/ingest/generic").bearer_auth("admin-token").body(event);
    assert_eq!(crate::harness::answer(request).await.0, 200);
    daemon.judged().await;
    daemon.delivered().await;
    assert_eq!((receiver.at("/before").len(), receiver.at("/after").len()), (1, 1));
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_is_replaced_loses_nothing_and_is_watched_again() {
    let setup = Setup::new(Clock::system(), "");
    setup.shipped_rule("mass-clone.yml");
    let daemon = setup.start().await;
    let events: Vec<_> = (0..20).map(|number| clone(7, 100 + number, at(number * 20))).collect();
    daemon.post_all(&events[..10]).await;
    // Away for longer than a folder must be quiet, as when it is deleted and copied.
    std::fs::rename(setup.path("rules"), setup.path("aside")).unwrap();
    daemon.metric_becomes("watchfire_rule_files_broken", 1.0).await;
    assert_eq!(daemon.metric("watchfire_rules").await, Some(1.0), "the last good version goes on");
    std::fs::create_dir(setup.path("next")).unwrap();
    std::fs::copy(setup.path("aside/mass-clone.yml"), setup.path("next/mass-clone.yml")).unwrap();
    std::fs::rename(setup.path("next"), setup.path("rules")).unwrap();
    daemon.metric_becomes("watchfire_rule_files_broken", 0.0).await;
    setup.rule("one.yml", &single("one", "user_created"));
    daemon.metric_becomes("watchfire_rules", 2.0).await;
    daemon.post_all(&events[10..]).await;
    let alert = daemon.only_alert();
    assert_eq!((&*alert.rule, alert.value), ("gitlab-mass-clone", 20.0));
    daemon.stop().await;
}
