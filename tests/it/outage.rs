//! Receivers of every kind that are away for an hour: nothing is lost, nothing overtakes, nothing does harm by coming twice.
//! A program that is killed meanwhile changes nothing of it.

use std::collections::BTreeMap;
use std::time::Duration;

use watchfire::action::ActionConfig;
use watchfire::alert::{Alert, AlertId, Key, Level, Occasion};
use watchfire::clock::Clock;
use watchfire::deliver::Variants as _;
use watchfire::store::{Commit, Deed, DeliveryKind, OutboxRow, OutboxState, Store};
use watchfire::time::{Span, Timestamp};

use crate::harness::{Daemon, PATIENCE, START, Setup, until, until_within};
use crate::process::Place;
use crate::services::{ALERT, Guarantee, KINDS, Mood, Services, alert_in};
use crate::smtp::{DOMAIN, MailServer, Trouble};

/// What is owed of each alert, in this order.
const OCCASIONS: [Occasion; 3] = [Occasion::Opened, Occasion::Reminder, Occasion::Resolved];

fn alert(number: usize) -> Alert {
    Alert {
        id: AlertId(format!("{ALERT}{number:027x}")),
        rule: "deleted".into(),
        title: "Deleted".into(),
        level: Level::High,
        tags: Vec::new(),
        key: Key(vec![("author_id".into(), number.to_string())]),
        started_at: START,
        last_at: START,
        position: 1,
        findings: 1,
        value: 1.0,
        reason: "it matches".into(),
        evidence: Vec::new(),
        evidence_count: 1,
        merged_into: None,
    }
}

/// What is owed: of each alert that it was opened, that nobody came, and that it is over, to each action.
fn owe(store: &Store, alerts: usize, now: Timestamp) {
    let alerts: Vec<Alert> = (0..alerts).map(alert).collect();
    let mut rows = Vec::new();
    for alert in &alerts {
        for (kind, ..) in KINDS {
            for (place, occasion) in OCCASIONS.into_iter().enumerate() {
                let unique = format!("{}/{kind}/{place}", alert.id);
                let row = OutboxRow::owed(DeliveryKind::Notify, (alert.id.clone(), kind), &unique, now);
                rows.push(OutboxRow { occasion, ..row });
            }
        }
    }
    store
        .commit(&Commit { position: 0, at: now, alerts: &alerts, outbox: &rows, ledger: &[], snapshot: None })
        .unwrap();
}

/// A daemon that knows all kinds.
async fn begin(services: &Services, clock: &Clock, timeout: &str) -> (Setup, Daemon) {
    let setup = Setup::new(clock.clone(), &services.actions(timeout));
    let daemon = setup.start().await;
    (setup, daemon)
}

/// Lets time pass, so many seconds in each moment, until it is so.
async fn pass_until(clock: &Clock, seconds: i64, is_so: impl Fn() -> bool, what: impl Fn() -> String) {
    let ticking = {
        let clock = clock.clone();
        tokio::spawn(async move {
            loop {
                clock.set(clock.now().plus(Span::seconds(seconds)));
                tokio::time::sleep(MOMENT).await;
            }
        })
    };
    until_within(3 * PATIENCE, is_so, what).await;
    ticking.abort();
    // Only once it has ended it sets the clock no more.
    drop(ticking.await);
}

/// Lets everything be told, and nothing be given up.
async fn settle(daemon: &Daemon, clock: &Clock) {
    let counts = || daemon.app.store().outbox_counts().unwrap();
    pass_until(clock, 10, || counts().pending == 0, || format!("{:?}", counts())).await;
    assert_none_dead(daemon.app.store());
}

fn assert_none_dead(store: &Store) {
    let dead = store.outbox_list(Some(OutboxState::Dead), 0).unwrap();
    assert!(dead.is_empty(), "{dead:#?}");
}

