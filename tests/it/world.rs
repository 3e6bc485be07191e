//! Everything around one program that is to be killed, and what is left in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;
use watchfire::alert::{Alert, LedgerEntry};
use watchfire::demo::GitlabApi;
use watchfire::store::{AlertQuery, OutboxState, Store};
use watchfire::time::Timestamp;

use crate::harness::{PATIENCE, client, gitlab_with, stored, until_within};
use crate::hec::{Collector, HEC_TOKEN};
use crate::process::{Place, Program};
use crate::receiver::Receiver;
use crate::smtp::{DOMAIN, MailServer};
use crate::stream::AUTHORS;

/// The forwarders.
pub const FORWARDERS: [&str; 3] = ["siem", "splunk", "archive"];

/// A folder for the program, and all that it speaks to.
pub struct World {
    pub place: Place,
    gitlab: GitlabApi,
    receiver: Receiver,
    mails: MailServer,
    splunk: Collector,
}

impl World {
    pub async fn new(rules: &[(String, String)]) -> Self {
        let (receiver, mails, splunk) =
            (Receiver::start().await, MailServer::start().await, Collector::start().await);
        let gitlab = gitlab_with(10..10 + AUTHORS.cast_signed()).await;
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
  hook: {{type: webhook, url: '{}', secret: {{env: HOOK_SECRET}}}}
  mail:
    type: email
    smtp: {{host: 127.0.0.1, port: {}, security: none}}
    from: Watchfire <watchfire@{DOMAIN}>
    to: [soc@{DOMAIN}]
responses: {{in_log: false, at_most: [{{accounts: 1000, per: 1h}}]}}
routes: [{{actions: [hook, mail]}}]
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
            receiver.url("/hook"),
            mails.port(),
            receiver.url("/siem"),
            splunk.url(),
        );
        Self { place: Place::new(&config, rules), gitlab, receiver, mails, splunk }
    }

    /// Waits until the program has done all it has to do.
    pub async fn finish_work(&self, program: &Program) {
        program.settled(&client(), &FORWARDERS).await;
        let store = Store::open_read_only(&self.place.data()).unwrap();
        // A long run has thousands of deliveries, and an action makes one at a time.
        let counts = || store.outbox_counts().unwrap();
        until_within(10 * PATIENCE, || counts().pending == 0, || format!("{:?}", counts())).await;
    }

    /// Lets the program finish its work, stops it, and looks at what there is.
    pub async fn finish(self, program: Program) -> Outcome {
        self.finish_work(&program).await;
        program.stop().await;
        let store = Store::open_read_only(&self.place.data()).unwrap();
        Outcome::of(&self, &store)
    }
}

/// What is left in the end.
pub struct Outcome {
    /// The bytes of the stored events, in the order of the log.
    pub raw: Vec<String>,
    pub alerts: Vec<Alert>,
    pub ledger: Vec<LedgerEntry>,
    /// By webhook id: the alert it told of.
    pub hooks: BTreeMap<String, String>,
    /// By message id: the subject.
    pub mails: BTreeMap<String, String>,
    pub blocked: Vec<i64>,
    /// How often something came again, with the key by which it is known.
    pub repeats: Repeats,
}

/// Deliveries and forwarded events that came more than once: known as such by their key.
#[derive(Debug, Default)]
pub struct Repeats {
    pub hooks: usize,
    pub mails: usize,
    pub siem: usize,
    pub splunk: usize,
}

/// Position and id of an event.
type Forwarded = (u64, String);

impl Outcome {
    /// Checks what must hold of every run, and takes in what is compared between runs.
    fn of(world: &World, store: &Store) -> Self {
        let events = stored(&world.place.data());
        let raw: Vec<String> =
            events.iter().map(|event| String::from_utf8(event.raw.to_vec()).unwrap()).collect();
        assert_eq!(raw.iter().collect::<BTreeSet<_>>().len(), raw.len(), "an event is stored twice");
        let mut alerts: Vec<Alert> =
            store.alerts(&AlertQuery::default()).unwrap().into_iter().map(|stored| stored.alert).collect();
        alerts.sort_by(|a, b| (a.position, &a.rule).cmp(&(b.position, &b.rule)));
        let mut outcome = Self {
            raw,
            alerts,
            ledger: store.ledger().unwrap(),
            hooks: BTreeMap::new(),
            mails: BTreeMap::new(),
            blocked: world.gitlab.blocked(),
            repeats: Repeats::default(),
        };
        outcome.read_hooks(world);
        outcome.read_mails(world);
        outcome.check_outbox(store);
        outcome.check_forwarded(world);
        outcome.check_blocks(world);
        outcome
    }

    fn read_hooks(&mut self, world: &World) {
        for hook in world.receiver.at("/hook") {
            let alert = hook.json()["alert"]["id"].as_str().unwrap().to_owned();
            let told = self.hooks.insert(hook.header("webhook-id").to_owned(), alert.clone());
            self.repeats.hooks += usize::from(told.is_some());
            assert!(told.is_none_or(|told| told == alert), "one key, two alerts");
        }
    }

    fn read_mails(&mut self, world: &World) {
        assert!(world.mails.refusals().is_empty(), "{:?}", world.mails.refusals());
        for mail in world.mails.mails() {
            assert_eq!(mail.to, [format!("soc@{DOMAIN}")]);
            let key = mail.id.strip_suffix(&format!("@{DOMAIN}")).unwrap().to_owned();
            let told = self.mails.insert(key, mail.subject.clone());
            self.repeats.mails += usize::from(told.is_some());
            assert!(told.is_none_or(|told| told == mail.subject), "one key, two mails");
        }
    }

