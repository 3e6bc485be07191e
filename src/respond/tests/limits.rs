//! What people let go beyond one limit.

use super::*;

fn narrow() -> Setup {
    let at_most = Some(AtMost { count: 1, per: Span::hours(1) });
    Setup::new(
        Guards { at_most, ..live() },
        "{at_most: [{accounts: 2, per: 1h}], approval: {actions: [mail]}}",
    )
}

#[tokio::test]
async fn who_lets_it_go_beyond_one_limit_is_asked_for_the_next_one_too() {
    let setup = narrow();
    assert_eq!(setup.respond(1).await.status, ResponseStatus::Acted);
    let second = setup.respond(2).await;
    assert_eq!(second.limit.as_deref(), Some("1 by this action per 1h"));
    setup.decide(&second.id, "ann").unwrap();
    setup.run_row(&second.id, 2).await.unwrap();
    assert_eq!(setup.response(&second.id).status, ResponseStatus::Acted, "no other limit is reached");
    let third = setup.respond(3).await;
    setup.decide(&third.id, "ann").unwrap();
    setup.run_row(&third.id, 3).await.unwrap();
    let waits = setup.response(&third.id);
    assert_eq!((waits.status, setup.memory.blocked()), (ResponseStatus::Waiting, vec![1, 2]));
    assert_eq!(waits.limit.as_deref(), Some("2 accounts per 1h"), "it says which one now");
    assert!(waits.summary.contains("at most 2 accounts per 1h, by all responses"), "{}", waits.summary);
    // The same person may let it go beyond this one too, and what she said of the other one still holds.
    assert_eq!(setup.decide(&third.id, "ann").unwrap(), Decided::Allowed);
    setup.run_row(&third.id, 3).await.unwrap();
    assert_eq!(setup.memory.blocked(), [1, 2, 3]);
    assert_eq!(setup.respond(4).await.status, ResponseStatus::Waiting, "that was for one response");
}

#[tokio::test]
async fn two_people_must_know_of_the_same_limit() {
    let mut setup = narrow();
    setup.guards.approvals = 2;
    let first = setup.respond(1).await;
    for who in ["ann", "bob"] {
        setup.decide(&first.id, who).unwrap();
    }
    setup.run_row(&first.id, 1).await.unwrap();
    let second = setup.respond(2).await;
    assert_eq!(setup.decide(&second.id, "ann").unwrap(), Decided::Wants(1));
    assert!(setup.decide(&second.id, "ann").unwrap_err().to_string().contains("same person"));
    assert_eq!(setup.decide(&second.id, "bob").unwrap(), Decided::Allowed);
    setup.run_row(&second.id, 2).await.unwrap();
    assert_eq!(setup.memory.blocked(), [1, 2]);
    let named: Vec<_> = setup.response(&second.id).approvals.into_iter().map(|given| given.limits).collect();
    assert_eq!(named, [["1 by this action per 1h"], ["1 by this action per 1h"]]);
}

/// A share of those who are active is one limit, whatever it comes to by now.
#[tokio::test]
async fn a_limit_keeps_its_name_when_more_people_are_known() {
    let shares = |known| {
        let config = serde_yaml::from_str("at_most: [{percent: 2, per: 1h}]").unwrap();
        let policy = Policy::new(config).with(Arc::new(move || Some(known)), None);
        policy.limits(&live()).remove(1)
    };
    let (few, many) = (shares(100), shares(1000));
    assert_eq!((few.name.as_str(), &few.name), ("2 % per 1h", &many.name));
    assert_ne!(few.words, many.words);
}
