//! `type: webhook`: the alert as JSON, or as a template makes it, posted to a URL.
//!
//! Signed as Standard Webhooks defines (github.com/standard-webhooks) when a `secret` is set; `webhook-id` is
//! the idempotency key either way, so that a receiver can tell a second try from a second alert.

use std::collections::BTreeMap;
use std::path::PathBuf;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::Deserialize;
use standardwebhooks::{HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP};

use crate::alert::Occasion;
use crate::deliver::{
    self, BuildContext, ConfigError, DeliveryError, HttpOptions, Method, Request, Secret, SecretRef, TIMEOUT,
    TextOrSecret, Url, header, header_secrets, origin, parse_url, span,
};
use crate::encode::{CheckpointNote, Escape, Notice, Notification, Template, notification_json};
use crate::store::Outcome;
use crate::time::{Span, Timestamp};

use super::GuardInput;
use super::config::Problem;

/// The settings of a webhook action.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// Where to; often a secret itself.
    pub url: TextOrSecret,
    /// Signs the body as Standard Webhooks defines: base64, with or without `whsec_` before it.
    #[serde(default)]
    pub secret: Option<SecretRef>,
    /// Further ones, while receivers change from one to the next: the header carries a signature by each.
    #[serde(default)]
    pub secrets: Vec<SecretRef>,
    /// When an alert is told; absent: always.
    #[serde(default, deserialize_with = "super::occasions::named")]
    pub occasions: Option<Vec<Occasion>>,
    /// minijinja over the alert's JSON; absent: that JSON.
    #[serde(default)]
    pub template: Option<String>,
    /// Of the body; decides how a template's values are escaped.
    #[serde(default = "json")]
    pub content_type: String,
    /// Sent along.
    #[serde(default)]
    pub headers: BTreeMap<String, TextOrSecret>,
    /// A PEM file with further root certificates.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// For the whole call.
    #[serde(default = "timeout", deserialize_with = "span")]
    pub timeout: Span,
}

/// Signatures in one header.
const SECRETS_MAX: usize = 4;

fn json() -> String {
    "application/json".to_owned()
}

const fn timeout() -> Span {
    TIMEOUT
}

/// A URL that wants to be told.
pub(super) struct Webhook {
    http: deliver::Http,
    url: Url,
    headers: HeaderMap,
    template: Option<Template>,
    signers: Vec<standardwebhooks::Webhook>,
    occasions: Option<Vec<Occasion>>,
}

impl Webhook {
    pub(super) fn build(config: &WebhookConfig, context: &BuildContext<'_>) -> Result<Self, Problem> {
        let url = config.url.resolve(context)?;
        let mut secrets = vec![url.clone()];
        let mut headers = HeaderMap::new();
        let (name, value) = header(CONTENT_TYPE.as_str(), &config.content_type)?;
        headers.insert(name, value);
        for (name, value) in &config.headers {
            let text = value.resolve(context)?;
            secrets.extend(header_secrets(name, &text, matches!(value, TextOrSecret::Secret(_))));
            let (name, sent) = header(name, text.expose())?;
            headers.insert(name, sent);
        }
        if config.secrets.len() > SECRETS_MAX {
            return Err(Problem::Setting(format!("secrets: at most {SECRETS_MAX}, while they are changed")));
        }
        let mut signers = Vec::new();
        for reference in config.secret.iter().chain(&config.secrets) {
            let secret = reference.resolve(context.env, context.base)?;
            signers.push(signer(&secret)?);
            secrets.push(secret);
        }
        let compile = |text: &String| {
            Template::new(text, Escape::of(&config.content_type))
                .map_err(|error| Problem::Template { key: "template".to_owned(), error })
        };
        let template = config.template.as_ref().map(compile).transpose()?;
        let ca = config.ca.as_ref().map(|path| context.base.join(path));
        let options = HttpOptions { url: url.expose(), timeout: config.timeout, ca: ca.as_deref() };
        let http = deliver::Http::within(&options, secrets, context.egress)?;
        Ok(Self {
            http,
            url: parse_url(url.expose())?,
            headers,
            template,
            signers,
            occasions: config.occasions.clone(),
        })
    }

