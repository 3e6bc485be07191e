//! Programs that are on every machine.

use super::super::stand_in::{SECRET, try_action};
use crate::action::{Action, GuardInput};
use crate::deliver::DeliveryError;
use crate::encode::tests_support::notification;
use crate::store::Outcome;
use crate::time::Timestamp;

const GUARD: GuardInput = GuardInput { recent: 0, now: Timestamp(1_769_850_000_000) };

fn action(settings: &str) -> Action {
    try_action(&format!("{{type: command, {settings}}}")).unwrap()
}

async fn run(settings: &str) -> Result<Outcome, DeliveryError> {
    action(settings).run(&notification(), &GUARD).await
}

/// What a script says, quoted in the summary or the error.
async fn script(text: &str, more: &str) -> Result<Outcome, DeliveryError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("script");
    std::fs::write(&path, text).unwrap();
    run(&format!("command: [/bin/sh, '{}', '{{{{ alert.id }}}}', 'a b; $(id)'], {more}", path.display()))
        .await
}

#[tokio::test]
async fn arguments_reach_the_program_as_they_are() {
    let said = script("echo \"$# $1 $2\"", "timeout: 20s").await.unwrap().summary;
    assert!(said.ends_with("2 0123456789abcdef0123456789abcdef a b; $(id)"), "{said}");
}

#[tokio::test]
async fn the_alert_is_its_input_and_its_environment_is_empty() {
    let said = script("wc -c; env | sort | tr '\\n' ' '; pwd", "env: {TOKEN: {env: SECRET}, A: b}")
        .await
        .unwrap()
        .summary;
    let length = crate::encode::notification_json(&notification()).to_string().len();
    assert!(said.contains(&format!(": {length} A=b ")), "{said}");
    assert!(said.contains("TOKEN=… WATCHFIRE_KEY=fedcba9876543210") && !said.contains(SECRET), "{said}");
    assert!(!said.contains("HOME=") && !said.contains("PATH=/root") && said.ends_with(" /"), "{said}");
}

#[tokio::test]
async fn its_end_says_whether_it_may_pass() {
    for (code, may_pass) in
        [(1, true), (75, true), (99, true), (2, false), (64, false), (78, false), (127, false)]
    {
        let result = script(&format!("echo why >&2; exit {code}"), "timeout: 20s").await;
        let error = result.unwrap_err();
        assert_eq!(matches!(error, DeliveryError::Retryable { .. }), may_pass, "{error:?}");
        assert!(error.reason().ends_with(&format!("ended with {code}: why")), "{error:?}");
    }
    let error = script("kill -9 $$", "timeout: 20s").await.unwrap_err();
    assert!(
        matches!(&error, DeliveryError::Retryable { reason, .. } if reason.contains("signal")),
        "{error:?}"
    );
    let error = run("command: [/nowhere/at/all]").await.unwrap_err();
    assert!(matches!(error, DeliveryError::Permanent { .. }), "{error:?}");
}

#[tokio::test]
async fn what_it_started_ends_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let pids = dir.path().join("pid");
    let alive = |pids: &std::path::Path| {
        let text = std::fs::read_to_string(pids).unwrap();
        let state = std::fs::read_to_string(format!("/proc/{}/stat", text.trim()));
        state.is_ok_and(|state| !state.contains(") Z "))
    };
    // The child holds the output open, so that only its end lets the action end.
    let text = format!("sleep 600 & echo $! > {}; exit 0", pids.display());
    script(&text, "timeout: 60s").await.unwrap();
    while alive(&pids) {
        tokio::task::yield_now().await;
    }
    let text = format!("sleep 600 & echo $! > {}; wait", pids.display());
    let error = script(&text, "timeout: 1s").await.unwrap_err();
    assert!(error.reason().contains("longer than 1s"), "{error:?}");
    while alive(&pids) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn it_may_say_as_much_as_it_likes_and_read_nothing() {
    let said =
        script("exec <&-; head -c 5000000 /dev/zero | tr '\\0' x; echo end", "timeout: 60s").await.unwrap();
    assert!(said.summary.len() < 1_000, "{}", said.summary.len());
}

#[tokio::test]
async fn an_event_cannot_make_an_option() {
    let mut told = notification();
    told.events[0].insert("author_name".into(), "--config=/tmp/evil".into());
    let named = action("command: [/bin/echo, '{{ events[0].author_name }}']");
    let error = named.run(&told, &GUARD).await.unwrap_err();
    assert!(error.reason().contains("make it an option"), "{error:?}");
    let behind = action("command: [/bin/echo, '--name={{ events[0].author_name }}']");
    assert!(behind.run(&told, &GUARD).await.is_ok());
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    for (settings, part) in [
        ("command: []", "expected a program"),
        ("command: [echo]", "absolute path"),
        ("command: [/bin/echo, '{{']", "command[1]"),
        ("command: [/bin/echo], env: {'A=B': c}", "cannot be set"),
        ("command: [/bin/echo], env: {A: {env: NOPE}}", "NOPE is not set"),
    ] {
        let error = try_action(&format!("{{type: command, {settings}}}")).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}
