//! How a delivery fails, and how its configuration can be wrong.

use crate::time::Span;

use super::secret::SecretError;

/// Why a delivery did not succeed. Reasons are for people; they hold no secrets and are bounded in length.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryError {
    /// It may pass: the receiver is away, busy or broken.
    #[error("{reason}")]
    Retryable {
        /// What happened.
        reason: String,
        /// How long the receiver asked us to wait.
        after: Option<Span>,
        /// The status that it answered with; none: no answer came, or nothing was asked.
        answered: Option<u16>,
    },
    /// Trying the same again cannot help.
    #[error("{reason}")]
    Permanent {
        /// What happened, and what to do.
        reason: String,
        /// The status that the receiver answered with; none: no answer came, or nothing was asked.
        answered: Option<u16>,
    },
}

impl DeliveryError {
    /// A failure that may pass.
    pub fn retryable(reason: impl Into<String>) -> Self {
        Self::Retryable { reason: reason.into(), after: None, answered: None }
    }

    /// A failure that stays.
    pub fn permanent(reason: impl Into<String>) -> Self {
        Self::Permanent { reason: reason.into(), answered: None }
    }

    /// The status that the receiver answered with; none: no answer came, or nothing was asked. Texts say it too, but
    /// may quote names that anybody chooses.
    #[must_use]
    pub const fn answered(&self) -> Option<u16> {
        match self {
            Self::Retryable { answered, .. } | Self::Permanent { answered, .. } => *answered,
        }
    }

    /// The same failure in other words.
    #[must_use]
    pub fn reworded(mut self, words: impl FnOnce(&str) -> String) -> Self {
        let (Self::Retryable { reason, .. } | Self::Permanent { reason, .. }) = &mut self;
        *reason = words(reason);
        self
    }

    /// The sentence for people.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Retryable { reason, .. } | Self::Permanent { reason, .. } => reason,
        }
    }
}

/// What can be wrong with the settings of a connection to the outside.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A secret cannot be had.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// Not a URL, or not one of HTTP.
    #[error("{0}")]
    Url(String),
    /// A header's name or value cannot be sent.
    #[error("header `{name}`: {reason}")]
    Header {
        /// Its name.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// The root certificates cannot be read.
    #[error("ca file {path}: {reason}")]
    Ca {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// The TLS library refuses to start.
    #[error(
        "cannot set up TLS: {0}; on a machine without system certificates install `ca-certificates` or set `ca`"
    )]
    Tls(String),
}
