//! The one HTTP client: bounded in time and size, follows no redirect, keeps secrets out of its errors.

use std::fmt;
use std::path::Path;
use std::sync::Once;
use std::time::UNIX_EPOCH;

use bytes::{Bytes, BytesMut};
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, LINK, RETRY_AFTER};
use reqwest::redirect::Policy;

use crate::time::{Span, Timestamp};

use super::egress::{Egress, Gate, proxied, refusal, refused};
use super::error::{ConfigError, DeliveryError};
use super::secret::{Secret, redact};

pub use reqwest::{Method, Url};

/// How much of an answer is read.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// How much of an answer is quoted in an error.
const QUOTE_CHARS_MAX: usize = 300;
/// Shorter paths hold no secret.
pub(super) const PATH_SECRET_CHARS_MIN: usize = 12;
const CONNECT_SECONDS_MAX: u64 = 10;
/// What a whole request may take, unless configured otherwise.
pub const TIMEOUT: Span = Span::seconds(30);

/// How to reach one receiver.
#[derive(Debug, Clone, Copy)]
pub struct HttpOptions<'a> {
    /// The receiver's URL, or its beginning: decides about TLS and proxies.
    pub url: &'a str,
    /// What a whole request may take.
    pub timeout: Span,
    /// A PEM file with further root certificates.
    pub ca: Option<&'a Path>,
}

/// A client for one receiver, and the secrets that its errors must not show.
#[derive(Clone)]
pub struct Http {
    client: reqwest::Client,
    pub(super) secrets: Vec<Secret>,
    gate: Gate,
}

/// What is sent.
pub struct Request {
    /// The method.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// May hold secrets.
    pub headers: HeaderMap,
    /// The body, if any.
    pub body: Option<Bytes>,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body, up to 1 MiB of it.
    pub body: Bytes,
    /// Whether the body is there to its end.
    pub is_whole: bool,
    /// How long the receiver asks us to wait: `Retry-After`, or GitLab's `RateLimit-Reset`.
    pub after: Option<Span>,
    /// How many more requests are allowed until then (`RateLimit-Remaining`).
    pub remaining: Option<u64>,
    /// What time it was for the receiver (`Date`), in whole seconds.
    pub date: Option<Timestamp>,
    /// The URL that a `Link` header calls the next page.
    pub next: Option<String>,
    /// The receiver and the request, for errors.
    place: String,
    /// The beginning of the body on one line, without secrets.
    quote: String,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Http(…)")
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, origin(&self.url))
    }
}

impl Http {
    /// Prepares a client under the rules that hold without a configuration (see [`Egress::of_the_machine`]). `secrets` are
    /// put out of sight in every error.
    ///
    /// # Errors
    /// When the root certificates cannot be read.
    pub fn new(options: &HttpOptions<'_>, secrets: Vec<Secret>) -> Result<Self, ConfigError> {
        Self::within(options, secrets, &Egress::of_the_machine())
    }

