//! Responses from being due to being undone, against accounts in memory and a real store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::alert::{Alert, AlertId, Key};
use crate::clock::Clock;
use crate::deliver::DeliveryError;
use crate::encode::Notification;
use crate::encode::tests_support::notification;
use crate::log::fault;
use crate::store::{
    Decided, Decision, Deed, DeliveryKind, OutboxRow, OutboxState, Response, ResponseQuery, ResponseStatus,
    Store, StoreError, UndoStatus,
};
use crate::time::{Span, Timestamp};

mod again;
mod harm;
mod knowledge;
mod limits;
mod record;
mod undoing;

const START: Timestamp = Timestamp(1_769_850_000_000);

struct Setup {
    _dir: TempDir,
    store: Store,
    clock: Clock,
    memory: Memory,
    responder: Responder,
    guards: Guards,
    policy: Arc<Policy>,
    owed: AtomicU64,
}

fn live() -> Guards {
    let at_most = Some(AtMost { count: 100, per: Span::hours(1) });
    Guards { dry_run: Some(false), at_most, ..Guards::default() }
}

fn account(id: u64, state: &str) -> Account {
    Account { state: state.into(), name: Some(format!("user-{id}")), obstacles: Vec::new() }
}

fn policy(yaml: &str) -> Arc<Policy> {
    Arc::new(Policy::new(serde_yaml::from_str(yaml).unwrap()))
}

fn told(user: u64) -> Notification {
    let mut told = notification();
    told.alert = Alert {
        id: AlertId(format!("{user:032x}")),
        key: Key(vec![("author_id".into(), user.to_string())]),
        ..told.alert
    };
    told
}

impl Setup {
    fn new(guards: Guards, yaml: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let memory = Memory::with_accounts(1..=40);
        let responder = Responder::memory(memory.clone());
        let clock = Clock::fixed(START);
        Self {
            _dir: dir,
            store,
            clock,
            memory,
            responder,
            guards,
            policy: policy(yaml),
            owed: AtomicU64::new(0),
        }
    }

    /// The same for a response that unblocks; these accounts are blocked.
    fn lifting(mut self, blocked: impl IntoIterator<Item = u64>) -> Self {
        for id in blocked {
            self.memory.set(id, account(id, "blocked"));
        }
        self.responds_with(self.memory.lifting());
        self
    }

    /// The configuration says from now on that the action works on this.
    fn responds_with(&mut self, memory: Memory) {
        self.responder = Responder::memory(memory);
    }

    /// Owes a response to an alert about this account, under a name of its own; its delivery's id.
    fn owe(&self, user: u64, unique: &str) -> String {
        let about = (AlertId(format!("{user:032x}")), "block");
        let row = OutboxRow::owed(DeliveryKind::Respond, about, unique, self.clock.now());
        self.store.note_with_deliveries("test", b"", std::slice::from_ref(&row)).unwrap();
        row.id
    }

    async fn run_row(&self, id: &str, user: u64) -> Result<Ended, StoreError> {
        let row = self.store.outbox_get(id).unwrap().unwrap();
        let told = told(user);
        let job = Job {
            store: &self.store,
            clock: &self.clock,
            policy: &self.policy,
            guards: &self.guards,
            responder: &self.responder,
            row: &row,
            told: Some(&told),
            by_hand: None,
        };
        if row.occasion == crate::alert::Occasion::Undo { undo(&job).await } else { run(&job).await }
    }

    /// Responds to an alert about this account; where that stands.
    async fn respond(&self, user: u64) -> Response {
        let id = self.owe(user, &format!("{user}\0{}", self.owed.fetch_add(1, Ordering::Relaxed)));
        assert_eq!(self.run_row(&id, user).await.unwrap(), Ended::Settled);
        self.response(&id)
    }

    fn response(&self, id: &str) -> Response {
        self.store.response(id).unwrap().unwrap()
    }

    /// Runs what is due to be undone.
    async fn undo_due(&self) -> usize {
        let mut rows = self.store.outbox_due(self.clock.now(), 1000).unwrap();
        rows.retain(|row| row.occasion == crate::alert::Occasion::Undo);
        for row in &rows {
            self.run_row(&row.id, 0).await.unwrap();
        }
        rows.len()
    }

