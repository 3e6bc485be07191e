//! Undoing over several deliveries, and by an action that is another one by now.

use super::*;

async fn sleeper() -> (Setup, Response) {
    let setup = Setup::new(live(), ASKED);
    setup.memory.set(7, account(7, "deactivated"));
    let response = setup.respond(7).await;
    assert_eq!((response.status, setup.memory.blocked()), (ResponseStatus::Acted, vec![7]));
    assert_eq!(setup.ask_undo(&response.id, "ann"), None);
    (setup, response)
}

#[tokio::test]
async fn what_was_put_back_half_way_is_put_back_wholly_by_the_next_delivery() {
    let (setup, response) = sleeper().await;
    setup.memory.script([Script::Cut]);
    assert_eq!(setup.undo_due().await, 1);
    assert_eq!(setup.memory.state(7).unwrap(), "active", "half-way");
    let row = setup.store.outbox_due(setup.clock.now(), 10).unwrap().remove(0);
    let dead = crate::store::Settlement::Dead { error: "away".into() };
    setup.store.outbox_settle(&row.id, &dead, START).unwrap();
    // Another delivery, which knows no tries.
    assert_eq!(setup.ask_undo(&response.id, "ann"), None);
    assert_eq!(setup.undo_due().await, 1);
    assert_eq!(setup.response(&response.id).undo, UndoStatus::Undone);
    assert_eq!(setup.memory.state(7).unwrap(), "deactivated");
}

#[tokio::test]
async fn who_was_let_in_by_somebody_else_is_left_alone() {
    let (setup, response) = sleeper().await;
    setup.memory.set(7, account(7, "active"));
    assert_eq!(setup.undo_due().await, 1);
    assert_eq!(setup.response(&response.id).undo, UndoStatus::Refused, "nothing was put back yet");
    assert_eq!(setup.memory.state(7).unwrap(), "active");
}

#[test]
fn a_crash_while_it_is_put_back_loses_nothing() {
    for place in ["respond.before_undo", "respond.after_undo"] {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (setup, response) = runtime.block_on(sleeper());
        let done = fault::crash(place, 0, || {
            runtime.block_on(async { setup.undo_due().await });
        });
        assert!(done.is_none(), "it passes {place}");
        runtime.block_on(setup.undo_due());
        assert_eq!(setup.response(&response.id).undo, UndoStatus::Undone, "{place}");
        assert_eq!(setup.memory.state(7).unwrap(), "deactivated", "{place}");
    }
}

#[tokio::test]
async fn an_end_that_is_set_holds_up_nothing_that_comes_before_it() {
    let lasts = serde_yaml::from_str("1d").unwrap();
    let setup = Setup::new(Guards { lasts, ..live() }, ASKED);
    setup.respond(7).await;
    let again = setup.owe(7, "of the same alert");
    let due = setup.store.outbox_due(setup.clock.now(), 10).unwrap();
    assert_eq!(due.iter().map(|row| &row.id).collect::<Vec<_>>(), [&again]);
}

#[tokio::test]
async fn an_action_that_does_something_else_by_now_undoes_nothing() {
    let (mut setup, response) = sleeper().await;
    setup.responds_with(setup.memory.lifting());
    assert_eq!(setup.undo_due().await, 1);
    let failed = setup.response(&response.id);
    assert_eq!((failed.undo, setup.memory.blocked()), (UndoStatus::Failed, vec![7]));
    let why = failed.undo_summary.unwrap();
    assert!(why.contains("`block` is to `unblock` now, so this response stays in force"), "{why}");
    assert_eq!(setup.notices(), ["Not undone: block user 7 (user-7)"]);
    setup.responds_with(setup.memory.clone());
    assert_eq!(setup.ask_undo(&response.id, "ann"), None);
    assert_eq!(setup.undo_due().await, 1);
    assert_eq!(setup.memory.state(7).unwrap(), "deactivated");
}

#[tokio::test]
async fn an_action_that_is_gone_leaves_it_in_force_and_says_so_once() {
    for (is_there, part) in [(false, "is not configured any more"), (true, "does not respond any more")] {
        let (setup, response) = sleeper().await;
        let row = setup.store.outbox_due(setup.clock.now(), 10).unwrap().remove(0);
        stranded(&setup.store, &setup.policy, (&row, is_there), setup.clock.now()).await.unwrap();
        let failed = setup.response(&response.id);
        assert_eq!((failed.undo, setup.memory.blocked()), (UndoStatus::Failed, vec![7]));
        let why = failed.undo_summary.unwrap();
        assert!(why.contains(part) && why.contains(&format!("undo {}", response.id)), "{why}");
        let row = setup.store.outbox_get(&row.id).unwrap().unwrap();
        assert_eq!((row.state, setup.notices().len()), (OutboxState::Dead, 1));
        // It is back.
        assert!(setup.store.redrive(&row.id, &setup.deed("ann")).unwrap());
        assert_eq!(setup.undo_due().await, 1);
        assert_eq!(setup.memory.state(7).unwrap(), "deactivated");
    }
}
