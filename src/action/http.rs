//! `type: http` that tells somebody: any API call, by template. With `kind: respond` it is a response, and none of these.

use std::collections::BTreeMap;
use std::path::PathBuf;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use crate::deliver::{
    self, Answer, BuildContext, DeliveryError, HttpOptions, Method, Request, TextOrSecret, header,
    header_secrets, origin, parse_url,
};
use crate::encode::{Escape, Notification, Template, notification_json};
use crate::store::Outcome;
use crate::time::Span;

use super::config::Problem;
use super::guard::refused;
use super::target::{Found, on_never};
use super::{AtMost, GuardInput, Name};

const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The settings of an http action. `url`, `headers`, `body` and `undo` are minijinja over the alert's JSON.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// Where to; inserted values are percent-encoded.
    pub url: TextOrSecret,
    /// The method.
    pub method: String,
    /// Sent along; a header that is kept as a secret is no template.
    pub headers: BTreeMap<String, TextOrSecret>,
    /// Absent: no body.
    pub body: Option<String>,
    /// Of the body; decides how inserted values are escaped.
    pub content_type: String,
    /// The statuses that mean success; empty: every 2xx.
    pub expect: Vec<u16>,
    /// Decides but does not call; absent: it calls.
    pub dry_run: Option<bool>,
    /// Ids and names of authors it is never called for.
    pub never: Vec<Name>,
    /// How often it may act before a person must decide; absent: without limit.
    pub at_most: Option<AtMost>,
    /// The field of the alert that `never` is compared with.
    pub user: String,
    /// How a person undoes it, for the mail.
    pub undo: Option<String>,
    /// A PEM file with further root certificates.
    pub ca: Option<PathBuf>,
    /// For the whole call.
    pub timeout: Span,
}

/// A call that is made for each alert.
pub(super) struct Http {
    http: deliver::Http,
    method: Method,
    url: Template,
    /// Secrets, sent as they are.
    fixed: HeaderMap,
    headers: Vec<(HeaderName, Template)>,
    body: Option<Template>,
    undo: Option<Template>,
    expect: Vec<u16>,
    dry_run: bool,
    never: Vec<Name>,
    limit: Option<AtMost>,
    field: String,
}

impl Http {
    pub(super) fn build(config: &HttpConfig, context: &BuildContext<'_>) -> Result<Self, Problem> {
        let method = Method::from_bytes(config.method.to_ascii_uppercase().as_bytes())
            .map_err(|_| Problem::Setting(format!("method: `{}` is no HTTP method", config.method)))?;
        let url = config.url.resolve(context)?;
        if !url.expose().starts_with("http://") && !url.expose().starts_with("https://") {
            let reason = "url: expected http://… or https://…, not a template from its first character";
            return Err(Problem::Setting(reason.to_owned()));
        }
        let mut secrets = Vec::new();
        let (mut fixed, mut headers) = (HeaderMap::new(), Vec::new());
        for (name, value) in &config.headers {
            let text = value.resolve(context)?;
            match value {
                TextOrSecret::Text(source) => {
                    let (key, _) = header(name, "")?;
                    headers.push((key, template(&format!("headers.{name}"), source, Escape::Plain)?));
                }
                TextOrSecret::Secret(_) => fixed.extend([header(name, text.expose())?]),
            }
            secrets.extend(header_secrets(name, &text, matches!(value, TextOrSecret::Secret(_))));
        }
        if config.body.is_some() && !fixed.contains_key(CONTENT_TYPE) {
            let (name, value) = header(CONTENT_TYPE.as_str(), &config.content_type)?;
            fixed.insert(name, value);
        }
        let compile = |key: &str, source: &Option<String>, escape: Escape| {
            source.as_ref().map(|source| template(key, source, escape)).transpose()
        };
        let ca = config.ca.as_ref().map(|path| context.base.join(path));
        let options = HttpOptions { url: url.expose(), timeout: config.timeout, ca: ca.as_deref() };
        Ok(Self {
            url: template("url", url.expose(), Escape::Url)?,
            body: compile("body", &config.body, Escape::of(&config.content_type))?,
            undo: compile("undo", &config.undo, Escape::Plain)?,
            http: deliver::Http::within(&options, secrets, context.egress)?,
            method,
            fixed,
            headers,
            expect: config.expect.clone(),
            dry_run: config.dry_run.unwrap_or_default(),
            never: config.never.clone(),
            limit: config.at_most,
            field: config.user.clone(),
        })
    }