    fn all(&self) -> Vec<Response> {
        self.store.responses(&ResponseQuery::default()).unwrap()
    }

    fn notices(&self) -> Vec<String> {
        let rows = self.store.outbox_list(None, 0).unwrap();
        let ids = rows.iter().filter_map(|row| crate::store::notice_named(&row.alert.0));
        ids.map(|id| self.store.notice(id).unwrap().unwrap().title).collect()
    }

    fn deed(&self, who: &str) -> Deed {
        Deed::new(self.clock.now(), who, "test")
    }

    fn decide(&self, id: &str, who: &str) -> Result<Decided, StoreError> {
        self.store.response_decide(id, Decision::Approve, None, &self.deed(who))
    }

    /// Asks for a response to be undone; why it is not, if so.
    fn ask_undo(&self, id: &str, who: &str) -> Option<String> {
        let asked = self.store.responses_undo(&[id.to_owned()], "r", &self.deed(who)).unwrap();
        asked[0].refused.clone()
    }

    fn wait(&self, span: Span) {
        self.clock.set(self.clock.now().plus(span));
    }
}

const ASKED: &str = "approval: {actions: [mail]}";

#[tokio::test]
async fn it_looks_acts_looks_again_and_says_so() {
    let setup = Setup::new(live(), "{}");
    let response = setup.respond(7).await;
    assert_eq!(response.status, ResponseStatus::Acted);
    assert_eq!(response.summary, "blocked user 7 (user-7); read back: blocked");
    assert_eq!(response.states, (Some("active".into()), Some("blocked".into())));
    assert_eq!((response.rule.as_deref(), response.evidence.len()), (Some("gitlab-mass-clone"), 22));
    assert_eq!(setup.memory.calls(), ["look 7", "block 7", "look 7"]);
    let row = setup.store.outbox_get(&response.id).unwrap().unwrap();
    let outcome = row.outcome.unwrap();
    assert!(row.state == OutboxState::Done && outcome.changed && !outcome.needs_human);
    let steps: Vec<String> =
        setup.store.response_steps(&response.id).unwrap().into_iter().map(|step| step.status).collect();
    assert_eq!(steps, ["begun", "acting", "acted"]);
    assert_eq!(setup.store.audit_verify().unwrap().rows, 3, "each step is in the audit log");
    let again = setup.respond(7).await;
    assert_eq!(again.status, ResponseStatus::Already);
}

#[tokio::test]
async fn a_rehearsal_is_one_all_the_way() {
    for (guards, yaml) in [
        (Guards::default(), "{}"),
        (live(), "dry_run: true"),
        (live(), "dry_run: {rules: [gitlab-mass-clone]}"),
    ] {
        let setup = Setup::new(guards, yaml);
        let response = setup.respond(7).await;
        assert_eq!((response.status, response.dry_run), (ResponseStatus::Rehearsed, true), "{yaml}");
        let outcome = setup.store.outbox_get(&response.id).unwrap().unwrap().outcome.unwrap();
        assert!(outcome.dry_run && outcome.summary.starts_with("would block user 7"), "{outcome:?}");
        assert_eq!(setup.memory.calls(), ["look 7"]);
    }
    let guards = Guards { approvals: 2, lasts: serde_yaml::from_str("24h").unwrap(), ..Guards::default() };
    let response = Setup::new(guards, "{}").respond(7).await;
    assert!(response.summary.contains("two people") && response.summary.contains("end by itself"));
}

