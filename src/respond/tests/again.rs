//! Deliveries that are driven again, and what is in doubt meanwhile.

use super::*;

const UNKNOWN: &str = "it is not known whether it changed anything";

fn unheard() -> DeliveryError {
    DeliveryError::retryable("it timed out")
}

impl Setup {
    /// A response whose call nobody answered: it is counted, and in doubt.
    async fn in_doubt(&self, user: u64) -> String {
        self.memory.script([Script::Fail(unheard())]);
        let id = self.owe(user, "doubt");
        assert_eq!(self.run_row(&id, user).await.unwrap(), Ended::Again(unheard()));
        assert_eq!(self.response(&id).status, ResponseStatus::Acting);
        id
    }

    /// One that ended so: its answer was a success, and nothing of it is seen.
    async fn failed_in_doubt(&self, user: u64) -> String {
        self.memory.script([Script::Lie]);
        let response = self.respond(user).await;
        assert!(response.status == ResponseStatus::Failed && response.may_have_acted());
        response.id
    }

    fn redrive(&self, id: &str) {
        assert!(self.store.redrive(id, &self.deed("bob")).unwrap(), "it was given up");
    }

    fn outcome(&self, id: &str) -> crate::store::Outcome {
        self.store.outbox_get(id).unwrap().unwrap().outcome.unwrap()
    }
}

fn count(setup: &Setup, call: &str) -> usize {
    setup.memory.calls().iter().filter(|made| *made == call).count()
}

#[tokio::test]
async fn what_somebody_had_undone_is_not_done_again_by_a_redrive() {
    // Before it is undone, and after it.
    for undo in [UndoStatus::Due, UndoStatus::Undone] {
        let setup = Setup::new(live(), ASKED);
        let id = setup.failed_in_doubt(7).await;
        setup.memory.set(7, account(7, "blocked"));
        assert_eq!(setup.ask_undo(&id, "ann"), None);
        if undo == UndoStatus::Undone {
            assert_eq!(setup.undo_due().await, 1);
        }
        setup.redrive(&id);
        setup.run_row(&id, 7).await.unwrap();
        let response = setup.response(&id);
        assert_eq!((response.status, response.undo), (ResponseStatus::Held, undo));
        let why =
            "did not block user 7 (user-7): ann had it undone; if it is wanted all the same, ask for it anew";
        assert_eq!((response.summary.as_str(), setup.outcome(&id).changed), (why, false));
        assert_eq!(setup.store.response_steps(&id).unwrap().last().unwrap().summary, why);
        setup.undo_due().await;
        assert_eq!((count(&setup, "block 7"), setup.memory.blocked()), (1, vec![]));
    }
}

#[tokio::test]
async fn an_undoing_that_was_not_done_is_not_in_the_way_of_the_next_one() {
    let setup = Setup::new(live(), ASKED);
    let id = setup.failed_in_doubt(7).await;
    setup.memory.set(7, account(7, "banned"));
    assert_eq!(setup.ask_undo(&id, "ann"), None);
    setup.memory.blind([DeliveryError::permanent("no")]);
    setup.undo_due().await;
    assert_eq!(setup.response(&id).undo, UndoStatus::Failed);
    setup.memory.set(7, account(7, "active"));
    setup.redrive(&id);
    setup.run_row(&id, 7).await.unwrap();
    let response = setup.response(&id);
    assert_eq!((response.status, response.undo), (ResponseStatus::Acted, UndoStatus::None));
    assert_eq!((response.undo_by, response.undo_at, response.undo_summary), (None, None, None));
    assert_eq!(setup.ask_undo(&id, "ann"), None, "it can be undone");
    setup.undo_due().await;
    assert_eq!(setup.memory.state(7).unwrap(), "active");
}

