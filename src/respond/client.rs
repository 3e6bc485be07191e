//! One forge's API: its address, its token, and what its answers mean.
//!
//! An answer counts as success only where its documentation says so by number. Everything else is an error that names the
//! call, quotes the answer and says what to do; it may pass (and is tried again) only for 408, 425, 429, 5xx, and where a
//! forge says that it asks for patience.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::deliver::{
    self, Answer, BuildContext, DeliveryError, HttpOptions, Method, Request, Secret, Url, one_line, parse_url,
};
use crate::time::{Span, Timestamp};

use super::{Problem, Receipt};

/// How much of an answer a receipt quotes.
const RECEIPT_CHARS_MAX: usize = 200;
/// GitHub asks for at least a minute after a secondary limit that tells no time (docs.github.com, "Best practices for
/// using the REST API").
const PATIENCE: Span = Span::seconds(60);

/// How to reach a system.
pub(super) struct Reach<'a> {
    pub(super) url: &'a str,
    pub(super) timeout: Span,
    pub(super) ca: Option<&'a Path>,
}

impl Reach<'_> {
    /// The client, whose errors do not show `secrets`.
    pub(super) fn http(
        &self,
        secrets: Vec<Secret>,
        context: &BuildContext<'_>,
    ) -> Result<deliver::Http, Problem> {
        let ca = self.ca.map(|path| context.base.join(path));
        let options = HttpOptions { url: self.url, timeout: self.timeout, ca: ca.as_deref() };
        Ok(deliver::Http::within(&options, secrets, context.egress)?)
    }
}

/// The API of one system.
pub(super) struct Client {
    http: deliver::Http,
    /// `GitLab` or `GitHub`, for people.
    product: &'static str,
    /// What people open; without a slash at the end.
    site: String,
    /// Where the API's paths begin; without a slash at the end.
    api: String,
    headers: HeaderMap,
    /// What the token must be, for people.
    needs: &'static str,
    /// How often the token was refused.
    refusals: AtomicU64,
}

/// One call: method, path below the API's beginning, and what it is for.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) method: &'a Method,
    pub(super) path: &'a str,
    /// `block user 7 (alice)`.
    pub(super) what: &'a str,
}

impl<'a> Call<'a> {
    pub(super) const fn get(path: &'a str, what: &'a str) -> Self {
        Self { method: &Method::GET, path, what }
    }

    pub(super) const fn new(method: &'a Method, path: &'a str, what: &'a str) -> Self {
        Self { method, path, what }
    }
}

/// What a client is made of.
pub(super) struct Parts<'a> {
    pub(super) product: &'static str,
    pub(super) reach: Reach<'a>,
    /// Between address and paths: `/api/v4`.
    pub(super) root: &'static str,
    pub(super) headers: HeaderMap,
    pub(super) token: Secret,
    pub(super) needs: &'static str,
}

impl Client {
    pub(super) fn new(parts: Parts<'_>, context: &BuildContext<'_>) -> Result<Self, Problem> {
        let url = parse_url(parts.reach.url)?;
        let has_more = url.query().is_some() || url.fragment().is_some();
        if has_more || !url.username().is_empty() || url.password().is_some() {
            let product = parts.product;
            return Err(Problem::setting(format!(
                "url: expected only {product}'s address, such as https://{}.example.com",
                product.to_lowercase()
            )));
        }
        let site = url.as_str().trim_end_matches('/').to_owned();
        Ok(Self {
            http: parts.reach.http(vec![parts.token], context)?,
            product: parts.product,
            api: format!("{site}{}", parts.root),
            site,
            headers: parts.headers,
            needs: parts.needs,
            refusals: AtomicU64::new(0),
        })
    }

    /// What people open.
    pub(super) fn site(&self) -> &str {
        &self.site
    }

