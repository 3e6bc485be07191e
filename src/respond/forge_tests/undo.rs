//! Undo puts back exactly what was there, once, and nothing that somebody else has changed since.

use super::scene::{Api, CASES, Case, NOW, named};
use crate::deliver::DeliveryError;
use crate::demo::Fault;
use crate::respond::{Responder, Sight, Standing};

async fn done(case: Case) -> (Api, Responder, Sight) {
    drop(rustls::crypto::ring::default_provider().install_default());
    let api = case.api().await;
    let responder = case.responder(&api, "60s");
    let before = responder.look(&case.subject(), NOW).await.unwrap();
    responder.act(&case.subject(), &before, NOW).await.unwrap();
    (api, responder, before)
}

#[tokio::test]
async fn acting_twice_does_no_more_than_once() {
    for case in CASES {
        let (api, responder, before) = done(case).await;
        let once = api.world();
        // After a crash in between, it is either looked at again, or done again with what was seen before.
        let sight = responder.look(&case.subject(), NOW).await.unwrap();
        assert_eq!(sight.standing, Standing::Already, "{}", case.name);
        drop(responder.act(&case.subject(), &before, NOW).await);
        assert_eq!(api.world(), once, "{}", case.name);
    }
}

#[tokio::test]
async fn undo_restores_exactly_and_twice_is_harmless() {
    for case in CASES {
        let (api, responder, before) = done(case).await;
        let was = case.api().await.world();
        let undone = responder.undo(&case.subject(), &before.before, NOW).await;
        if responder.verb().undo.is_none() {
            let error = undone.unwrap_err();
            assert!(matches!(error, DeliveryError::Permanent { .. }), "{}: {error}", case.name);
            assert!(error.reason().contains("brought back"), "{}: {error}", case.name);
            continue;
        }
        undone.unwrap();
        let after = responder.look(&case.subject(), NOW).await.unwrap();
        assert_eq!(after.before, before.before, "{}", case.name);
        // An invitation is all that GitHub has for who was removed.
        let is_invited = case.name == "github remove_member";
        assert_eq!(api.world() == was, !is_invited, "{}", case.name);
        assert_eq!(after.state.contains("invited"), is_invited, "{}", after.state);
        let (once, changes) = (api.world(), api.changes());
        let again = responder.undo(&case.subject(), &before.before, NOW).await.unwrap();
        assert!(again.answer.contains("nothing to do"), "{}: {}", case.name, again.answer);
        assert_eq!((api.world(), api.changes()), (once, changes), "{}", case.name);
    }
}

/// After a connection that was cut, undoing again finds it undone.
#[tokio::test]
async fn an_undo_that_was_not_heard_of_is_done_once() {
    for case in CASES
        .into_iter()
        .filter(|case| !case.settings.contains("revoke") && !case.settings.contains("delete"))
    {
        let (api, responder, before) = done(case).await;
        api.fail(Fault::Cut, true);
        let cut = responder.undo(&case.subject(), &before.before, NOW).await.unwrap_err();
        assert!(matches!(cut, DeliveryError::Retryable { .. }), "{}: {cut}", case.name);
        responder.undo(&case.subject(), &before.before, NOW).await.unwrap();
        let after = responder.look(&case.subject(), NOW).await.unwrap();
        assert_eq!(after.before, before.before, "{}", case.name);
    }
}

/// What a person did since is not undone.
#[tokio::test]
async fn what_somebody_else_changed_since_is_left() {
    let later = |api: &Api| {
        let Api::Gitlab(api) = api else { return };
        api.edit(|world| {
            world.users.get_mut(&7).unwrap().state = crate::demo::AccountState::Banned;
            let owner = world.places["groups/5"].members[&20].clone();
            world.places.get_mut("groups/5").unwrap().members.insert(7, owner);
        });
    };
    for name in ["gitlab block", "gitlab remove_member (group)", "gitlab lower_member", "http"] {
        let case = named(name);
        let (api, responder, before) = done(case).await;
        later(&api);
        let since = api.world();
        let error = responder.undo(&case.subject(), &before.before, NOW).await.unwrap_err();
        assert!(error.reason().contains("somebody else has changed it since"), "{name}: {error}");
        assert_eq!(api.world(), since, "{name}");
    }
}

/// Blocked while it was asleep: the way back has two steps, and the first may be all that was done.
#[tokio::test]
async fn a_block_of_a_sleeping_account_is_undone_in_two_steps() {
    let case = named("gitlab block").about("10");
    let (api, responder, before) = done(case).await;
    let Api::Gitlab(gitlab) = &api else { panic!() };
    assert_eq!(gitlab.state_of(10).unwrap().name(), "blocked");
    api.fail(Fault::Cut, true);
    responder.undo(&case.subject(), &before.before, NOW).await.unwrap_err();
    assert_eq!(gitlab.state_of(10).unwrap().name(), "active", "half-way");
    let sight = responder.look(&case.subject(), NOW).await.unwrap();
    assert!(responder.is_half_way(&before.before, &sight));
    assert!(!responder.is_half_way(&sight.before, &sight), "one that was awake is undone");
    responder.undo(&case.subject(), &before.before, NOW).await.unwrap();
    assert_eq!(gitlab.state_of(10).unwrap().name(), "deactivated");
}
