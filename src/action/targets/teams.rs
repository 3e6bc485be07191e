//! `type: teams`: a Power Automate workflow ("When a Teams webhook request is received"), as an Adaptive Card.
//!
//! Everything stands in text runs, which know no Markdown; people are mentioned only by a list that is never sent. Limits:
//! learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors (28 KB a message). Answers: 202, or 200.

use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::super::config::Problem;
use super::super::notifier::{Described, Step, Target, is_one_of, once, post, settings};
use crate::alert::Level;
use crate::deliver::{Answer, BuildContext, DeliveryError, TextOrSecret, Url};
use crate::encode::{Card, Status};
use crate::time::Timestamp;

const BYTES_MAX: usize = 27 * 1024;

settings! {
    /// The settings of a Teams action.
    TeamsConfig secrets() {
        /// The workflow's URL; it is a secret.
        url: TextOrSecret,
    }
}

impl TeamsConfig {
    fn target(&self, url: Url, _: &BuildContext<'_>) -> Result<Described, Problem> {
        Ok(Described { target: Box::new(Teams { url }), secrets: Vec::new() })
    }
}

struct Teams {
    url: Url,
}

impl Target for Teams {
    fn step(&self, card: &Card, answers: &[Answer], _: Timestamp) -> Result<Step, DeliveryError> {
        let request = || Ok(post(self.url.clone(), HeaderMap::new(), &message(card)));
        once(answers, request, |answer| is_one_of(answer, &[200, 202]))
    }
}

/// As many rows as there is room for.
fn message(card: &Card) -> Value {
    let mut rows = 10;
    loop {
        let made = with_rows(card, rows);
        if rows == 0 || made.to_string().len() <= BYTES_MAX {
            return made;
        }
        rows /= 2;
    }
}

fn with_rows(card: &Card, rows: usize) -> Value {
    let mut body = vec![json!({
        "type": "RichTextBlock",
        "inlines": [{"type": "TextRun", "text": card.heading(), "weight": "Bolder", "size": "Large", "color": colour(card)}],
    })];
    body.extend(card.subject.as_ref().map(|subject| line(&[(subject, true)])));
    body.extend(card.reasons().map(|text| line(&[(text, false)])));
    body.extend(card.facts.iter().take(15).map(|(name, value)| match name.as_str() {
        "" => line(&[(value, false)]),
        name => line(&[(&format!("{name}: "), true), (value, false)]),
    }));
    for deed in card.done.iter().take(8) {
        body.push(line(&[(&format!("{} ", deed.word), true), (&deed.text, false)]));
        body.extend(deed.undo.iter().map(|undo| line(&[(&format!("Undo: {undo}"), false)])));
    }
    body.extend(card.advice().map(|text| line(&[(text, false)])));
    body.extend(card.rows.iter().take(rows).map(|row| small(&row.line())));
    body.extend(card.more(rows).filter(|_| !card.rows.is_empty()).map(|more| small(&more)));
    body.extend(card.others.iter().take(rows).map(|other| small(&format!("Also: {other}"))));
    body.extend(card.command.as_ref().map(|command| small(command)));
    body.push(small(&card.foot()));
    let actions = card.links.iter().take(5);
    let actions: Vec<Value> =
        actions.map(|link| json!({"type": "Action.OpenUrl", "title": link.label, "url": link.url})).collect();
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "msteams": {"width": "Full"},
                "body": body,
                "actions": actions,
            },
        }],
    })
}

fn line(runs: &[(&str, bool)]) -> Value {
    let runs = runs.iter().map(|(text, is_bold)| {
        json!({"type": "TextRun", "text": text, "weight": if *is_bold { "Bolder" } else { "Default" }})
    });
    json!({"type": "RichTextBlock", "inlines": runs.collect::<Vec<_>>(), "spacing": "Small"})
}

fn small(text: &str) -> Value {
    let run = json!({"type": "TextRun", "text": text, "fontType": "Monospace", "size": "Small"});
    json!({"type": "RichTextBlock", "inlines": [run], "spacing": "None"})
}

const fn colour(card: &Card) -> &'static str {
    match (card.status, card.level) {
        (Status::Resolved, _) => "Good",
        (_, Level::Critical | Level::High) => "Attention",
        (_, Level::Medium) => "Warning",
        (_, Level::Low | Level::Informational) => "Accent",
    }
}