/// Everything came, of each alert in its order, and what came again does what its kind promises; how often something did.
fn assert_all_told(
    services: &Services,
    store: &Store,
    (alerts, is_over): (usize, fn(&str) -> bool),
) -> BTreeMap<String, usize> {
    let rows = store.outbox_list(None, 0).unwrap();
    // Those whose alert somebody said to be over are told of that too.
    assert!(rows.len() >= alerts * KINDS.len() * OCCASIONS.len(), "{}", rows.len());
    let of: BTreeMap<&str, &OutboxRow> = rows.iter().map(|row| (row.id.as_str(), row)).collect();
    let rank = |row: &OutboxRow| OCCASIONS.iter().position(|occasion| *occasion == row.occasion).unwrap();
    let mut first: BTreeMap<String, String> = BTreeMap::new();
    let mut last: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut repeats: BTreeMap<String, usize> = BTreeMap::new();
    for taken in services.taken() {
        let row = of.get(taken.key.as_str()).unwrap_or_else(|| panic!("no delivery has this key: {taken:?}"));
        assert_eq!((row.action.as_str(), row.state), (taken.kind.as_str(), OutboxState::Done));
        assert_eq!(alert_in(&taken.text), row.alert.0, "{taken:?}");
        let place = last.entry((&row.alert.0, &row.action)).or_default();
        assert!(rank(row) >= *place, "{} overtook in {} of {}", row.occasion.name(), row.action, row.alert);
        *place = rank(row);
        if let Some(earlier) = first.insert(taken.key.clone(), foot(&taken.text)) {
            *repeats.entry(taken.kind.clone()).or_default() += 1;
            // Whatever else has changed meanwhile: people know it again by its last line.
            assert_eq!(earlier, foot(&taken.text), "{taken:?}");
        }
    }
    for row in &rows {
        assert!(
            first.contains_key(&row.id),
            "{} of {} was never told to {}",
            row.occasion.name(),
            row.alert,
            row.action
        );
    }
    assert_guaranteed(services, &rows, (alerts, is_over), &repeats);
    repeats
}

/// How a message ends; of those without a foot, which have a key, only the alert.
fn foot(text: &str) -> String {
    match text.find("Watchfire alert ") {
        Some(at) => text[at..].chars().take(60).collect(),
        None => alert_in(text),
    }
}

fn assert_guaranteed(
    services: &Services,
    rows: &[OutboxRow],
    (alerts, is_over): (usize, fn(&str) -> bool),
    repeats: &BTreeMap<String, usize>,
) {
    for (kind, _, guarantee) in KINDS {
        match guarantee {
            // Shown above: who comes again has the same key, or the same foot.
            Guarantee::Key | Guarantee::Foot => {}
            Guarantee::State => {
                let states = services.states();
                let own: Vec<_> = states.iter().filter(|((of, _), _)| of == kind).collect();
                assert_eq!(own.len(), alerts, "{kind}: one for each alert: {own:?}");
                for ((_, id), state) in own {
                    let is_closed = ["resolve", "close", "over"].contains(&state.as_str());
                    assert_eq!(is_closed, is_over(id), "{kind}: {id} is {state}");
                }
            }
            Guarantee::Look => {
                assert_eq!(repeats.get(kind), None, "{kind}: looked for before it is made");
                let issues = services.issues(kind);
                assert_eq!(issues.len(), alerts, "{kind}: one for each alert: {issues:?}");
                for (id, comments, state) in issues {
                    // What comes after the first is a comment each.
                    let told = rows.iter().filter(|row| row.action == kind && row.alert.0 == id).count();
                    assert_eq!(comments + 1, told, "{kind}: {id}");
                    // Of Jira no transition is configured.
                    assert_eq!(
                        state == "close",
                        kind == "gitlab_issue" && is_over(&id),
                        "{kind}: {id} is {state}"
                    );
                }
            }
        }
    }
    assert_eq!(services.refusals(), Vec::<String>::new());
}

/// Every other alert is over before anything of it was told.
fn resolved(alerts: usize) -> Vec<AlertId> {
    (0..alerts).filter(|number| number % 2 == 1).map(|number| alert(number).id).collect()
}

