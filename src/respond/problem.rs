//! What can be wrong with a responder's settings.

use crate::deliver::{ConfigError, SecretError};
use crate::encode::TemplateError;

/// Why a responder cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// Secret, URL, header or certificate.
    #[error(transparent)]
    Connection(#[from] ConfigError),
    /// A template that does not compile.
    #[error("{key}: {error}")]
    Template {
        /// The key it stands under.
        key: String,
        /// What is wrong.
        error: TemplateError,
    },
    /// Settings that make no sense.
    #[error("{0}")]
    Setting(String),
}

impl From<SecretError> for Problem {
    fn from(error: SecretError) -> Self {
        Self::Connection(error.into())
    }
}

impl Problem {
    /// A setting that makes no sense.
    pub(super) fn setting(reason: impl Into<String>) -> Self {
        Self::Setting(reason.into())
    }
}
