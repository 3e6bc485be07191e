//! `type: mattermost`: an incoming webhook, as an attachment.
//!
//! What comes from events stands in code, where Mattermost knows no mentions and no links. Limits:
//! developers.mattermost.com/integrate/webhooks/incoming and /integrate/reference/message-attachments (a post has 16,383
//! characters; older servers refuse attachments above 7,900). Answers: 200 and the word `ok`.

use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::super::config::Problem;
use super::super::notifier::{Described, Step, Target, once, post, settings};
use crate::deliver::{Answer, BuildContext, DeliveryError, TextOrSecret, Url};
use crate::encode::{Card, Dialect, Room, code, prose};
use crate::time::Timestamp;

const ROOM: Room = Room { rows: 10, chars: 6_000 };

settings! {
    /// The settings of a Mattermost action.
    MattermostConfig secrets() {
        /// The incoming webhook's URL; it is a secret.
        url: TextOrSecret,
        /// Another channel than the webhook's own, if the webhook may.
        #[serde(default)]
        channel: Option<String>,
    }
}

impl MattermostConfig {
    fn target(&self, url: Url, _: &BuildContext<'_>) -> Result<Described, Problem> {
        let target = Mattermost { url, channel: self.channel.clone() };
        Ok(Described { target: Box::new(target), secrets: Vec::new() })
    }
}

struct Mattermost {
    url: Url,
    channel: Option<String>,
}

impl Target for Mattermost {
    fn step(&self, card: &Card, answers: &[Answer], _: Timestamp) -> Result<Step, DeliveryError> {
        once(answers, || Ok(post(self.url.clone(), HeaderMap::new(), &self.message(card))), judge)
    }
}

fn judge(answer: &Answer) -> Result<String, DeliveryError> {
    match (answer.is_success(), answer.quote()) {
        (true, "ok") => Ok(answer.summary()),
        (true, _) => Err(answer.unlike("with `ok`")),
        _ => Err(answer.failure()),
    }
}

impl Mattermost {
    fn message(&self, card: &Card) -> Value {
        let mut message = json!({
            "attachments": [{
                "fallback": code(&card.headline(200)),
                "color": card.colour(),
                "text": format!("##### {}\n{}", prose(&card.heading()), card.markdown(Dialect::Chat, ROOM)),
            }],
        });
        if let (Some(channel), Some(fields)) = (&self.channel, message.as_object_mut()) {
            fields.insert("channel".to_owned(), Value::from(channel.as_str()));
        }
        message
    }
}