#[tokio::test]
async fn whoever_is_protected_or_unknown_is_not_touched() {
    let yaml = "never: [{id: 5, owner: soc, reason: on call}]";
    let setup = Setup::new(Guards { never: vec![Name("user-4".into())], ..live() }, yaml);
    let account = |state: &str, obstacles: &[&str]| Account {
        state: state.into(),
        name: Some("x".into()),
        obstacles: obstacles.iter().map(ToString::to_string).collect(),
    };
    setup.memory.set(6, account("active", &["it is an administrator"]));
    setup.memory.set(8, account("locked", &[]));
    setup.memory.set(9, Account { name: None, ..account("active", &[]) });
    for (user, why) in [
        (4, "on `never`"),
        (5, "on call"),
        (6, "administrator"),
        (8, "locked"),
        (9, "cannot be looked up"),
        (99, "no such"),
    ] {
        let response = setup.respond(user).await;
        assert_eq!(response.status, ResponseStatus::Held, "{user}");
        assert!(response.summary.contains(why), "{user}: {}", response.summary);
        assert!(setup.store.outbox_get(&response.id).unwrap().unwrap().outcome.unwrap().needs_human);
    }
    assert!(setup.memory.blocked().is_empty());
    assert!(setup.memory.calls().iter().all(|call| call.starts_with("look")));
}

#[tokio::test]
async fn a_rule_that_matches_everybody_touches_at_most_the_radius_and_is_undone_by_one_command() {
    let setup = Setup::new(live(), "{at_most: [{accounts: 3, per: 1h}], approval: {actions: [mail]}}");
    for user in 1..=30 {
        setup.respond(user).await;
    }
    assert_eq!(setup.memory.blocked(), [1, 2, 3]);
    let waiting = setup.all().into_iter().filter(|response| response.status == ResponseStatus::Waiting);
    assert_eq!(waiting.count(), 27);
    assert_eq!(setup.notices().len(), 1, "{:?}", setup.notices());
    setup.wait(Span::minutes(61));
    for user in 31..=40 {
        setup.respond(user).await;
    }
    assert_eq!((setup.memory.blocked().len(), setup.notices().len()), (6, 2), "one for each hour");
    let query =
        ResponseQuery { rule: Some("gitlab-mass-clone".into()), in_force: true, ..ResponseQuery::default() };
    let ids: Vec<String> =
        setup.store.responses(&query).unwrap().into_iter().map(|response| response.id).collect();
    let asked = setup.store.responses_undo(&ids, "a wrong rule", &setup.deed("ann")).unwrap();
    assert!(asked.len() == 6 && asked.iter().all(|asked| asked.refused.is_none()));
    assert_eq!(setup.undo_due().await, 6);
    assert!(setup.memory.blocked().is_empty());
    assert!(setup.store.responses(&query).unwrap().is_empty(), "nothing is in force");
    // A person lets one of those through that waited.
    let one = setup.all().into_iter().find(|response| response.status == ResponseStatus::Waiting).unwrap();
    assert_eq!(setup.decide(&one.id, "ann").unwrap(), Decided::Allowed);
    let user = one.hit.unwrap().id.parse().unwrap();
    setup.run_row(&one.id, user).await.unwrap();
    assert_eq!(setup.memory.blocked(), [user]);
}

#[tokio::test]
async fn the_kill_switch_stops_at_once_and_lets_undo() {
    let setup = Setup::new(Guards { approvals: 1, ..live() }, ASKED);
    let first = setup.respond(1).await;
    setup.decide(&first.id, "ann").unwrap();
    setup.run_row(&first.id, 1).await.unwrap();
    let (second, third) = (setup.respond(2).await, setup.respond(3).await);
    setup.decide(&second.id, "ann").unwrap();
    setup.store.responses_stop("wrong rule", &setup.deed("ann")).unwrap();
    assert!(setup.store.responses_stop("again", &setup.deed("ann")).is_err());
    setup.run_row(&second.id, 2).await.unwrap();
    let second = setup.response(&second.id);
    assert_eq!(second.status, ResponseStatus::Stopped, "though it was approved");
    assert!(second.summary.contains("stopped by ann: wrong rule"));
    assert!(setup.decide(&third.id, "bob").unwrap_err().to_string().contains("stopped"));
    assert_eq!(setup.respond(4).await.status, ResponseStatus::Stopped);
    setup.store.responses_undo(std::slice::from_ref(&first.id), "r", &setup.deed("ann")).unwrap();
    assert_eq!(setup.undo_due().await, 1);
    assert!(setup.memory.blocked().is_empty());
    setup.store.responses_resume(&setup.deed("ann")).unwrap();
    setup.wait(Span::seconds(1));
    assert_eq!(setup.respond(5).await.status, ResponseStatus::Waiting);
}