    /// Everything that was owed is done, and came to those it was for under its key; nothing else came.
    fn check_outbox(&self, store: &Store) {
        let rows = store.outbox_list(None, 0).unwrap();
        assert!(rows.iter().all(|row| row.state == OutboxState::Done), "{rows:#?}");
        let owed = |action: &str| -> BTreeSet<&String> {
            rows.iter().filter(|row| row.action == action).map(|row| &row.id).collect()
        };
        assert_eq!(self.hooks.keys().collect::<BTreeSet<_>>(), owed("hook"), "webhooks");
        assert_eq!(self.mails.keys().collect::<BTreeSet<_>>(), owed("mail"), "mails");
    }

    /// Over HTTP each event at least once; in the files exactly once, in order.
    fn check_forwarded(&mut self, world: &World) {
        let ids = |events: &[Value]| -> Vec<Forwarded> {
            let id = |event: &Value| (event["position"].as_u64().unwrap(), event["id"].to_string());
            events.iter().map(id).collect()
        };
        let events = stored(&world.place.data());
        let expected: Vec<Forwarded> = events
            .iter()
            .map(|event| {
                let body: Value = serde_json::from_slice(&event.raw).unwrap();
                (event.position, body["id"].to_string())
            })
            .collect();
        let distinct: BTreeSet<Forwarded> = expected.iter().cloned().collect();
        let siem = ids(&world.receiver.lines("/siem"));
        self.repeats.siem = siem.len() - distinct.len();
        assert_eq!(siem.into_iter().collect::<BTreeSet<_>>(), distinct, "forwarded over HTTP");
        assert!(world.splunk.refusals().is_empty(), "{:?}", world.splunk.refusals());
        let splunk = ids(&world.splunk.events());
        self.repeats.splunk = splunk.len() - distinct.len();
        assert_eq!(splunk.into_iter().collect::<BTreeSet<_>>(), distinct, "forwarded to Splunk");
        assert_eq!(ids(&archived(world.place.path())), expected, "forwarded to files");
    }

    /// Who was to be blocked is, by one change.
    fn check_blocks(&self, world: &World) {
        let of_rule = self.alerts.iter().filter(|alert| &*alert.rule == "it-deleted");
        let authors: BTreeSet<i64> =
            of_rule.map(|alert| alert.key.get("author_id").unwrap().parse().unwrap()).collect();
        assert_eq!(self.blocked, authors.into_iter().collect::<Vec<_>>());
        let calls = world.gitlab.calls();
        for author in &self.blocked {
            let path = format!("/api/v4/users/{author}/block");
            let changes = calls.iter().filter(|call| call.path == path).count();
            assert_eq!(changes, 1, "user {author}");
        }
    }

    /// One distinct webhook and one distinct mail for each alert.
    pub fn check_told(&self) {
        let told: BTreeSet<&String> = self.hooks.values().collect();
        let alerts: BTreeSet<&String> = self.alerts.iter().map(|alert| &alert.id.0).collect();
        assert_eq!((self.hooks.len(), self.mails.len(), told), (alerts.len(), alerts.len(), alerts));
    }

    /// What does not depend on the order in which events of the same moment came in.
    pub fn episodes(&self) -> BTreeSet<(String, String, Timestamp, Timestamp)> {
        let whole = self.alerts.iter().filter(|alert| alert.merged_into.is_none());
        whole
            .map(|alert| (alert.rule.to_string(), alert.key.to_string(), alert.started_at, alert.last_at))
            .collect()
    }

    /// What was known of a key: its events and alerts, in the order in which they came. To look into a difference.
    pub fn story(&self, rule: &str, key: &str) -> String {
        let author = key.rsplit(' ').next().unwrap_or_default();
        let mut lines = vec![format!("{:?}", self.ledger)];
        for (number, raw) in self.raw.iter().enumerate() {
            let event: Value = serde_json::from_str(raw).unwrap();
            let kind = event["event_type"].as_str().unwrap();
            let id = event["author_id"].to_string();
            if id == author && kind.starts_with("protected") {
                lines.push(format!("{number}: {} {kind} {}", event["created_at"], event["id"]));
            }
        }
        let alerts = self.alerts.iter().filter(|alert| &*alert.rule == rule && alert.key.to_string() == key);
        lines.extend(alerts.map(|alert| format!("{alert:?}")));
        lines.join("\n")
    }

    /// One line for whoever makes a long run.
    pub fn summary(&self) -> String {
        format!(
            "{} events, {} alerts, {} webhooks, {} mails, {} accounts blocked; came again, with the same key: {:?}",
            self.raw.len(),
            self.alerts.len(),
            self.hooks.len(),
            self.mails.len(),
            self.blocked.len(),
            self.repeats
        )
    }
}

/// The lines of the archive, oldest first: the file with the highest number is the oldest.
fn archived(folder: &Path) -> Vec<Value> {
    let mut files: Vec<(u32, String)> = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if let Some(rest) = name.strip_prefix("archive.ndjson") {
            let number = if rest.is_empty() { 0 } else { rest[1..].parse().unwrap() };
            files.push((number, std::fs::read_to_string(&path).unwrap()));
        }
    }
    files.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
    let lines = files.iter().flat_map(|(_, text)| text.lines());
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}