#[tokio::test]
async fn what_may_have_been_done_becomes_no_rehearsal() {
    for yaml in [None, Some("dry_run: true"), Some("dry_run: {rules: [gitlab-mass-clone]}")] {
        let mut setup = Setup::new(live(), ASKED);
        let id = setup.in_doubt(7).await;
        match yaml {
            None => setup.guards.dry_run = Some(true),
            Some(yaml) => setup.policy = policy(yaml),
        }
        setup.run_row(&id, 7).await.unwrap();
        let response = setup.response(&id);
        assert_eq!((response.status, response.dry_run), (ResponseStatus::Held, false), "{yaml:?}");
        assert!(response.summary.contains("dry_run") && response.summary.ends_with(UNKNOWN));
        assert!(response.counted_at.is_some() && setup.outcome(&id).needs_human);
        assert_eq!(count(&setup, "block 7"), 1, "nothing is done any more");
        // The call comes through late.
        setup.memory.set(7, account(7, "blocked"));
        assert_eq!(setup.ask_undo(&id, "ann"), None);
        setup.undo_due().await;
        assert_eq!(setup.memory.state(7).unwrap(), "active", "{yaml:?}");
    }
}

#[tokio::test]
async fn what_was_done_is_no_rehearsal_either() {
    let mut setup = Setup::new(live(), ASKED);
    let id = setup.in_doubt(7).await;
    setup.memory.set(7, account(7, "blocked"));
    setup.guards.dry_run = Some(true);
    setup.run_row(&id, 7).await.unwrap();
    let response = setup.response(&id);
    assert_eq!((response.status, response.dry_run), (ResponseStatus::Acted, false));
}

#[tokio::test]
async fn what_is_in_doubt_and_then_waits_is_not_said_to_be_undone() {
    for is_refused in [false, true] {
        let mut setup = Setup::new(live(), ASKED);
        let id = setup.failed_in_doubt(7).await;
        setup.guards.approvals = 1;
        setup.redrive(&id);
        setup.run_row(&id, 7).await.unwrap();
        assert_eq!(setup.response(&id).status, ResponseStatus::Waiting);
        if is_refused {
            setup.store.response_decide(&id, Decision::Refuse, None, &setup.deed("ann")).unwrap();
        } else {
            setup.wait(Span::hours(5));
            let now = setup.clock.now();
            setup.store.responses_expire(now, |late| expired(&setup.policy, late, now)).unwrap();
            let titles = setup.notices();
            assert!(
                titles.iter().any(|title| title.contains("not approved in time") && title.ends_with(UNKNOWN))
            );
        }
        let outcome = setup.outcome(&id);
        assert!(outcome.needs_human && outcome.summary.ends_with(UNKNOWN), "{outcome:?}");
        assert_eq!(setup.response(&id).summary, outcome.summary);
        setup.memory.set(7, account(7, "blocked"));
        assert_eq!(setup.ask_undo(&id, "ann"), None);
        setup.undo_due().await;
        assert_eq!(setup.memory.state(7).unwrap(), "active");
    }
}

#[tokio::test]
async fn one_person_alone_keeps_nobody_out_by_a_redrive() {
    let setup = Setup::new(Guards { approvals: 1, ..live() }, ASKED).lifting([7]);
    let id = setup.respond(7).await.id;
    setup.decide(&id, "ann").unwrap();
    setup.run_row(&id, 7).await.unwrap();
    let ask = || (setup.ask_undo(&id, "bob"), setup.ask_undo(&id, "eve"));
    assert!(matches!(ask(), (Some(_), None)));
    let row = setup.store.outbox_due(setup.clock.now(), 10).unwrap().remove(0);
    setup.memory.blind([DeliveryError::permanent("no")]);
    assert_eq!(setup.undo_due().await, 1);
    assert_eq!(setup.response(&id).undo, UndoStatus::Failed);
    setup.redrive(&row.id);
    assert_eq!(setup.undo_due().await, 1);
    let refused = setup.response(&id);
    assert_eq!((refused.undo, setup.memory.state(7).unwrap().as_str()), (UndoStatus::Refused, "active"));
    assert!(refused.undo_summary.unwrap().contains("must be asked for anew"));
    assert!(matches!(ask(), (Some(_), None)), "both must wish for it anew");
    assert_eq!(setup.undo_due().await, 1);
    assert_eq!(setup.memory.state(7).unwrap(), "blocked");
}