#[tokio::test]
async fn two_people_who_are_neither_the_one_who_asked_nor_each_other() {
    let setup = Setup::new(Guards { approvals: 2, ..live() }, ASKED);
    let mut wanted = Response::new("ask-1", "block", "do", START);
    (wanted.user, wanted.reason) = (Some("7".into()), Some("case".into()));
    setup.store.response_ask(&wanted, &setup.deed("ann")).unwrap();
    setup.run_row("ask-1", 99).await.unwrap();
    let waiting = setup.response("ask-1");
    assert_eq!((waiting.status, waiting.requested_by.as_str()), (ResponseStatus::Waiting, "ann"));
    assert_eq!(setup.store.outbox_get("ask-1").unwrap().unwrap().state, OutboxState::Waiting);
    assert_eq!(setup.notices(), ["Approval wanted: block user 7 (user-7)"]);
    assert!(setup.decide("ask-1", "ann").unwrap_err().to_string().contains("who asked"));
    assert_eq!(setup.decide("ask-1", "bob").unwrap(), Decided::Wants(1));
    assert!(setup.decide("ask-1", "bob").unwrap_err().to_string().contains("same person"));
    assert!(setup.memory.blocked().is_empty());
    assert_eq!(setup.decide("ask-1", "eve").unwrap(), Decided::Allowed);
    setup.run_row("ask-1", 99).await.unwrap();
    assert_eq!(setup.memory.blocked(), [7]);
    assert!(setup.decide("ask-1", "joe").unwrap_err().to_string().contains("waits for nobody"));
}

#[tokio::test]
async fn what_changed_while_it_waited_is_looked_at_again() {
    let setup = Setup::new(Guards { approvals: 1, ..live() }, ASKED);
    let response = setup.respond(7).await;
    let obstacles = vec!["it is an administrator".to_owned()];
    setup.memory.set(7, Account { state: "active".into(), name: Some("x".into()), obstacles });
    setup.decide(&response.id, "ann").unwrap();
    setup.run_row(&response.id, 7).await.unwrap();
    assert_eq!(setup.response(&response.id).status, ResponseStatus::Held);
    assert!(setup.memory.blocked().is_empty());
}

#[tokio::test]
async fn nobody_answers_and_it_expires() {
    let setup = Setup::new(Guards { approvals: 1, ..live() }, ASKED);
    let response = setup.respond(7).await;
    let expire = || {
        let now = setup.clock.now();
        setup.store.responses_expire(now, |late| expired(&setup.policy, late, now)).unwrap()
    };
    setup.wait(Span::minutes(239));
    assert_eq!(expire(), 0);
    setup.wait(Span::minutes(1));
    assert!(setup.decide(&response.id, "ann").unwrap_err().to_string().contains("time to decide"));
    assert_eq!((expire(), expire()), (1, 0));
    assert_eq!(setup.response(&response.id).status, ResponseStatus::Expired);
    let row = setup.store.outbox_get(&response.id).unwrap().unwrap();
    assert!(row.state == OutboxState::Done && row.outcome.unwrap().needs_human);
    assert!(setup.notices().iter().any(|title| title.contains("not approved in time")));
}

#[tokio::test]
async fn a_link_serves_once_and_its_recipients_count_as_one() {
    let setup = Setup::new(Guards { approvals: 2, ..live() }, ASKED);
    let response = setup.respond(7).await;
    let decide = |link: &str, who: &str| {
        setup.store.response_decide(&response.id, Decision::Approve, Some(link), &setup.deed(who))
    };
    assert_eq!(decide("one", "mail (link)").unwrap(), Decided::Wants(1));
    assert!(decide("two", "mail (link)").unwrap_err().to_string().contains("same person"));
    assert!(decide("one", "chat (link)").unwrap_err().to_string().contains("used already"));
    assert_eq!(decide("three", "chat (link)").unwrap(), Decided::Allowed);
}

