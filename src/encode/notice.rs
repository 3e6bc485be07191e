//! What people are told beside alerts: an approval is wanted, a silence ends, a limit is reached.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::mail::filled;
use super::{Card, Mail, TemplateError, html};
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
    /// The mail. What can be pressed comes first, whatever there is to know.
    ///
    /// # Errors
    /// Only when the built-in template is broken, which the tests would show.
    pub fn mail(&self) -> Result<Mail, TemplateError> {
        let card = Card::of_notice(self, "");
        let facts: Vec<Value> =
            card.facts.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
        let links: Vec<Value> =
            card.links.iter().map(|link| json!({"label": link.label, "url": html(&link.url)})).collect();
        let html = filled(
            "notice.html",
            &json!({
                "level": self.level.name().to_uppercase(),
                "colour": card.colour(),
                "title": card.title,
                "facts": facts,
                "links": links,
                "command": card.command,
                "at": self.at.to_string(),
            }),
        )?;
        let (subject, text) = self.plain();
        Ok(Mail { subject, text, html })
    }

    fn plain(&self) -> (String, String) {
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
        let Mail { subject, text, .. } = notice().mail().unwrap();
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
    fn what_can_be_pressed_is_a_button_and_nothing_else_is() {
        let mut notice = notice();
        notice.title = "Approval wanted: block <b>bob</b>".into();
        notice.lines.push("Who: <script>alert(1)</script>".into());
        let hostile = Link { label: "x".into(), url: "https://w.example/\"onclick=alert(1)".into() };
        notice.links.extend([hostile, Link { label: "y".into(), url: "javascript:alert(1)".into() }]);
        let html = notice.mail().unwrap().html;
        assert!(
            html.contains("href=\"https://watchfire.example.com/a/1\"") && html.contains(">Approve</a>"),
            "{html}"
        );
        assert_eq!(html.matches("<a ").count(), 2, "{html}");
        for part in ["<b>bob", "<script", "\"onclick", "javascript:"] {
            assert!(!html.contains(part), "{part}: {html}");
        }
        assert!(html.contains("gitlab-mass-clone") && html.contains("It expires at"), "{html}");
        assert!(html.find(">Approve<") < html.find("gitlab-mass-clone"), "what can be pressed comes first");
    }

    #[test]
    fn the_shape_is_what_receivers_were_promised() {
        insta::assert_snapshot!(notice().json("key"), @r#"{"at":"2026-01-31T09:00:00.000Z","id":"key","notice":{"alert":"0123","kind":"approval","level":"high","lines":["rule: gitlab-mass-clone","It expires at 2026-01-31T10:00:00.000Z."],"links":[{"label":"Approve","url":"https://watchfire.example.com/a/1"}],"title":"Approval wanted: block user 7 (alice)"},"type":"notice","version":1}"#);
    }
}
