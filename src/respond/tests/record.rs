//! What those hear who keep the record.

use super::*;
use crate::store::{Decided, Decision};

const RECORDED: &str = "{approval: {actions: [mail]}, record: [issues, mail]}";

/// What each action was told, oldest first: its name and the notice.
fn told(setup: &Setup) -> Vec<(String, crate::encode::Notice)> {
    let mut rows = setup.store.outbox_list(None, 0).unwrap();
    rows.sort_by_key(|row| row.created_at);
    let of = |row: &OutboxRow| {
        let id = crate::store::notice_named(&row.alert.0)?;
        Some((row.action.clone(), setup.store.notice(id).unwrap().unwrap()))
    };
    rows.iter().filter_map(of).collect()
}

#[tokio::test]
async fn what_is_done_and_undone_is_recorded() {
    let setup = Setup::new(Guards { approvals: 1, ..live() }, RECORDED);
    let id = setup.owe(7, "7");
    setup.run_row(&id, 7).await.unwrap();
    let decided = setup.store.response_decide(&id, Decision::Approve, None, &setup.deed("ann")).unwrap();
    assert_eq!(decided, Decided::Allowed);
    setup.wait(Span::minutes(1));
    setup.run_row(&id, 7).await.unwrap();
    setup.wait(Span::minutes(1));
    assert_eq!(setup.ask_undo(&id, "bob"), None);
    assert_eq!(setup.undo_due().await, 1);
    let told = told(&setup);
    let short: Vec<(&str, &str)> =
        told.iter().map(|(action, notice)| (action.as_str(), notice.kind.as_str())).collect();
    let (mut done, mut undone) = (short[1..3].to_vec(), short[3..].to_vec());
    done.sort_unstable();
    undone.sort_unstable();
    assert_eq!(short[0], ("mail", "approval"));
    assert_eq!(done, [("issues", "response_done"), ("mail", "response_done")]);
    assert_eq!(undone, [("issues", "response_undone"), ("mail", "response_undone")]);
    let (done, undone) = (&told[1].1, &told[3].1);
    assert_eq!(done.alert.as_ref().map(|alert| alert.0.len()), Some(32), "it belongs to the alert");
    let lines = |notice: &crate::encode::Notice| notice.lines.join("\n").replace(&id, "ID");
    insta::assert_snapshot!(lines(done), @"
    blocked user 7 (user-7); read back: blocked
    Response: ID
    Action: block
    Rule: gitlab-mass-clone
    Account: https://gitlab.example.com/admin/users/7
    Before and after: active, blocked
    Approved by: ann
    To undo it: watchfire responses undo ID --reason TEXT
    ");
    insta::assert_snapshot!(lines(undone), @"
    undone (unblock): user 7 (user-7); read back: active
    Response: ID
    Action: block
    Rule: gitlab-mass-clone
    Account: https://gitlab.example.com/admin/users/7
    Undone for: bob, r
    ");
}

#[tokio::test]
async fn what_failed_is_told_once_to_each() {
    let setup = Setup::new(live(), RECORDED);
    setup.memory.script([Script::Fail(DeliveryError::permanent("answered 403"))]);
    assert_eq!(setup.respond(7).await.status, ResponseStatus::Failed);
    let mut told: Vec<(String, String)> =
        told(&setup).into_iter().map(|(action, notice)| (action, notice.title)).collect();
    told.sort();
    let failed = "Failed: block user 7 (user-7)".to_owned();
    assert_eq!(told, [("issues".to_owned(), failed.clone()), ("mail".to_owned(), failed)]);
    let silent = Setup::new(live(), "{approval: {actions: [mail]}}");
    silent.respond(7).await;
    assert!(silent.notices().is_empty(), "nobody keeps a record");
}
