//! `type: http`: a batch is one POST of NDJSON; it has arrived when the answer is 2xx.
//!
//! `Watchfire-Positions: FIRST-LAST` names what a request holds, so that a receiver can drop what it had already:
//! a batch whose answer was lost is sent again. A request with a checkpoint has `Watchfire-Checkpoint: TIME` instead.

use reqwest::header::HeaderMap;

use crate::deliver::{
    self, BuildContext, ConfigError, DeliveryError, HttpOptions, Method, Request, Secret, TextOrSecret, Url,
    header, header_secrets, parse_url, set_content_type,
};
use crate::time::Timestamp;

use super::batch::Batch;
use super::config::HttpForward;

const POSITIONS: &str = "watchfire-positions";
const CHECKPOINT: &str = "watchfire-checkpoint";

/// A receiver of batches.
pub(super) struct HttpOutput {
    http: deliver::Http,
    url: Url,
    headers: HeaderMap,
}

impl HttpOutput {
    pub(super) fn build(config: &HttpForward, context: &BuildContext<'_>) -> Result<Self, ConfigError> {
        let url = config.url.resolve(context)?;
        let mut secrets = vec![url.clone()];
        let mut headers = HeaderMap::new();
        set_content_type(&mut headers, "application/x-ndjson");
        for (name, value) in &config.headers {
            let text = value.resolve(context)?;
            secrets.extend(header_secrets(name, &text, matches!(value, TextOrSecret::Secret(_))));
            let (name, sent) = header(name, text.expose())?;
            headers.insert(name, sent);
        }
        if let Some(token) = &config.token {
            let token: Secret = token.resolve(context.env, context.base)?;
            let (name, sent) = header("authorization", &format!("Bearer {}", token.expose()))?;
            headers.insert(name, sent);
            secrets.push(token);
        }
        let ca = config.ca.as_ref().map(|path| context.base.join(path));
        let options = HttpOptions { url: url.expose(), timeout: config.timeout, ca: ca.as_deref() };
        Ok(Self {
            http: deliver::Http::within(&options, secrets, context.egress)?,
            url: parse_url(url.expose())?,
            headers,
        })
    }

    /// Sends a batch that has events. The status comes along with a refusal, for 413.
    pub(super) async fn send(&self, batch: &Batch, now: Timestamp) -> Result<(), (DeliveryError, u16)> {
        let mut headers = self.headers.clone();
        let about = match batch.line {
            Some(at) => header(CHECKPOINT, &at.to_string()),
            None => header(POSITIONS, &format!("{}-{}", batch.first, batch.upto)),
        };
        if let Ok((name, value)) = about {
            headers.insert(name, value);
        }
        let body = Some(batch.bytes.clone().into());
        let request = Request { method: Method::POST, url: self.url.clone(), headers, body };
        let answer = self.http.send(request, now).await.map_err(|error| (error, 0))?;
        if answer.is_success() { Ok(()) } else { Err((answer.failure(), answer.status)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::stand_in::{SECRET, Say, StandIn};
    use crate::deliver::Egress;
    use crate::event::Catalogue;
    use crate::forward::ForwardConfig;
    use crate::forward::batch::tests::entry;
    use crate::forward::batch::{BatchLimits, fill};

    fn output(yaml: &str) -> HttpOutput {
        let ForwardConfig::Http(config) = serde_yaml::from_str(yaml).unwrap() else { panic!("{yaml}") };
        let env = |name: &str| (name == "SECRET").then(|| SECRET.to_owned());
        HttpOutput::build(
            &config,
            &BuildContext { env: &env, base: std::path::Path::new("."), egress: &Egress::default() },
        )
        .unwrap()
    }

    #[tokio::test]
    async fn a_batch_is_one_request() {
        let server = StandIn::start(vec![Say::status(200), Say::status(503), Say::status(413)]).await;
        let yaml = format!(
            "{{name: siem, type: http, url: '{}/in', token: {{env: SECRET}}, headers: {{X-Tenant: a}}}}",
            server.url()
        );
        let output = output(&yaml);
        let entries = [entry(3), entry(4)];
        let batch = fill(&entries, None, &Catalogue::built_in(), BatchLimits { events: 9, bytes: 9999 });
        output.send(&batch, Timestamp(0)).await.unwrap();
        let asked = server.asked().remove(0);
        assert_eq!(asked.headers["content-type"], "application/x-ndjson");
        assert_eq!(asked.headers["authorization"].to_str().unwrap(), format!("Bearer {SECRET}"));
        assert_eq!(asked.headers["watchfire-positions"], "3-4");
        assert_eq!(asked.headers["x-tenant"], "a");
        assert_eq!(asked.body, batch.bytes);
        let (error, status) = output.send(&batch, Timestamp(0)).await.unwrap_err();
        assert!(matches!(error, DeliveryError::Retryable { .. }) && status == 503);
        assert_eq!(output.send(&batch, Timestamp(0)).await.unwrap_err().1, 413);
    }
}