    /// The same under the rules of a configuration.
    ///
    /// # Errors
    /// As [`Http::new`], and when the proxy's URL is none.
    pub fn within(
        options: &HttpOptions<'_>,
        secrets: Vec<Secret>,
        egress: &Egress,
    ) -> Result<Self, ConfigError> {
        install_tls_provider();
        let timeout = options.timeout.to_std();
        let gate = Gate::new(options.url, egress)?;
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("watchfire/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(timeout.min(std::time::Duration::from_secs(CONNECT_SECONDS_MAX)))
            .timeout(timeout)
            .dns_resolver(gate.clone())
            .redirect(Policy::none());
        builder = proxied(builder, options.url, egress)?;
        if let Some(path) = options.ca {
            builder = builder.tls_certs_merge(certificates(path)?);
        } else if options.url.starts_with("http://") {
            // The system's certificates are not needed, and may be missing in a small container.
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build().map_err(|error| ConfigError::Tls(causes(&error)))?;
        Ok(Self { client, secrets, gate })
    }

    /// Sends and reads the answer, whatever its status.
    ///
    /// # Errors
    /// Retryable when no answer came (name, connection, TLS, timeout).
    pub async fn send(&self, request: Request, now: Timestamp) -> Result<Answer, DeliveryError> {
        let place = format!("{} {}", request.method, origin(&request.url));
        let secrets = self.secrets_of(&request.url);
        self.gate.check(&request.url).map_err(|refused| refusal(&place, &refused))?;
        let mut builder = self.client.request(request.method, request.url).headers(request.headers);
        if let Some(body) = request.body {
            builder = builder.body(body);
        }
        let response = builder.send().await.map_err(|error| {
            if let Some(refused) = refused(&error) {
                return refusal(&place, refused);
            }
            let is_ours = error.is_builder();
            let reason = quoted(&format!("{place}: {}", chain(&error.without_url())), &secrets);
            if is_ours { DeliveryError::permanent(reason) } else { DeliveryError::retryable(reason) }
        })?;
        let status = response.status().as_u16();
        let after = asked_to_wait(response.headers(), now);
        let (remaining, next) = (remaining(response.headers()), next_page(response.headers()));
        let date = date(response.headers());
        let (body, is_whole) = read_bounded(response).await;
        let quote = quoted(&String::from_utf8_lossy(&body), &secrets);
        Ok(Answer { status, body, is_whole, after, remaining, date, next, place, quote })
    }

    /// The configured secrets and what of the URL may hold one: servers like to quote the path they do not know.
    pub(super) fn secrets_of(&self, url: &Url) -> Vec<Secret> {
        let parts = [url.password().unwrap_or_default(), url.query().unwrap_or_default(), url.path()];
        let long = parts.into_iter().filter(|part| part.len() >= PATH_SECRET_CHARS_MIN);
        self.secrets.iter().cloned().chain(long.map(Secret::new)).collect()
    }
}

impl Answer {
    /// Whether the status is 2xx.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        self.status >= 200 && self.status < 300
    }

    /// Why this answer is no success: retryable for 408, 425, 429 and 5xx, else permanent.
    #[must_use]
    pub fn failure(&self) -> DeliveryError {
        let hint = match self.status {
            300..=399 => " (redirects are not followed: configure the final URL)",
            401 | 403 => " (is the token right, and may it do this?)",
            _ => "",
        };
        let quote = if self.quote.is_empty() { String::new() } else { format!(": {}", self.quote) };
        let reason = format!("{} answered {}{hint}{quote}", self.place, self.status);
        let answered = Some(self.status);
        match self.status {
            408 | 425 | 429 | 500..=599 => DeliveryError::Retryable { reason, after: self.after, answered },
            _ => DeliveryError::Permanent { reason, answered },
        }
    }

    /// A failure in the receiver's own words although the status is one of success.
    #[must_use]
    pub fn unlike(&self, expected: &str) -> DeliveryError {
        let said = if self.quote.is_empty() { "nothing" } else { &self.quote };
        let reason = format!("{} answered {}, but not {expected}: {said}", self.place, self.status);
        DeliveryError::Permanent { reason, answered: Some(self.status) }
    }

    /// `https://chat.example.com answered 200`.
    #[must_use]
    pub fn summary(&self) -> String {
        let origin = self.place.split_once(' ').map_or(self.place.as_str(), |(_, origin)| origin);
        format!("{origin} answered {}", self.status)
    }

    /// The beginning of the body on one line, without secrets.
    #[must_use]
    pub fn quote(&self) -> &str {
        &self.quote
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// Retryable: a body that is cut off or no JSON comes from something between us and the receiver.
    pub fn json(&self) -> Result<serde_json::Value, DeliveryError> {
        let (place, status) = (&self.place, self.status);
        let retryable = |reason| DeliveryError::Retryable { reason, after: None, answered: Some(status) };
        if !self.is_whole {
            return Err(retryable(format!("{place}: the answer was cut off")));
        }
        serde_json::from_slice(&self.body)
            .map_err(|_| retryable(format!("{place} answered {status} without JSON: {}", self.quote)))
    }
}

/// Parses a URL of HTTP.
///
/// # Errors
/// When it is none; the text itself is not quoted, for it may hold a token.
pub fn parse_url(text: &str) -> Result<Url, ConfigError> {
    let url = Url::parse(text).map_err(|error| ConfigError::Url(format!("url: {error}")))?;
    match (url.scheme(), url.has_host()) {
        ("http" | "https", true) => Ok(url),
        _ => Err(ConfigError::Url("url: expected http://… or https://…".to_owned())),
    }
}

/// One header; the value is kept out of `Debug`.
///
/// # Errors
/// When name or value hold characters that HTTP forbids.
pub fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), ConfigError> {
    let error = |reason: &str| ConfigError::Header { name: name.to_owned(), reason: reason.to_owned() };
    let key = HeaderName::try_from(name).map_err(|_| error("not a header name"))?;
    let mut value =
        HeaderValue::try_from(value).map_err(|_| error("a line break or other control character"))?;
    value.set_sensitive(true);
    Ok((key, value))
}

/// A `Content-Type` that is known to be well formed.
pub fn set_content_type(headers: &mut HeaderMap, content_type: &'static str) {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
}

/// Scheme, host and port: all of a URL that is fit to be shown, since paths and queries carry tokens.
#[must_use]
pub fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// `text` on one line, without control characters, at most `chars_max` long.
#[must_use]
pub fn one_line(text: &str, chars_max: usize) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let line = words.collect::<Vec<_>>().join(" ");
    if line.chars().count() <= chars_max {
        return line;
    }
    line.chars().take(chars_max).chain(['…']).collect()
}

