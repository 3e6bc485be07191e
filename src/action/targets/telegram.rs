//! `type: telegram`: a bot's message, in Telegram's HTML.
//!
//! What comes from events stands in `<code>` and `<pre>`, where Telegram knows no names and no links. Limits:
//! core.telegram.org/bots/api#sendmessage (4,096 characters after the markup is taken away). Answers: 200 with `ok: true`;
//! one with `ok: false` is a failure whatever its status; after 429 it says in `parameters.retry_after` how long to wait.

use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::super::config::Problem;
use super::super::notifier::{Described, Step, Target, below, once, post, settings};
use crate::deliver::{Answer, BuildContext, DeliveryError, SecretRef, TextOrSecret, Url};
use crate::encode::{Card, html, is_telling};
use crate::time::{Span, Timestamp};

/// Telegram counts UTF-16 units; this leaves room for those that are two.
const CHARS_MAX: usize = 3_500;
const ROWS_MAX: usize = 8;

settings! {
    /// The settings of a Telegram action.
    TelegramConfig secrets(token) {
        /// The Bot API's address.
        #[serde(default = "api")]
        url: TextOrSecret,
        /// The bot's token.
        token: SecretRef,
        /// The chat's id, or `@name` of a channel.
        chat: Chat,
    }
}

/// A chat's id or name.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(untagged)]
pub enum Chat {
    /// A number; those of groups are below zero.
    Id(i64),
    /// `@channel`.
    Name(String),
}

fn api() -> TextOrSecret {
    TextOrSecret::Text("https://api.telegram.org".to_owned())
}

impl TelegramConfig {
    fn target(&self, url: Url, context: &BuildContext<'_>) -> Result<Described, Problem> {
        let token = self.token.resolve(context.env, context.base)?;
        let method = below(&url, &[&format!("bot{}", token.expose()), "sendMessage"]);
        let url = method.map_err(|error| Problem::Setting(error.to_string()))?;
        let chat = match &self.chat {
            Chat::Id(id) => json!(id),
            Chat::Name(name) => json!(name),
        };
        Ok(Described { target: Box::new(Telegram { url, chat }), secrets: vec![token] })
    }
}

struct Telegram {
    url: Url,
    chat: Value,
}

impl Target for Telegram {
    fn step(&self, card: &Card, answers: &[Answer], _: Timestamp) -> Result<Step, DeliveryError> {
        let body = || {
            let preview = json!({"is_disabled": true});
            let text = message(card);
            json!({"chat_id": self.chat, "text": text, "parse_mode": "HTML", "link_preview_options": preview})
        };
        once(answers, || Ok(post(self.url.clone(), HeaderMap::new(), &body())), judge)
    }
}

fn judge(answer: &Answer) -> Result<String, DeliveryError> {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let is_ok = body.get("ok").and_then(Value::as_bool);
    if answer.is_success() {
        return if is_ok == Some(true) {
            Ok(answer.summary())
        } else {
            Err(answer.unlike("with `ok: true`"))
        };
    }
    let asked = body.pointer("/parameters/retry_after").and_then(Value::as_i64).map(Span::seconds);
    match answer.failure() {
        DeliveryError::Retryable { reason, after, answered } => {
            Err(DeliveryError::Retryable { reason, after: after.max(asked), answered })
        }
        permanent @ DeliveryError::Permanent { .. } => Err(permanent),
    }
}

/// Whole lines, as many as there is room for.
fn message(card: &Card) -> String {
    let mut lines = vec![bold(&card.heading())];
    lines.extend(card.subject.as_ref().map(|subject| code(subject)));
    lines.extend(card.reasons().map(|line| code(line)));
    lines.extend(card.facts.iter().map(|(name, value)| match name.as_str() {
        "" => code(value),
        name => format!("<b>{}:</b> {}", html(name), code(value)),
    }));
    for deed in &card.done {
        lines.push(format!("<b>{}</b> {}", html(&deed.word), code(&deed.text)));
        lines.extend(deed.undo.iter().map(|line| format!("Undo: {}", code(line))));
    }
    lines.extend(card.advice().map(|line| code(line)));
    lines.extend(card.rows.iter().take(ROWS_MAX).map(|row| code(&row.line())));
    lines.extend(card.more(ROWS_MAX).filter(|_| !card.rows.is_empty()));
    lines.extend(card.others.iter().map(|other| format!("Also: {}", code(other))));
    lines.extend(card.command.as_ref().map(|command| code(command)));
    let links = card.links.iter().map(|link| {
        format!("{}: <a href=\"{}\">{}</a>", html(&link.label), html(&link.url), html(&link.url))
    });
    lines.extend(links);
    let foot = html(&card.foot());
    let mut room = CHARS_MAX.saturating_sub(foot.len());
    let mut text = String::new();
    for line in lines {
        // In bytes and with its markup, so never too little.
        let Some(left) = room.checked_sub(line.len() + 1) else {
            text.push_str("…\n");
            break;
        };
        room = left;
        text.push_str(&line);
        text.push('\n');
    }
    text.push_str(&foot);
    text
}

/// Names and links are only taken for text where they stand in code.
fn bold(text: &str) -> String {
    if is_telling(text) { code(text) } else { format!("<b>{}</b>", html(text)) }
}

fn code(text: &str) -> String {
    format!("<code>{}</code>", html(text))
}
