//! `type: ntfy`: a push message over ntfy, as plain text.
//!
//! Limits: docs.ntfy.sh/publish and docs.ntfy.sh/config (a message of 4,096 bytes; a longer one becomes a file). Answers: 200
//! with the message's id; 429 when too many came.

use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::super::config::Problem;
use super::super::notifier::{Described, Step, Target, once, post, settings};
use crate::alert::Level;
use crate::deliver::{Answer, BuildContext, DeliveryError, SecretRef, TextOrSecret, Url, header};
use crate::encode::{Card, Room, Status, clean};
use crate::time::Timestamp;

const MESSAGE_BYTES_MAX: usize = 3_800;
const TITLE_CHARS_MAX: usize = 120;

settings! {
    /// The settings of an ntfy action.
    NtfyConfig secrets(topic, token) {
        /// The server's address.
        #[serde(default = "server")]
        url: TextOrSecret,
        /// The topic; on a server that everybody may use it is as good as a password.
        topic: TextOrSecret,
        /// An access token.
        #[serde(default)]
        token: Option<SecretRef>,
    }
}

fn server() -> TextOrSecret {
    TextOrSecret::Text("https://ntfy.sh".to_owned())
}

impl NtfyConfig {
    fn target(&self, url: Url, context: &BuildContext<'_>) -> Result<Described, Problem> {
        let topic = self.topic.resolve(context)?;
        let mut headers = HeaderMap::new();
        let mut secrets = Vec::new();
        if let Some(token) = &self.token {
            let token = token.resolve(context.env, context.base)?;
            headers.extend([header("authorization", &format!("Bearer {}", token.expose()))?]);
            secrets.push(token);
        }
        if matches!(self.topic, TextOrSecret::Secret(_)) {
            secrets.push(topic.clone());
        }
        let target = Ntfy { url, headers, topic: topic.expose().to_owned() };
        Ok(Described { target: Box::new(target), secrets })
    }
}

struct Ntfy {
    url: Url,
    headers: HeaderMap,
    topic: String,
}

impl Target for Ntfy {
    fn step(&self, card: &Card, answers: &[Answer], _: Timestamp) -> Result<Step, DeliveryError> {
        once(answers, || Ok(post(self.url.clone(), self.headers.clone(), &self.message(card))), judge)
    }
}

fn judge(answer: &Answer) -> Result<String, DeliveryError> {
    if !answer.is_success() {
        return Err(answer.failure());
    }
    match answer.json()?.get("id") {
        Some(_) => Ok(answer.summary()),
        None => Err(answer.unlike("with the message's id")),
    }
}

impl Ntfy {
    fn message(&self, card: &Card) -> Value {
        let (priority, tag) = match (card.status, card.level) {
            (Status::Resolved, _) => (2, "white_check_mark"),
            (_, Level::Critical) => (5, "rotating_light"),
            (_, Level::High) => (4, "warning"),
            (_, Level::Medium) => (3, "warning"),
            (_, Level::Low | Level::Informational) => (2, "information_source"),
        };
        let actions = card.links.iter().take(3);
        let actions: Vec<Value> = actions
            .map(|link| json!({"action": "view", "label": clean(&link.label, 40), "url": link.url}))
            .collect();
        json!({
            "topic": self.topic,
            "title": clean(&card.heading(), TITLE_CHARS_MAX),
            "message": message(card),
            "priority": priority,
            "tags": [tag],
            "actions": actions,
        })
    }
}

/// As much as fits, in bytes.
fn message(card: &Card) -> String {
    let mut chars = MESSAGE_BYTES_MAX;
    loop {
        let text = card.text(Room { rows: 6, chars });
        if text.len() <= MESSAGE_BYTES_MAX || chars < 300 {
            return text;
        }
        chars = chars * 3 / 4;
    }
}
