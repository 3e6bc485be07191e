//! The responders, by type: one file for each system, and here what all of them can do.

use std::fmt;

use serde_json::Value;

use super::github::Github;
use super::gitlab::Gitlab;
use super::http::Http;
use super::memory::Memory;
use super::{GithubConfig, GitlabConfig, HttpConfig, Problem, Receipt, Sight, Subject};
use crate::deliver::{BuildContext, DeliveryError};
use crate::encode::Notification;
use crate::enrich::Account;
use crate::time::Timestamp;

/// What a responder does, in words, and whether it can be undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verb {
    /// `block`, for "would block user 7".
    pub plain: &'static str,
    /// `blocked`.
    pub past: &'static str,
    /// `unblock`; none where there is no way back, as for a token that was revoked.
    pub undo: Option<&'static str>,
}

impl Verb {
    /// Whether the way back keeps somebody out, as the way back from `unblock` does. Of a call by template it is not known,
    /// and taken for none.
    #[must_use]
    pub fn undo_harms(&self) -> bool {
        matches!(self.undo, Some("block" | "ban" | "deactivate" | "suspend"))
    }
}

/// A responder as written in the configuration, without what belongs to the guards.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "one for each action, read once")]
pub enum ResponderConfig {
    /// `type: gitlab`.
    Gitlab(GitlabConfig),
    /// `type: github`.
    Github(GithubConfig),
    /// `type: http`, as a response.
    Http(HttpConfig),
}

/// Something that can be done to an account, a token, a key or a membership in one system.
///
/// What every one of them keeps to: `look` changes nothing. `act` and `undo` may be called again after a crash and do no
/// more than once. No answer is taken for success because of its status alone: whoever calls `act` looks again and expects
/// [`super::Standing::Already`]; whoever calls `undo` looks again and expects the same `before`.
pub struct Responder(Kind);

enum Kind {
    Gitlab(Box<Gitlab>),
    Github(Box<Github>),
    Http(Box<Http>),
    Memory(Memory),
}

impl fmt::Debug for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.0 {
            Kind::Gitlab(_) => "gitlab",
            Kind::Github(_) => "github",
            Kind::Http(_) => "http",
            Kind::Memory(_) => "memory",
        };
        write!(f, "Responder({kind}, {})", self.verb().plain)
    }
}

impl Responder {
    /// Builds it: reads its secrets, compiles its templates. Nothing is connected yet.
    ///
    /// # Errors
    /// When a secret is missing or a setting makes no sense.
    pub fn build(config: &ResponderConfig, context: &BuildContext<'_>) -> Result<Self, Problem> {
        let kind = match config {
            ResponderConfig::Gitlab(config) => Kind::Gitlab(Box::new(Gitlab::build(config, context)?)),
            ResponderConfig::Github(config) => Kind::Github(Box::new(Github::build(config, context)?)),
            ResponderConfig::Http(config) => Kind::Http(Box::new(Http::build(config, context)?)),
        };
        Ok(Self(kind))
    }

    /// A map of accounts, for tests.
    #[must_use]
    pub const fn memory(memory: Memory) -> Self {
        Self(Kind::Memory(memory))
    }

    /// What it does.
    #[must_use]
    pub const fn verb(&self) -> Verb {
        match &self.0 {
            Kind::Gitlab(gitlab) => gitlab.verb(),
            Kind::Github(github) => github.verb(),
            Kind::Http(http) => http.verb(),
            Kind::Memory(memory) => memory.verb(),
        }
    }

    /// What it is aimed at beyond its verb, in a short text without secrets: the forge and the role or the organisation, or
    /// of a call its address. Where the text is another one, so is what it does.
    #[must_use]
    pub fn aim(&self) -> String {
        match &self.0 {
            Kind::Gitlab(gitlab) => gitlab.aim(),
            Kind::Github(github) => github.aim(),
            Kind::Http(http) => http.aim(),
            Kind::Memory(memory) => memory.aim().to_owned(),
        }
    }

    /// Whether its effect can be seen. Where it cannot, looking again after [`Responder::act`] finds nothing new, and it must
    /// be said that it was not read back.
    #[must_use]
    pub const fn reads_back(&self) -> bool {
        match &self.0 {
            Kind::Gitlab(_) | Kind::Github(_) | Kind::Memory(_) => true,
            Kind::Http(http) => http.reads_back(),
        }
    }

