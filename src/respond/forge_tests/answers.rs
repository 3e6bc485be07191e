//! Every response type against every answer: what is concluded.

use std::fmt::Write;

use super::scene::{Api, CASES, Case, Ended, NOW, SECRET, attempt};
use crate::demo::Fault;
use crate::time::Span;

/// What the forge does: in words, how, and whether to the call that changes something or to the first that looks.
fn answers() -> Vec<(String, Fault, bool)> {
    let mut all = vec![("as documented".to_owned(), Fault::None, true)];
    let statuses = [200, 202, 301, 400, 401, 403, 404, 405, 409, 412, 422, 429, 500, 502, 503];
    for at_change in [true, false] {
        let place = if at_change { "change" } else { "look" };
        let mut add = |words: String, fault| all.push((format!("{place}: {words}"), fault, at_change));
        for status in statuses.into_iter().filter(|status| at_change || *status > 202) {
            add(status.to_string(), Fault::Status(status, None));
        }
        add("403, Retry-After: 90".into(), Fault::Status(403, Some(90)));
        add("429, Retry-After: 7".into(), Fault::Status(429, Some(7)));
        add("rate limit used up for 120 s".into(), Fault::Limited(1_769_850_120));
        add("403 in the words of a secondary rate limit".into(), Fault::Secondary);
        add("no answer in time".into(), Fault::Slow(Span::minutes(10)));
        add("answer cut in the middle".into(), Fault::CutInside);
        add("a proxy's page with 200".into(), Fault::Html);
        if at_change {
            add("done, connection cut before the answer".into(), Fault::Cut);
            add("success, and nothing is done".into(), Fault::Lies);
        } else {
            add("about another id".into(), Fault::WrongId);
        }
    }
    all
}

/// Runs one; a try that may pass is tried once more, when the forge is well again.
async fn conclude(case: Case, api: &Api, fault: &Fault, at_change: bool) -> (String, String) {
    let patient = case.responder(api, "60s");
    // Who the token belongs to is asked for once, so that the fault hits what comes after.
    drop(patient.look(&case.subject(), NOW).await);
    let first = match fault {
        Fault::Slow(_) => {
            let impatient = case.responder(api, "100ms");
            api.fail(fault.clone(), at_change);
            attempt(&impatient, &case.subject()).await
        }
        _ => {
            api.fail(fault.clone(), at_change);
            attempt(&patient, &case.subject()).await
        }
    };
    let reason = first.to_string();
    assert!(!reason.contains(SECRET), "{reason}");
    api.fail(Fault::None, at_change);
    let kind = match first {
        Ended::Done => "done".to_owned(),
        Ended::Nothing(_) => "nothing to do".to_owned(),
        Ended::Refused(_) => "refused".to_owned(),
        Ended::Failed(_) => "failed".to_owned(),
        Ended::Later(_, after) => {
            let then = match attempt(&patient, &case.subject()).await {
                Ended::Done => "done",
                Ended::Nothing(_) => "found done",
                other => panic!("{}: {other}", case.name),
            };
            let when = after.map(|after| format!(" in {after}")).unwrap_or_default();
            format!("tried again{when}, then {then}")
        }
    };
    (kind, reason)
}

/// The forge, its world before, and what is concluded.
async fn tried(case: Case, fault: Fault, at_change: bool) -> (Api, String, (String, String)) {
    let api = case.api().await;
    let before = api.world();
    let ended = conclude(case, &api, &fault, at_change).await;
    (api, before, ended)
}

/// The table, one answer after the other: what is concluded, for which types, and in the words of the first of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_response_type_against_every_answer() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let mut goals = Vec::new();
    let mut table = String::new();
    for (words, fault, at_change) in answers() {
        let mut groups: Vec<(String, String, Vec<&str>)> = Vec::new();
        let tries = CASES.map(|case| tokio::spawn(tried(case, fault.clone(), at_change)));
        for (index, (case, task)) in CASES.into_iter().zip(tries).enumerate() {
            let (api, before, (kind, reason)) = task.await.unwrap();
            let after = api.world();
            if fault == Fault::None {
                assert_eq!(kind, "done", "{}: {reason}", case.name);
                goals.push(after.clone());
            }
            let is_done = kind.ends_with("done");
            let expected = if is_done { &goals[index] } else { &before };
            assert!(after == *expected, "{} at `{words}`: {kind}, and the world is another", case.name);
            assert!(api.changes() <= 2, "{} at `{words}`: {} changes", case.name, api.changes());
            let reason = reason.replace(&api.url(), "FORGE");
            match groups.iter_mut().find(|(known, ..)| *known == kind) {
                Some((_, _, names)) => names.push(case.name),
                None => groups.push((kind, reason, vec![case.name])),
            }
        }
        writeln!(table, "{words}").unwrap();
        for (kind, reason, names) in groups {
            let who = if names.len() == CASES.len() { "all".to_owned() } else { names.join(", ") };
            writeln!(table, "    {kind}: {who}").unwrap();
            // Which of its calls an impatient one gave up at depends on the machine.
            if reason != kind && !matches!(fault, Fault::Slow(_)) {
                writeln!(table, "        {reason}").unwrap();
            }
        }
    }
    insta::assert_snapshot!("answers", table);
}
