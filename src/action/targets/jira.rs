//! `type: jira`: an issue for each alert; what comes of the alert is a comment, and a transition where one is configured.
//!
//! The issue is known again by a label with the alert's id, so that a second try finds it. Jira's search may lag a few
//! seconds behind; what comes of the alert therefore goes to the issue by the key that this Jira told when it was made. A
//! comment is known again by the message's key at its end. A transition is asked for only where Jira offers it. Cloud is written to in its document format, whose texts are taken at their letter
//! (developer.atlassian.com/cloud/jira/platform/rest/v3, the search at /search/jql); Server and Data Center in a `noformat`
//! block (REST API 2). Limits: a summary of 255 characters, a description and a comment of 32,767. Answers: 201 for an issue
//! and a comment, 204 for a transition, 200 for a search and a look.

use base64::Engine as _;
use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::config::Problem;
use super::super::notifier::{
    Described, Habits, Step, Target, below, is_one_of, post, secret_header, settings,
};
use crate::alert::Occasion;
use crate::deliver::{
    Answer, BuildContext, DeliveryError, Method, Request, Secret, SecretRef, TextOrSecret, Url, origin,
};
use crate::encode::{Card, Room, Status};
use crate::time::Timestamp;

const SUMMARY_CHARS_MAX: usize = 250;
const ROOM: Room = Room { rows: 20, chars: 20_000 };
/// The status for an issue that was deleted, or is hidden from this account.
const GONE: u16 = 404;

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
    fn habits(&self) -> Habits {
        Habits::TICKETS
    }

    fn step(&self, card: &Card, answers: &[Answer], _: Timestamp) -> Result<Step, DeliveryError> {
        let is_first = card.occasion.is_none_or(|occasion| occasion == Occasion::Opened);
        let there = |key: &str| Ok(Step::Done(format!("the issue {} is there already", self.at(key))));
        let answers = match (self.named(card), answers) {
            (Some(key), _) if is_first => return there(&key),
            (Some(key), []) => return self.comments(&key),
            (Some(key), [comments, rest @ ..]) if comments.status != GONE => {
                return self.follow(card, &key, (comments, rest));
            }
            // Somebody has deleted it.
            (Some(_), [_, rest @ ..]) => rest,
            (None, answers) => answers,
        };
        let [search, rest @ ..] = answers else { return self.search(card) };
        match (found(search)?, rest) {
            (None, []) => self.create(card),
            (None, [made, ..]) => Ok(Step::Done(said_of(made)?)),
            // It was made by an earlier try of the same message.
            (Some(key), _) if is_first => there(&key),
            (Some(key), []) => self.comments(&key),
            (Some(key), [comments, rest @ ..]) => self.follow(card, &key, (comments, rest)),
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

/// What is said of an issue that was made: its key, by which it is found when more is to be told.
fn said_of(made: &Answer) -> Result<String, DeliveryError> {
    let said = is_one_of(made, &[201])?;
    let body = made.json().ok();
    let key = body.as_ref().and_then(|body| body.get("key")?.as_str());
    Ok(key.map_or_else(|| said.clone(), |key| format!("{said}: made {key}")))
}

/// Whether a comment of this message is there already. The newest come first, and a second try is among them.
fn is_told(comments: &Answer, card: &Card) -> Result<bool, DeliveryError> {
    is_one_of(comments, &[200])?;
    let body = comments.json()?;
    let Some(comments) = body.get("comments").and_then(Value::as_array) else {
        return Err(comments.unlike("with `comments`"));
    };
    let mark = mark(card);
    Ok(comments.iter().filter_map(|comment| comment.get("body")).any(|body| body.to_string().contains(&mark)))
}

/// The last line of a comment.
fn mark(card: &Card) -> String {
    format!("Message {}", card.idempotency_key)
}

impl Jira {
    /// An issue, as outcomes write it: another Jira may have another one of the same key.
    fn at(&self, key: &str) -> String {
        format!("{key} at {}", origin(&self.url))
    }

    /// The key that was told of when the issue was made or last written to, if that was in this project of this Jira.
    fn named(&self, card: &Card) -> Option<String> {
        let is_key = |word: &&str| {
            let rest =
                word.strip_prefix(self.config.project.as_str()).and_then(|rest| rest.strip_prefix('-'));
            rest.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
        };
        let mut words = card.earlier.as_deref()?.split_whitespace();
        let origin = origin(&self.url);
        words.clone().find(|word| *word == origin)?;
        words.find(is_key).map(str::to_owned)
    }

    /// What comes after the look at an issue's comments: the comment, unless it is there, and the transition.
    fn follow(
        &self,
        card: &Card,
        key: &str,
        (comments, rest): (&Answer, &[Answer]),
    ) -> Result<Step, DeliveryError> {
        let rest = match (is_told(comments, card)?, rest) {
            (true, rest) => rest,
            (false, []) => {
                return self.ask(&["issue", key, "comment"], &json!({"body": self.body(&commented(card))}));
            }
            (false, [comment, rest @ ..]) => is_one_of(comment, &[201]).map(|_| rest)?,
        };
        let Some(id) = self.config.resolve.filter(|_| card.status == Status::Resolved) else {
            return Ok(Step::Done(format!("a comment on {}", self.at(key))));
        };
        let id = id.to_string();
        match rest {
            // An earlier try or a person may have made it, and an issue makes it only once.
            [] => self.look(&["issue", key, "transitions"], &[]),
            [open] if !can_go(open, &id)? => {
                let at = self.at(key);
                Ok(Step::Done(format!("a comment on {at}, which does not offer the transition {id}")))
            }
            [_] => self.ask(&["issue", key, "transitions"], &json!({"transition": {"id": id}})),
            [_, moved, ..] => {
                is_one_of(moved, &[204]).map(|said| Step::Done(format!("{said}: {key} made its transition")))
            }
        }
    }

    fn comments(&self, key: &str) -> Result<Step, DeliveryError> {
        self.look(&["issue", key, "comment"], &[("orderBy", "-created"), ("maxResults", "50")])
    }

    /// Asks for what there is.
    fn look(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Step, DeliveryError> {
        let mut url = below(&self.url, &self.path(path))?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(Step::Ask(Box::new(Request {
            method: Method::GET,
            url,
            headers: self.headers.clone(),
            body: None,
        })))
    }

    fn path<'a>(&self, path: &[&'a str]) -> Vec<&'a str> {
        ["rest", "api", self.version()].into_iter().chain(path.iter().copied()).collect()
    }

    const fn version(&self) -> &'static str {
        match self.config.edition {
            Edition::Cloud => "3",
            Edition::Server => "2",
        }
    }

    fn ask(&self, path: &[&str], body: &Value) -> Result<Step, DeliveryError> {
        Ok(Step::Ask(Box::new(post(below(&self.url, &self.path(path))?, self.headers.clone(), body))))
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
            "description": self.body(&card.text(ROOM)),
            "labels": ["watchfire", label(card)],
        });
        self.ask(&["issue"], &json!({"fields": fields}))
    }

    fn body(&self, text: &str) -> Value {
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

/// A comment's text; by its end it is known again.
fn commented(card: &Card) -> String {
    format!("{}\n{}", card.text(ROOM), mark(card))
}

/// Whether the issue may make this transition from where it stands.
fn can_go(open: &Answer, id: &str) -> Result<bool, DeliveryError> {
    is_one_of(open, &[200])?;
    let body = open.json()?;
    let Some(open) = body.get("transitions").and_then(Value::as_array) else {
        return Err(open.unlike("with `transitions`"));
    };
    Ok(open.iter().any(|transition| transition.get("id").and_then(Value::as_str) == Some(id)))
}

/// Labels have no spaces; the id has only letters, digits and strokes.
fn label(card: &Card) -> String {
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || *c == '-';
    format!("watchfire-{}", card.id.chars().filter(is_plain).collect::<String>())
}