    pub(super) fn wants(&self, occasion: Occasion) -> bool {
        match &self.occasions {
            Some(occasions) => occasions.contains(&occasion),
            None => occasion != Occasion::Undo,
        }
    }

    pub(super) fn preview(
        &self,
        notification: &Notification,
        now: Timestamp,
    ) -> Result<String, DeliveryError> {
        Ok(self.http.shown(&self.request(notification, now)?))
    }

    pub(super) async fn run(
        &self,
        notification: &Notification,
        guard: &GuardInput,
    ) -> Result<Outcome, DeliveryError> {
        self.send(self.request(notification, guard.now)?, guard.now).await
    }

    /// The same for a checkpoint, whose JSON no template changes.
    pub(super) async fn keep(&self, note: &CheckpointNote, now: Timestamp) -> Result<Outcome, DeliveryError> {
        self.send(self.signed(note.json().to_string(), &note.idempotency_key, now)?, now).await
    }

    /// The same for what is no alert.
    pub(super) async fn tell(
        &self,
        notice: &Notice,
        (key, now): (&str, Timestamp),
    ) -> Result<Outcome, DeliveryError> {
        self.send(self.signed(notice.json(key).to_string(), key, now)?, now).await
    }

    async fn send(&self, request: Request, now: Timestamp) -> Result<Outcome, DeliveryError> {
        let answer = self.http.send(request, now).await?;
        if !answer.is_success() {
            return Err(answer.failure());
        }
        let summary = format!("webhook {} answered {}", origin(&self.url), answer.status);
        Ok(Outcome { changed: false, dry_run: false, summary, undo: None, needs_human: false })
    }

    fn request(&self, notification: &Notification, now: Timestamp) -> Result<Request, DeliveryError> {
        let value = notification_json(notification);
        let body = match &self.template {
            Some(template) => template.render(&value).map_err(|error| self.broken(&error.to_string()))?,
            None => value.to_string(),
        };
        self.signed(body, &notification.idempotency_key, now)
    }

    fn broken(&self, reason: &str) -> DeliveryError {
        DeliveryError::permanent(format!("webhook {}: {reason}", origin(&self.url)))
    }

    /// A body with what goes around it.
    fn signed(&self, body: String, id: &str, now: Timestamp) -> Result<Request, DeliveryError> {
        let broken = |reason: String| self.broken(&reason);
        let mut headers = self.headers.clone();
        let mut put = |name: &'static str, text: &str| {
            let value = HeaderValue::try_from(text).map_err(|error| broken(error.to_string()))?;
            headers.insert(name, value);
            Ok::<_, DeliveryError>(())
        };
        let seconds = now.0.div_euclid(1000);
        put(HEADER_WEBHOOK_ID, id)?;
        put(HEADER_WEBHOOK_TIMESTAMP, &seconds.to_string())?;
        let sign = |signer: &standardwebhooks::Webhook| signer.sign(id, seconds, body.as_bytes());
        let signatures = self.signers.iter().map(sign).collect::<Result<Vec<_>, _>>();
        let signatures = signatures.map_err(|error| broken(error.to_string()))?;
        if !signatures.is_empty() {
            put(HEADER_WEBHOOK_SIGNATURE, &signatures.join(" "))?;
        }
        Ok(Request { method: Method::POST, url: self.url.clone(), headers, body: Some(body.into()) })
    }
}

