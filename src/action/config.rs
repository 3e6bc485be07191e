//! The `actions` of the configuration: one shape per `type`.

use serde::{Deserialize, Deserializer};

use crate::deliver::{ConfigError, Variants, tagged};
use crate::encode::TemplateError;

use super::response::Http;
use super::{CommandConfig, EmailConfig, HttpConfig, RespondConfig, TargetConfig, WebhookConfig};
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
    /// `type: command`.
    Command(CommandConfig),
    /// A service that is told over HTTP: `type: slack` and the like.
    Target(TargetConfig),
}

impl ActionConfig {
    /// Why it cannot be given checkpoints to keep; none: it can.
    #[must_use]
    pub fn unfit_to_keep(&self) -> Option<&'static str> {
        match self {
            // Every target has room for a whole one, which its conformance tests show.
            Self::Email(_) | Self::Webhook(_) | Self::Target(_) => None,
            Self::Http(_) => {
                Some("what it sends is made of an alert; `type: webhook` sends the checkpoint as it is")
            }
            Self::Respond(_) => Some("it changes something and tells nobody"),
            Self::Command(config) => {
                let reason = "its arguments are made of an alert: let them do without, it gets the checkpoint as its input";
                config.has_templates().then_some(reason)
            }
        }
    }
}

/// The kinds that are no targets.
const OWN: [&str; 6] = ["email", "webhook", "gitlab", "github", "http", "command"];
const ALL: [&str; OWN.len() + TargetConfig::NAMES.len()] = {
    let mut all = [""; OWN.len() + TargetConfig::NAMES.len()];
    let mut index = 0;
    while index < all.len() {
        all[index] = if index < OWN.len() { OWN[index] } else { TargetConfig::NAMES[index - OWN.len()] };
        index += 1;
    }
    all
};

impl Variants for ActionConfig {
    const NAMES: &'static [&'static str] = &ALL;

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
            "http" => Ok(match Http::deserialize(rest)? {
                Http::Notify(config) => Self::Http(config),
                Http::Respond(config) => Self::Respond(config),
            }),
            "command" => Deserialize::deserialize(rest).map(Self::Command),
            target => TargetConfig::read(target, rest)
                .map(|read| read.map(Self::Target))
                .unwrap_or_else(|| Err(serde::de::Error::unknown_variant(target, Self::NAMES))),
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

/// `true`, for serde's defaults.
pub(super) const fn yes() -> bool {
    true
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
            ("type: slock\nurl: https://x\n", 1, "unknown variant `slock`"),
            ("type: slack\nurl: https://x\nchanel: y\n", 3, "unknown field `chanel`"),
        ] {
            let error = serde_yaml::from_str::<ActionConfig>(yaml).unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
            assert_eq!(error.location().map(|at| at.line()), Some(line), "{error}");
        }
    }
}
