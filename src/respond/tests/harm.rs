//! Ways back that keep somebody out again.

use super::*;

async fn lifted(guards: Guards, yaml: &str) -> (Setup, Response) {
    let setup = Setup::new(guards, yaml).lifting([7, 8, 9]);
    let response = setup.respond(7).await;
    assert_eq!((response.status, response.undo_harms), (ResponseStatus::Acted, true), "{}", response.summary);
    assert_eq!(setup.memory.state(7).unwrap(), "active");
    (setup, response)
}

#[tokio::test]
async fn nobody_is_kept_out_again_whom_no_response_touches() {
    let admin = Account { obstacles: vec!["it is an administrator".into()], ..account(7, "active") };
    let nameless = Account { name: None, ..account(7, "active") };
    let never = |name: &str| Guards { never: vec![Name(name.into())], ..live() };
    for (guards, yaml, found, why) in [
        (never("user-7"), ASKED, account(7, "active"), "on `never`"),
        (never("user-1"), ASKED, nameless, "cannot be looked up"),
        (live(), ASKED, admin, "administrator"),
        (
            live(),
            "{never: [{id: 7, owner: soc, reason: on call}], approval: {actions: [mail]}}",
            account(7, "active"),
            "on call",
        ),
        (live(), "{dry_run: true, approval: {actions: [mail]}}", account(7, "active"), "rehearses"),
    ] {
        let (mut setup, response) = lifted(live(), ASKED).await;
        (setup.guards, setup.policy) = (guards, policy(yaml));
        setup.memory.set(7, found);
        assert_eq!(setup.ask_undo(&response.id, "ann"), None);
        assert_eq!(setup.undo_due().await, 1);
        let refused = setup.response(&response.id);
        assert_eq!(refused.undo, UndoStatus::Refused, "{why}");
        assert!(refused.undo_summary.clone().unwrap().contains(why), "{refused:?}");
        let steps = setup.store.response_steps(&response.id).unwrap();
        assert!(steps.last().unwrap().summary.contains(why), "{steps:?}");
        assert_eq!(setup.notices(), ["Not undone: unblock user 7 (user-7)"].map(String::from), "{why}");
        assert!(setup.memory.blocked().iter().all(|id| *id != 7), "{why}");
    }
}

#[tokio::test]
async fn the_kill_switch_holds_what_keeps_out() {
    let lasts: Ladder = serde_yaml::from_str("1h").unwrap();
    let (setup, response) = lifted(Guards { lasts, ..live() }, ASKED).await;
    setup.store.responses_stop("wrong", &setup.deed("ann")).unwrap();
    assert!(setup.ask_undo(&response.id, "ann").unwrap().contains("responses are stopped by ann"));
    setup.wait(Span::hours(1));
    assert_eq!(setup.undo_due().await, 1);
    let refused = setup.response(&response.id);
    assert_eq!((refused.undo, setup.memory.state(7).unwrap().as_str()), (UndoStatus::Refused, "active"));
    assert!(refused.undo_summary.unwrap().contains("stopped by ann: wrong"));
    setup.store.responses_resume(&setup.deed("ann")).unwrap();
    assert_eq!(setup.ask_undo(&response.id, "ann"), None);
    assert_eq!((setup.undo_due().await, setup.memory.state(7).unwrap().as_str()), (1, "blocked"));
}

#[tokio::test]
async fn it_counts_and_does_not_go_beyond_a_limit() {
    let yaml = "{at_most: [{accounts: 1, per: 1h}], approval: {actions: [mail]}}";
    let (setup, response) = lifted(live(), yaml).await;
    setup.wait(Span::hours(2));
    assert_eq!(setup.respond(8).await.status, ResponseStatus::Acted);
    assert_eq!(setup.ask_undo(&response.id, "ann"), None);
    setup.undo_due().await;
    let refused = setup.response(&response.id);
    assert_eq!((refused.undo, setup.memory.state(7).unwrap().as_str()), (UndoStatus::Refused, "active"));
    assert!(refused.undo_summary.unwrap().contains("at most 1 accounts per 1h"));
    setup.wait(Span::minutes(61));
    assert_eq!(setup.ask_undo(&response.id, "ann"), None);
    setup.undo_due().await;
    assert_eq!(setup.memory.state(7).unwrap(), "blocked");
    assert_eq!(setup.respond(9).await.status, ResponseStatus::Waiting, "that was one");
}

#[tokio::test]
async fn as_many_must_ask_for_it_as_must_agree_on_the_response() {
    let lasts: Ladder = serde_yaml::from_str("1d").unwrap();
    let setup = Setup::new(Guards { approvals: 1, lasts, ..live() }, ASKED).lifting([7, 8]);
    let mut done = Vec::new();
    for user in [7, 8] {
        let response = setup.respond(user).await;
        setup.decide(&response.id, "ann").unwrap();
        setup.run_row(&response.id, user).await.unwrap();
        done.push(response.id);
    }
    assert!(setup.ask_undo(&done[0], "bob (wf_1)").unwrap().contains("one more person must ask"));
    assert!(setup.ask_undo(&done[0], "Bob (command line, uid 0)").is_some(), "she is one");
    assert_eq!(setup.undo_due().await, 0);
    assert_eq!(setup.ask_undo(&done[0], "eve"), None);
    assert_eq!(setup.undo_due().await, 1);
    assert_eq!(setup.memory.blocked(), [7]);
    // A wish does not wait for ever; who approved the response approved its end, too.
    setup.ask_undo(&done[1], "bob").unwrap();
    setup.wait(Span::hours(24));
    assert!(setup.ask_undo(&done[1], "eve").is_some());
    assert_eq!(setup.undo_due().await, 1);
    assert_eq!(setup.memory.blocked(), [7, 8]);
}
