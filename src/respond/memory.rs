//! A system that is a map of accounts: the double for tests. The configuration cannot name it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::responder::Verb;
use super::sight::{Identity, Receipt, Sight, Standing, Subject, SubjectKind};
use crate::deliver::DeliveryError;
use crate::encode::Notification;

/// An account: its state, and why it must not be touched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// `active`, `blocked` …
    pub state: String,
    /// Of its bearer.
    pub name: Option<String>,
    /// Why not, if so.
    pub obstacles: Vec<String>,
}

/// What the next call does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Script {
    /// It fails before it has changed anything.
    Fail(DeliveryError),
    /// It says that it was done, and nothing is.
    Lie,
    /// It is done, and the answer is lost.
    Cut,
    /// Somebody else has brought the account into this state meanwhile, and it fails.
    Meanwhile(String, DeliveryError),
}

#[derive(Debug, Default)]
struct Inside {
    accounts: BTreeMap<String, Account>,
    acts: VecDeque<Script>,
    looks: VecDeque<Option<DeliveryError>>,
    calls: Vec<String>,
}

/// Blocks and unblocks accounts in a map; clones share it. An account that sleeps is woken by a block that is lifted, so
/// that two calls put it back.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    inside: Arc<Mutex<Inside>>,
    /// Unblocks, and blocks as the way back.
    lifts: bool,
    /// Another system, as far as anybody can tell from outside.
    aim: String,
}

const FORGE: &str = "gitlab";
const NOBODY: &str = "there is no such user";

impl Memory {
    /// With active accounts of these ids, called `user-` and the id.
    #[must_use]
    pub fn with_accounts(ids: impl IntoIterator<Item = u64>) -> Self {
        let own = Self::default();
        for id in ids {
            let name = Some(format!("user-{id}"));
            own.set(id, Account { state: "active".to_owned(), name, obstacles: Vec::new() });
        }
        own
    }

    /// The same accounts, for a response that unblocks.
    #[must_use]
    pub fn lifting(&self) -> Self {
        Self { lifts: true, ..self.clone() }
    }

    /// The same accounts, for a response that is aimed at another system.
    #[must_use]
    pub fn elsewhere(&self) -> Self {
        Self { aim: "elsewhere".to_owned(), ..self.clone() }
    }

    pub(super) fn aim(&self) -> &str {
        &self.aim
    }

    /// Puts an account there as it is.
    pub fn set(&self, id: u64, account: Account) {
        self.inside().accounts.insert(id.to_string(), account);
    }

    /// An account's state; none where there is no such one.
    #[must_use]
    pub fn state(&self, id: u64) -> Option<String> {
        self.inside().accounts.get(&id.to_string()).map(|account| account.state.clone())
    }

    /// The ids of those that are blocked.
    #[must_use]
    pub fn blocked(&self) -> Vec<u64> {
        let inside = self.inside();
        let blocked = inside.accounts.iter().filter(|(_, account)| account.state == "blocked");
        let mut ids: Vec<u64> = blocked.filter_map(|(id, _)| id.parse().ok()).collect();
        ids.sort_unstable();
        ids
    }

    /// What the next calls that change something do; further ones do what they say.
    pub fn script(&self, acts: impl IntoIterator<Item = Script>) {
        self.inside().acts.extend(acts);
    }

    /// How the next looks fail.
    pub fn blind(&self, looks: impl IntoIterator<Item = DeliveryError>) {
        self.inside().looks.extend(looks.into_iter().map(Some));
    }

    /// The same, after so many looks that see.
    pub fn blind_after(&self, seen: usize, looks: impl IntoIterator<Item = DeliveryError>) {
        self.inside().looks.extend(std::iter::repeat_n(None, seen));
        self.blind(looks);
    }

