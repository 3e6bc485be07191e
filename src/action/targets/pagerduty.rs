//! `type: pagerduty`: Events API v2. An alert triggers, is acknowledged and resolved under its id.
//!
//! Limits: developer.pagerduty.com/docs/events-api-v2/trigger-events (a summary of 1,024 characters, a key of 255, 512 KB in
//! all). Answers: 202; 400 says what is wrong with the event; 429 and 5xx are to be tried again.

use reqwest::header::HeaderMap;
use serde_json::{Map, Value, json};

use super::super::config::Problem;
use super::super::notifier::{Described, Habits, Step, Target, is_one_of, once, post, settings};
use crate::alert::Level;
use crate::deliver::{Answer, BuildContext, DeliveryError, Secret, SecretRef, TextOrSecret, Url};
use crate::encode::{Card, Room, Status};
use crate::time::Timestamp;

const SUMMARY_CHARS_MAX: usize = 1_000;

settings! {
    /// The settings of a PagerDuty action.
    PagerdutyConfig secrets(routing_key) {
        /// The events endpoint; the service region of the EU has another.
        #[serde(default = "events")]
        url: TextOrSecret,
        /// The integration key of an "Events API v2" integration.
        routing_key: SecretRef,
    }
}

fn events() -> TextOrSecret {
    TextOrSecret::Text("https://events.pagerduty.com/v2/enqueue".to_owned())
}

impl PagerdutyConfig {
    fn target(&self, url: Url, context: &BuildContext<'_>) -> Result<Described, Problem> {
        let key = self.routing_key.resolve(context.env, context.base)?;
        Ok(Described { target: Box::new(Pagerduty { url, key: key.clone() }), secrets: vec![key] })
    }
}

struct Pagerduty {
    url: Url,
    key: Secret,
}

impl Target for Pagerduty {
    fn habits(&self) -> Habits {
        Habits::PAGER
    }

    fn step(&self, card: &Card, answers: &[Answer], _: Timestamp) -> Result<Step, DeliveryError> {
        let request = || Ok(post(self.url.clone(), HeaderMap::new(), &self.event(card)));
        once(answers, request, |answer| is_one_of(answer, &[202]))
    }
}

impl Pagerduty {
    fn event(&self, card: &Card) -> Value {
        let action = match card.status {
            Status::Firing => "trigger",
            Status::Acknowledged => "acknowledge",
            Status::Resolved => "resolve",
        };
        let mut event =
            json!({"routing_key": self.key.expose(), "event_action": action, "dedup_key": card.id});
        if let (Status::Firing, Some(event)) = (card.status, event.as_object_mut()) {
            let links: Vec<Value> =
                card.links.iter().map(|link| json!({"href": link.url, "text": link.label})).collect();
            event.insert("client".to_owned(), "Watchfire".into());
            event.insert("links".to_owned(), links.into());
            event.insert("payload".to_owned(), payload(card));
        }
        event
    }
}

fn payload(card: &Card) -> Value {
    let severity = match card.level {
        Level::Critical => "critical",
        Level::High => "error",
        Level::Medium => "warning",
        Level::Low | Level::Informational => "info",
    };
    let mut details: Map<String, Value> =
        card.facts.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
    details.insert("text".to_owned(), card.text(Room { rows: 20, chars: 20_000 }).into());
    details.insert("idempotency_key".to_owned(), card.idempotency_key.clone().into());
    json!({
        "summary": card.headline(SUMMARY_CHARS_MAX),
        "source": "watchfire",
        "severity": severity,
        "timestamp": card.at.to_string(),
        "class": card.rule.as_deref().unwrap_or(&card.kind),
        "component": card.key.iter().map(|(name, value)| format!("{name} = {value}")).collect::<Vec<_>>().join(", "),
        "custom_details": details,
    })
}