#[tokio::test]
async fn links_are_in_the_message_of_each_recipient() {
    let mut setup = Setup::new(
        Guards { approvals: 1, ..live() },
        "{approval: {actions: [mail, chat]}, url: 'https://watchfire.example.com/'}",
    );
    let signer = Signer::of(&setup.store).unwrap();
    let plain = Policy::clone(&setup.policy);
    setup.policy = Arc::new(plain.with(Arc::new(|| None), Some(signer.clone())));
    let response = setup.respond(7).await;
    let rows = setup.store.outbox_list(Some(OutboxState::Pending), 0).unwrap();
    let mut recipients: Vec<String> = Vec::new();
    for row in rows {
        let notice = setup.store.notice(crate::store::notice_named(&row.alert.0).unwrap()).unwrap().unwrap();
        assert_eq!((notice.links.len(), notice.kind.as_str()), (2, "approval"));
        let token = notice.links[0].url.strip_prefix("https://watchfire.example.com/approve/").unwrap();
        let link = signer.read(token).unwrap();
        assert_eq!((&link.response, link.decision), (&response.id, Decision::Approve));
        assert_eq!((link.until, &link.recipient), (response.expires_at.unwrap(), &row.action));
        recipients.push(link.recipient);
    }
    recipients.sort();
    assert_eq!(recipients, ["chat", "mail"]);
}

#[tokio::test]
async fn it_ends_by_itself_and_lasts_longer_each_time() {
    let lasts = serde_yaml::from_str("[1h, 24h]").unwrap();
    let setup = Setup::new(Guards { lasts, ..live() }, "{}");
    let first = setup.respond(7).await;
    assert_eq!(first.undo, UndoStatus::Due);
    assert_eq!(first.undo_at, Some(START.plus(Span::hours(1))));
    // A daemon that starts looks at the clock, and puts nothing of this off or forward.
    setup.store.outbox_set_back(Span(0), setup.clock.now(), Span::hours(10)).unwrap();
    assert_eq!(setup.undo_due().await, 0);
    setup.wait(Span::hours(1));
    assert_eq!(setup.undo_due().await, 1);
    assert_eq!(setup.memory.state(7).unwrap(), "active");
    assert_eq!(setup.response(&first.id).undo, UndoStatus::Undone);
    let second = setup.respond(7).await;
    assert_eq!(second.undo_at, Some(setup.clock.now().plus(Span::hours(24))));
    setup.store.outbox_set_back(Span(0), setup.clock.now(), Span::hours(10)).unwrap();
    setup.wait(Span::hours(11));
    assert_eq!(setup.undo_due().await, 0, "it is not cut short");
    // A person undoes it: that was no repeat.
    setup.store.responses_undo(std::slice::from_ref(&second.id), "r", &setup.deed("ann")).unwrap();
    assert_eq!(setup.undo_due().await, 1);
    let third = setup.respond(7).await;
    assert_eq!(third.undo_at, Some(setup.clock.now().plus(Span::hours(24))), "the first one counts");
}

#[tokio::test]
async fn what_somebody_changed_since_is_not_put_back() {
    let setup = Setup::new(live(), ASKED);
    let response = setup.respond(7).await;
    let account =
        |state: &str| Account { state: state.into(), name: Some("user-7".into()), obstacles: Vec::new() };
    setup.memory.set(7, account("banned"));
    let ids = std::slice::from_ref(&response.id);
    setup.store.responses_undo(ids, "r", &setup.deed("ann")).unwrap();
    assert_eq!(setup.undo_due().await, 1);
    let refused = setup.response(&response.id);
    assert_eq!(refused.undo, UndoStatus::Refused);
    assert!(refused.undo_summary.unwrap().contains("somebody has changed it"));
    assert_eq!(setup.memory.state(7).unwrap(), "banned");
    assert_eq!(setup.notices(), ["Not undone: block user 7 (user-7)"]);
    // Once that is settled it can be asked for again.
    setup.memory.set(7, account("active"));
    setup.store.responses_undo(ids, "r", &setup.deed("ann")).unwrap();
    assert_eq!(setup.undo_due().await, 1);
    assert_eq!(setup.response(&response.id).undo, UndoStatus::Undone);
    let again = setup.store.responses_undo(ids, "r", &setup.deed("ann")).unwrap();
    assert!(again[0].refused.as_ref().unwrap().contains("already"));
}