    pub(super) const fn limit(&self) -> Option<AtMost> {
        self.limit
    }

    pub(super) async fn run(
        &self,
        notification: &Notification,
        guard: &GuardInput,
    ) -> Result<Outcome, DeliveryError> {
        let context = notification_json(notification);
        let request = self.request(notification, &context)?;
        let call = format!("{} {}", self.method, origin(&request.url));
        if let Some(reason) = self.refusal(notification, guard) {
            return Ok(refused(&format!("call {call}"), &reason, self.dry_run));
        }
        let undo = self.undo.as_ref().map(|undo| filled("undo", undo, &context)).transpose()?;
        if self.dry_run {
            let summary = format!("would call {call}");
            return Ok(Outcome { changed: false, dry_run: true, summary, undo: None, needs_human: false });
        }
        let answer = self.http.send(request, guard.now).await?;
        if !self.is_expected(&answer) {
            return Err(self.failure(&answer));
        }
        let summary = format!("{call} answered {}", answer.status);
        Ok(Outcome { changed: false, dry_run: false, summary, undo, needs_human: false })
    }

    pub(super) fn preview(&self, notification: &Notification) -> Result<String, DeliveryError> {
        let request = self.request(notification, &notification_json(notification))?;
        Ok(self.http.shown(&request))
    }

    fn refusal(&self, notification: &Notification, guard: &GuardInput) -> Option<String> {
        match on_never(&self.never, notification, &self.field) {
            Found::Off => {}
            Found::On(who) => return Some(format!("`{who}` is on `never`")),
            Found::Unknown(reason) => return Some(format!("cannot tell whether `never` holds: {reason}")),
        }
        self.limit.and_then(|limit| limit.refusal(guard))
    }

    fn request(
        &self,
        notification: &Notification,
        context: &serde_json::Value,
    ) -> Result<Request, DeliveryError> {
        let url = filled("url", &self.url, context)?;
        let url = parse_url(&url).map_err(|error| DeliveryError::permanent(error.to_string()))?;
        let mut headers = self.fixed.clone();
        for (name, template) in &self.headers {
            let text = filled(&format!("headers.{name}"), template, context)?;
            let (name, value) =
                header(name.as_str(), &text).map_err(|error| DeliveryError::permanent(error.to_string()))?;
            headers.insert(name, value);
        }
        if !headers.contains_key(IDEMPOTENCY_KEY)
            && let Ok(key) = HeaderValue::try_from(notification.idempotency_key.as_str())
        {
            headers.insert(IDEMPOTENCY_KEY, key);
        }
        let body = self.body.as_ref().map(|body| filled("body", body, context)).transpose()?;
        Ok(Request { method: self.method.clone(), url, headers, body: body.map(Into::into) })
    }

    fn is_expected(&self, answer: &Answer) -> bool {
        if self.expect.is_empty() { answer.is_success() } else { self.expect.contains(&answer.status) }
    }

    fn failure(&self, answer: &Answer) -> DeliveryError {
        match answer.failure() {
            permanent @ DeliveryError::Permanent { .. } if !self.expect.is_empty() => {
                permanent.reworded(|reason| format!("{reason} (expected {:?})", self.expect))
            }
            other => other,
        }
    }
}

fn template(key: &str, source: &str, escape: Escape) -> Result<Template, Problem> {
    Template::new(source, escape).map_err(|error| Problem::Template { key: key.to_owned(), error })
}

