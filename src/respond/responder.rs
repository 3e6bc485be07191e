//! The responders, by type: one file for each system, and here what all of them can do.

use serde_json::Value;

use super::memory::Memory;
use super::{Receipt, Sight, Subject};
use crate::deliver::DeliveryError;
use crate::encode::Notification;
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

/// Something that can be done to an account, a token, a key or a membership in one system.
///
/// What every one of them keeps to: `look` changes nothing. `act` and `undo` may be called again after a crash and do no
/// more than once. No answer is taken for success because of its status alone: whoever calls `act` looks again and expects
/// [`super::Standing::Already`]; whoever calls `undo` looks again and expects the same `before`.
#[derive(Debug)]
pub enum Responder {
    /// A map of accounts, for tests.
    Memory(Memory),
}

impl Responder {
    /// What it does.
    #[must_use]
    pub fn verb(&self) -> Verb {
        match self {
            Self::Memory(_) => Memory::verb(),
        }
    }

    /// What an alert is about: never a guess. The error says in a sentence why it cannot be told, or that the alert is about
    /// another system than this one.
    ///
    /// # Errors
    /// That sentence.
    pub fn subject(&self, notification: &Notification) -> Result<Subject, String> {
        match self {
            Self::Memory(_) => Memory::subject(notification),
        }
    }

    /// The one that a person names by its id, where a person asks for a response and not an alert.
    ///
    /// # Errors
    /// Why nothing can be called so.
    pub fn named(&self, id: &str) -> Result<Subject, String> {
        match self {
            Self::Memory(_) => Ok(Memory::named(id)),
        }
    }

    /// Looks, and changes nothing. That it is not there is no error.
    ///
    /// # Errors
    /// When the system cannot be asked, or answers what its documentation does not say.
    pub async fn look(&self, subject: &Subject, _now: Timestamp) -> Result<Sight, DeliveryError> {
        match self {
            Self::Memory(memory) => memory.look(subject),
        }
    }

    /// Changes what was looked at.
    ///
    /// # Errors
    /// Everything but the answer that its documentation calls success.
    pub async fn act(
        &self,
        subject: &Subject,
        _sight: &Sight,
        _now: Timestamp,
    ) -> Result<Receipt, DeliveryError> {
        match self {
            Self::Memory(memory) => memory.act(subject),
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
        _now: Timestamp,
    ) -> Result<Receipt, DeliveryError> {
        match self {
            Self::Memory(memory) => memory.undo(subject, before),
        }
    }
}