#[tokio::test]
async fn a_lie_is_found_out_and_told() {
    let setup = Setup::new(live(), ASKED);
    setup.memory.script([Script::Lie]);
    let response = setup.respond(7).await;
    assert_eq!(response.status, ResponseStatus::Failed);
    assert!(response.summary.contains("user 7 (user-7) is still active: a person must look"));
    assert!(response.summary.ends_with("it is not known whether it changed anything"));
    assert_eq!(response.counted_at, Some(START), "it may still come");
    assert_eq!(setup.store.outbox_get(&response.id).unwrap().unwrap().state, OutboxState::Dead);
    assert_eq!(setup.notices(), ["Failed: block user 7 (user-7)"]);
    assert!(setup.store.redrive(&response.id, &setup.deed("ann")).unwrap());
    setup.wait(Span::minutes(90));
    setup.run_row(&response.id, 7).await.unwrap();
    let again = setup.response(&response.id);
    assert_eq!((again.status, again.counted_at), (ResponseStatus::Acted, Some(setup.clock.now())));
    let steps = setup.store.response_steps(&response.id).unwrap();
    assert!(steps.iter().any(|step| step.summary == "begins anew, after it was failed"), "{steps:?}");
}

#[tokio::test]
async fn what_may_have_been_done_can_be_undone() {
    let setup = Setup::new(live(), ASKED);
    setup.memory.script([Script::Lie]);
    let response = setup.respond(7).await;
    assert_eq!((response.status, response.undoable), (ResponseStatus::Failed, true));
    // It came after all.
    let blocked = Account { state: "blocked".into(), name: Some("user-7".into()), obstacles: Vec::new() };
    setup.memory.set(7, blocked);
    let ids = std::slice::from_ref(&response.id);
    let asked = setup.store.responses_undo(ids, "r", &setup.deed("ann")).unwrap();
    assert_eq!(asked[0].refused, None);
    assert_eq!(setup.undo_due().await, 1);
    assert_eq!(setup.memory.state(7).unwrap(), "active");
    let rows = setup.store.audit_verify().unwrap().rows;
    let again = setup.store.responses_undo(ids, "r", &setup.deed("ann")).unwrap();
    assert!(again[0].refused.as_ref().unwrap().contains("already"));
    assert_eq!(setup.store.audit_verify().unwrap().rows, rows + 1, "who asked for nothing is known too");
}

#[tokio::test]
async fn only_a_refusal_is_known_to_have_changed_nothing() {
    let refused = |status: u16, more: &str| DeliveryError::Permanent {
        reason: format!("POST https://gitlab.example.com answered {status}{more}"),
        answered: Some(status),
    };
    for (error, is_known) in [
        (refused(403, ""), true),
        (refused(202, "; the documentation says 201"), false),
        (refused(302, ""), false),
    ] {
        let setup = Setup::new(live(), ASKED);
        setup.memory.script([Script::Fail(error.clone())]);
        let response = setup.respond(7).await;
        assert_eq!(response.status, ResponseStatus::Failed);
        assert_eq!(response.counted_at.is_none(), is_known, "{error}");
        assert_eq!(!response.summary.contains("not known"), is_known, "{error}");
        let ids = std::slice::from_ref(&response.id);
        let asked = setup.store.responses_undo(ids, "r", &setup.deed("ann")).unwrap();
        assert_eq!(asked[0].refused.is_some(), is_known, "{error}");
    }
}

#[tokio::test]
async fn who_approved_a_run_that_has_ended_is_asked_again() {
    let setup = Setup::new(Guards { approvals: 1, ..live() }, ASKED);
    setup.memory.script([Script::Fail(DeliveryError::permanent("no"))]);
    let response = setup.respond(7).await;
    setup.decide(&response.id, "ann").unwrap();
    setup.run_row(&response.id, 7).await.unwrap();
    assert_eq!(setup.response(&response.id).status, ResponseStatus::Failed);
    assert!(setup.store.redrive(&response.id, &setup.deed("bob")).unwrap());
    setup.run_row(&response.id, 7).await.unwrap();
    let again = setup.response(&response.id);
    assert_eq!((again.status, again.approvals.len()), (ResponseStatus::Waiting, 0));
    assert!(setup.memory.blocked().is_empty());
}

