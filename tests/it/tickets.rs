//! The ticket systems among the stand-ins of [`crate::services`]: Jira Cloud and GitLab's issues, as far as they are asked.

use axum::http::{Method, Response};
use serde_json::{Value, json};

use crate::services::{Call, Inner, alert_in, say};

/// An issue with what was said to it.
#[derive(Debug, Clone)]
pub struct Issue {
    pub number: u64,
    /// By what it is found: a label, a description.
    pub about: String,
    pub comments: Vec<String>,
    pub state: String,
    made_at: u64,
}

impl Inner {
    fn make(&mut self, kind: &str, about: String) -> u64 {
        let made_at = self.asked.get(kind).copied().unwrap_or_default();
        let issues = self.issues.entry(kind.to_owned()).or_default();
        let number = issues.len() as u64 + 1;
        issues.push(Issue { number, about, comments: Vec::new(), state: "opened".to_owned(), made_at });
        number
    }

    fn issue(&mut self, kind: &str, number: &str) -> Option<&mut Issue> {
        let issues = self.issues.get_mut(kind)?;
        issues.iter_mut().find(|issue| number.parse() == Ok(issue.number))
    }

    /// Jira Cloud, whose search lags behind.
    pub(super) fn jira(&mut self, call: &Call<'_>, json: &Value) -> Response<String> {
        let now = self.asked.get("jira").copied().unwrap_or_default();
        let path = call.path.trim_start_matches("rest/api/3/");
        match path.split('/').collect::<Vec<_>>().as_slice() {
            ["search", "jql"] => {
                let wanted = alert_in(json["jql"].as_str().unwrap());
                let issues = self.issues.get("jira").into_iter().flatten();
                let known = issues.filter(|issue| issue.made_at + self.lag <= now);
                let found = known.filter(|issue| alert_in(&issue.about) == wanted);
                let found: Vec<Value> =
                    found.map(|it| json!({"key": format!("SEC-{}", it.number)})).collect();
                say(200, json!({"issues": found}).to_string())
            }
            ["issue"] => {
                let number = self.make("jira", json["fields"]["labels"].to_string());
                self.did(call, say(201, json!({"key": format!("SEC-{number}")}).to_string()))
            }
            ["issue", key, "comment"] => {
                let number = key.trim_start_matches("SEC-");
                let Some(issue) = self.issue("jira", number) else { return say(404, "no such issue") };
                if call.text.is_empty() {
                    let all: Vec<Value> = issue.comments.iter().map(|text| json!({"body": text})).collect();
                    return say(200, json!({"comments": all}).to_string());
                }
                issue.comments.push(json["body"].to_string());
                self.did(call, say(201, "{}"))
            }
            other => say(404, format!("{other:?}")),
        }
    }

    /// One project's issues.
    pub(super) fn gitlab_issue(
        &mut self,
        method: &Method,
        call: &Call<'_>,
        json: &Value,
    ) -> Response<String> {
        let path = call.path.trim_start_matches("api/v4/projects/soc%2Falerts/issues");
        match (method.as_str(), path.split('/').skip(1).collect::<Vec<_>>().as_slice()) {
            ("GET", []) => {
                let wanted = alert_in(call.query);
                let issues = self.issues.get("gitlab_issue").into_iter().flatten();
                let found = issues.filter(|issue| issue.about.contains(&wanted));
                let found: Vec<Value> =
                    found.map(|issue| json!({"iid": issue.number, "description": issue.about})).collect();
                say(200, Value::from(found).to_string())
            }
            ("POST", []) => {
                let number = self.make("gitlab_issue", json["description"].as_str().unwrap().to_owned());
                self.did(call, say(201, json!({"iid": number}).to_string()))
            }
            (verb, [number, rest @ ..]) => {
                let Some(issue) = self.issue("gitlab_issue", number) else {
                    return say(404, "no such issue");
                };
                match (verb, rest) {
                    ("GET", ["notes"]) => {
                        let all: Vec<Value> =
                            issue.comments.iter().map(|text| json!({"body": text})).collect();
                        say(200, Value::from(all).to_string())
                    }
                    ("POST", ["notes"]) => {
                        issue.comments.push(json["body"].as_str().unwrap().to_owned());
                        self.did(call, say(201, "{}"))
                    }
                    ("PUT", []) => {
                        issue.state = json["state_event"].as_str().unwrap().to_owned();
                        say(200, "{}")
                    }
                    other => say(404, format!("{other:?}")),
                }
            }
            other => say(404, format!("{other:?}")),
        }
    }
}
