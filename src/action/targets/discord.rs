//! `type: discord`: a channel's webhook, as an embed.
//!
//! Nobody is mentioned (`allowed_mentions` is empty); what comes from events stands in code. Limits:
//! discord.com/developers/docs/resources/message#embed-object-embed-limits (a title of 256, a description of 4,096 and 6,000
//! characters in all). Answers: 200 with the message, since the request waits for it; 429 with `Retry-After`.

use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::super::config::Problem;
use super::super::notifier::{Described, Step, Target, once, post, settings};
use crate::deliver::{Answer, BuildContext, DeliveryError, TextOrSecret, Url};
use crate::encode::{Card, Dialect, Room, clean, prose};
use crate::time::Timestamp;

const ROOM: Room = Room { rows: 8, chars: 4_000 };
/// Escaped, it is at most twice as long.
const TITLE_CHARS_MAX: usize = 120;

settings! {
    /// The settings of a Discord action.
    DiscordConfig secrets() {
        /// The webhook's URL; it is a secret.
        url: TextOrSecret,
    }
}

impl DiscordConfig {
    fn target(&self, mut url: Url, _: &BuildContext<'_>) -> Result<Described, Problem> {
        // Without it Discord answers before it has looked.
        url.query_pairs_mut().append_pair("wait", "true");
        Ok(Described { target: Box::new(Discord { url }), secrets: Vec::new() })
    }
}

struct Discord {
    url: Url,
}

impl Target for Discord {
    fn step(&self, card: &Card, answers: &[Answer], _: Timestamp) -> Result<Step, DeliveryError> {
        once(answers, || Ok(post(self.url.clone(), HeaderMap::new(), &message(card))), judge)
    }
}

fn judge(answer: &Answer) -> Result<String, DeliveryError> {
    if !answer.is_success() {
        return Err(answer.failure());
    }
    match answer.json()?.get("id") {
        Some(_) => Ok(answer.summary()),
        None => Err(answer.unlike("with the message it made")),
    }
}

fn message(card: &Card) -> Value {
    let colour = u32::from_str_radix(card.colour().trim_start_matches('#'), 16).unwrap_or_default();
    json!({
        "allowed_mentions": {"parse": []},
        "embeds": [{
            "title": prose(&clean(&card.heading(), TITLE_CHARS_MAX)),
            "description": card.markdown(Dialect::Chat, ROOM),
            "color": colour,
            "timestamp": card.at.to_string(),
        }],
    })
}