fn filled(key: &str, template: &Template, context: &serde_json::Value) -> Result<String, DeliveryError> {
    template.render(context).map_err(|error| DeliveryError::permanent(format!("{key}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::super::stand_in::{SECRET, Say, StandIn, action, try_action};
    use super::*;
    use crate::encode::tests_support::notification;
    use crate::time::Timestamp;

    const GUARD: GuardInput = GuardInput { recent: 0, now: Timestamp(0) };

    async fn run(settings: &str, say: Say, guard: GuardInput) -> (Result<Outcome, DeliveryError>, StandIn) {
        let server = StandIn::start(vec![say]).await;
        let yaml =
            format!("{{type: http, url: '{}/u/{{{{ alert.key.author_id }}}}', {settings}}}", server.url());
        (action(&yaml).run(&notification(), &guard).await, server)
    }

    #[tokio::test]
    async fn the_call_is_made_as_written() {
        let settings = "method: put, headers: {Authorization: {env: SECRET}, X-Rule: '{{ alert.rule }}'}, \
                        body: '{\"who\": \"{{ events[0].author_name }}\"}', expect: [202]";
        let (outcome, server) = run(settings, Say::status(202), GUARD).await;
        let outcome = outcome.unwrap();
        assert!(!outcome.changed, "it only tells");
        let asked = server.asked().remove(0);
        assert_eq!((asked.method.as_str(), asked.path.as_str()), ("PUT", "/u/7"));
        assert_eq!(asked.headers["authorization"], SECRET);
        assert_eq!(asked.headers["x-rule"], "gitlab-mass-clone");
        assert_eq!(asked.headers["idempotency-key"], "fedcba9876543210");
        assert_eq!(asked.headers["content-type"], "application/json");
        assert_eq!(&asked.body[..], br#"{"who": "alice <alice@example.com>"}"#);
    }

    #[tokio::test]
    async fn only_the_expected_answer_is_success() {
        match run("expect: [204]", Say::status(200), GUARD).await.0 {
            Err(DeliveryError::Permanent { reason, .. }) => {
                assert!(reason.contains("answered 200") && reason.contains("[204]"))
            }
            other => panic!("{other:?}"),
        }
        assert!(run("expect: [404]", Say::status(404), GUARD).await.0.is_ok());
    }

    #[tokio::test]
    async fn it_has_guards_where_they_are_set() {
        let (outcome, server) = run("dry_run: true", Say::status(200), GUARD).await;
        assert!(outcome.unwrap().dry_run && server.asked().is_empty());
        let busy = GuardInput { recent: 1, ..GUARD };
        for (settings, guard) in [
            ("at_most: {count: 1, per: 1h}", busy),
            ("never: [7]", GUARD),
            ("never: ['alice']", GUARD),
            ("never: [1], user: target_id", GUARD),
        ] {
            let (outcome, server) = run(settings, Say::status(200), guard).await;
            let outcome = outcome.unwrap();
            assert!(outcome.needs_human && !outcome.changed && server.asked().is_empty(), "{settings}");
        }
    }

    #[tokio::test]
    async fn a_value_that_is_missing_stops_the_call() {
        let server = StandIn::start(vec![]).await;
        let yaml = format!("{{type: http, url: '{}/{{{{ alert.key.nobody }}}}'}}", server.url());
        match action(&yaml).run(&notification(), &GUARD).await {
            Err(DeliveryError::Permanent { reason, .. }) => {
                assert!(reason.starts_with("url: template line 1"), "{reason}")
            }
            other => panic!("{other:?}"),
        }
        assert!(server.asked().is_empty());
    }

    #[test]
    fn mistakes_are_found_when_it_is_built() {
        for (yaml, part) in [
            ("{type: http, url: '{{ alert.url }}'}", "expected http"),
            ("{type: http, url: 'https://x', method: 'a b'}", "no HTTP method"),
            ("{type: http, url: 'https://x', body: '{{'}", "body: template"),
            ("{type: http, url: 'https://x', headers: {X: '{{'}}", "headers.X: template"),
        ] {
            let error = try_action(yaml).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
