//! Whose doing it is, by what an earlier try is known to have done.

use super::*;

const CALL: &str = "POST https://gitlab.example.com";

fn lasting() -> Setup {
    let lasts = serde_yaml::from_str("1h").unwrap();
    Setup::new(Guards { lasts, ..live() }, ASKED)
}

fn answered(status: u16) -> DeliveryError {
    let reason = format!("{CALL} answered {status}");
    DeliveryError::Retryable { reason, after: None, answered: Some(status) }
}

#[tokio::test]
async fn a_block_after_a_try_that_changed_nothing_is_somebody_elses() {
    for error in [answered(500), answered(503), answered(429)] {
        let setup = lasting();
        setup.memory.script([Script::Fail(error.clone())]);
        let id = setup.owe(7, "x");
        assert_eq!(setup.run_row(&id, 7).await.unwrap(), Ended::Again(error));
        let known = setup.response(&id);
        assert_eq!((known.status, known.counted_at), (ResponseStatus::Begun, None));
        setup.memory.set(7, account(7, "blocked"));
        setup.run_row(&id, 7).await.unwrap();
        let response = setup.response(&id);
        assert_eq!((response.status, response.undo), (ResponseStatus::Already, UndoStatus::None));
        assert!(setup.ask_undo(&id, "ann").unwrap().contains("changed nothing"));
        let steps = setup.store.response_steps(&id).unwrap();
        assert!(steps.iter().any(|step| step.summary.contains("it changed nothing")), "{steps:?}");
    }
}

#[tokio::test]
async fn what_nobody_can_know_is_said_and_is_not_undone_by_itself() {
    for error in [DeliveryError::retryable("it timed out"), answered(504), answered(502)] {
        let setup = lasting();
        setup.memory.script([Script::Fail(error)]);
        let id = setup.owe(7, "x");
        assert!(matches!(setup.run_row(&id, 7).await.unwrap(), Ended::Again(_)));
        assert_eq!(setup.response(&id).status, ResponseStatus::Acting);
        setup.memory.set(7, account(7, "blocked"));
        setup.run_row(&id, 7).await.unwrap();
        let response = setup.response(&id);
        assert_eq!((response.status, response.undo_at), (ResponseStatus::Acted, None));
        assert!(response.summary.contains("nobody knows; so it is not undone after 1h by itself"));
        assert!(setup.store.outbox_get(&id).unwrap().unwrap().outcome.unwrap().needs_human);
        assert_eq!(setup.notices(), ["Not undone: block user 7 (user-7)"]);
        setup.wait(Span::hours(2));
        assert_eq!((setup.undo_due().await, setup.memory.blocked()), (0, vec![7]));
        assert_eq!(setup.ask_undo(&id, "ann"), None, "a person can");
        assert_eq!(setup.undo_due().await, 1);
        assert!(setup.memory.blocked().is_empty());
    }
}

#[tokio::test]
async fn a_call_that_failed_and_did_it_all_the_same_is_ours() {
    let setup = lasting();
    setup.memory.script([Script::Cut]);
    let response = setup.respond(7).await;
    assert_eq!(response.status, ResponseStatus::Acted);
    assert!(response.summary.contains("already blocked: the call failed"), "{}", response.summary);
    assert_eq!(response.undo_at, Some(START.plus(Span::hours(1))));
    assert_eq!(response.before.unwrap()["state"], "active", "what it was before is kept");
    assert_eq!(setup.memory.calls().iter().filter(|call| *call == "block 7").count(), 1);
}

#[tokio::test]
async fn an_answer_that_is_lost_does_not_act_twice() {
    let setup = Setup::new(live(), "{}");
    setup.memory.script([Script::Cut]);
    setup.memory.blind_after(1, [DeliveryError::retryable("away")]);
    let id = setup.owe(7, "x");
    assert!(matches!(setup.run_row(&id, 7).await.unwrap(), Ended::Again(_)));
    assert_eq!(setup.response(&id).status, ResponseStatus::Acting);
    setup.store.responses_stop("now", &setup.deed("ann")).unwrap();
    setup.run_row(&id, 7).await.unwrap();
    let response = setup.response(&id);
    assert_eq!(response.status, ResponseStatus::Acted, "it was done before: the ledger says so");
    assert!(response.summary.contains("already blocked: an earlier try"));
    assert_eq!(response.before.unwrap()["state"], "active", "what it was before is kept");
    assert_eq!(setup.memory.calls().iter().filter(|call| *call == "block 7").count(), 1);
}