fn is_resolved(id: &str) -> bool {
    u64::from_str_radix(&id[ALERT.len()..], 16).unwrap() % 2 == 1
}

/// Somebody says that these are over. No route tells anybody.
async fn resolve(daemon: &Daemon, alerts: usize) {
    for id in resolved(alerts) {
        let request = daemon.request(reqwest::Method::POST, &format!("/api/v1/alerts/{id}/resolve"));
        let request = request.bearer_auth(crate::harness::ADMIN_TOKEN);
        let (status, said) =
            crate::harness::answer(request.json(&serde_json::json!({"verdict": "benign"}))).await;
        assert_eq!(status, 200, "{said}");
    }
}

/// The requests of an hour in which all were known to be away, and how often something came again, by kind.
async fn outage(mood: Mood, alerts: usize) -> (BTreeMap<String, u64>, BTreeMap<String, usize>) {
    let services = Services::start(mood).await;
    let clock = Clock::fixed(START);
    // Only where nobody answers it is waited for, in real time.
    let timeout = if mood == Mood::Silent { "500ms" } else { "60s" };
    let (_setup, daemon) = begin(&services, &clock, timeout).await;
    let store = daemon.app.store().clone();
    owe(&store, alerts, clock.now());
    resolve(&daemon, alerts).await;
    let open = || store.breakers().unwrap();
    let mut asked = BTreeMap::new();
    if mood == Mood::Flapping {
        // Of each message one answer only is lost, so that it ends by itself.
        settle(&daemon, &clock).await;
    } else {
        let what = || format!("{:?}", open());
        // Fast enough for the rests they ask for, and not so fast that those that are known to be away are all that is tried.
        let pace = if matches!(mood, Mood::Patience(_)) { 60 } else { 1 };
        pass_until(&clock, pace, || open().len() == KINDS.len(), what).await;
        assert_eq!(daemon.metric("watchfire_outbox_breakers_open").await, Some(KINDS.len() as f64));
        let (before, over) = (services.asked(), clock.now().plus(Span::minutes(60)));
        pass_until(&clock, 10, || clock.now() >= over, || clock.now().to_string()).await;
        asked = services.asked();
        for (kind, count) in &mut asked {
            *count -= before.get(kind).copied().unwrap_or_default();
        }
        assert!(services.taken().is_empty());
        assert_none_dead(&store);
    }
    services.feel(Mood::Well);
    settle(&daemon, &clock).await;
    until(|| open().is_empty(), || format!("{:?}", open())).await;
    let repeats = assert_all_told(&services, &store, (alerts, is_resolved));
    daemon.stop().await;
    (asked, repeats)
}

/// More than failures in a row that are needed until an action is only probed.
const ALERTS: usize = 6;
/// The real time between two steps of the clock.
const MOMENT: Duration = Duration::from_millis(10);

