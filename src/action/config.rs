//! The `actions` of the configuration: one shape per `type`.

use serde::{Deserialize, Deserializer};

use crate::deliver::{ConfigError, Variants, tagged};
use crate::encode::TemplateError;

use super::response::Http;
use super::{EmailConfig, HttpConfig, RespondConfig, WebhookConfig};
use crate::respond::ResponderConfig;

/// One action as written in the configuration.
#[derive(Debug, Clone)]
pub enum ActionConfig {
    /// `type: email`.
    Email(EmailConfig),
    /// `type: webhook`.
    Webhook(WebhookConfig),
    /// `type: http`, which tells somebody.
    Http(Box<HttpConfig>),
    /// `type: gitlab`, `type: github`, and `type: http` with `kind: respond`.
    Respond(Box<RespondConfig>),
}

impl Variants for ActionConfig {
    const NAMES: &'static [&'static str] = &["email", "webhook", "gitlab", "github", "http"];

    fn read<'de, D: Deserializer<'de>>(kind: &str, rest: D) -> Result<Self, D::Error> {
        match kind {
            "email" => Deserialize::deserialize(rest).map(Self::Email),
            "webhook" => Deserialize::deserialize(rest).map(Self::Webhook),
            "gitlab" => {
                RespondConfig::of(rest, ResponderConfig::Gitlab).map(|it| Self::Respond(Box::new(it)))
            }
            "github" => {
                RespondConfig::of(rest, ResponderConfig::Github).map(|it| Self::Respond(Box::new(it)))
            }
            _ => Ok(match Http::deserialize(rest)? {
                Http::Notify(config) => Self::Http(config),
                Http::Respond(config) => Self::Respond(config),
            }),
        }
    }
}

impl<'de> Deserialize<'de> for ActionConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        tagged(deserializer)
    }
}

/// Why an action cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("action `{name}`: {problem}")]
pub struct ActionError {
    /// The action's configured name.
    pub name: String,
    /// What is wrong, and what to do.
    pub problem: Problem,
}

/// What can be wrong with an action's settings.
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

impl From<crate::deliver::SecretError> for Problem {
    fn from(error: crate::deliver::SecretError) -> Self {
        Self::Connection(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_reported_where_they_are() {
        for (yaml, line, part) in [
            (
                "type: email\nsmtp: {host: mail}\nfrom: a@b.c\nto: []\nsbject: x\n",
                5,
                "unknown field `sbject`",
            ),
            ("type: gitlab\nurl: https://x\ntoken: glpat-1\ndo: block\n", 3, "env: NAME"),
            ("type: gitlab\nurl: https://x\ntoken: {env: T}\ndo: delete\n", 4, "unknown variant `delete`"),
            (
                "type: gitlab\nurl: https://x\ntoken: {env: T}\ndo: ban\nat_most: {count: 3, per: often}\n",
                5,
                "often",
            ),
            ("type: slack\nurl: https://x\n", 1, "unknown variant `slack`"),
        ] {
            let error = serde_yaml::from_str::<ActionConfig>(yaml).unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
            assert_eq!(error.location().map(|at| at.line()), Some(line), "{error}");
        }
    }
}