fn install_tls_provider() {
    static ONCE: Once = Once::new();
    // Refused when the program has chosen a provider already, which is as good.
    ONCE.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
}

fn certificates(path: &Path) -> Result<Vec<reqwest::Certificate>, ConfigError> {
    let error = |reason: String| ConfigError::Ca { path: path.display().to_string(), reason };
    let pem = std::fs::read(path).map_err(|cause| error(cause.to_string()))?;
    let found = reqwest::Certificate::from_pem_bundle(&pem).map_err(|cause| error(causes(&cause)))?;
    if found.is_empty() { Err(error("it holds no PEM certificate".to_owned())) } else { Ok(found) }
}

/// `localhost`, `127.0.0.0/8` or `::1`.
#[must_use]
pub fn is_loopback_host(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// What a receiver said, as it may be shown: on one line, without secrets, and cut only then, so that no beginning of a
/// secret is left at the end. A secret that is broken over lines there is one too.
pub fn quoted(text: &str, secrets: &[Secret]) -> String {
    let covered = redact(text, secrets);
    one_line(&redact(&one_line(&covered, usize::MAX), secrets), QUOTE_CHARS_MAX)
}

/// An error and what caused it, on one line.
pub fn causes(error: &dyn std::error::Error) -> String {
    one_line(&chain(error), QUOTE_CHARS_MAX)
}

/// The same, however long.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let part = cause.to_string();
        if !text.contains(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        source = cause.source();
    }
    text
}

/// `Retry-After` in seconds or as a date (RFC 9110, 10.2.3), else GitLab's `RateLimit-Reset` (epoch seconds).
fn asked_to_wait(headers: &HeaderMap, now: Timestamp) -> Option<Span> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let until = |at: i64| Timestamp(at).since(now).max(Span(0));
    if let Some(value) = text(RETRY_AFTER.as_str()) {
        if let Ok(seconds) = value.parse::<u32>() {
            return Some(Span::seconds(seconds.into()));
        }
        return moment(value).map(|at| until(at.0));
    }
    // Given with every answer, by GitHub under its own name; a wish for patience only when nothing remains.
    let left = ["ratelimit-remaining", "x-ratelimit-remaining"].into_iter().find_map(text);
    let reset = text("ratelimit-reset").or_else(|| text("x-ratelimit-reset"))?.parse::<i64>().ok()?;
    if left.is_some_and(|left| left != "0") {
        return None;
    }
    Some(until(reset.saturating_mul(1000)))
}

fn date(headers: &HeaderMap) -> Option<Timestamp> {
    moment(headers.get(DATE)?.to_str().ok()?)
}

/// An HTTP date.
fn moment(value: &str) -> Option<Timestamp> {
    let since = httpdate::parse_http_date(value.trim()).ok()?.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok().map(Timestamp)
}

fn remaining(headers: &HeaderMap) -> Option<u64> {
    headers.get("ratelimit-remaining")?.to_str().ok()?.trim().parse().ok()
}

/// The target of the first link whose relation is `next` (RFC 8288).
fn next_page(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    values.filter_map(next_link).next().map(str::to_owned)
}

