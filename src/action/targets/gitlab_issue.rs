//! `type: gitlab_issue`: an issue for each alert in one project; what comes of the alert is a note, and closes or reopens it.
//!
//! The issue is known again by a search for the alert's id in descriptions, of which the id must be a whole word, since the
//! search takes parts of words too; and once it was told of by its number, as long as GitLab and project are the same. A note
//! is known by the message's key in a comment of HTML. What comes from events stands in code, where
//! GitLab knows no mentions and no quick actions. Limits: docs.gitlab.com/api/issues (a title of 255 characters, a description
//! of 1,048,576). Answers: 201 for an issue and a note, 200 for a search, a list of
//! notes (docs.gitlab.com/api/notes) and a change.

use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::super::config::Problem;
use super::super::notifier::{
    Described, Habits, Step, Target, below, is_one_of, post, secret_header, settings,
};
use crate::alert::Occasion;
use crate::deliver::{
    Answer, BuildContext, DeliveryError, Method, Request, SecretRef, TextOrSecret, Url, origin,
};
use crate::encode::{Card, Dialect, Room, Status};
use crate::time::Timestamp;

const TITLE_CHARS_MAX: usize = 250;
const ROOM: Room = Room { rows: 20, chars: 20_000 };
/// The status for an issue that was deleted, or is hidden from this token.
const GONE: u16 = 404;
/// Issues that are looked at for an id: those that only have it as a part of another one are few.
const FOUND_MAX: &str = "20";

settings! {
    /// The settings of a GitLab issue action.
    GitlabIssueConfig secrets(token) {
        /// GitLab's address.
        url: TextOrSecret,
        /// A token with the scope `api` and the role Reporter.
        token: SecretRef,
        /// The project's id or path.
        project: Project,
        /// Labels of the issue.
        #[serde(default)]
        labels: Vec<String>,
        /// Whether only the project's members see it.
        #[serde(default = "crate::action::config::yes")]
        confidential: bool,
    }
}

/// A project, by number or path.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(untagged)]
pub enum Project {
    /// Its id.
    Id(u64),
    /// `group/project`.
    Path(String),
}

impl GitlabIssueConfig {
    fn target(&self, url: Url, context: &BuildContext<'_>) -> Result<Described, Problem> {
        let token = self.token.resolve(context.env, context.base)?;
        let headers = secret_header("private-token", token.expose())?;
        let project = match &self.project {
            Project::Id(id) => id.to_string(),
            Project::Path(path) => path.clone(),
        };
        let issues = below(&url, &["api", "v4", "projects", &project, "issues"]);
        let issues = issues.map_err(|error| Problem::Setting(error.to_string()))?;
        let target = GitlabIssue {
            issues,
            origin: origin(&url),
            project,
            headers,
            labels: self.labels.join(","),
            confidential: self.confidential,
        };
        Ok(Described { target: Box::new(target), secrets: vec![token] })
    }
}

struct GitlabIssue {
    issues: Url,
    origin: String,
    project: String,
    headers: HeaderMap,
    labels: String,
    confidential: bool,
}

impl Target for GitlabIssue {
    fn habits(&self) -> Habits {
        Habits::TICKETS
    }

    fn step(&self, card: &Card, answers: &[Answer], _: Timestamp) -> Result<Step, DeliveryError> {
        let is_first = card.occasion.is_none_or(|occasion| occasion == Occasion::Opened);
        let there = |number: &str| Ok(Step::Done(format!("the issue {} is there already", self.at(number))));
        let answers = match (self.named(card), answers) {
            (Some(number), _) if is_first => return there(&number),
            (Some(number), []) => return self.notes(&number),
            (Some(number), [notes, rest @ ..]) if notes.status != GONE => {
                return self.follow(card, &number, (notes, rest));
            }
            // Somebody has deleted it.
            (Some(_), [_, rest @ ..]) => rest,
            (None, answers) => answers,
        };
        let [search, rest @ ..] = answers else { return Ok(self.search(card)) };
        match (found(search, &card.id)?, rest) {
            (None, []) => Ok(self.create(card)),
            (None, [made, ..]) => Ok(Step::Done(self.said_of(made)?)),
            (Some(number), _) if is_first => there(&number),
            (Some(number), []) => self.notes(&number),
            (Some(number), [notes, rest @ ..]) => self.follow(card, &number, (notes, rest)),
        }
    }
}

fn ask(request: Request) -> Step {
    Step::Ask(Box::new(request))
}

fn change(card: &Card) -> Option<&'static str> {
    match (card.status, card.occasion) {
        (Status::Resolved, _) => Some("close"),
        (_, Some(Occasion::Reopened)) => Some("reopen"),
        _ => None,
    }
}

/// The number of the issue about this, if there is one among those that the search found.
fn found(answer: &Answer, id: &str) -> Result<Option<String>, DeliveryError> {
    is_one_of(answer, &[200])?;
    let body = answer.json()?;
    let Some(issues) = body.as_array() else { return Err(answer.unlike("with a list of issues")) };
    let is_it = |issue: &&Value| {
        issue.get("description").and_then(Value::as_str).is_some_and(|description| has(description, id))
    };
    Ok(issues
        .iter()
        .find(is_it)
        .and_then(|issue| issue.get("iid")?.as_u64())
        .map(|number| number.to_string()))
}