fn signer(secret: &Secret) -> Result<standardwebhooks::Webhook, Problem> {
    standardwebhooks::Webhook::new(secret.expose()).map_err(|_| {
        let reason =
            "secret: expected base64, such as `openssl rand -base64 32` prints, with or without `whsec_`";
        Problem::Connection(ConfigError::Header {
            name: HEADER_WEBHOOK_SIGNATURE.to_owned(),
            reason: reason.to_owned(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::stand_in::{SECRET, Say, StandIn, action, try_action};
    use super::*;
    use crate::encode::tests_support::notification;

    const GUARD: GuardInput = GuardInput { recent: 0, now: Timestamp(1_769_850_000_999) };

    #[tokio::test]
    async fn the_alert_arrives_signed() {
        let server = StandIn::start(vec![Say::status(204)]).await;
        let yaml = format!(
            "{{type: webhook, url: '{}/hook', secret: {{env: SECRET}}, headers: {{X-Team: blue}}}}",
            server.url()
        );
        let outcome = action(&yaml).run(&notification(), &GUARD).await.unwrap();
        assert!(!outcome.changed && outcome.summary.ends_with("answered 204"), "{outcome:?}");
        let asked = server.asked().remove(0);
        let value = |name: &str| asked.headers[name].to_str().unwrap().to_owned();
        assert_eq!(value("content-type"), "application/json");
        assert_eq!(value("x-team"), "blue");
        assert_eq!(value("webhook-id"), "fedcba9876543210");
        assert_eq!(value("webhook-timestamp"), "1769850000");
        assert!(value("user-agent").starts_with("watchfire/"));
        let body: serde_json::Value = serde_json::from_slice(&asked.body).unwrap();
        assert_eq!(body, notification_json(&notification()));
        let verifier = standardwebhooks::Webhook::new(&format!("whsec_{SECRET}")).unwrap();
        let expected = verifier.sign("fedcba9876543210", 1_769_850_000, &asked.body).unwrap();
        assert_eq!(value("webhook-signature"), expected);
    }

    #[tokio::test]
    async fn while_secrets_change_either_of_them_verifies() {
        let server = StandIn::start(vec![Say::status(204)]).await;
        let (dir, old) = (tempfile::tempdir().unwrap(), "b2xkLXNlY3JldC1vZi10aGUtdGVzdHM=");
        let file = dir.path().join("old");
        std::fs::write(&file, old).unwrap();
        let secrets = format!("secret: {{env: SECRET}}, secrets: [{{file: '{}'}}]", file.display());
        action(&format!("{{type: webhook, url: '{}', {secrets}}}", server.url()))
            .run(&notification(), &GUARD)
            .await
            .unwrap();
        let asked = server.asked().remove(0);
        let signatures: Vec<&str> = asked.headers["webhook-signature"].to_str().unwrap().split(' ').collect();
        let expected = [SECRET, old].map(|secret| {
            standardwebhooks::Webhook::new(secret)
                .unwrap()
                .sign("fedcba9876543210", 1_769_850_000, &asked.body)
                .unwrap()
        });
        assert_eq!(signatures, expected);
    }

    #[tokio::test]
    async fn a_template_makes_the_body() {
        let server = StandIn::start(vec![Say::status(200)]).await;
        let yaml = format!(
            "type: webhook\nurl: {}\ntemplate: |\n  {{\"text\": \"{{{{ alert.level | upper }}}} {{{{ events[0].author_name }}}}\"}}\n",
            server.url()
        );
        action(&yaml).run(&notification(), &GUARD).await.unwrap();
        let asked = server.asked().remove(0);
        let body: serde_json::Value = serde_json::from_slice(&asked.body).unwrap();
        assert_eq!(body["text"], "HIGH alice <alice@example.com>");
        assert!(!asked.headers.contains_key("webhook-signature"));
    }

    #[test]
    fn mistakes_are_found_when_it_is_built() {
        for (yaml, part) in [
            ("{type: webhook, url: 'ftp://x'}", "http"),
            ("{type: webhook, url: 'https://x', template: '{% if %}'}", "template line 1"),
            ("{type: webhook, url: 'https://x', headers: {'a b': c}}", "header `a b`"),
            ("{type: webhook, url: 'https://x', secret: {file: Cargo.toml}}", "base64"),
            ("{type: webhook, url: 'https://x', ca: Cargo.toml}", "Cargo.toml"),
            ("{type: webhook, url: {env: NOPE}}", "NOPE is not set"),
        ] {
            let error = try_action(yaml).unwrap_err();
            assert!(
                error.to_string().starts_with("action `it`: ") && error.to_string().contains(part),
                "{error}"
            );
        }
    }
}