fn next_link(value: &str) -> Option<&str> {
    let mut rest = value;
    loop {
        // A target may hold commas, so links are told apart by their brackets.
        let (target, tail) = rest.split_once('<')?.1.split_once('>')?;
        let parameters = tail.split_once('<').map_or(tail, |(parameters, _)| parameters);
        let is_next = parameters.split([';', ',']).any(|parameter| {
            matches!(parameter.trim().to_ascii_lowercase().as_str(), "rel=next" | "rel=\"next\"")
        });
        if is_next {
            return Some(target);
        }
        rest = tail;
    }
}

async fn read_bounded(mut response: reqwest::Response) -> (Bytes, bool) {
    let mut body = BytesMut::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                let room = ANSWER_BYTES_MAX - body.len();
                body.extend_from_slice(chunk.get(..room.min(chunk.len())).unwrap_or_default());
                if chunk.len() > room {
                    return (body.freeze(), false);
                }
            }
            Ok(None) => return (body.freeze(), true),
            Err(_) => return (body.freeze(), false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::try_from(value).unwrap())])
    }

    #[test]
    fn receivers_may_ask_for_patience_in_three_ways() {
        let now = Timestamp::parse("2026-01-31T09:00:00Z").unwrap();
        for (name, value, seconds) in [
            ("retry-after", "120", Some(120)),
            ("retry-after", "Sat, 31 Jan 2026 09:05:00 GMT", Some(300)),
            ("retry-after", "Sat, 31 Jan 2026 08:00:00 GMT", Some(0)),
            ("ratelimit-reset", "1769850060", Some(60)),
            ("retry-after", "soon", None),
            ("retry-after", "-5", None),
            ("x-other", "5", None),
        ] {
            assert_eq!(
                asked_to_wait(&headers(name, value), now),
                seconds.map(Span::seconds),
                "{name}: {value}"
            );
        }
    }

    #[test]
    fn a_limit_that_is_not_reached_is_no_wish_for_patience() {
        let now = Timestamp::parse("2026-01-31T09:00:00Z").unwrap();
        for prefix in ["ratelimit", "x-ratelimit"] {
            for (left, seconds) in [("0", Some(60)), ("12", None)] {
                let name = |part: &str| HeaderName::try_from(format!("{prefix}-{part}")).unwrap();
                let value = |text: &str| HeaderValue::try_from(text).unwrap();
                let given = HeaderMap::from_iter([
                    (name("remaining"), value(left)),
                    (name("reset"), value("1769850060")),
                ]);
                assert_eq!(asked_to_wait(&given, now), seconds.map(Span::seconds), "{prefix} {left}");
            }
        }
    }

    #[test]
    fn only_the_origin_of_a_url_is_shown() {
        let url = parse_url("https://user:pw@hooks.example.com:8443/T000/secret?token=x").unwrap();
        assert_eq!(origin(&url), "https://hooks.example.com:8443");
        for text in ["ftp://x/", "nonsense", "file:///etc/passwd", "data:x"] {
            assert!(parse_url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_secret_at_the_end_of_a_quote_is_covered_before_it_is_cut() {
        let secrets = [Secret::new("glpat-0123456789abcdef")];
        for padding in [QUOTE_CHARS_MAX - 23, QUOTE_CHARS_MAX - 10, QUOTE_CHARS_MAX - 1] {
            let said = format!("{} glpat-0123456789abcdef and more", "x".repeat(padding));
            let shown = quoted(&said, &secrets);
            assert!(!shown.contains('g') && shown.chars().count() <= QUOTE_CHARS_MAX + 1, "{shown}");
        }
    }

    #[test]
    fn quotes_are_one_bounded_line() {
        assert_eq!(one_line("a\r\n b\u{1b}[31m  c", 100), "a b [31m c");
        assert_eq!(one_line("äöü", 2), "äö…");
    }

    #[test]
    fn loopback_is_this_machine_only() {
        for host in ["localhost", "127.0.0.1", "127.8.8.8", "::1", "[::1]"] {
            assert!(is_loopback_host(host), "{host}");
        }
        for host in ["localhost.example.com", "10.0.0.1", "0.0.0.0", "mail", ""] {
            assert!(!is_loopback_host(host), "{host}");
        }
    }
}