#[tokio::test]
async fn an_action_that_is_aimed_at_something_else_by_now_asks_anew_and_puts_nothing_back() {
    let mut setup = Setup::new(Guards { approvals: 1, ..live() }, ASKED);
    let (here, elsewhere) = (setup.memory.clone(), setup.memory.elsewhere());
    let id = setup.respond(7).await.id;
    setup.decide(&id, "ann").unwrap();
    setup.responds_with(elsewhere.clone());
    setup.run_row(&id, 7).await.unwrap();
    assert_eq!(setup.response(&id).status, ResponseStatus::Waiting, "nobody approved this one");
    assert!(setup.response(&id).approvals.is_empty());
    setup.responds_with(here.clone());
    for _ in 0..2 {
        setup.decide(&id, "ann").unwrap();
        setup.run_row(&id, 7).await.unwrap();
    }
    assert_eq!(setup.response(&id).status, ResponseStatus::Acted);
    setup.responds_with(elsewhere);
    assert_eq!(setup.ask_undo(&id, "ann"), None);
    setup.undo_due().await;
    let failed = setup.response(&id);
    assert_eq!((failed.undo, setup.memory.blocked()), (UndoStatus::Failed, vec![7]));
    let why = failed.undo_summary.unwrap();
    assert!(why.contains("is aimed at something else now, so this response stays in force"), "{why}");
    setup.responds_with(here);
    assert_eq!(setup.ask_undo(&id, "ann"), None);
    setup.undo_due().await;
    assert_eq!(setup.memory.state(7).unwrap(), "active");
}

#[tokio::test]
async fn what_is_in_doubt_is_not_done_elsewhere() {
    for lifts in [false, true] {
        let mut setup = Setup::new(live(), ASKED);
        let here = setup.memory.clone();
        let other = if lifts { here.lifting() } else { here.elsewhere() };
        let id = setup.in_doubt(7).await;
        setup.responds_with(other);
        setup.run_row(&id, 7).await.unwrap();
        let response = setup.response(&id);
        assert_eq!((response.status, response.verb.as_str()), (ResponseStatus::Held, "block"));
        assert!(response.undoable && response.summary.ends_with(UNKNOWN), "{}", response.summary);
        assert_eq!(count(&setup, "unblock 7"), 0);
        setup.responds_with(here);
        setup.memory.set(7, account(7, "blocked"));
        assert_eq!(setup.ask_undo(&id, "ann"), None);
        setup.undo_due().await;
        assert_eq!(setup.memory.state(7).unwrap(), "active");
    }
}

#[tokio::test]
async fn an_action_that_is_gone_ends_its_responses_and_no_old_approval_counts() {
    let mut setup = Setup::new(Guards { approvals: 1, ..live() }, ASKED);
    let id = setup.respond(7).await.id;
    setup.decide(&id, "ann").unwrap();
    let row = setup.store.outbox_get(&id).unwrap().unwrap();
    let now = setup.clock.now();
    assert!(abandoned(&setup.store, &setup.policy, (&row, "no action"), now).await.unwrap());
    let failed = setup.response(&id);
    assert_eq!((failed.status, failed.summary.as_str()), (ResponseStatus::Failed, "no action"));
    assert_eq!(setup.store.outbox_get(&id).unwrap().unwrap().state, OutboxState::Dead);
    assert!(setup.notices().contains(&"Failed: block user 7 (user-7)".to_owned()), "{:?}", setup.notices());
    setup.redrive(&id);
    setup.run_row(&id, 7).await.unwrap();
    assert_eq!(setup.response(&id).status, ResponseStatus::Waiting, "it is asked for anew");
    // One in doubt.
    setup.guards.approvals = 0;
    let id = setup.in_doubt(8).await;
    let row = setup.store.outbox_get(&id).unwrap().unwrap();
    abandoned(&setup.store, &setup.policy, (&row, "no action"), now).await.unwrap();
    assert_eq!(setup.response(&id).summary, format!("no action; {UNKNOWN}"));
    setup.memory.set(8, account(8, "blocked"));
    assert_eq!(setup.ask_undo(&id, "ann"), None);
    setup.undo_due().await;
    assert_eq!(setup.memory.state(8).unwrap(), "active");
    let none = OutboxRow { id: "none".into(), ..row };
    assert!(!abandoned(&setup.store, &setup.policy, (&none, "no action"), now).await.unwrap());
}

