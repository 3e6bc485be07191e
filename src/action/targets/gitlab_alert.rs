//! `type: gitlab_alert`: a project's alert endpoint. An alert begins, and ends, under its id as the fingerprint.
//!
//! Limits and answers: docs.gitlab.com/operations/incident_management/integrations (200 with the alerts it made; 200 or 201
//! without any for one that is known; a payload of 1 MB). `end_time` ends an alert.

use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::super::config::Problem;
use super::super::notifier::{
    Described, Habits, Step, Target, is_one_of, once, post, secret_header, settings,
};
use crate::alert::Level;
use crate::deliver::{Answer, BuildContext, DeliveryError, SecretRef, TextOrSecret, Url};
use crate::encode::{Card, Dialect, Room, Status};
use crate::time::Timestamp;

const TITLE_CHARS_MAX: usize = 200;
const ROOM: Room = Room { rows: 10, chars: 1_000 };

settings! {
    /// The settings of a GitLab alert action.
    GitlabAlertConfig secrets(key) {
        /// The endpoint of the integration.
        url: TextOrSecret,
        /// Its authorization key.
        key: SecretRef,
    }
}

impl GitlabAlertConfig {
    fn target(&self, url: Url, context: &BuildContext<'_>) -> Result<Described, Problem> {
        let key = self.key.resolve(context.env, context.base)?;
        let headers = secret_header("authorization", &format!("Bearer {}", key.expose()))?;
        Ok(Described { target: Box::new(GitlabAlert { url, headers }), secrets: vec![key] })
    }
}

struct GitlabAlert {
    url: Url,
    headers: HeaderMap,
}

impl Target for GitlabAlert {
    fn habits(&self) -> Habits {
        Habits { parallel: 1, ..Habits::ALERTS }
    }

    fn step(&self, card: &Card, answers: &[Answer], now: Timestamp) -> Result<Step, DeliveryError> {
        let request = || Ok(post(self.url.clone(), self.headers.clone(), &payload(card, now)));
        once(answers, request, |answer| is_one_of(answer, &[200, 201]))
    }
}

fn payload(card: &Card, now: Timestamp) -> Value {
    let severity = match card.level {
        Level::Critical => "critical",
        Level::High => "high",
        Level::Medium => "medium",
        Level::Low => "low",
        Level::Informational => "info",
    };
    let mut payload = json!({
        "title": card.headline(TITLE_CHARS_MAX),
        "description": card.markdown(Dialect::Forge, ROOM),
        "start_time": card.at.to_string(),
        "monitoring_tool": "Watchfire",
        "service": card.rule,
        "severity": severity,
        "fingerprint": card.id,
        "idempotency_key": card.idempotency_key,
    });
    if let (Status::Resolved, Some(fields)) = (card.status, payload.as_object_mut()) {
        fields.insert("end_time".to_owned(), now.to_string().into());
    }
    payload
}