/// A new kind of action must have a line here, with what holds for it.
#[test]
fn no_kind_is_left_out() {
    let mut tested: Vec<&str> = KINDS.iter().map(|(kind, ..)| *kind).collect();
    // These change accounts and tell nobody.
    tested.extend(["gitlab", "github"]);
    let mut known = ActionConfig::NAMES.to_vec();
    tested.sort_unstable();
    known.sort_unstable();
    assert_eq!(tested, known);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_while_nobody_is_there_for_an_hour() {
    let (_, repeats) = outage(Mood::Down, ALERTS).await;
    assert_eq!(repeats, BTreeMap::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_while_all_answer_500_for_an_hour() {
    let (asked, repeats) = outage(Mood::Status(500), ALERTS).await;
    assert_eq!(repeats, BTreeMap::new());
    assert_eq!(asked.len(), KINDS.len());
    assert!(asked.values().all(|count| (1..=63).contains(count)), "probed, not hammered: {asked:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_while_all_ask_for_patience_for_an_hour() {
    let (mut asked, repeats) = outage(Mood::Patience(600), ALERTS).await;
    assert_eq!(repeats, BTreeMap::new());
    // Those that cannot say how long.
    for kind in ["email", "command"] {
        assert!((1..=63).contains(&asked.remove(kind).unwrap()), "{kind}");
    }
    assert!(asked.values().all(|count| *count <= 7), "as they asked: {asked:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_while_nobody_answers_for_an_hour() {
    outage(Mood::Silent, 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_repeated_because_an_answer_was_lost_can_be_known_again() {
    let (_, repeats) = outage(Mood::Flapping, ALERTS).await;
    for (kind, _, guarantee) in KINDS {
        assert_eq!(guarantee == Guarantee::Look, !repeats.contains_key(kind), "{kind}: {repeats:?}");
    }
}

/// The real program, killed again and again while answers are lost and deliveries are on their way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_while_receivers_flap_change_nothing() {
    const ALERTS: usize = 3;
    let services = Services::start(Mood::Flapping).await;
    let config = format!("rules: [rules]\n{}logging: {{format: json}}\n", services.actions("60s"));
    let place = Place::new(&config, &[]);
    std::fs::create_dir(place.data()).unwrap();
    owe(&Store::open(&place.data()).unwrap(), ALERTS, Timestamp(0));
    let all = ALERTS * KINDS.len() * OCCASIONS.len();
    let mut kills = 0;
    for count in (1..).map(|part| part * all / 6).take_while(|count| *count < all) {
        let program = place.start().await;
        until(|| services.taken().len() >= count || program.has_ended(), || program.log()).await;
        assert!(!program.has_ended(), "{}", program.log());
        program.killer().kill();
        kills += 1;
    }
    assert!(kills >= 5, "{kills}");
    services.feel(Mood::Well);
    let program = place.start().await;
    let store = Store::open_read_only(&place.data()).unwrap();
    let counts = || store.outbox_counts().unwrap();
    until_within(3 * PATIENCE, || counts().pending == 0, || format!("{:?}\n{}", counts(), program.log()))
        .await;
    assert_none_dead(&store);
    program.stop().await;
    // Of each message the first answer was lost, and more by the kills; nobody has said that anything is over.
    assert!(assert_all_told(&services, &store, (ALERTS, |_| false)).len() > KINDS.len() / 2);
}

/// A mail that is refused for good is given up, holds up none after it, and goes as it was when it is redriven.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_that_is_refused_for_good_can_be_redriven() {
    let mails = MailServer::start().await;
    mails.feel(Trouble::Refuse);
    let action = format!(
        "actions:\n  email: {{type: email, smtp: {{host: 127.0.0.1, port: {}, security: none}}, \
         from: w@{DOMAIN}, to: [soc@{DOMAIN}]}}\n",
        mails.port()
    );
    let setup = Setup::new(Clock::fixed(START), &action);
    let daemon = setup.start().await;
    let store = daemon.app.store().clone();
    let alerts = [alert(0)];
    let row = OutboxRow::owed(DeliveryKind::Notify, (alerts[0].id.clone(), "email"), "it", START);
    let commit = Commit {
        position: 0,
        at: START,
        alerts: &alerts,
        outbox: std::slice::from_ref(&row),
        ledger: &[],
        snapshot: None,
    };
    store.commit(&commit).unwrap();
    let found = || store.outbox_get(&row.id).unwrap().unwrap();
    pass_until(&daemon.clock, 1, || found().state == OutboxState::Dead, || format!("{:?}", found())).await;
    assert!(found().last_error.unwrap().contains("550"), "{:?}", found());
    assert_eq!((found().attempts, mails.mails().len()), (1, 0), "refused for good is refused once");
    mails.feel(Trouble::None);
    assert!(store.redrive(&row.id, &Deed::new(START, "alice", "test")).unwrap());
    pass_until(&daemon.clock, 1, || found().state == OutboxState::Done, || format!("{:?}", found())).await;
    assert_eq!(mails.mails().len(), 1);
    assert_eq!(mails.mails()[0].id, format!("{}@{DOMAIN}", row.id));
    daemon.stop().await;
}
