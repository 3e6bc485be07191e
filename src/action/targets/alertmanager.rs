//! `type: alertmanager`: Prometheus Alertmanager's API, version 2. An alert fires until it is resolved, or for `lasts`.
//!
//! Alertmanager knows an alert by its labels, which are the same whatever is told of it: `alertname` (the rule), `alert` (the
//! id), `severity` and `key_…` of the alert's key; all else are annotations. Names of labels are those that
//! prometheus.io/docs/concepts/data_model allows. Answers: 200; 400 says what is wrong
//! (github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml).

use reqwest::header::HeaderMap;
use serde_json::{Map, Value, json};

use super::super::config::Problem;
use super::super::notifier::{Described, Habits, Step, Target, below, is_one_of, once, post, settings};
use crate::deliver::{Answer, BuildContext, DeliveryError, SecretRef, TextOrSecret, Url, header, span};
use crate::encode::{Card, Room, Status, clean};
use crate::time::{Span, Timestamp};

const VALUE_CHARS_MAX: usize = 200;
const ROOM: Room = Room { rows: 20, chars: 8_000 };

settings! {
    /// The settings of an Alertmanager action.
    AlertmanagerConfig secrets(token) {
        /// Alertmanager's address, with its prefix if it has one.
        url: TextOrSecret,
        /// What follows `Bearer`, where something in front of Alertmanager asks for it.
        #[serde(default)]
        token: Option<SecretRef>,
        /// So long it fires when nobody resolves it.
        #[serde(default = "day", deserialize_with = "span")]
        lasts: Span,
    }
}

const fn day() -> Span {
    Span::hours(24)
}

impl AlertmanagerConfig {
    fn target(&self, url: Url, context: &BuildContext<'_>) -> Result<Described, Problem> {
        let url =
            below(&url, &["api", "v2", "alerts"]).map_err(|error| Problem::Setting(error.to_string()))?;
        let token = self.token.as_ref().map(|token| token.resolve(context.env, context.base)).transpose()?;
        let mut headers = HeaderMap::new();
        if let Some(token) = &token {
            headers.extend([header("authorization", &format!("Bearer {}", token.expose()))?]);
        }
        let target = Alertmanager { url, headers, lasts: self.lasts };
        Ok(Described { target: Box::new(target), secrets: token.into_iter().collect() })
    }
}

struct Alertmanager {
    url: Url,
    headers: HeaderMap,
    lasts: Span,
}

impl Target for Alertmanager {
    fn habits(&self) -> Habits {
        Habits::ALERTS
    }

    fn step(&self, card: &Card, answers: &[Answer], now: Timestamp) -> Result<Step, DeliveryError> {
        let request = || Ok(post(self.url.clone(), self.headers.clone(), &self.alert(card, now)));
        once(answers, request, |answer| is_one_of(answer, &[200]))
    }
}

impl Alertmanager {
    fn alert(&self, card: &Card, now: Timestamp) -> Value {
        let mut labels = Map::new();
        let mut label = |name: String, value: &str| {
            let value = clean(value, VALUE_CHARS_MAX);
            // An empty label is no label.
            if !value.is_empty() {
                labels.insert(name, value.into());
            }
        };
        label("alertname".to_owned(), card.rule.as_deref().unwrap_or(&card.kind));
        label("alert".to_owned(), &card.id);
        label("severity".to_owned(), card.level.name());
        label("service".to_owned(), "watchfire");
        for (name, value) in &card.key {
            label(format!("key_{}", named(name)), value);
        }
        let ends_at = if card.status == Status::Resolved { now } else { now.plus(self.lasts) };
        let mut annotations = json!({
            "summary": card.headline(VALUE_CHARS_MAX),
            "description": card.text(ROOM),
            "idempotency_key": card.idempotency_key,
        });
        if let (Some(link), Some(annotations)) = (card.links.first(), annotations.as_object_mut()) {
            annotations.insert("runbook_url".to_owned(), link.url.as_str().into());
        }
        json!([{
            "labels": labels,
            "annotations": annotations,
            "startsAt": card.at.min(now).to_string(),
            "endsAt": ends_at.to_string(),
        }])
    }
}

/// A field's name as a label's.
fn named(field: &str) -> String {
    field.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}
