//! `type: jira`: an issue for each alert; what comes of the alert is a comment, and a transition where one is configured.
//!
//! The issue is known again by a label with the alert's id, so that a second try finds it; Jira's search may lag a few
//! seconds behind. Cloud is written to in its document format, whose texts are taken at their letter
//! (developer.atlassian.com/cloud/jira/platform/rest/v3, the search at /search/jql); Server and Data Center in a `noformat`
//! block (REST API 2). Limits: a summary of 255 characters, a description and a comment of 32,767. Answers: 201 for an issue
//! and a comment, 204 for a transition, 200 for a search.

use base64::Engine as _;
use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::config::Problem;
use super::super::notifier::{Described, Step, Target, below, is_one_of, post, secret_header, settings};
use crate::alert::Occasion;
use crate::deliver::{Answer, BuildContext, DeliveryError, Secret, SecretRef, TextOrSecret, Url};
use crate::encode::{Card, Room, Status};
use crate::time::Timestamp;

const SUMMARY_CHARS_MAX: usize = 250;
const ROOM: Room = Room { rows: 20, chars: 20_000 };

settings! {
    /// The settings of a Jira action.
    JiraConfig secrets(token) {
        /// Jira's address.
        url: TextOrSecret,
        /// With a user name: an API token or password. Without: a personal access token.
        token: SecretRef,
        /// Of the account, for Cloud its mail address.
        #[serde(default)]
        user: Option<String>,
        /// Which Jira.
        #[serde(default)]
        edition: Edition,
        /// The project's key.
        project: String,
        /// The issue type's name.
        #[serde(default = "task")]
        issue_type: String,
        /// The number of the transition that an issue makes when its alert is resolved.
        #[serde(default)]
        resolve: Option<u32>,
    }
}

/// Which of the two Jiras.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edition {
    /// Atlassian's own.
    #[default]
    Cloud,
    /// Server and Data Center.
    Server,
}

fn task() -> String {
    "Task".to_owned()
}

impl JiraConfig {
    fn target(&self, url: Url, context: &BuildContext<'_>) -> Result<Described, Problem> {
        let is_key = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if self.project.is_empty() || !self.project.chars().all(is_key) {
            return Err(Problem::Setting("project: expected a key such as SEC".to_owned()));
        }
        let token = self.token.resolve(context.env, context.base)?;
        let mut secrets = vec![token.clone()];
        let login = match &self.user {
            Some(user) => {
                let pair = format!("{user}:{}", token.expose());
                let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
                secrets.push(Secret::new(encoded.as_str()));
                format!("Basic {encoded}")
            }
            None => format!("Bearer {}", token.expose()),
        };
        let headers = secret_header("authorization", &login)?;
        let target = Jira { url, headers, config: self.clone() };
        Ok(Described { target: Box::new(target), secrets })
    }
}

struct Jira {
    url: Url,
    headers: HeaderMap,
    config: JiraConfig,
}

impl Target for Jira {
    fn wants(&self, occasion: Occasion) -> bool {
        !matches!(occasion, Occasion::Undo | Occasion::Reminder)
    }

    fn is_keyed(&self) -> bool {
        true
    }

    fn step(&self, card: &Card, answers: &[Answer], _: Timestamp) -> Result<Step, DeliveryError> {
        let [search, rest @ ..] = answers else { return self.search(card) };
        let found = found(search)?;
        match (found, rest) {
            (None, []) => self.create(card),
            (None, [made, ..]) => is_one_of(made, &[201]).map(Step::Done),
            // It was made by an earlier try of the same message.
            (Some(key), []) if card.occasion.is_none_or(|occasion| occasion == Occasion::Opened) => {
                Ok(Step::Done(format!("the issue {key} is there already")))
            }
            (Some(key), []) => self.ask(&["issue", &key, "comment"], &json!({"body": self.text(card)})),
            (Some(key), [comment]) => {
                let said = is_one_of(comment, &[201])?;
                match (card.status, self.config.resolve) {
                    (Status::Resolved, Some(id)) => {
                        let body = json!({"transition": {"id": id.to_string()}});
                        self.ask(&["issue", &key, "transitions"], &body)
                    }
                    _ => Ok(Step::Done(format!("{said}: a comment on {key}"))),
                }
            }
            (Some(key), [_, moved, ..]) => {
                is_one_of(moved, &[204]).map(|said| Step::Done(format!("{said}: {key} made its transition")))
            }
        }
    }
}

/// The issue's key, if there is one.
fn found(answer: &Answer) -> Result<Option<String>, DeliveryError> {
    is_one_of(answer, &[200])?;
    let body = answer.json()?;
    let Some(issues) = body.get("issues").and_then(Value::as_array) else {
        return Err(answer.unlike("with `issues`"));
    };
    Ok(issues.first().and_then(|issue| issue.get("key")?.as_str()).map(str::to_owned))
}

impl Jira {
    const fn version(&self) -> &'static str {
        match self.config.edition {
            Edition::Cloud => "3",
            Edition::Server => "2",
        }
    }

    fn ask(&self, path: &[&str], body: &Value) -> Result<Step, DeliveryError> {
        let path: Vec<&str> =
            ["rest", "api", self.version()].into_iter().chain(path.iter().copied()).collect();
        Ok(Step::Ask(Box::new(post(below(&self.url, &path)?, self.headers.clone(), body))))
    }

    fn search(&self, card: &Card) -> Result<Step, DeliveryError> {
        let query = format!("project = \"{}\" AND labels = \"{}\"", self.config.project, label(card));
        let path: &[&str] =
            if self.config.edition == Edition::Cloud { &["search", "jql"] } else { &["search"] };
        self.ask(path, &json!({"jql": query, "maxResults": 1, "fields": ["key"]}))
    }

    fn create(&self, card: &Card) -> Result<Step, DeliveryError> {
        let fields = json!({
            "project": {"key": self.config.project},
            "issuetype": {"name": self.config.issue_type},
            "summary": card.headline(SUMMARY_CHARS_MAX),
            "description": self.text(card),
            "labels": ["watchfire", label(card)],
        });
        self.ask(&["issue"], &json!({"fields": fields}))
    }

    fn text(&self, card: &Card) -> Value {
        let text = card.text(ROOM);
        match self.config.edition {
            Edition::Cloud => {
                let block = json!({"type": "codeBlock", "content": [{"type": "text", "text": text}]});
                json!({"type": "doc", "version": 1, "content": [block]})
            }
            // The mark that ends the block is the only markup within it.
            Edition::Server => {
                format!("{{noformat}}\n{}\n{{noformat}}", text.replace('{', "(").replace('}', ")")).into()
            }
        }
    }
}

/// Labels have no spaces; the id has only letters, digits and strokes.
fn label(card: &Card) -> String {
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || *c == '-';
    format!("watchfire-{}", card.id.chars().filter(is_plain).collect::<String>())
}