#[tokio::test]
async fn who_approved_one_did_not_approve_another() {
    let setup = Setup::new(Guards { approvals: 1, ..live() }, ASKED);
    let response = setup.respond(7).await;
    setup.decide(&response.id, "ann").unwrap();
    // Its alert is about somebody else by now.
    setup.run_row(&response.id, 8).await.unwrap();
    assert_eq!(setup.response(&response.id).status, ResponseStatus::Waiting);
    assert!(setup.memory.blocked().is_empty());
    setup.decide(&response.id, "ann").unwrap();
    setup.run_row(&response.id, 8).await.unwrap();
    assert_eq!(setup.memory.blocked(), [8]);
}

#[tokio::test]
async fn one_person_is_one_whatever_way_she_comes() {
    let setup = Setup::new(Guards { approvals: 2, ..live() }, ASKED);
    let mut wanted = Response::new("ask-1", "block", "do", START);
    wanted.user = Some("7".into());
    setup.store.response_ask(&wanted, &setup.deed("alice (command line, uid 998)")).unwrap();
    setup.run_row("ask-1", 99).await.unwrap();
    for own in ["alice (command line, uid 0)", "Alice (wf_3f9a)"] {
        assert!(setup.decide("ask-1", own).unwrap_err().to_string().contains("who asked"), "{own}");
    }
    let by_link =
        setup.store.response_decide("ask-1", Decision::Approve, Some("one"), &setup.deed("mail (link)"));
    assert!(by_link.unwrap_err().to_string().contains("a link does not count"));
    assert_eq!(setup.decide("ask-1", "bob (wf_1)").unwrap(), Decided::Wants(1));
    let again = setup.decide("ask-1", "bob (command line, uid 0)").unwrap_err();
    assert!(again.to_string().contains("same person"));
    setup.store.response_decide("ask-1", Decision::Refuse, Some("two"), &setup.deed("mail (link)")).unwrap();
}

#[tokio::test]
async fn what_was_counted_long_ago_is_asked_again() {
    let setup = Setup::new(live(), "{at_most: [{accounts: 1, per: 1h}], approval: {actions: [mail]}}");
    setup.memory.script([Script::Fail(DeliveryError::retryable("away"))]);
    let id = setup.owe(7, "x");
    assert!(matches!(setup.run_row(&id, 7).await.unwrap(), Ended::Again(_)));
    setup.wait(Span::minutes(90));
    assert_eq!(setup.respond(8).await.status, ResponseStatus::Acted);
    setup.run_row(&id, 7).await.unwrap();
    assert_eq!(setup.response(&id).status, ResponseStatus::Waiting);
    assert_eq!(setup.memory.blocked(), [8]);
}

#[tokio::test]
async fn trouble_on_the_way_is_tried_again_and_given_up_in_the_end() {
    let setup = Setup::new(live(), ASKED);
    let id = setup.owe(7, "x");
    setup.memory.blind((0..20).map(|_| DeliveryError::retryable("away")));
    for _ in 0..10 {
        assert!(matches!(setup.run_row(&id, 7).await.unwrap(), Ended::Again(_)));
        let settlement = crate::store::Settlement::Retry { at: START, error: "away".into() };
        setup.store.outbox_settle(&id, &settlement, START).unwrap();
    }
    assert_eq!(setup.run_row(&id, 7).await.unwrap(), Ended::Settled);
    let response = setup.response(&id);
    assert_eq!(response.status, ResponseStatus::Failed);
    assert!(response.summary.contains("gave up after 11 tries: away"), "{}", response.summary);
    assert_eq!(setup.notices().len(), 1);
}

#[tokio::test]
async fn the_same_one_is_left_alone_for_a_while() {
    let setup = Setup::new(Guards { cool_down: Some(Span::hours(2)), ..live() }, "{}");
    let first = setup.respond(7).await;
    setup.store.responses_undo(std::slice::from_ref(&first.id), "r", &setup.deed("ann")).unwrap();
    setup.wait(Span::minutes(90));
    setup.undo_due().await;
    let second = setup.respond(7).await;
    assert_eq!(second.status, ResponseStatus::Held);
    assert!(second.summary.contains("left alone until"));
    setup.wait(Span::minutes(30));
    assert_eq!(setup.respond(7).await.status, ResponseStatus::Acted);
}

