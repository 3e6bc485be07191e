//! What every action that speaks HTTP must do, whatever its kind.

use serde_json::Value;

use super::stand_in::{Asked, SECRET, Say, StandIn, action, hang_up, never_answer};
use super::{Action, GuardInput, TargetConfig};
use crate::alert::{AlertState, Occasion};
use crate::deliver::DeliveryError;
use crate::encode::Notification;
use crate::encode::tests_support::{notification, other};
use crate::store::Outcome;
use crate::time::{Span, Timestamp};

/// A token in the path, as chat services have them.
const PATH: &str = "/services/T000-path-token";

const GUARD: GuardInput = GuardInput { recent: 0, now: Timestamp(1_769_850_000_000) };

/// Every target: its `type`, what it needs beside its URL, and answers that it takes for success, in their order.
fn targets() -> Vec<(&'static str, &'static str, Vec<Say>)> {
    let text = |status, body: &str| Say { status, body: body.to_owned(), ..Say::default() };
    let found_nothing = || text(200, r#"{"issues": []}"#);
    vec![
        ("slack", "", vec![text(200, "ok")]),
        ("teams", "", vec![text(202, "")]),
        ("discord", "", vec![text(200, r#"{"id": "1"}"#)]),
        ("mattermost", "channel: town-square", vec![text(200, "ok")]),
        ("telegram", "token: {env: SECRET}, chat: -100123", vec![text(200, r#"{"ok": true, "result": {}}"#)]),
        ("pagerduty", "routing_key: {env: SECRET}", vec![text(202, r#"{"status": "success"}"#)]),
        (
            "opsgenie",
            "api_key: {env: SECRET}, teams: [soc]",
            vec![text(202, r#"{"result": "Request will be processed"}"#)],
        ),
        (
            "jira",
            "token: {env: SECRET}, user: a@example.com, project: SEC",
            vec![found_nothing(), text(201, r#"{"key": "SEC-1"}"#)],
        ),
        (
            "gitlab_issue",
            "token: {env: SECRET}, project: soc/alerts",
            vec![text(200, "[]"), text(201, r#"{"iid": 1}"#)],
        ),
        ("gitlab_alert", "key: {env: SECRET}", vec![text(200, r#"[{"iid": 1}]"#)]),
        ("alertmanager", "token: {env: SECRET}", vec![text(200, "")]),
        ("ntfy", "topic: {env: SECRET}", vec![text(200, r#"{"id": "a"}"#)]),
    ]
}

/// All that must not be shown.
const SECRETS: &[&str] = &[SECRET, "path-token", "query-token"];

/// What of it an action with these settings knows: chats have no secret but their URL.
fn secrets_of(settings: &str) -> &'static [&'static str] {
    if settings.contains("SECRET") { SECRETS } else { &["path-token", "query-token"] }
}

fn target(kind: &str, settings: &str, url: &str, timeout: &str) -> Action {
    let settings = if settings.is_empty() { String::new() } else { format!("{settings}, ") };
    action(&format!(
        "{{type: {kind}, {settings}url: '{url}{PATH}?token=query-token-123', timeout: {timeout}}}"
    ))
}

/// Every kind with a secret, against `url`. The timeout is short only where nobody answers.
fn all(url: &str, timeout: &str) -> Vec<(Action, &'static [&'static str])> {
    let mut all: Vec<(Action, &[&str])> = [
        format!("{{type: webhook, url: '{url}{PATH}?token=query-token-123', secret: {{env: SECRET}}, timeout: {timeout}}}"),
        format!("{{type: http, url: '{url}{PATH}?token=query-token-123', headers: {{Authorization: {{env: SECRET}}}}, timeout: {timeout}}}"),
    ]
    .iter()
    .map(|yaml| (action(yaml), SECRETS))
    .collect();
    all.extend(
        targets()
            .into_iter()
            .map(|(kind, settings, _)| (target(kind, settings, url, timeout), secrets_of(settings))),
    );
    all
}

async fn run(action: &Action) -> Result<Outcome, DeliveryError> {
    action.run(&notification(), &GUARD).await
}

/// Nothing a person or a log sees may hold a secret.
fn assert_silent(action: &Action, secrets: &[&str], result: &Result<Outcome, DeliveryError>) {
    let shown = format!(
        "{action:?} {result:?} {}",
        result.as_ref().map_or_else(ToString::to_string, |o| o.summary.clone())
    );
    for secret in secrets {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn no_target_is_left_out() {
    let tested: Vec<&str> = targets().iter().map(|(kind, ..)| *kind).collect();
    assert_eq!(tested, TargetConfig::NAMES);
}

#[tokio::test]
async fn statuses_mean_the_same_everywhere() {
    for status in [300, 301, 307, 400, 401, 403, 408, 409, 410, 413, 422, 425, 429, 500, 502, 503, 504] {
        let echo = format!("no {SECRET} at {PATH}?token=query-token-123 Bearer {SECRET}");
        let say = Say { status, body: echo, headers: vec![("location", "http://127.0.0.1:1/".into())] };
        let server = StandIn::start(vec![say]).await;
        let all = all(&server.url(), "30s");
        for (action, secrets) in &all {
            let result = run(action).await;
            assert_silent(action, secrets, &result);
            assert_eq!(result.as_ref().unwrap_err().answered(), Some(status), "{action:?}");
            let may_pass = matches!(status, 408 | 425 | 429 | 500..);
            match &result {
                Err(DeliveryError::Retryable { reason, .. }) if may_pass => {
                    assert!(reason.contains(&status.to_string()))
                }
                Err(DeliveryError::Permanent { reason, .. }) if !may_pass => {
                    assert!(reason.contains(&status.to_string()) && reason.contains("no "), "{reason}")
                }
                other => panic!("{status} {action:?}: {other:?}"),
            }
        }
        assert_eq!(server.asked().len(), all.len(), "one request each, and no redirect is followed");
    }
}

#[tokio::test]
async fn a_receivers_wish_for_patience_is_passed_on() {
    for (name, value) in [("retry-after", "77"), ("ratelimit-reset", "1769850077")] {
        let server = StandIn::start(vec![Say {
            status: 429,
            headers: vec![(name, value.into())],
            body: String::new(),
        }])
        .await;
        for (action, _) in all(&server.url(), "30s") {
            match run(&action).await {
                Err(DeliveryError::Retryable { after, .. }) => {
                    assert_eq!(after, Some(Span::seconds(77)), "{action:?}")
                }
                other => panic!("{action:?}: {other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn trouble_on_the_way_may_pass() {
    let closed = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    for address in [closed, hang_up().await, never_answer().await] {
        for (action, secrets) in all(&format!("http://{address}"), "300ms") {
            let result = run(&action).await;
            assert_silent(&action, secrets, &result);
            assert_eq!(result.as_ref().unwrap_err().answered(), None);
            match result {
                Err(DeliveryError::Retryable { reason, after: None, .. }) => {
                    assert!(reason.contains(&address.to_string()), "{reason}");
                }
                other => panic!("{action:?}: {other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn huge_answers_are_not_swallowed() {
    let server = StandIn::start(vec![Say { status: 500, body: "x".repeat(3 << 20), ..Say::default() }]).await;
    for (action, _) in all(&server.url(), "30s") {
        let reason = run(&action).await.unwrap_err().reason().to_owned();
        assert!(reason.len() < 500, "{} bytes", reason.len());
    }
}

/// What a target was sent of a message that it took. `{origin}` in what was said earlier is where the target is today.
async fn sent(kind: &str, settings: &str, answers: Vec<Say>, told: &Notification) -> Vec<Asked> {
    let server = StandIn::start(answers).await;
    let action = target(kind, settings, &server.url(), "30s");
    let earlier = told.earlier.as_ref().map(|said| said.replace("{origin}", &server.url()));
    let told = &Notification { earlier, ..told.clone() };
    let outcome = action.run(told, &GUARD).await.unwrap_or_else(|error| panic!("{kind}: {error}"));
    assert_silent(&action, secrets_of(settings), &Ok(outcome));
    server.asked()
}

#[tokio::test]
async fn a_success_is_one_and_can_be_known_again() {
    for (kind, settings, answers) in targets() {
        let expected = answers.len();
        let asked = sent(kind, settings, answers, &notification()).await;
        assert_eq!(asked.len(), expected, "{kind}");
        for request in &asked {
            assert_eq!(request.headers["idempotency-key"], "fedcba9876543210", "{kind}");
        }
        let last = String::from_utf8(asked.last().unwrap().body.to_vec()).unwrap();
        assert!(last.contains("0123456789abcdef0123456789abcdef"), "{kind}: the alert's id is in {last}");
        for part in ["HIGH", "One account clones many projects"] {
            assert!(last.contains(part), "{kind}: {part} in {last}");
        }
    }
}

/// A success status is none where the service's own word for it is missing.
#[tokio::test]
async fn an_answer_that_is_not_the_documented_one_is_no_success() {
    for (kind, settings, _) in targets() {
        for say in [
            Say {
                status: 200,
                body: r#"{"ok": false, "description": "chat not found"}"#.into(),
                ..Say::default()
            },
            Say { status: 203, body: "<html>log in</html>".into(), ..Say::default() },
        ] {
            // These have nothing to say but their status.
            if say.status == 200 && matches!(kind, "teams" | "gitlab_alert" | "alertmanager") {
                continue;
            }
            let server = StandIn::start(vec![say]).await;
            let action = target(kind, settings, &server.url(), "30s");
            let result = run(&action).await;
            assert!(result.is_err(), "{kind}: {result:?}");
        }
    }
}

/// Texts that break out of something, somewhere.
const EVIL: &[&str] = &[
    r#"","a":"b"}]}{"evil": true"#,
    "<!channel> <!here> <@U012345> @channel @here @everyone @all",
    "</code></pre><a href=\"https://evil.example\">bank</a>",
    "[bank](https://evil.example) ![x](https://evil.example/x.png) <https://evil.example|bank>",
    "```\n/close\n/assign @root\n``` `x` {noformat} {code} [~root]",
    "a\u{202e}b\u{0}c\r\nX-Evil: 1\u{2028}d",
];

/// All texts of a document, with where they stand.
fn texts(value: &Value, place: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::String(text) => found.push((place.to_owned(), text.clone())),
        Value::Array(items) => items.iter().for_each(|item| texts(item, &format!("{place}[]"), found)),
        Value::Object(fields) => {
            for (name, field) in fields {
                texts(field, &format!("{place}.{name}"), found);
            }
        }
        _ => {}
    }
}

fn with(evil: &str) -> Notification {
    let mut told = notification();
    told.alert.key.0[0].1 = evil.to_owned();
    for event in &mut told.events {
        for field in ["author_name", "entity_path", "target_details", "ip_address"] {
            event.insert(field.to_owned(), evil.into());
        }
    }
    told
}

/// With another alert in the same message, where that is one.
fn together(kind: &str, mut told: Notification) -> Notification {
    if matches!(kind, "slack" | "teams" | "discord" | "mattermost" | "telegram" | "ntfy") {
        told.others = vec![other(told.alert.clone())];
    }
    told
}

/// The shape of a document: all its places, without what stands there.
fn shape(value: &Value) -> std::collections::BTreeSet<String> {
    let mut found = Vec::new();
    texts(value, "", &mut found);
    found.into_iter().map(|(place, _)| place).collect()
}

#[tokio::test]
async fn an_event_cannot_break_out_of_the_body() {
    for (kind, settings, answers) in targets() {
        let plain: Value = serde_json::from_slice(
            &sent(kind, settings, answers.clone(), &with("alice")).await.last().unwrap().body,
        )
        .unwrap();
        for evil in EVIL {
            let told = together(kind, with(evil));
            let asked = sent(kind, settings, answers.clone(), &told).await;
            let body: Value = serde_json::from_slice(&asked.last().unwrap().body).unwrap();
            assert_eq!(shape(&body), shape(&plain), "{kind}: {evil}");
            let mut all = Vec::new();
            texts(&body, "", &mut all);
            for (place, text) in all {
                assert_tame(kind, &place, &text);
            }
        }
    }
}

/// What of a text its service would read as more than text.
fn assert_tame(kind: &str, place: &str, text: &str) {
    assert!(!text.contains(['\u{202e}', '\u{0}', '\r', '\u{2028}']), "{kind} {place}: {text:?}");
    match kind {
        // Only these are read as markup; all else is taken at its letter.
        "slack" if place == ".text" => assert!(!text.contains(['<', '>']), "{text}"),
        "telegram" if place == ".text" => {
            let mut rest = text;
            while let Some((_, tag)) = rest.split_once('<') {
                let (tag, after) = tag.split_once('>').unwrap();
                let is_ours = matches!(tag, "b" | "/b" | "code" | "/code" | "/a")
                    || tag == "a href=\"https://attack.mitre.org/techniques/T1213/003/\"";
                assert!(is_ours, "{tag} in {text}");
                rest = after;
            }
            let outside: String =
                text.split("<code>").map(|part| part.rsplit("</code>").next().unwrap()).collect();
            assert!(!outside.contains('@') && !outside.contains("evil.example"), "{outside}");
        }
        "discord" | "mattermost" | "gitlab_issue" | "gitlab_alert"
            if place.ends_with("description") || place.ends_with("text") =>
        {
            let outside = outside_code(text);
            let is_tame =
                !outside.contains("evil.example") && !outside.contains("@e") && !outside.contains("\n/");
            assert!(is_tame, "{kind}: {outside}");
        }
        "mattermost" if place.ends_with("fallback") => assert_eq!(outside_code(text).trim(), "", "{text}"),
        _ => {}
    }
}

/// A Markdown text without its code.
fn outside_code(text: &str) -> String {
    let mut out = String::new();
    let mut is_block = false;
    for line in text.lines() {
        if line.starts_with("```") {
            is_block = !is_block;
            continue;
        }
        if !is_block {
            out.extend(line.split('`').step_by(2));
            out.push('\n');
        }
    }
    assert!(!is_block, "the block is closed: {text}");
    out
}

#[tokio::test]
async fn what_is_longest_fits() {
    let long = "ä".repeat(5_000);
    let mut told = with(&long);
    told.alert.title = long.clone();
    told.alert.reason = long.clone();
    told.rule.description = Some(long.clone());
    told.others = vec![other(told.alert.clone()); 60];
    told.responses = vec![told.responses[0].clone(); 50];
    for (kind, settings, answers) in targets() {
        let requests = answers.len();
        let several = std::iter::repeat_n(answers, 61).flatten().collect();
        let asked = sent(kind, settings, several, &told).await;
        let body: Value = serde_json::from_slice(&asked[requests - 1].body).unwrap();
        let length = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).unwrap().chars().count();
        match kind {
            "slack" => {
                assert!(
                    length("/blocks/0/text/text") <= 150 && body["blocks"].as_array().unwrap().len() <= 50
                );
            }
            "teams" => assert!(body.to_string().len() <= 28 * 1024),
            "discord" => {
                assert!(length("/embeds/0/title") <= 256 && length("/embeds/0/description") <= 4_096)
            }
            "mattermost" => assert!(length("/attachments/0/text") <= 7_900),
            "telegram" => assert!(length("/text") <= 4_096),
            "pagerduty" => assert!(length("/payload/summary") <= 1_024 && body.to_string().len() < 500_000),
            "opsgenie" => assert!(length("/message") <= 130 && length("/description") <= 15_000),
            "jira" => assert!(length("/fields/summary") <= 255),
            "gitlab_issue" => assert!(length("/title") <= 255),
            "gitlab_alert" => assert!(length("/title") <= 200 && body.to_string().len() < 1_000_000),
            "alertmanager" => assert!(body.to_string().len() < 100_000),
            "ntfy" => assert!(body["message"].as_str().unwrap().len() <= 4_096),
            other => panic!("{other}"),
        }
    }
}

/// A checkpoint of which something is missing proves nothing; the configuration refuses who would cut it.
#[tokio::test]
async fn a_checkpoint_arrives_whole_where_it_may_be_kept() {
    let hex = |bytes: usize| "ab".repeat(bytes);
    let line = serde_json::json!({
        "position": u64::MAX, "head": hex(32), "at": i64::MAX, "audit_rows": u64::MAX, "audit_head": hex(32),
        "public_key": hex(32), "signature": hex(64),
    });
    let note = crate::encode::CheckpointNote {
        line: line.to_string(),
        position: u64::MAX,
        at: GUARD.now,
        idempotency_key: "k".into(),
    };
    for (kind, settings, answers) in targets() {
        let server = StandIn::start(answers).await;
        let url = format!("'{}'", server.url());
        let more = if settings.is_empty() { String::new() } else { format!(", {settings}") };
        let config: crate::action::ActionConfig =
            serde_yaml::from_str(&format!("{{type: {kind}, url: {url}{more}}}")).unwrap();
        target(kind, settings, &server.url(), "30s").keep(&note, GUARD.now).await.unwrap();
        let body: Value = serde_json::from_slice(&server.asked().last().unwrap().body).unwrap();
        let mut all = Vec::new();
        texts(&body, "", &mut all);
        let is_whole = all.iter().any(|(_, text)| text.replace("&quot;", "\"").contains(&note.line));
        assert_eq!(is_whole, config.unfit_to_keep().is_none(), "{kind}: {body:#}");
    }
}

fn resolved() -> Notification {
    let mut told = notification();
    told.occasion = Occasion::Resolved;
    told.triage.state = AlertState::Resolved;
    told
}

#[tokio::test]
async fn what_was_opened_is_closed_under_the_same_key() {
    let ids = |asked: &[Asked], pointer: &str| {
        let body: Value = serde_json::from_slice(&asked.last().unwrap().body).unwrap();
        body.pointer(pointer).cloned().unwrap_or_default()
    };
    for (kind, key, state, over) in [
        ("pagerduty", "/dedup_key", "/event_action", Value::from("resolve")),
        ("gitlab_alert", "/fingerprint", "/end_time", Value::from("2026-01-31T09:00:00.000Z")),
        ("alertmanager", "/0/labels", "/0/endsAt", Value::from("2026-01-31T09:00:00.000Z")),
    ] {
        let (_, settings, answers) = targets().into_iter().find(|(name, ..)| *name == kind).unwrap();
        let opened = sent(kind, settings, answers.clone(), &notification()).await;
        let closed = sent(kind, settings, answers, &resolved()).await;
        assert_eq!(ids(&opened, key), ids(&closed, key), "{kind}");
        assert!(
            !ids(&opened, key).is_null() && ids(&opened, state) != over && ids(&closed, state) == over,
            "{kind}"
        );
    }
    let closed = sent("opsgenie", "api_key: {env: SECRET}", vec![Say::status(202)], &resolved()).await;
    assert!(
        closed[0].path.ends_with(
            "/v2/alerts/0123456789abcdef0123456789abcdef/close?token=query-token-123&identifierType=alias"
        ),
        "{}",
        closed[0].path
    );
}

#[tokio::test]
async fn an_issue_is_made_once_and_then_commented() {
    let text = |status, body: &str| Say { status, body: body.to_owned(), ..Say::default() };
    let there = || text(200, r#"{"issues": [{"key": "SEC-7"}]}"#);
    let settings = "token: {env: SECRET}, project: SEC, edition: server, resolve: 31";
    let again = sent("jira", settings, vec![there()], &notification()).await;
    assert_eq!(again.len(), 1, "it is there, so it is not made again");
    let none = || text(200, r#"{"comments": []}"#);
    let open = text(200, r#"{"transitions": [{"id": "31"}]}"#);
    let closed =
        sent("jira", settings, vec![there(), none(), text(201, "{}"), open, text(204, "")], &resolved())
            .await;
    let paths: Vec<&str> = closed.iter().map(|asked| asked.path.split('?').next().unwrap()).collect();
    assert_eq!(
        paths.iter().map(|path| path.trim_start_matches(PATH)).collect::<Vec<_>>(),
        [
            "/rest/api/2/search",
            "/rest/api/2/issue/SEC-7/comment",
            "/rest/api/2/issue/SEC-7/comment",
            "/rest/api/2/issue/SEC-7/transitions",
            "/rest/api/2/issue/SEC-7/transitions"
        ]
    );
    let found = || {
        let id = "0123456789abcdef0123456789abcdef";
        text(
            200,
            &serde_json::json!([{"iid": 7, "description": format!("Watchfire alert {id} (opened)")}])
                .to_string(),
        )
    };
    let settings = "token: {env: SECRET}, project: soc/alerts";
    assert_eq!(sent("gitlab_issue", settings, vec![found()], &notification()).await.len(), 1);
    let closed = sent(
        "gitlab_issue",
        settings,
        vec![found(), text(200, "[]"), text(201, "{}"), text(200, "{}")],
        &resolved(),
    )
    .await;
    assert!(
        closed[0].path.contains("search=0123456789abcdef0123456789abcdef&in=description"),
        "{}",
        closed[0].path
    );
    assert!(closed[0].path.contains("/projects/soc%2Falerts/issues"), "{}", closed[0].path);
    assert_eq!((closed[3].method.as_str(), &closed[3].body[..]), ("PUT", &br#"{"state_event":"close"}"#[..]));
}

/// Method and path below the issues of what was asked.
fn calls(asked: &[Asked], before: &str) -> Vec<String> {
    let path = |asked: &Asked| {
        let path = asked.path.split('?').next().unwrap();
        path.split_once(before).unwrap_or_else(|| panic!("{path}")).1.to_owned()
    };
    asked.iter().map(|asked| format!("{} {}", asked.method, path(asked))).collect()
}

/// Jira's search lags: what comes of an alert goes to the issue that Jira said it had made.
#[tokio::test]
async fn what_comes_of_an_alert_finds_its_issue_without_a_search() {
    let text = |status, body: &str| Say { status, body: body.to_owned(), ..Say::default() };
    let jira = "token: {env: SECRET}, project: SEC, resolve: 31";
    let server = StandIn::start(vec![text(200, r#"{"issues": []}"#), text(201, r#"{"key": "SEC-7"}"#)]).await;
    let made = target("jira", jira, &server.url(), "30s").run(&notification(), &GUARD).await.unwrap().summary;
    assert!(made.ends_with("answered 201: made SEC-7"), "{made}");
    let told = Notification { earlier: Some(made.replace(&server.url(), "{origin}")), ..resolved() };
    let (none, done) = (text(200, r#"{"comments": []}"#), text(204, ""));
    let open = text(200, r#"{"transitions": [{"id": "31"}]}"#);
    let over = text(200, r#"{"transitions": [{"id": "41"}]}"#);
    let answers = vec![none.clone(), text(201, "{}"), open.clone(), done.clone()];
    let asked = sent("jira", jira, answers, &told).await;
    assert_eq!(
        calls(&asked, "/issue/"),
        ["GET SEC-7/comment", "POST SEC-7/comment", "GET SEC-7/transitions", "POST SEC-7/transitions"]
    );
    assert!(asked[0].path.contains("orderBy=-created"), "{}", asked[0].path);

    // The same message once more: the comment is there, and so is perhaps the transition.
    let body: Value = serde_json::from_slice(&asked[1].body).unwrap();
    let there = text(200, &serde_json::json!({"comments": [body]}).to_string());
    let again = sent("jira", jira, vec![there.clone(), open.clone(), done.clone()], &told).await;
    assert_eq!(
        calls(&again, "/issue/"),
        ["GET SEC-7/comment", "GET SEC-7/transitions", "POST SEC-7/transitions"]
    );
    let again = sent("jira", jira, vec![there.clone(), over.clone()], &told).await;
    assert_eq!(again.len(), 2, "it has made its transition");
    // Somebody has made it before the alert was resolved: Jira would refuse it.
    let by_hand = sent("jira", jira, vec![none.clone(), text(201, "{}"), over], &told).await;
    assert_eq!(
        calls(&by_hand, "/issue/"),
        ["GET SEC-7/comment", "POST SEC-7/comment", "GET SEC-7/transitions"]
    );
    let other = Notification { idempotency_key: "0011223344".into(), ..told.clone() };
    let answers = vec![there, text(201, "{}"), open.clone(), done.clone()];
    assert_eq!(sent("jira", jira, answers, &other).await.len(), 4);

    // An issue that was deleted is looked for and made anew.
    let gone = vec![text(404, "{}"), text(200, r#"{"issues": []}"#), text(201, r#"{"key": "SEC-8"}"#)];
    let asked = sent("jira", jira, gone, &told).await;
    assert_eq!(calls(&asked, "/rest/api/3/"), ["GET issue/SEC-7/comment", "POST search/jql", "POST issue"]);

    // The longest way: another one was made in its place, and is told of and moved.
    let found = text(200, r#"{"issues": [{"key": "SEC-8"}]}"#);
    let longest = vec![text(404, "{}"), found, none, text(201, "{}"), open, done];
    assert_eq!(sent("jira", jira, longest, &told).await.len(), 6);
}

/// Keys and numbers mean something only where they were given.
#[tokio::test]
async fn an_issue_of_another_project_or_instance_is_never_written_to() {
    let text = |status, body: &str| Say { status, body: body.to_owned(), ..Say::default() };
    let (jira, gitlab) = ("token: {env: SECRET}, project: SEC", "token: {env: SECRET}, project: soc/alerts");
    for (earlier, is_known) in [
        ("{origin} answered 201: made SEC-7", true),
        ("a comment on SEC-7 at {origin}", true),
        ("the issue SEC-7 at {origin} is there already", true),
        ("https://old.example.com answered 201: made SEC-7", false),
        ("a comment on SEC-7 at https://old.example.com", false),
        ("a comment on OPS-7 at {origin}", false),
        ("{origin}.evil.example answered 201: made SEC-7", false),
        ("a comment on SEC-7", false),
    ] {
        let told = Notification { earlier: Some(earlier.into()), ..resolved() };
        let answers = match is_known {
            true => vec![text(200, r#"{"comments": []}"#), text(201, "{}")],
            false => vec![text(200, r#"{"issues": []}"#), text(201, r#"{"key": "SEC-1"}"#)],
        };
        let asked = sent("jira", jira, answers, &told).await;
        let expected = match is_known {
            true => ["GET issue/SEC-7/comment", "POST issue/SEC-7/comment"],
            false => ["POST search/jql", "POST issue"],
        };
        assert_eq!(calls(&asked, "/rest/api/3/"), expected, "{earlier}");
    }
    for (earlier, is_known) in [
        ("{origin} answered 201: made soc/alerts#12", true),
        ("a note on soc/alerts#12 at {origin}", true),
        ("{origin} answered 200: reopen soc/alerts#12", true),
        ("{origin} answered 201: made soc/old#12", false),
        ("{origin} answered 201: made other/soc/alerts#12", false),
        ("{origin} answered 201: made 42#12", false),
        ("https://old.example.com answered 201: made soc/alerts#12", false),
        ("{origin} answered 201: made #12", false),
    ] {
        let told = Notification { earlier: Some(earlier.into()), ..resolved() };
        let answers = match is_known {
            true => vec![text(200, "[]"), text(201, "{}"), text(200, "{}")],
            false => vec![text(200, "[]"), text(201, r#"{"iid": 1}"#)],
        };
        let asked = sent("gitlab_issue", gitlab, answers, &told).await;
        let expected: &[&str] =
            if is_known { &["GET /12/notes", "POST /12/notes", "PUT /12"] } else { &["GET ", "POST "] };
        assert_eq!(calls(&asked, "/issues"), expected, "{earlier}");
    }
}

/// GitLab's search finds parts of words, too.
#[tokio::test]
async fn a_checkpoint_finds_its_own_issue_only() {
    let at = |at| crate::encode::CheckpointNote {
        line: "{}".into(),
        position: 12,
        at: Timestamp(at),
        idempotency_key: "k".into(),
    };
    let text = |status, body: &str| Say { status, body: body.to_owned(), ..Say::default() };
    let settings = "token: {env: SECRET}, project: soc/alerts";
    let keep = async |answers, note: &crate::encode::CheckpointNote| {
        let server = StandIn::start(answers).await;
        target("gitlab_issue", settings, &server.url(), "30s").keep(note, GUARD.now).await.unwrap();
        server.asked()
    };
    let made = || text(201, r#"{"iid": 1}"#);
    let asked = keep(vec![text(200, "[]"), made()], &at(50)).await;
    assert!(asked[0].path.contains("search=checkpoint-12-50&"), "{}", asked[0].path);
    let description = |asked: &Asked| {
        let body: Value = serde_json::from_slice(&asked.body).unwrap();
        body["description"].as_str().unwrap().to_owned()
    };
    let longer = description(&asked[1]);
    assert!(longer.contains("checkpoint-12-50"), "what is searched for stands there: {longer}");
    let list = |texts: &[&String]| {
        let all =
            texts.iter().enumerate().map(|(n, text)| serde_json::json!({"iid": n, "description": text}));
        Say { status: 200, body: Value::from_iter(all).to_string(), ..Say::default() }
    };
    let asked = keep(vec![list(&[&longer]), made()], &at(5)).await;
    let own = description(&asked[1]);
    assert_eq!(keep(vec![list(&[&longer, &own]), made()], &at(5)).await.len(), 1, "it is there already");
    assert_eq!(keep(vec![list(&[&longer]), made()], &at(50)).await.len(), 1);
}

#[tokio::test]
async fn a_note_on_an_issue_is_made_once() {
    let text = |status, body: &str| Say { status, body: body.to_owned(), ..Say::default() };
    let gitlab = "token: {env: SECRET}, project: soc/alerts";
    let told =
        Notification { earlier: Some("{origin} answered 201: made soc/alerts#7".into()), ..resolved() };
    let asked =
        sent("gitlab_issue", gitlab, vec![text(200, "[]"), text(201, "{}"), text(200, "{}")], &told).await;
    assert_eq!(calls(&asked, "/issues"), ["GET /7/notes", "POST /7/notes", "PUT /7"]);
    let body: Value = serde_json::from_slice(&asked[1].body).unwrap();
    let there = text(200, &serde_json::json!([{"body": "bumped"}, body]).to_string());
    let again = sent("gitlab_issue", gitlab, vec![there.clone(), text(200, "{}")], &told).await;
    assert_eq!(calls(&again, "/issues"), ["GET /7/notes", "PUT /7"], "only the change may be missing");
    let other = Notification { idempotency_key: "0011223344".into(), ..told.clone() };
    assert_eq!(
        sent("gitlab_issue", gitlab, vec![there, text(201, "{}"), text(200, "{}")], &other).await.len(),
        3
    );
    let gone = vec![text(404, "{}"), text(200, "[]"), text(201, r#"{"iid": 8}"#)];
    let asked = sent("gitlab_issue", gitlab, gone, &told).await;
    assert_eq!(calls(&asked, "/issues"), ["GET /7/notes", "GET ", "POST "]);
}

/// Services that keep a state are told of each alert under its own key; the others in one message.
#[tokio::test]
async fn alerts_that_are_told_together_are_all_told() {
    let mut told = notification();
    let numbered =
        |n: u32| crate::alert::Alert { id: crate::alert::AlertId(format!("{n:032x}")), ..told.alert.clone() };
    told.others = vec![other(numbered(1)), other(numbered(2))];
    for (kind, settings, answers) in targets() {
        let several = std::iter::repeat_n(answers.clone(), 3).flatten().collect();
        let asked = sent(kind, settings, several, &told).await;
        let is_keyed = asked.len() > answers.len();
        assert_eq!(asked.len(), if is_keyed { 3 * answers.len() } else { answers.len() }, "{kind}");
        let all: String =
            asked.iter().map(|asked| String::from_utf8_lossy(&asked.body).into_owned()).collect();
        for alert in [&told.alert, &told.others[0].alert, &told.others[1].alert] {
            assert!(all.contains(&alert.id.0), "{kind}: {}", alert.id);
        }
        let keys: std::collections::BTreeSet<_> =
            asked.iter().map(|asked| asked.headers["idempotency-key"].to_str().unwrap().to_owned()).collect();
        assert_eq!(keys.len(), if is_keyed { 3 } else { 1 }, "{kind}");
        let is_chat = matches!(kind, "slack" | "teams" | "discord" | "mattermost" | "telegram" | "ntfy");
        assert_ne!(is_chat, is_keyed, "{kind}");
    }
}

/// Where the first of a group stands says nothing about the others.
#[tokio::test]
async fn each_alert_of_a_group_is_told_as_it_stands() {
    let mut told = notification();
    told.triage.state = AlertState::Acknowledged;
    told.others = ["1", "2"]
        .map(|id| other(crate::alert::Alert { id: crate::alert::AlertId(id.into()), ..told.alert.clone() }))
        .into();
    told.others[1].triage.state = AlertState::Resolved;
    let (kind, settings, answers) = targets().into_iter().find(|(kind, ..)| *kind == "pagerduty").unwrap();
    let asked = sent(kind, settings, std::iter::repeat_n(answers, 3).flatten().collect(), &told).await;
    let said: Vec<(String, String)> = asked
        .iter()
        .map(|asked| {
            let body: Value = serde_json::from_slice(&asked.body).unwrap();
            let text = |name: &str| body[name].as_str().unwrap().to_owned();
            (text("dedup_key"), text("event_action"))
        })
        .collect();
    let expected = [(told.alert.id.0.as_str(), "acknowledge"), ("1", "trigger"), ("2", "resolve")];
    assert_eq!(said, expected.map(|(id, action)| (id.to_owned(), action.to_owned())));
}

#[tokio::test]
async fn telegram_says_in_its_body_how_long_to_wait() {
    let body = r#"{"ok": false, "error_code": 429, "parameters": {"retry_after": 31}}"#;
    let server = StandIn::start(vec![Say { status: 429, body: body.into(), ..Say::default() }]).await;
    let action = target("telegram", "token: {env: SECRET}, chat: '@soc'", &server.url(), "30s");
    match run(&action).await {
        Err(DeliveryError::Retryable { after, .. }) => assert_eq!(after, Some(Span::seconds(31))),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_users_words_take_the_place_of_ours_and_break_nothing() {
    for (kind, settings, answers) in targets() {
        let own = format!(
            "{settings}{}title: 'See {{{{ alert.rule }}}}', text: \"{{{{ events[0].author_name }}}}\\nsecond\"",
            if settings.is_empty() { "" } else { ", " }
        );
        for evil in EVIL {
            let asked = sent(kind, &own, answers.clone(), &with(evil)).await;
            let body: Value = serde_json::from_slice(&asked.last().unwrap().body).unwrap();
            let shown = body.to_string();
            assert!(shown.contains("See gitlab") && shown.contains("second"), "{kind}: {shown}");
            let mut all = Vec::new();
            texts(&body, "", &mut all);
            all.iter().for_each(|(place, text)| assert_tame(kind, place, text));
        }
    }
    let wrong =
        super::stand_in::try_action("{type: slack, url: 'https://x', title: '{% if %}'}").unwrap_err();
    assert!(wrong.to_string().contains("title: template line 1"), "{wrong}");
}

#[test]
fn a_preview_shows_what_is_sent_and_no_secret() {
    for (kind, settings, _) in targets() {
        let action = target(kind, settings, "https://chat.example.com", "30s");
        let shown = action.preview(&notification(), GUARD.now).unwrap();
        assert!(shown.split('\n').next().unwrap().contains(" https://chat.example.com"), "{shown}");
        for secret in [SECRET, "path-token", "query-token"] {
            assert!(!shown.contains(secret), "{kind}: {shown}");
        }
    }
}

#[tokio::test]
async fn a_host_that_an_event_steers_must_be_out_on_the_internet() {
    let server = StandIn::start(vec![Say::status(200)]).await;
    let port = server.address.port();
    let mut told = notification();
    let named = action(&format!("{{type: http, url: 'http://127.0.0.1:{port}/{{{{ alert.id }}}}'}}"));
    assert!(named.run(&told, &GUARD).await.is_ok(), "the configuration names it");
    let steered = action(&format!("{{type: http, url: 'http://{{{{ events[0].ip_address }}}}:{port}/'}}"));
    for host in ["127.0.0.1", "localhost", "169.254.169.254", "2130706433", "127.1"] {
        told.events[0].insert("ip_address".into(), host.into());
        match steered.run(&told, &GUARD).await {
            Err(DeliveryError::Permanent { reason, .. }) => {
                assert!(reason.contains("is refused"), "{reason}")
            }
            other => panic!("{host}: {other:?}"),
        }
    }
    assert_eq!(server.asked().len(), 1);
}
