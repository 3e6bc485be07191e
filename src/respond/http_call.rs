//! One call by template, built and ready.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName};
use serde::Deserialize;
use serde_json::Value;

use crate::deliver::{
    self, Answer, BuildContext, DeliveryError, Method, Request, TextOrSecret, header, header_secrets,
    one_line, origin, parse_url,
};
use crate::encode::{Escape, Template};
use crate::time::{Span, Timestamp};

use super::client::Reach;
use super::{Problem, Receipt};

/// A call as written in the configuration. Texts are templates.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestConfig {
    /// Where to; inserted values are percent-encoded.
    pub url: TextOrSecret,
    /// The method; absent: POST, or GET to look.
    #[serde(default)]
    pub method: Option<String>,
    /// Sent along; a header that is kept as a secret is no template.
    #[serde(default)]
    pub headers: BTreeMap<String, TextOrSecret>,
    /// Absent: no body.
    #[serde(default)]
    pub body: Option<String>,
    /// Of the body; decides how inserted values are escaped.
    #[serde(default = "json")]
    pub content_type: String,
    /// The statuses that mean success; empty: every 2xx.
    #[serde(default)]
    pub expect: Vec<u16>,
}

pub(super) fn json() -> String {
    "application/json".to_owned()
}

pub(super) fn post() -> String {
    "POST".to_owned()
}

/// A call that can be made.
pub(super) struct HttpCall {
    http: deliver::Http,
    method: Method,
    url: Template,
    /// Method and origin, for people: a path may hold a token.
    place: String,
    /// Of the method and the address as configured, 16 characters of BLAKE3. Of an address that is a secret, which is
    /// renewed now and then, the origin alone.
    aim: String,
    /// Secrets, sent as they are.
    fixed: HeaderMap,
    headers: Vec<(HeaderName, Template)>,
    body: Option<Template>,
    expect: Vec<u16>,
}

impl fmt::Display for HttpCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)
    }
}

impl HttpCall {
    /// Another text where it goes elsewhere.
    pub(super) fn aim(&self) -> &str {
        &self.aim
    }

    /// `key` stands before the names of keys in errors: `undo.`.
    pub(super) fn build(
        (key, config, default_method): (&str, &RequestConfig, &str),
        (timeout, ca): (Span, Option<&Path>),
        context: &BuildContext<'_>,
    ) -> Result<Self, Problem> {
        let method = config.method.as_deref().unwrap_or(default_method).to_ascii_uppercase();
        let method = Method::from_bytes(method.as_bytes())
            .map_err(|_| Problem::setting(format!("{key}method: `{method}` is no HTTP method")))?;
        let url = config.url.resolve(context)?;
        // The host must not come from an event.
        let fixed_part = url.expose().split("{{").next().unwrap_or_default();
        let host = parse_url(fixed_part).map_err(|_| {
            Problem::setting(format!(
                "{key}url: expected http://HOST/… or https://HOST/…, and no template in or before the host"
            ))
        })?;
        let has_path = fixed_part.splitn(4, '/').count() == 4 || fixed_part == url.expose();
        if !has_path {
            let reason = format!("{key}url: the host must not be a template: events could choose it");
            return Err(Problem::setting(reason));
        }
        let template = |name: &str, source: &str, escape| {
            Template::new(source, escape)
                .map_err(|error| Problem::Template { key: format!("{key}{name}"), error })
        };
        let mut secrets = Vec::new();
        let (mut fixed, mut headers) = (HeaderMap::new(), Vec::new());
        for (name, value) in &config.headers {
            let text = value.resolve(context)?;
            let is_secret = matches!(value, TextOrSecret::Secret(_));
            if is_secret {
                fixed.extend([header(name, text.expose())?]);
            } else {
                let (key, _) = header(name, "")?;
                headers.push((key, template(&format!("headers.{name}"), text.expose(), Escape::Plain)?));
            }
            secrets.extend(header_secrets(name, &text, is_secret));
        }
        if config.body.is_some() && !fixed.contains_key(CONTENT_TYPE) {
            fixed.extend([header(CONTENT_TYPE.as_str(), &config.content_type)?]);
        }
        let escape = Escape::of(&config.content_type);
        let body = config.body.as_ref().map(|body| template("body", body, escape)).transpose()?;
        let place = format!("{method} {}", origin(&host));
        let address = match &config.url {
            TextOrSecret::Secret(_) => place.clone(),
            TextOrSecret::Text(text) => format!("{method} {text}"),
        };
        Ok(Self {
            http: Reach { url: url.expose(), timeout, ca }.http(secrets, context)?,
            url: template("url", url.expose(), Escape::Url)?,
            aim: blake3::hash(address.as_bytes()).to_hex().chars().take(16).collect(),
            place,
            method,
            fixed,
            headers,
            body,
            expect: config.expect.clone(),
        })
    }

    /// The request for what the templates know.
    pub(super) fn request(&self, context: &Value) -> Result<Request, DeliveryError> {
        let url = parse_url(&filled("url", &self.url, context)?)
            .map_err(|error| DeliveryError::permanent(error.to_string()))?;
        let mut headers = self.fixed.clone();
        for (name, template) in &self.headers {
            let text = filled(&format!("headers.{name}"), template, context)?;
            let (name, value) =
                header(name.as_str(), &text).map_err(|error| DeliveryError::permanent(error.to_string()))?;
            headers.insert(name, value);
        }
        let body = self.body.as_ref().map(|body| filled("body", body, context)).transpose()?;
        Ok(Request { method: self.method.clone(), url, headers, body: body.map(Into::into) })
    }

    pub(super) async fn send(&self, context: &Value, now: Timestamp) -> Result<Answer, DeliveryError> {
        self.http.send(self.request(context)?, now).await
    }

    /// Sends what changes something.
    pub(super) async fn change(&self, context: &Value, now: Timestamp) -> Result<Receipt, DeliveryError> {
        let answer = self.send(context, now).await?;
        if !self.is_expected(&answer) {
            return Err(self.failure(&answer));
        }
        let quote = one_line(answer.quote(), 200);
        Ok(Receipt {
            request: self.place.clone(),
            answer: format!("{} {quote}", answer.status).trim_end().to_owned(),
        })
    }

    pub(super) fn is_expected(&self, answer: &Answer) -> bool {
        if self.expect.is_empty() { answer.is_success() } else { self.expect.contains(&answer.status) }
    }

    pub(super) fn failure(&self, answer: &Answer) -> DeliveryError {
        match answer.failure() {
            // Whoever refuses and says when to come again does not refuse for good.
            DeliveryError::Permanent { reason, answered }
                if answer.status == 403 && answer.after.is_some() =>
            {
                DeliveryError::Retryable { reason, after: answer.after, answered }
            }
            permanent @ DeliveryError::Permanent { .. } if !self.expect.is_empty() => permanent
                .reworded(|reason| format!("{reason} (expected {:?}); a person must decide", self.expect)),
            permanent @ DeliveryError::Permanent { .. } => {
                permanent.reworded(|reason| format!("{reason}; a person must decide"))
            }
            retryable @ DeliveryError::Retryable { .. } => retryable,
        }
    }
}

fn filled(key: &str, template: &Template, context: &Value) -> Result<String, DeliveryError> {
    template.render(context).map_err(|error| DeliveryError::permanent(format!("{key}: {error}")))
}
