//! `type: opsgenie`: the Alert API. An alert is created, acknowledged and closed under its id as the alias.
//!
//! Limits: docs.opsgenie.com/docs/alert-api (a message of 130 characters, an alias of 512, a description of 15,000, 20 tags
//! of 50, 8,000 of details). Answers: 202, before it is done; 422 says what is wrong; 429 and 5xx are to be tried again.

use reqwest::header::HeaderMap;
use serde_json::{Map, Value, json};

use super::super::config::Problem;
use super::super::notifier::{
    Described, Habits, Step, Target, below, is_one_of, once, post, secret_header, settings,
};
use crate::alert::Level;
use crate::deliver::{Answer, BuildContext, DeliveryError, SecretRef, TextOrSecret, Url};
use crate::encode::{Card, Room, Status};
use crate::time::Timestamp;

const MESSAGE_CHARS_MAX: usize = 130;
const DESCRIPTION_CHARS_MAX: usize = 14_000;
const DETAILS_MAX: usize = 20;

settings! {
    /// The settings of an Opsgenie action.
    OpsgenieConfig secrets(api_key) {
        /// The API's address; that of the EU is another.
        #[serde(default = "api")]
        url: TextOrSecret,
        /// The key of an API integration.
        api_key: SecretRef,
        /// Names of teams that are to respond.
        #[serde(default)]
        teams: Vec<String>,
    }
}

fn api() -> TextOrSecret {
    TextOrSecret::Text("https://api.opsgenie.com".to_owned())
}

impl OpsgenieConfig {
    fn target(&self, url: Url, context: &BuildContext<'_>) -> Result<Described, Problem> {
        let key = self.api_key.resolve(context.env, context.base)?;
        let headers = secret_header("authorization", &format!("GenieKey {}", key.expose()))?;
        let target = Opsgenie { url, headers, teams: self.teams.clone() };
        Ok(Described { target: Box::new(target), secrets: vec![key] })
    }
}

struct Opsgenie {
    url: Url,
    headers: HeaderMap,
    teams: Vec<String>,
}

impl Target for Opsgenie {
    fn habits(&self) -> Habits {
        Habits::PAGER
    }

    fn step(&self, card: &Card, answers: &[Answer], _: Timestamp) -> Result<Step, DeliveryError> {
        let request = || {
            let (verb, body) = match card.status {
                Status::Firing => (None, self.alert(card)),
                Status::Acknowledged => (Some("acknowledge"), note(card)),
                Status::Resolved => (Some("close"), note(card)),
            };
            let mut url = match verb {
                None => below(&self.url, &["v2", "alerts"])?,
                Some(verb) => below(&self.url, &["v2", "alerts", &card.id, verb])?,
            };
            if verb.is_some() {
                url.query_pairs_mut().append_pair("identifierType", "alias");
            }
            Ok(post(url, self.headers.clone(), &body))
        };
        once(answers, request, |answer| is_one_of(answer, &[202]))
    }
}

fn note(card: &Card) -> Value {
    json!({"source": "Watchfire", "note": card.headline(1_000)})
}

impl Opsgenie {
    fn alert(&self, card: &Card) -> Value {
        let priority = match card.level {
            Level::Critical => "P1",
            Level::High => "P2",
            Level::Medium => "P3",
            Level::Low => "P4",
            Level::Informational => "P5",
        };
        let details: Map<String, Value> = card
            .facts
            .iter()
            .take(DETAILS_MAX)
            .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
            .chain([("idempotency_key".to_owned(), Value::from(card.idempotency_key.as_str()))])
            .collect();
        let teams: Vec<Value> = self.teams.iter().map(|team| json!({"name": team, "type": "team"})).collect();
        json!({
            "message": card.headline(MESSAGE_CHARS_MAX),
            "alias": card.id,
            "description": card.text(Room { rows: 20, chars: DESCRIPTION_CHARS_MAX }),
            "priority": priority,
            "source": "Watchfire",
            "tags": ["watchfire", card.level.name()],
            "details": details,
            "responders": teams,
        })
    }
}