/// Runs to the place where it crashes, then as a new process would.
#[test]
fn a_crash_anywhere_acts_once_and_loses_nothing() {
    // What the store writes is one transaction each: between these two all that matters happens.
    for place in ["respond.before_act", "respond.after_act"] {
        for guards in [live(), Guards { approvals: 1, ..live() }] {
            let setup = Setup::new(guards, ASKED);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let id = setup.owe(7, "x");
            let is_approved = setup.guards.approvals > 0;
            if is_approved {
                runtime.block_on(async { drop(setup.run_row(&id, 7).await) });
                setup.decide(&id, "ann").unwrap();
            }
            let done = fault::crash(place, 0, || {
                runtime.block_on(async { drop(setup.run_row(&id, 7).await) });
            });
            assert!(done.is_none(), "it passes there");
            assert_eq!(setup.response(&id).status, ResponseStatus::Acting);
            runtime.block_on(async { drop(setup.run_row(&id, 7).await) });
            let response = setup.response(&id);
            assert_eq!(response.status, ResponseStatus::Acted, "{place}");
            assert_eq!(setup.memory.blocked(), [7], "{place}");
            let acts = setup.memory.calls().iter().filter(|call| *call == "block 7").count();
            assert_eq!(acts, 1, "{place}");
            assert_eq!(response.before.unwrap()["state"], "active", "{place}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever comes in whatever order, at no time were more hit within the window than the limit says.
    #[test]
    fn the_radius_holds_in_any_order(
        hits in prop::collection::vec((1_u64..12, 0_i64..50), 1..40),
        count in 1_u64..5,
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let setup = Arc::new(Setup::new(live(), &format!("at_most: [{{accounts: {count}, per: 1h}}]")));
        let mut acted: Vec<(Timestamp, String)> = Vec::new();
        for (index, pair) in hits.chunks(2).enumerate() {
            // Two at once.
            let ids: Vec<(String, u64)> = pair
                .iter()
                .enumerate()
                .map(|(second, (user, _))| (setup.owe(*user, &format!("{index}/{second}")), *user))
                .collect();
            runtime.block_on(async {
                let jobs = ids.iter().map(|(id, user)| setup.run_row(id, *user));
                for ended in all_at_once(jobs.collect()).await {
                    ended.unwrap();
                }
            });
            for (id, _) in &ids {
                let response = setup.response(id);
                if response.status == ResponseStatus::Acted {
                    acted.push((response.counted_at.unwrap(), response.hit.unwrap().id));
                    setup.store.responses_undo(std::slice::from_ref(id), "r", &setup.deed("ann")).unwrap();
                }
            }
            runtime.block_on(setup.undo_due());
            setup.wait(Span::minutes(pair.iter().map(|(_, minutes)| *minutes).sum::<i64>().max(1)));
        }
        for (at, _) in &acted {
            let since = at.minus(Span::hours(1));
            let within: std::collections::BTreeSet<&String> =
                acted.iter().filter(|(when, _)| *when > since && when <= at).map(|(_, who)| who).collect();
            prop_assert!(within.len() as u64 <= count, "{acted:?}");
        }
    }
}

/// All of them at once.
async fn all_at_once<F: Future>(jobs: Vec<F>) -> Vec<F::Output> {
    let mut jobs: Vec<std::pin::Pin<Box<F>>> = jobs.into_iter().map(Box::pin).collect();
    let mut done: Vec<Option<F::Output>> = jobs.iter().map(|_| None).collect();
    std::future::poll_fn(move |context| {
        for (job, done) in jobs.iter_mut().zip(&mut done) {
            if done.is_none()
                && let std::task::Poll::Ready(output) = job.as_mut().poll(context)
            {
                *done = Some(output);
            }
        }
        if done.iter().all(Option::is_some) {
            std::task::Poll::Ready(done.iter_mut().filter_map(Option::take).collect())
        } else {
            std::task::Poll::Pending
        }
    })
    .await
}