#[tokio::test]
async fn what_was_answered_before_nobody_could_look_is_ours() {
    let setup = lasting();
    setup.memory.blind_after(1, (0..5).map(|_| DeliveryError::retryable("away")));
    let id = setup.owe(7, "x");
    assert!(matches!(setup.run_row(&id, 7).await.unwrap(), Ended::Again(_)));
    setup.wait(Span::minutes(1));
    setup.run_row(&id, 7).await.unwrap();
    let response = setup.response(&id);
    assert_eq!(response.summary.split(';').next(), Some("blocked user 7 (user-7)"));
    assert_eq!(response.undo_at, Some(setup.clock.now().plus(Span::hours(1))));
}

/// Texts quote the names of tokens and keys, which whoever is to be locked out has chosen.
#[tokio::test]
async fn a_name_that_looks_like_an_answer_is_none() {
    let setup = lasting();
    let unheard = DeliveryError::retryable("revoke the token x answered 404: the connection was cut");
    setup.memory.script([Script::Meanwhile("blocked".into(), unheard)]);
    let response = setup.respond(7).await;
    assert_eq!(response.status, ResponseStatus::Acted, "{}", response.summary);
    assert_eq!(response.undo_at, Some(START.plus(Span::hours(1))));

    let setup = lasting();
    let reason = format!("revoke the token x answered 404: {CALL} answered 504");
    setup.memory.script([Script::Fail(DeliveryError::Retryable {
        reason,
        after: None,
        answered: Some(504),
    })]);
    let id = setup.owe(7, "x");
    assert!(matches!(setup.run_row(&id, 7).await.unwrap(), Ended::Again(_)));
    assert_eq!(setup.response(&id).status, ResponseStatus::Acting, "nobody knows what came of it");
}

#[tokio::test]
async fn who_was_refused_since_another_came_first_did_nothing() {
    let reason = format!("{CALL} answered 403");
    let refused = DeliveryError::Permanent { reason, answered: Some(403) };
    let setup = lasting();
    setup.memory.script([Script::Meanwhile("blocked".into(), refused.clone())]);
    let response = setup.respond(7).await;
    assert_eq!((response.status, response.counted_at), (ResponseStatus::Already, None));
    assert!(setup.ask_undo(&response.id, "ann").is_some());
    // An earlier call that was not answered may be what came first.
    let unheard = Script::Fail(DeliveryError::retryable("it timed out"));
    setup.memory.script([unheard, Script::Meanwhile("blocked".into(), refused)]);
    let id = setup.owe(8, "x");
    setup.run_row(&id, 8).await.unwrap();
    setup.run_row(&id, 8).await.unwrap();
    let response = setup.response(&id);
    assert_eq!((response.status, response.undo_at), (ResponseStatus::Acted, None));
    assert!(response.summary.contains("nobody knows") && response.counted_at.is_some());
}

#[tokio::test]
async fn each_try_is_in_the_ledger_and_the_audit_log() {
    let setup = Setup::new(live(), "{}");
    let id = setup.owe(7, "x");
    setup.memory.blind([DeliveryError::retryable("away")]);
    assert!(matches!(setup.run_row(&id, 7).await.unwrap(), Ended::Again(_)));
    setup.run_row(&id, 7).await.unwrap();
    let steps = setup.store.response_steps(&id).unwrap();
    let told: Vec<(&str, &str)> =
        steps.iter().map(|step| (step.status.as_str(), step.summary.as_str())).collect();
    assert_eq!(told[..2], [("begun", "begins"), ("begun", "try 2 begins")]);
    assert_eq!(setup.store.audit_verify().unwrap().rows, steps.len() as u64);
}