    /// All calls so far: `look 7`, `block 7`, `unblock 7`.
    #[must_use]
    pub fn calls(&self) -> Vec<String> {
        self.inside().calls.clone()
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) const fn verb(&self) -> Verb {
        if self.lifts {
            return Verb { plain: "unblock", past: "unblocked", undo: Some("block") };
        }
        Verb { plain: "block", past: "blocked", undo: Some("unblock") }
    }

    pub(super) fn subject(told: &Notification) -> Result<Subject, String> {
        match told.alert.key.get("author_id") {
            Some(id) => Ok(Self::named(id)),
            None => Err("the alert does not say whom it is about".to_owned()),
        }
    }

    pub(super) fn named(id: &str) -> Subject {
        Subject { forge: FORGE.to_owned(), kind: SubjectKind::Account, id: id.to_owned(), within: None }
    }

    pub(super) fn look(&self, subject: &Subject) -> Result<Sight, DeliveryError> {
        let mut inside = self.inside();
        inside.calls.push(format!("look {}", subject.id));
        if let Some(Some(error)) = inside.looks.pop_front() {
            return Err(error);
        }
        let found = inside.accounts.get(&subject.id);
        let name = found.and_then(|account| account.name.clone());
        let state = found.map_or(NOBODY, |account| account.state.as_str());
        let standing = match (state, self.lifts) {
            (NOBODY, _) => Standing::Missing,
            ("blocked" | "banned", false) | ("active", true) => Standing::Already,
            ("active" | "deactivated", false) | ("blocked", true) => Standing::ToDo,
            _ => Standing::Impossible,
        };
        Ok(Sight {
            who: format!("user {} ({})", subject.id, name.as_deref().unwrap_or("?")),
            identity: found.map(|_| Identity { forge: FORGE.to_owned(), id: subject.id.clone(), name }),
            state: state.to_owned(),
            standing,
            obstacles: found.map(|account| account.obstacles.clone()).unwrap_or_default(),
            before: json!({"state": state}),
            page: Some(format!("https://gitlab.example.com/admin/users/{}", subject.id)),
        })
    }

    pub(super) fn act(&self, subject: &Subject) -> Result<Receipt, DeliveryError> {
        self.change(subject, if self.lifts { ("unblock", "active") } else { ("block", "blocked") })
    }

    pub(super) fn is_half_way(&self, before: &Value, sight: &Sight) -> bool {
        !self.lifts && before["state"] == "deactivated" && sight.state == "active"
    }

    pub(super) fn undo(&self, subject: &Subject, before: &Value) -> Result<Receipt, DeliveryError> {
        let state = before.get("state").and_then(Value::as_str).unwrap_or("active").to_owned();
        if self.lifts {
            return self.change(subject, ("block", &state));
        }
        let found = self.inside().accounts.get(&subject.id).map(|account| account.state.clone());
        if state != "deactivated" {
            return self.change(subject, ("unblock", &state));
        }
        if found.as_deref() != Some("active") {
            self.change(subject, ("unblock", "active"))?;
        }
        self.change(subject, ("deactivate", &state))
    }

    fn change(&self, subject: &Subject, (verb, state): (&str, &str)) -> Result<Receipt, DeliveryError> {
        let mut inside = self.inside();
        inside.calls.push(format!("{verb} {}", subject.id));
        let script = inside.acts.pop_front();
        match script {
            Some(Script::Fail(error)) => return Err(error),
            Some(Script::Meanwhile(state, error)) => {
                if let Some(account) = inside.accounts.get_mut(&subject.id) {
                    account.state = state;
                }
                return Err(error);
            }
            _ => {}
        }
        if script != Some(Script::Lie)
            && let Some(account) = inside.accounts.get_mut(&subject.id)
        {
            state.clone_into(&mut account.state);
        }
        if script == Some(Script::Cut) {
            return Err(DeliveryError::retryable("the connection was cut"));
        }
        Ok(Receipt {
            request: format!("POST https://gitlab.example.com/api/v4/users/{}/{verb}", subject.id),
            answer: "201 true".to_owned(),
        })
    }
}
