//! Everything around one program that is to be killed.

use watchfire::alert::Occasion;
use watchfire::clock::Clock;
use watchfire::demo::GitlabApi;
use watchfire::event::Event;
use watchfire::store::{
    Decision, Deed, OutboxRow, OutboxState, ResponseQuery, ResponseStatus, Store, UndoStatus,
};

use crate::harness::{PATIENCE, client, gitlab_with, stored, until_within};
use crate::hec::{Collector, HEC_TOKEN};
use crate::outcome::Outcome;
use crate::process::{Place, Program};
use crate::receiver::Receiver;
use crate::smtp::{DOMAIN, MailServer};
use crate::stream::AUTHORS;

/// The forwarders.
pub const FORWARDERS: [&str; 3] = ["siem", "splunk", "archive"];

/// A folder for the program, and all that it speaks to.
pub struct World {
    pub place: Place,
    pub gitlab: GitlabApi,
    /// Where responses wait for a person, and end by themselves.
    pub lockup: GitlabApi,
    pub receiver: Receiver,
    pub mails: MailServer,
    pub splunk: Collector,
    in_log: bool,
}

impl World {
    pub async fn new(rules: &[(String, String)]) -> Self {
        Self::telling(rules, false).await
    }

    /// The same; with `in_log` what responses do is in the log beside the events.
    pub async fn telling(rules: &[(String, String)], in_log: bool) -> Self {
        let (receiver, mails, splunk) =
            (Receiver::start().await, MailServer::start().await, Collector::start().await);
        let authors = || 10..10 + AUTHORS.cast_signed();
        let (gitlab, lockup) = (gitlab_with(authors()).await, gitlab_with(authors()).await);
        let config = format!(
            r#"
sources:
  - {{name: gitlab, type: gitlab, path: /ingest/gitlab, token: {{env: TOKEN}}}}
  - {{name: generic, type: http, path: /ingest/generic, format: gitlab, forge: gitlab, token: {{env: TOKEN}}}}
rules: [rules]
actions:
  block:
    type: gitlab
    url: '{}'
    token: {{env: GITLAB_TOKEN}}
    do: block
    dry_run: false
    at_most: {{count: 1000, per: 1h}}
  lock:
    type: gitlab
    url: '{}'
    token: {{env: GITLAB_TOKEN}}
    do: block
    dry_run: false
    at_most: {{count: 1000, per: 1h}}
    approvals: 1
    for: 1m
  chat: {{type: slack, url: '{}'}}
  page: {{type: pagerduty, url: '{}', routing_key: {{env: HOOK_SECRET}}}}
  manager: {{type: alertmanager, url: '{}'}}
  hook: {{type: webhook, url: '{}', secret: {{env: HOOK_SECRET}}}}
  mail:
    type: email
    smtp: {{host: 127.0.0.1, port: {}, security: none}}
    from: Watchfire <watchfire@{DOMAIN}>
    to: [soc@{DOMAIN}]
responses: {{in_log: {in_log}, at_most: [{{accounts: 1000, per: 1h}}]}}
routes: [{{actions: [hook, mail, chat, page, manager]}}, {{rules: [it-deleted], actions: [lock]}}]
storm: {{per_hour: 0}}
forward:
  - {{name: siem, type: http, url: '{}', batch: 100}}
  - name: splunk
    type: http
    url: '{}'
    headers: {{Authorization: Splunk {HEC_TOKEN}, X-Splunk-Request-Channel: 5b2d7f60-1111-4222-8333-9d0e1f2a3b4c}}
    batch: 50
  - {{name: archive, type: file, path: archive.ndjson, rotate: {{size: 32KiB, keep: 2000}}}}
logging: {{format: json}}
"#,
            gitlab.url(),
            lockup.url(),
            receiver.url("/slack"),
            receiver.url("/pagerduty"),
            receiver.url("/manager"),
            receiver.url("/hook"),
            mails.port(),
            receiver.url("/siem"),
            splunk.url(),
        );
        Self { place: Place::new(&config, rules), gitlab, lockup, receiver, mails, splunk, in_log }
    }

    /// Waits until the program has done all it has to do.
    pub async fn finish_work(&self, program: &Program) {
        program.settled(&client(), &FORWARDERS).await;
        let store = Store::open_read_only(&self.place.data()).unwrap();
        // A long run has thousands of deliveries, and an action makes one at a time.
        let left = || format!("{:?}", store.outbox_counts().unwrap());
        until_within(10 * PATIENCE, || is_idle(&store), left).await;
        let steps = store.response_steps_after(0, usize::MAX >> 1).unwrap().len();
        let told = || stored(&self.place.data()).iter().filter(|event| is_own(event)).count();
        if self.in_log {
            until_within(PATIENCE, || told() == steps, || format!("{} of {steps} steps", told())).await;
            program.settled(&client(), &FORWARDERS).await;
        }
    }

    /// While no program runs: somebody approves what waits for it, and what is to be undone some time is due now. Whether
    /// there was any of it.
    pub fn a_person_comes(&self) -> bool {
        if !self.place.data().join("control.db").exists() {
            return false;
        }
        let store = Store::open(&self.place.data()).unwrap();
        let query = ResponseQuery { status: Some(ResponseStatus::Waiting), ..ResponseQuery::default() };
        let waiting = store.responses(&query).unwrap();
        for response in &waiting {
            let deed = Deed::new(Clock::system().now(), "ann", "a test");
            store.response_decide(&response.id, Decision::Approve, None, &deed).unwrap();
        }
        // Of those whose doing nobody knows, since a kill came between the call and the record of it, the end is a person's.
        let query = ResponseQuery { action: Some("lock".into()), in_force: true, ..ResponseQuery::default() };
        let mut open = store.responses(&query).unwrap();
        open.retain(|response| response.undo == UndoStatus::None);
        let ids: Vec<String> = open.iter().map(|response| response.id.clone()).collect();
        let deed = Deed::new(Clock::system().now(), "ann", "a test");
        store.responses_undo(&ids, "its time is over", &deed).unwrap();
        let control = rusqlite::Connection::open(self.place.data().join("control.db")).unwrap();
        let sql = "UPDATE outbox SET due_at = 0 WHERE occasion = 'undo' AND state = 0 AND due_at > 0";
        let hurried = control.execute(sql, []).unwrap();
        !waiting.is_empty() || !ids.is_empty() || hurried > 0
    }

    /// Lets the program finish its work, also what people must allow and what ends by itself, stops it, and looks at what
    /// there is.
    pub async fn finish(self, mut program: Program) -> Outcome {
        loop {
            self.finish_work(&program).await;
            program.stop().await;
            if !self.a_person_comes() {
                break;
            }
            program = self.place.start().await;
        }
        let store = Store::open_read_only(&self.place.data()).unwrap();
        Outcome::of(&self, &store)
    }
}

/// Whether nothing is to be delivered but what is undone later.
pub fn is_idle(store: &Store) -> bool {
    if store.outbox_counts().unwrap().pending == 0 {
        return true;
    }
    let now = Clock::system().now();
    let is_later = |row: &OutboxRow| row.occasion == Occasion::Undo && row.due_at > now;
    store.outbox_list(Some(OutboxState::Pending), 0).unwrap().iter().all(is_later)
}

/// Whether it tells of a response.
pub fn is_own(event: &Event) -> bool {
    &*event.source == "watchfire"
}
