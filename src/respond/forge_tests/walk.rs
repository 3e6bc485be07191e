//! Acting and undoing in any order, with any misbehaviour in between: what is said is so, and nothing else ever changes.

use proptest::prelude::*;

use super::scene::{CASES, Case, Ended, NOW, attempt};
use crate::demo::Fault;
use crate::time::Span;

/// One step: undo instead of act, and how the forge misbehaves at the first call that changes something, or at any.
type Step = (bool, Fault, bool);

fn step() -> impl Strategy<Value = Step> {
    let fault = prop_oneof![
        4 => Just(Fault::None),
        1 => Just(Fault::Status(500, None)),
        1 => Just(Fault::Status(403, None)),
        1 => Just(Fault::Limited(1_769_850_120)),
        2 => Just(Fault::Cut),
        2 => Just(Fault::CutInside),
        2 => Just(Fault::Lies),
        1 => Just(Fault::Html),
        1 => Just(Fault::WrongId),
        1 => Just(Fault::Slow(Span::minutes(10))),
    ];
    (any::<bool>(), fault, any::<bool>())
}

/// The worlds there may be: untouched, done, and (of who was invited back) undone.
async fn worlds(case: Case) -> [String; 3] {
    let api = case.api().await;
    let responder = case.responder(&api, "60s");
    let was = api.world();
    let before = responder.look(&case.subject(), NOW).await.unwrap();
    responder.act(&case.subject(), &before, NOW).await.unwrap();
    let done = api.world();
    responder.undo(&case.subject(), &before.before, NOW).await.unwrap();
    [was, done, api.world()]
}

async fn walk(case: Case, steps: Vec<Step>) {
    let [was, done, undone] = worlds(case).await;
    let api = case.api().await;
    let (patient, impatient) = (case.responder(&api, "60s"), case.responder(&api, "50ms"));
    let before = patient.look(&case.subject(), NOW).await.unwrap().before;
    for (index, (undo, fault, at_change)) in steps.into_iter().enumerate() {
        let place = format!("{}, step {index}: undo {undo}, {fault:?} at_change {at_change}", case.name);
        let responder = if matches!(fault, Fault::Slow(_)) { &impatient } else { &patient };
        let is_lie = matches!(fault, Fault::Lies | Fault::Html);
        api.fail(fault, at_change);
        if undo {
            let ended = responder.undo(&case.subject(), &before, NOW).await;
            api.fail(Fault::None, false);
            let is_undone = [&was, &undone].contains(&&api.world());
            // Who calls it looks again: a forge that lies, or a proxy that answers for it, is found out then.
            assert!(ended.is_err() || is_undone || is_lie, "{place}: {ended:?}");
        } else {
            let ended = attempt(responder, &case.subject()).await;
            api.fail(Fault::None, false);
            let is_done = matches!(ended, Ended::Done | Ended::Nothing(_));
            assert!(!is_done || api.world() == done, "{place}: {ended}");
        }
        assert!([&was, &done, &undone].contains(&&api.world()), "{place}: another world");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn what_is_said_is_so_in_any_order(
        index in 0..CASES.len(),
        steps in proptest::collection::vec(step(), 1..8),
    ) {
        let case = CASES[index];
        prop_assume!(!case.settings.contains("revoke") && !case.settings.contains("delete"));
        drop(rustls::crypto::ring::default_provider().install_default());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(walk(case, steps));
    }
}
