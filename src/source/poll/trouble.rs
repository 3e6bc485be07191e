//! How asking GitLab can fail, and what to do about it.

use crate::deliver::{Answer, DeliveryError};
use crate::time::Span;

/// Why there is no page.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Trouble {
    /// It asks for patience: 429, or 503 with a time.
    #[error("{reason}")]
    Limited { reason: String, after: Option<Span> },
    /// It may pass: no connection, a cut one, 5xx, something between us and GitLab that answers in its place.
    #[error("{reason}")]
    Failing { reason: String, after: Option<Span> },
    /// A person must do something: the token, its rights, the edition, the address.
    #[error("{reason}")]
    Refused { reason: String },
    /// It answers what it was not asked for.
    #[error("{reason}")]
    Lying { reason: String },
}

impl Trouble {
    pub(super) fn lying(reason: impl Into<String>) -> Self {
        Self::Lying { reason: reason.into() }
    }

    /// The same in other words.
    pub(super) fn worded(self, words: impl FnOnce(String) -> String) -> Self {
        match self {
            Self::Limited { reason, after } => Self::Limited { reason: words(reason), after },
            Self::Failing { reason, after } => Self::Failing { reason: words(reason), after },
            Self::Refused { reason } => Self::Refused { reason: words(reason) },
            Self::Lying { reason } => Self::Lying { reason: words(reason) },
        }
    }

    /// From a request that got no answer.
    pub(super) fn unanswered(error: DeliveryError) -> Self {
        match error {
            DeliveryError::Retryable { reason, after, .. } => Self::Failing { reason, after },
            DeliveryError::Permanent { reason, .. } => Self::Refused { reason },
        }
    }

    /// From an answer that is no success. Statuses as of GitLab's doc/api/rest/troubleshooting.md.
    pub(super) fn answered(answer: &Answer) -> Self {
        let reason = answer.failure().reason().to_owned();
        let refused = |hint: &str| Self::Refused { reason: format!("{reason}; {hint}") };
        match answer.status {
            401 => refused("the token is wrong, expired or revoked: put a new one into its file"),
            403 => refused(
                "the token may not read these audit events (of the instance only an administrator's may, with the \
                 scope read_api or api), or this edition of GitLab has none",
            ),
            404 => refused(
                "there is no such group or project for this token, or this edition of GitLab has no audit events",
            ),
            405 => refused(
                "this GitLab cannot page by keyset: groups need 15.2, projects 15.10, the instance 15.11",
            ),
            429 => Self::Limited { reason, after: answer.after },
            503 if answer.after.is_some() => Self::Limited { reason, after: answer.after },
            408 | 425 | 500..=599 => Self::Failing { reason, after: answer.after },
            _ => Self::Refused { reason },
        }
    }
}