    /// `GitLab` or `GitHub`.
    pub(super) const fn product(&self) -> &'static str {
        self.product
    }

    /// How often the token was refused: it may have been made anew, or be another account's.
    pub(super) fn refusals(&self) -> u64 {
        self.refusals.load(Ordering::Relaxed)
    }

    /// Asks; any status is an answer.
    pub(super) async fn ask(
        &self,
        call: Call<'_>,
        body: Option<Value>,
        now: Timestamp,
    ) -> Result<Answer, DeliveryError> {
        let url = Url::parse(&format!("{}/{}", self.api, call.path))
            .map_err(|error| DeliveryError::permanent(format!("{}'s URL: {error}", self.product)))?;
        let mut headers = self.headers.clone();
        if body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let body = body.map(|body| body.to_string().into());
        let request = Request { method: call.method.clone(), url, headers, body };
        let answer = self.http.send(request, now).await.map_err(|error| prefixed(call.what, error))?;
        if answer.status == 401 {
            self.refusals.fetch_add(1, Ordering::Relaxed);
        }
        Ok(answer)
    }

    /// Reads something; none: 404, which is also what a forge says of what the token may not see.
    pub(super) async fn find<T: DeserializeOwned>(
        &self,
        call: Call<'_>,
        now: Timestamp,
    ) -> Result<Option<T>, DeliveryError> {
        let answer = self.ask(call, None, now).await?;
        match answer.status {
            200 => self.parsed(call, &answer).map(Some),
            // A forge says so in JSON; what is between us and it, in HTML.
            404 if answer.json().is_ok_and(|body| body.is_object()) => Ok(None),
            _ => Err(self.failure(call, &answer, "200 or 404")),
        }
    }

    /// Changes something: `success` is the one status that its documentation calls that.
    pub(super) async fn change(
        &self,
        call: Call<'_>,
        (body, success): (Option<Value>, u16),
        now: Timestamp,
    ) -> Result<(Receipt, Answer), DeliveryError> {
        let answer = self.ask(call, body, now).await?;
        if answer.status != success {
            return Err(self.failure(call, &answer, &success.to_string()));
        }
        Ok((self.receipt(call, &answer), answer))
    }

    /// For the ledger.
    fn receipt(&self, call: Call<'_>, answer: &Answer) -> Receipt {
        let request = format!("{} {}/{}", call.method, self.api, call.path);
        let quote = one_line(answer.quote(), RECEIPT_CHARS_MAX);
        Receipt { request, answer: format!("{} {quote}", answer.status).trim_end().to_owned() }
    }

    /// For the ledger, where there was nothing to do.
    pub(super) fn nothing(&self, state: &str) -> Receipt {
        Receipt { request: "none".to_owned(), answer: format!("nothing to do: it is {state}") }
    }

    /// What it says, or that something between us and it says something else.
    pub(super) fn parsed<T: DeserializeOwned>(
        &self,
        call: Call<'_>,
        answer: &Answer,
    ) -> Result<T, DeliveryError> {
        let value = answer.json().map_err(|error| prefixed(call.what, error))?;
        serde_json::from_value(value).map_err(|error| {
            let (product, what, status) = (self.product, call.what, answer.status);
            let reason = format!(
                "{what}: {product} answered {status} without the fields that its documentation names ({error}): is \
                 something between Watchfire and {product} answering?"
            );
            DeliveryError::Retryable { reason, after: None, answered: Some(status) }
        })
    }

    /// Why an answer is no success, and what to do.
    pub(super) fn failure(&self, call: Call<'_>, answer: &Answer, expected: &str) -> DeliveryError {
        let (product, needs) = (self.product, self.needs);
        let failure = prefixed(call.what, answer.failure());
        let wants_patience = answer.status == 403
            && (answer.after.is_some() || answer.quote().to_ascii_lowercase().contains("rate limit"));
        if wants_patience {
            let reason = format!("{}; a rate limit: it is tried again later", failure.reason());
            let (after, answered) = (answer.after.or(Some(PATIENCE)), Some(answer.status));
            return DeliveryError::Retryable { reason, after, answered };
        }
        let advice = match answer.status {
            200..=299 => format!("{product}'s documentation says {expected}: a person must look what it did"),
            400 | 422 => format!("{product} does not accept it as it is: a person must decide"),
            401 => {
                format!("the token is unknown, expired or revoked, or may not see this: it must be {needs}")
            }
            403 => format!(
                "{product} refuses, for the reason it gives: a person must decide. If it is about rights, the token must \
                 be {needs}"
            ),
            404 => format!("it is not there, or the token may not see it: the token must be {needs}"),
            405 | 410 => format!("this {product} does not have this call: a person must do it"),
            409 | 412 => "it was changed by somebody else in between: a person must look".to_owned(),
            _ => return failure,
        };
        match failure {
            permanent @ DeliveryError::Permanent { .. } => {
                permanent.reworded(|reason| format!("{reason}; {advice}"))
            }
            other => other,
        }
    }
}

fn prefixed(what: &str, error: DeliveryError) -> DeliveryError {
    error.reworded(|reason| format!("{what}: {reason}"))
}

/// An answer about something else than was asked for.
pub(super) fn another(product: &str, asked: &str, got: &str) -> DeliveryError {
    DeliveryError::permanent(format!(
        "{product} was asked for {asked} and answered with {got}: nothing is done; a person must look"
    ))
}
