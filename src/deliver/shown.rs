//! Requests as people may see them.

use super::http::{Http, PATH_SECRET_CHARS_MIN, Request, origin};
use super::secret::{Secret, redact};

impl Http {
    /// The request as a person may see it: without secrets, whether they are configured or stand in the URL.
    #[must_use]
    pub fn shown(&self, request: &Request) -> String {
        let secrets = self.secrets_of(&request.url);
        let path = redact(request.url.path(), &self.secrets);
        let path = if path.len() < PATH_SECRET_CHARS_MIN { path } else { "/…".to_owned() };
        let mut text = format!("{} {}{path}\n", request.method, origin(&request.url));
        for (name, value) in &request.headers {
            let value = value.to_str().unwrap_or("…");
            let is_telling = !header_secrets(name.as_str(), &Secret::new(value), false).is_empty()
                && name != "idempotency-key";
            let value = if is_telling { "…".to_owned() } else { redact(value, &secrets) };
            text.push_str(&format!("{name}: {value}\n"));
        }
        if let Some(body) = &request.body {
            let body = match serde_json::from_slice::<serde_json::Value>(body) {
                Ok(json) => format!("{json:#}"),
                Err(_) => String::from_utf8_lossy(body).into_owned(),
            };
            text.push_str(&format!("\n{}\n", redact(&body, &secrets)));
        }
        text
    }
}

/// What of a header's value must not be shown: all of it and, after `Bearer` and the like, its last word. A value
/// written out in the configuration counts only where the header's name suggests a secret.
#[must_use]
pub fn header_secrets(name: &str, value: &Secret, is_reference: bool) -> Vec<Secret> {
    let name = name.to_ascii_lowercase();
    let is_telling = ["auth", "token", "key", "secret", "cookie"].iter().any(|part| name.contains(part));
    if !is_reference && !is_telling {
        return Vec::new();
    }
    let last = value.expose().rsplit(' ').next().unwrap_or_default();
    vec![value.clone(), Secret::new(last)]
}
