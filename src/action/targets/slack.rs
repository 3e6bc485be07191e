//! `type: slack`: an incoming webhook, as blocks.
//!
//! Everything from events stands in `rich_text` blocks, whose texts Slack takes at their letter: no mentions, no markup, no
//! links but those that are ours. Limits: docs.slack.dev/reference/block-kit (50 blocks, a header of 150 characters, a text
//! of 3,000). Answers: docs.slack.dev/messaging/sending-messages-using-incoming-webhooks (200 and the word `ok`).

use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::super::config::Problem;
use super::super::notifier::{Described, Step, Target, once, post, settings};
use crate::deliver::{Answer, BuildContext, DeliveryError, TextOrSecret, Url};
use crate::encode::{Card, clean, html};
use crate::time::Timestamp;

const HEADER_CHARS_MAX: usize = 150;
const TEXT_CHARS_MAX: usize = 3_000;
const ROWS_MAX: usize = 8;
const FACTS_MAX: usize = 15;
const DEEDS_MAX: usize = 8;
const OTHERS_MAX: usize = 10;
const LINKS_MAX: usize = 5;

settings! {
    /// The settings of a Slack action.
    SlackConfig secrets() {
        /// The incoming webhook's URL; it is a secret.
        url: TextOrSecret,
    }
}

impl SlackConfig {
    fn target(&self, url: Url, _: &BuildContext<'_>) -> Result<Described, Problem> {
        Ok(Described { target: Box::new(Slack { url }), secrets: Vec::new() })
    }
}

struct Slack {
    url: Url,
}

impl Target for Slack {
    fn step(&self, card: &Card, answers: &[Answer], _: Timestamp) -> Result<Step, DeliveryError> {
        once(answers, || Ok(post(self.url.clone(), HeaderMap::new(), &message(card))), judge)
    }
}

fn judge(answer: &Answer) -> Result<String, DeliveryError> {
    match (answer.is_success(), answer.quote()) {
        (true, "ok") => Ok(answer.summary()),
        (true, _) => Err(answer.unlike("with `ok`")),
        _ => Err(answer.failure()),
    }
}

fn message(card: &Card) -> Value {
    let header = clean(&card.heading(), HEADER_CHARS_MAX);
    let mut blocks =
        vec![json!({"type": "header", "text": {"type": "plain_text", "text": header, "emoji": false}})];
    blocks.push(rich(vec![section(about(card))]));
    if !card.done.is_empty() {
        blocks.push(rich(card.done.iter().take(DEEDS_MAX).flat_map(deed).collect()));
    }
    let advice: Vec<Value> = card.advice().map(|line| run(&format!("{line}\n"), false)).collect();
    if !advice.is_empty() {
        blocks.push(rich(vec![section(advice)]));
    }
    if !card.rows.is_empty() {
        let rows = card.rows.iter().take(ROWS_MAX).map(|row| row.line()).chain(card.more(ROWS_MAX));
        blocks.push(preformatted(&rows.collect::<Vec<_>>().join("\n")));
    }
    if !card.others.is_empty() {
        let others = card.others.iter().take(OTHERS_MAX).map(String::as_str).collect::<Vec<_>>().join("\n");
        blocks.push(rich(vec![section(vec![run("Further alerts in this message\n", true)])]));
        blocks.push(preformatted(&others));
    }
    if let Some(command) = &card.command {
        blocks.push(preformatted(command));
    }
    let buttons: Vec<Value> = card.links.iter().take(LINKS_MAX).map(|link| {
        let label = clean(&link.label, 75);
        json!({"type": "button", "text": {"type": "plain_text", "text": label, "emoji": false}, "url": link.url})
    }).collect();
    if !buttons.is_empty() {
        blocks.push(json!({"type": "actions", "elements": buttons}));
    }
    blocks.push(
        json!({"type": "context", "elements": [{"type": "plain_text", "text": card.foot(), "emoji": false}]}),
    );
    // What a phone shows on its lock screen.
    let fallback = html(&card.headline(HEADER_CHARS_MAX));
    json!({
        "text": fallback, "mrkdwn": false, "link_names": false, "parse": "none",
        "unfurl_links": false, "unfurl_media": false, "blocks": blocks,
    })
}

fn about(card: &Card) -> Vec<Value> {
    let mut runs = Vec::new();
    if let Some(subject) = &card.subject {
        runs.push(run(&format!("{subject}\n"), true));
    }
    for line in card.reasons() {
        runs.push(run(&format!("{line}\n"), false));
    }
    for (name, value) in card.facts.iter().take(FACTS_MAX) {
        if !name.is_empty() {
            runs.push(run(&format!("{name}: "), true));
        }
        runs.push(run(&format!("{value}\n"), false));
    }
    runs
}

fn deed(deed: &crate::encode::Deed) -> Vec<Value> {
    let undo = deed.undo.iter().map(|line| run(&format!("Undo: {line}\n"), false));
    let said = [run(&format!("{} ", deed.word), true), run(&format!("{}\n", deed.text), false)];
    vec![section(said.into_iter().chain(undo).collect())]
}

fn run(text: &str, bold: bool) -> Value {
    let text: String = text.chars().take(TEXT_CHARS_MAX).collect();
    if bold {
        json!({"type": "text", "text": text, "style": {"bold": true}})
    } else {
        json!({"type": "text", "text": text})
    }
}

fn section(elements: Vec<Value>) -> Value {
    json!({"type": "rich_text_section", "elements": elements})
}

fn rich(elements: Vec<Value>) -> Value {
    json!({"type": "rich_text", "elements": elements})
}

fn preformatted(text: &str) -> Value {
    let text: String = text.chars().take(TEXT_CHARS_MAX).collect();
    rich(vec![json!({"type": "rich_text_preformatted", "elements": [{"type": "text", "text": text}]})])
}