/// As an earlier version left them: its delivery was given up, and the response was not told.
#[tokio::test]
async fn who_approved_a_delivery_that_was_given_up_is_asked_again() {
    for all in [false, true] {
        let setup = Setup::new(Guards { approvals: 1, ..live() }, ASKED);
        let id = setup.respond(7).await.id;
        setup.decide(&id, "ann").unwrap();
        let dead = crate::store::Settlement::Dead { error: "no action".into() };
        setup.store.outbox_settle(&id, &dead, START).unwrap();
        if all {
            assert_eq!(setup.store.redrive_action("block", &setup.deed("bob")).unwrap(), 1);
        } else {
            setup.redrive(&id);
        }
        setup.run_row(&id, 7).await.unwrap();
        assert_eq!((setup.response(&id).status, count(&setup, "block 7")), (ResponseStatus::Waiting, 0));
    }
}

#[tokio::test]
async fn an_undoing_that_is_given_up_says_so() {
    let setup = Setup::new(live(), ASKED);
    let id = setup.respond(7).await.id;
    assert_eq!(setup.ask_undo(&id, "ann"), None);
    let row = setup.store.outbox_due(setup.clock.now(), 10).unwrap().remove(0);
    let now = setup.clock.now();
    assert!(abandoned(&setup.store, &setup.policy, (&row, "it broke"), now).await.unwrap());
    assert_eq!(setup.response(&id).undo, UndoStatus::Failed);
    assert_eq!(setup.notices(), ["Not undone: block user 7 (user-7)"]);
}

#[tokio::test]
async fn one_command_undoes_also_what_nobody_knows_of() {
    let setup = Setup::new(live(), ASKED);
    let doubt = setup.failed_in_doubt(7).await;
    let done = setup.respond(8).await.id;
    let under_way = setup.in_doubt(9).await;
    let forbidden =
        DeliveryError::Permanent { reason: "POST https://x answered 403".to_owned(), answered: Some(403) };
    setup.memory.script([Script::Fail(forbidden)]);
    let refused = setup.respond(10).await;
    assert_eq!((refused.status, refused.counted_at), (ResponseStatus::Failed, None));
    let rule = Some("gitlab-mass-clone".to_owned());
    for query in [
        ResponseQuery { rule, to_undo: true, ..ResponseQuery::default() },
        ResponseQuery { since: Some(START), to_undo: true, ..ResponseQuery::default() },
    ] {
        let found = setup.store.responses(&query).unwrap();
        let mut ids: Vec<&String> = found.iter().map(|response| &response.id).collect();
        ids.sort();
        let mut expected = [&doubt, &done];
        expected.sort();
        assert_eq!(ids, expected, "and neither {under_way} nor {}", refused.id);
    }
    let late = ResponseQuery { since: Some(START.plus(Span(1))), to_undo: true, ..ResponseQuery::default() };
    assert_eq!(setup.store.responses(&late).unwrap(), []);
}

#[tokio::test]
async fn nobody_is_touched_before_it_is_known_whose_the_tokens_are() {
    let mut setup = Setup::new(live(), ASKED);
    let learnt = Arc::new(AtomicU64::new(0));
    let known = Arc::clone(&learnt);
    let is_own: IsOwn = Arc::new(move |who: &Identity| who.id == known.load(Ordering::Relaxed).to_string());
    setup.policy = Arc::new(Policy::clone(&setup.policy).sparing(is_own));
    let id = setup.owe(7, "x");
    let waits = tokio::time::timeout(std::time::Duration::from_millis(300), setup.run_row(&id, 7)).await;
    assert!(waits.is_err() && setup.memory.calls().is_empty(), "nobody has answered yet");
    learnt.store(7, Ordering::Relaxed);
    setup.policy.accounts_asked();
    setup.run_row(&id, 7).await.unwrap();
    let response = setup.response(&id);
    assert_eq!(response.status, ResponseStatus::Held);
    assert!(response.summary.contains("Watchfire itself uses"), "{}", response.summary);
}
