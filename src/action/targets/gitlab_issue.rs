//! `type: gitlab_issue`: an issue for each alert in one project; what comes of the alert is a note, and closes or reopens it.
//!
//! The issue is known again by a search for the alert's id in descriptions. What comes from events stands in code, where
//! GitLab knows no mentions and no quick actions. Limits: docs.gitlab.com/api/issues (a title of 255 characters, a description
//! of 1,048,576). Answers: 201 for an issue and a note, 200 for a search and a change.

use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::super::config::Problem;
use super::super::notifier::{Described, Step, Target, below, is_one_of, post, secret_header, settings};
use crate::alert::Occasion;
use crate::deliver::{Answer, BuildContext, DeliveryError, Method, Request, SecretRef, TextOrSecret, Url};
use crate::encode::{Card, Dialect, Room, Status};
use crate::time::Timestamp;

const TITLE_CHARS_MAX: usize = 250;
const ROOM: Room = Room { rows: 20, chars: 20_000 };

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
        let target =
            GitlabIssue { issues, headers, labels: self.labels.join(","), confidential: self.confidential };
        Ok(Described { target: Box::new(target), secrets: vec![token] })
    }
}

struct GitlabIssue {
    issues: Url,
    headers: HeaderMap,
    labels: String,
    confidential: bool,
}

impl Target for GitlabIssue {
    fn wants(&self, occasion: Occasion) -> bool {
        !matches!(occasion, Occasion::Undo | Occasion::Reminder)
    }

    fn is_keyed(&self) -> bool {
        true
    }

    fn step(&self, card: &Card, answers: &[Answer], _: Timestamp) -> Result<Step, DeliveryError> {
        let [search, rest @ ..] = answers else { return Ok(self.search(card)) };
        let found = found(search)?;
        match (found, rest) {
            (None, []) => Ok(self.create(card)),
            (None, [made, ..]) => is_one_of(made, &[201]).map(Step::Done),
            (Some(_), []) if card.occasion.is_none_or(|occasion| occasion == Occasion::Opened) => {
                Ok(Step::Done("the issue is there already".to_owned()))
            }
            (Some(number), []) => {
                let url = below(&self.issues, &[&number, "notes"])?;
                Ok(ask(post(url, self.headers.clone(), &json!({"body": text(card)}))))
            }
            (Some(number), [note]) => {
                let said = is_one_of(note, &[201])?;
                match change(card) {
                    Some(state) => {
                        let url = below(&self.issues, &[&number])?;
                        let request = post(url, self.headers.clone(), &json!({"state_event": state}));
                        Ok(ask(Request { method: Method::PUT, ..request }))
                    }
                    None => Ok(Step::Done(format!("{said}: a note on #{number}"))),
                }
            }
            (Some(number), [_, changed, ..]) => {
                is_one_of(changed, &[200]).map(|said| Step::Done(format!("{said}: #{number}")))
            }
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

/// The issue's number in its project, if there is one.
fn found(answer: &Answer) -> Result<Option<String>, DeliveryError> {
    is_one_of(answer, &[200])?;
    let body = answer.json()?;
    let Some(issues) = body.as_array() else { return Err(answer.unlike("with a list of issues")) };
    Ok(issues.first().and_then(|issue| issue.get("iid")?.as_u64()).map(|number| number.to_string()))
}

impl GitlabIssue {
    fn search(&self, card: &Card) -> Step {
        let mut url = self.issues.clone();
        url.query_pairs_mut()
            .append_pair("search", &card.id)
            .append_pair("in", "description")
            .append_pair("order_by", "created_at")
            .append_pair("sort", "asc")
            .append_pair("per_page", "1");
        ask(Request { method: Method::GET, url, headers: self.headers.clone(), body: None })
    }

    fn create(&self, card: &Card) -> Step {
        let body: Value = json!({
            "title": card.headline(TITLE_CHARS_MAX),
            "description": text(card),
            "labels": self.labels,
            "confidential": self.confidential,
            "issue_type": "incident",
        });
        ask(post(self.issues.clone(), self.headers.clone(), &body))
    }
}

fn text(card: &Card) -> String {
    card.markdown(Dialect::Forge, ROOM)
}
