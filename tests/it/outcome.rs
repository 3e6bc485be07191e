//! What is left in the end of a program that may have been killed on the way: what must hold of every run, and what is
//! compared between runs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;
use watchfire::alert::{Alert, LedgerEntry};
use watchfire::event::Event;
use watchfire::store::{AlertQuery, OutboxState, Store};
use watchfire::time::Timestamp;

use crate::harness::stored;
use crate::smtp::DOMAIN;
use crate::world::{World, is_own};

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
    /// Who was blocked elsewhere with a person's word, and is not any more.
    pub locked: Vec<i64>,
    /// The alerts that a chat was told of; it knows no keys.
    pub chats: BTreeSet<String>,
    /// By idempotency key: the alert a pager was told of.
    pub pages: BTreeMap<String, String>,
    /// Likewise Alertmanager.
    pub managed: BTreeMap<String, String>,
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
    pub chats: usize,
    pub pages: usize,
    pub managed: usize,
}

/// Position and id of an event.
type Forwarded = (u64, String);

impl Outcome {
    /// Checks what must hold of every run, and takes in what is compared between runs.
    pub fn of(world: &World, store: &Store) -> Self {
        let events = stored(&world.place.data());
        let text = |event: &Event| String::from_utf8(event.raw.to_vec()).unwrap();
        let all: BTreeSet<String> = events.iter().map(text).collect();
        assert_eq!(all.len(), events.len(), "an event is stored twice");
        let raw = events.iter().filter(|event| !is_own(event)).map(text).collect();
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
            locked: Vec::new(),
            chats: BTreeSet::new(),
            pages: BTreeMap::new(),
            managed: BTreeMap::new(),
            repeats: Repeats::default(),
        };
        outcome.read_hooks(world);
        outcome.read_mails(world);
        outcome.read_chats(world);
        outcome.read_keyed(world);
        outcome.check_outbox(store);
        outcome.check_forwarded(world);
        outcome.check_blocks(world);
        outcome.check_locks(world);
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

    fn read_chats(&mut self, world: &World) {
        for chat in world.receiver.at("/slack") {
            let text = String::from_utf8(chat.body.to_vec()).unwrap();
            let alert =
                text.split("Watchfire alert ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
            self.repeats.chats += usize::from(!self.chats.insert(alert.to_owned()));
        }
    }

    /// What goes by a key: it comes with one key for one alert.
    fn read_keyed(&mut self, world: &World) {
        let told = |path: &str, read: fn(&Value) -> (&Value, &Value)| {
            let (mut keys, mut repeats) = (BTreeMap::new(), 0);
            for received in world.receiver.at(path) {
                let body = received.json();
                let (key, alert) = read(&body);
                let (key, alert) = (key.as_str().unwrap(), alert.as_str().unwrap());
                let before = keys.insert(key.to_owned(), alert.to_owned());
                repeats += usize::from(before.is_some());
                assert!(before.is_none_or(|before| before == alert), "{path}: one key, two alerts");
            }
            (keys, repeats)
        };
        (self.pages, self.repeats.pages) = told("/pagerduty", |body| {
            (&body["payload"]["custom_details"]["idempotency_key"], &body["dedup_key"])
        });
        (self.managed, self.repeats.managed) = told("/manager/api/v2/alerts", |body| {
            (&body[0]["annotations"]["idempotency_key"], &body[0]["labels"]["alert"])
        });
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
        assert_eq!(self.pages.keys().collect::<BTreeSet<_>>(), owed("page"), "pages");
        assert_eq!(self.managed.keys().collect::<BTreeSet<_>>(), owed("manager"), "alerts to Alertmanager");
        let chats = rows.iter().filter(|row| row.action == "chat").map(|row| &row.alert.0);
        assert_eq!(self.chats.iter().collect::<BTreeSet<_>>(), chats.collect(), "chats");
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

    /// Whoever was blocked with a person's word was so by one change, and was let in again by one.
    fn check_locks(&mut self, world: &World) {
        let calls = world.lockup.calls();
        let count = |author: &i64, verb: &str| {
            let path = format!("/api/v4/users/{author}/{verb}");
            calls.iter().filter(|call| call.path == path).count()
        };
        for author in &self.blocked {
            let changes = (count(author, "block"), count(author, "unblock"));
            assert_eq!(changes, (1, 1), "user {author} is blocked and unblocked");
        }
        assert_eq!(world.lockup.blocked(), [0_i64; 0], "everything is undone");
        let changes = calls.iter().filter(|call| call.method == "POST").count();
        assert_eq!(changes, 2 * self.blocked.len(), "nobody else is touched");
        self.locked.clone_from(&self.blocked);
    }

    /// One distinct webhook and one distinct mail for each alert.
    pub fn check_told(&self) {
        let told: BTreeSet<&String> = self.hooks.values().collect();
        let alerts: BTreeSet<&String> = self.alerts.iter().map(|alert| &alert.id.0).collect();
        assert_eq!((self.hooks.len(), self.mails.len(), told), (alerts.len(), alerts.len(), alerts.clone()));
        assert_eq!(self.chats.iter().collect::<BTreeSet<_>>(), alerts);
        for keyed in [&self.pages, &self.managed] {
            assert_eq!((keyed.len(), keyed.values().collect()), (alerts.len(), alerts.clone()));
        }
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
            "{} events, {} alerts, {} webhooks, {} mails, {} accounts blocked, {} for a time; came again, with the same key: {:?}",
            self.raw.len(),
            self.alerts.len(),
            self.hooks.len(),
            self.mails.len(),
            self.blocked.len(),
            self.locked.len(),
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
