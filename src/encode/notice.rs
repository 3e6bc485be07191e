//! What people are told beside alerts: an approval is wanted, a silence ends, a limit is reached.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::alert::{AlertId, Level};
use crate::time::Timestamp;

/// A message that is no alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// What it is about, in one word of the receivers' contract: `approval`, `blast_radius`, `silence_ends`, `storm` …
    pub kind: String,
    /// One line.
    pub title: String,
    /// How urgent it is.
    pub level: Level,
    /// What there is to know, a sentence or a `name: value` each.
    pub lines: Vec<String>,
    /// What can be done about it.
    pub links: Vec<Link>,
    /// The alert it belongs to, if it does to one.
    pub alert: Option<AlertId>,
    /// When it was written.
    pub at: Timestamp,
}

/// Somewhere to go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// What it does: `Approve`, `Refuse`.
    pub label: String,
    /// Where it leads. It may be a secret: it is shown to whom the message goes and to nobody else.
    pub url: String,
}

impl Notice {
    /// The mail: subject and plain text.
    #[must_use]
    pub fn mail(&self) -> (String, String) {
        let subject = format!("[Watchfire] {}", self.title);
        let mut text = format!("{}\n\n", self.title);
        for line in &self.lines {
            text.push_str(line);
            text.push('\n');
        }
        for Link { label, url } in &self.links {
            text.push_str(&format!("\n{label}:\n{url}\n"));
        }
        if let Some(alert) = &self.alert {
            text.push_str(&format!("\nMore: watchfire alert {alert}\n"));
        }
        text.push_str(&format!("\nWritten by Watchfire at {}.\n", self.at));
        (subject, text)
    }

    /// What a webhook gets under this idempotency key.
    #[must_use]
    pub fn json(&self, key: &str) -> Value {
        let links: Vec<Value> =
            self.links.iter().map(|link| json!({"label": link.label, "url": link.url})).collect();
        json!({
            "version": super::ALERT_JSON_VERSION,
            "type": "notice",
            "id": key,
            "at": self.at.to_string(),
            "notice": {
                "kind": self.kind,
                "title": self.title,
                "level": self.level.name(),
                "lines": self.lines,
                "links": links,
                "alert": self.alert.as_ref().map(|id| id.0.as_str()),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice() -> Notice {
        Notice {
            kind: "approval".into(),
            title: "Approval wanted: block user 7 (alice)".into(),
            level: Level::High,
            lines: vec!["rule: gitlab-mass-clone".into(), "It expires at 2026-01-31T10:00:00.000Z.".into()],
            links: vec![Link { label: "Approve".into(), url: "https://watchfire.example.com/a/1".into() }],
            alert: Some(AlertId("0123".into())),
            at: Timestamp::parse("2026-01-31T09:00:00Z").unwrap(),
        }
    }

    #[test]
    fn the_mail_says_what_there_is_to_know_and_to_do() {
        let (subject, text) = notice().mail();
        assert_eq!(subject, "[Watchfire] Approval wanted: block user 7 (alice)");
        insta::assert_snapshot!(text, @r"
        Approval wanted: block user 7 (alice)

        rule: gitlab-mass-clone
        It expires at 2026-01-31T10:00:00.000Z.

        Approve:
        https://watchfire.example.com/a/1

        More: watchfire alert 0123

        Written by Watchfire at 2026-01-31T09:00:00.000Z.
        ");
    }

    #[test]
    fn the_shape_is_what_receivers_were_promised() {
        insta::assert_snapshot!(notice().json("key"), @r#"{"at":"2026-01-31T09:00:00.000Z","id":"key","notice":{"alert":"0123","kind":"approval","level":"high","lines":["rule: gitlab-mass-clone","It expires at 2026-01-31T10:00:00.000Z."],"links":[{"label":"Approve","url":"https://watchfire.example.com/a/1"}],"title":"Approval wanted: block user 7 (alice)"},"type":"notice","version":1}"#);
    }
}