/// Whether an id stands in a text, not as a part of a longer one.
fn has(text: &str, id: &str) -> bool {
    let is_of_id = |c: char| c.is_alphanumeric() || c == '-';
    text.match_indices(id).any(|(at, _)| {
        let (before, after) = (text.get(..at), text.get(at + id.len()..));
        !before.is_some_and(|before| before.ends_with(is_of_id))
            && !after.is_some_and(|after| after.starts_with(is_of_id))
    })
}

/// Whether a note of this message is there already. The newest come first, and a second try is among them.
fn is_told(notes: &Answer, card: &Card) -> Result<bool, DeliveryError> {
    is_one_of(notes, &[200])?;
    let body = notes.json()?;
    let Some(notes) = body.as_array() else { return Err(notes.unlike("with a list of notes")) };
    let mark = mark(card);
    Ok(notes.iter().filter_map(|note| note.get("body")?.as_str()).any(|text| text.contains(&mark)))
}

/// Stands in a note and is not shown.
fn mark(card: &Card) -> String {
    format!("<!-- watchfire message {} -->", card.idempotency_key)
}

impl GitlabIssue {
    /// An issue, as outcomes write it: numbers mean something only within their project.
    fn at(&self, number: &str) -> String {
        format!("{}#{number} at {}", self.project, self.origin)
    }

    /// What is said of an issue that was made: where it is, by which it is found when more is to be told.
    fn said_of(&self, made: &Answer) -> Result<String, DeliveryError> {
        let said = is_one_of(made, &[201])?;
        let body = made.json().ok();
        let number = body.as_ref().and_then(|body| body.get("iid")?.as_u64());
        Ok(number.map_or_else(|| said.clone(), |number| format!("{said}: made {}#{number}", self.project)))
    }

    /// The number that was told of when the issue was made or last written to, if that was in this project of this GitLab.
    fn named(&self, card: &Card) -> Option<String> {
        let number = |word: &str| {
            let number = word.strip_prefix(self.project.as_str())?.strip_prefix('#')?;
            (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
                .then(|| number.to_owned())
        };
        let mut words = card.earlier.as_deref()?.split_whitespace();
        words.clone().find(|word| *word == self.origin)?;
        words.find_map(number)
    }

    /// What comes after the look at an issue's notes: the note, unless it is there, and the change.
    fn follow(
        &self,
        card: &Card,
        number: &str,
        (notes, rest): (&Answer, &[Answer]),
    ) -> Result<Step, DeliveryError> {
        let rest = match (is_told(notes, card)?, rest) {
            (true, rest) => rest,
            (false, []) => {
                let url = below(&self.issues, &[number, "notes"])?;
                let text = format!("{}\n\n{}", text(card), mark(card));
                return Ok(ask(post(url, self.headers.clone(), &json!({"body": text}))));
            }
            (false, [note, rest @ ..]) => is_one_of(note, &[201]).map(|_| rest)?,
        };
        match (change(card), rest) {
            (None, _) => Ok(Step::Done(format!("a note on {}", self.at(number)))),
            // Closing what is closed changes nothing.
            (Some(state), []) => {
                let url = below(&self.issues, &[number])?;
                let request = post(url, self.headers.clone(), &json!({"state_event": state}));
                Ok(ask(Request { method: Method::PUT, ..request }))
            }
            (Some(state), [changed, ..]) => {
                let place = format!("{}#{number}", self.project);
                is_one_of(changed, &[200]).map(|said| Step::Done(format!("{said}: {state} {place}")))
            }
        }
    }

    fn notes(&self, number: &str) -> Result<Step, DeliveryError> {
        let mut url = below(&self.issues, &[number, "notes"])?;
        url.query_pairs_mut().extend_pairs([
            ("order_by", "created_at"),
            ("sort", "desc"),
            ("per_page", "50"),
        ]);
        Ok(ask(Request { method: Method::GET, url, headers: self.headers.clone(), body: None }))
    }

    fn search(&self, card: &Card) -> Step {
        let mut url = self.issues.clone();
        url.query_pairs_mut()
            .append_pair("search", &card.id)
            .append_pair("in", "description")
            .append_pair("order_by", "created_at")
            .append_pair("sort", "asc")
            .append_pair("per_page", FOUND_MAX);
        ask(Request { method: Method::GET, url, headers: self.headers.clone(), body: None })
    }

    fn create(&self, card: &Card) -> Step {
        let body: Value = json!({
            "title": card.headline(TITLE_CHARS_MAX),
            "description": described(card),
            "labels": self.labels,
            "confidential": self.confidential,
            "issue_type": "incident",
        });
        ask(post(self.issues.clone(), self.headers.clone(), &body))
    }
}

/// The description; the id stands in it at its letter, since it is searched for.
fn described(card: &Card) -> String {
    let text = text(card);
    if has(&text, &card.id) { text } else { format!("{text}\n\n`{}`", card.id) }
}

fn text(card: &Card) -> String {
    card.markdown(Dialect::Forge, ROOM)
}