    /// The account that its token belongs to, asked for anew: Watchfire itself. None where nobody could say, as with calls
    /// of one's own.
    ///
    /// # Errors
    /// When the system cannot be asked, or does not say.
    pub async fn account(&self, now: Timestamp) -> Result<Option<Account>, DeliveryError> {
        match &self.0 {
            Kind::Gitlab(gitlab) => gitlab.account(now).await.map(Some),
            Kind::Github(github) => github.account(now).await.map(Some),
            Kind::Http(_) | Kind::Memory(_) => Ok(None),
        }
    }

    /// How often its token was refused since it was built; none where it has no account.
    #[must_use]
    pub fn refusals(&self) -> Option<u64> {
        match &self.0 {
            Kind::Gitlab(gitlab) => Some(gitlab.refusals()),
            Kind::Github(github) => Some(github.refusals()),
            Kind::Http(_) | Kind::Memory(_) => None,
        }
    }

    /// What an alert is about: never a guess. The error says in a sentence why it cannot be told, or that the alert is about
    /// another system than this one.
    ///
    /// # Errors
    /// That sentence.
    pub fn subject(&self, notification: &Notification) -> Result<Subject, String> {
        match &self.0 {
            Kind::Gitlab(gitlab) => gitlab.subject(notification),
            Kind::Github(github) => github.subject(notification),
            Kind::Http(http) => http.subject(notification),
            Kind::Memory(_) => Memory::subject(notification),
        }
    }

    /// The one that a person names by its id, where a person asks for a response and not an alert.
    ///
    /// # Errors
    /// Why nothing can be called so.
    pub fn named(&self, id: &str) -> Result<Subject, String> {
        match &self.0 {
            Kind::Gitlab(gitlab) => gitlab.named(id),
            Kind::Github(github) => github.named(id),
            Kind::Http(http) => http.named(id),
            Kind::Memory(_) => Ok(Memory::named(id)),
        }
    }

    /// Looks, and changes nothing. That it is not there is no error.
    ///
    /// # Errors
    /// When the system cannot be asked, or answers what its documentation does not say.
    pub async fn look(&self, subject: &Subject, now: Timestamp) -> Result<Sight, DeliveryError> {
        match &self.0 {
            Kind::Gitlab(gitlab) => gitlab.look(subject, now).await,
            Kind::Github(github) => github.look(subject, now).await,
            Kind::Http(http) => http.look(subject, now).await,
            Kind::Memory(memory) => memory.look(subject),
        }
    }

    /// Changes what was looked at.
    ///
    /// # Errors
    /// Everything but the answer that its documentation calls success.
    pub async fn act(
        &self,
        subject: &Subject,
        sight: &Sight,
        now: Timestamp,
    ) -> Result<Receipt, DeliveryError> {
        match &self.0 {
            Kind::Gitlab(gitlab) => gitlab.act(subject, sight, now).await,
            Kind::Github(github) => github.act(subject, sight, now).await,
            Kind::Http(http) => http.act(subject, now).await,
            Kind::Memory(memory) => memory.act(subject),
        }
    }

    /// Whether this is neither what was done nor what was before, but what an undoing of several calls leaves when it breaks
    /// off: [`Responder::undo`] then goes on from there.
    #[must_use]
    pub fn is_half_way(&self, before: &Value, sight: &Sight) -> bool {
        match &self.0 {
            Kind::Gitlab(gitlab) => gitlab.is_half_way(before, sight),
            Kind::Github(_) | Kind::Http(_) => false,
            Kind::Memory(memory) => memory.is_half_way(before, sight),
        }
    }

    /// Puts back exactly what `before`, from the sight before it acted, says.
    ///
    /// # Errors
    /// As [`Responder::act`]; permanent where there is no way back.
    pub async fn undo(
        &self,
        subject: &Subject,
        before: &Value,
        now: Timestamp,
    ) -> Result<Receipt, DeliveryError> {
        match &self.0 {
            Kind::Gitlab(gitlab) => gitlab.undo(subject, before, now).await,
            Kind::Github(github) => github.undo(subject, before, now).await,
            Kind::Http(http) => http.undo(subject, before, now).await,
            Kind::Memory(memory) => memory.undo(subject, before),
        }
    }
}
