//! The mail: a text and an HTML part that say the same, written for somebody who has just been woken.
//!
//! First what happened and what was done about it, then how to undo it, then the evidence. Every value from an
//! event is cut to one short line without control or direction-changing characters: the mail shows what an
//! attacker typed, and must not be laid out by him.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde_json::{Map, Value, json};

use crate::alert::Level;

use super::card::{before, other};
use super::json::{minute, plain, row_json};
use super::notification::{Notification, Response, ResponseState};
use super::template::value_of;
use super::{TemplateError, search_command};

/// Rows of the evidence table.
const ROWS_MAX: usize = 20;
/// Further alerts that are named.
const OTHERS_MAX: usize = 50;
/// Authors and addresses that are listed.
const PEOPLE_MAX: usize = 5;
const VALUE_CHARS_MAX: usize = 200;
const COMMAND_CHARS_MAX: usize = 2_000;
/// Of the name in the subject.
const NAME_CHARS_MAX: usize = 60;
const SUBJECT_CHARS_MAX: usize = 180;

/// A mail without its addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// One line.
    pub subject: String,
    /// The plain part.
    pub text: String,
    /// The HTML part: one column, styles inline, no images, legible without styles.
    pub html: String,
}

static TEMPLATES: LazyLock<Result<Environment<'static>, minijinja::Error>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|name| {
        if name.ends_with(".html") { AutoEscape::Html } else { AutoEscape::None }
    });
    environment.add_template("mail.txt", include_str!("templates/mail.txt"))?;
    environment.add_template("mail.html", include_str!("templates/mail.html"))?;
    Ok(environment)
});

/// Writes the mail for an alert.
///
/// # Errors
/// Only when the built-in templates are broken, which the tests would show.
pub fn mail(notification: &Notification) -> Result<Mail, TemplateError> {
    let context = context(notification);
    let render = |name: &str| {
        let environment = TEMPLATES.as_ref().map_err(broken)?;
        let template = environment.get_template(name).map_err(|error| broken(&error))?;
        template.render(value_of(&context)).map_err(|error| broken(&error))
    };
    Ok(Mail { subject: subject(notification), text: render("mail.txt")?, html: render("mail.html")? })
}

/// `[Watchfire] HIGH One account clones many projects: author_id = 7 (Alice)`.
#[must_use]
pub fn subject(notification: &Notification) -> String {
    let alert = &notification.alert;
    let level = alert.level.name().to_uppercase();
    let key = if alert.key.0.is_empty() { String::new() } else { format!(": {}", alert.key) };
    let name = account(&notification.events).map_or_else(String::new, |name| format!(" ({name})"));
    let said = before(notification.occasion, &notification.triage);
    let others = match notification.others.len() {
        0 => String::new(),
        1 => " and another alert".to_owned(),
        more => format!(" and {more} further alerts"),
    };
    clean(&format!("[Watchfire] {level} {said}{}{key}{name}{others}", alert.title), SUBJECT_CHARS_MAX)
}

/// The name of the account behind the events at hand, if there is only one.
pub(super) fn account(events: &[Map<String, Value>]) -> Option<String> {
    let mut found: Option<(&Value, String)> = None;
    for event in events {
        let Some(id) = event.get("author_id").filter(|id| !id.is_null() && kind_of_nobody(id).is_none())
        else {
            continue;
        };
        match &found {
            Some((known, _)) if *known != id => return None,
            Some(_) => {}
            None => found = Some((id, clean(&plain(event.get("author_name")?), NAME_CHARS_MAX))),
        }
    }
    found.map(|(_, name)| name).filter(|name| !name.is_empty())
}

/// What GitLab means by an author below zero: no account, but a failed sign-in, a token or a key.
fn kind_of_nobody(id: &Value) -> Option<&'static str> {
    match id.as_i64()? {
        -1 => Some("not signed in"),
        -2 => Some("deploy token"),
        -3 => Some("deploy key"),
        0.. => None,
        _ => Some("no account"),
    }
}

fn broken(error: &minijinja::Error) -> TemplateError {
    TemplateError::Template { line: error.line().unwrap_or(0), reason: error.to_string() }
}

fn context(notification: &Notification) -> Value {
    let alert = &notification.alert;
    let rows: Vec<Value> =
        notification.events.iter().take(ROWS_MAX).map(|event| cleaned(row_json(event))).collect();
    let shown = u64::try_from(rows.len()).unwrap_or(u64::MAX);
    let (people, people_more) = people(&notification.events);
    let lines = |texts: &[String]| texts.iter().map(|text| clean(text, 500)).collect::<Vec<_>>();
    json!({
        "level": alert.level.name().to_uppercase(),
        "colour": colour(alert.level),
        "title": clean(&alert.title, VALUE_CHARS_MAX),
        "said": clean(&before(notification.occasion, &notification.triage), VALUE_CHARS_MAX),
        "note": notification.triage.note.as_deref().map(|text| clean(text, 500)),
        "others": notification.others.iter().take(OTHERS_MAX).map(other).collect::<Vec<_>>(),
        "others_more": notification.others.len().saturating_sub(OTHERS_MAX),
        "key": clean(&alert.key.to_string(), VALUE_CHARS_MAX),
        "name": account(&notification.events),
        "reason": clean(&alert.reason, 500),
        "description": notification.rule.description.as_deref().map(|text| clean(text, 1000)),
        "people": people,
        "people_more": people_more,
        "first": minute(&alert.started_at.to_string()),
        "last": minute(&alert.last_at.to_string()),
        "findings": alert.findings,
        "rows": rows,
        "count": alert.evidence_count,
        "more": alert.evidence_count.saturating_sub(shown),
        "responses": notification.responses.iter().map(response).collect::<Vec<_>>(),
        "falsepositives": lines(&notification.rule.falsepositives),
        "references": lines(&notification.rule.references),
        "tags": lines(&alert.tags),
        "search": clean(&search_command(alert), COMMAND_CHARS_MAX),
        "rule": clean(&alert.rule, VALUE_CHARS_MAX),
        "id": alert.id.0,
    })
}

/// One response: how it stands in a word, what happened, how to undo it, and whether somebody must act.
pub(super) fn response(response: &Response) -> Value {
    let (word, tone) = match response {
        Response { needs_human: true, .. } => ("A PERSON MUST DECIDE", "bad"),
        Response { state: ResponseState::Waiting, .. } => ("WAITS FOR APPROVAL", "bad"),
        Response { state: ResponseState::Failed, .. } => ("FAILED, ACT BY HAND", "bad"),
        Response { state: ResponseState::Pending, .. } => ("NOT YET DONE, STILL TRYING", "bad"),
        Response { dry_run: true, .. } => ("REHEARSAL, NOTHING CHANGED", "quiet"),
        Response { changed: true, .. } => ("DONE", "good"),
        _ => ("NOTHING TO DO", "quiet"),
    };
    let undo = response.undo.as_deref().filter(|_| !response.dry_run);
    json!({
        "action": clean(&response.action, VALUE_CHARS_MAX),
        "word": word,
        "tone": tone,
        "summary": response.summary.as_deref().map(|text| clean(text, 500)),
        // Undo may be a command over several lines, and is our own text.
        "undo": undo.map(|text| text.lines().map(|line| clean(line, 500)).collect::<Vec<_>>()),
    })
}

/// The authors in the evidence with the addresses they came from, in order of first appearance.
pub(super) fn people(events: &[Map<String, Value>]) -> (Vec<Value>, usize) {
    let field = |event: &Map<String, Value>, name: &str| {
        event.get(name).map(|value| clean(&plain(value), VALUE_CHARS_MAX)).unwrap_or_default()
    };
    let mut order: Vec<[String; 3]> = Vec::new();
    let mut addresses: BTreeMap<[String; 3], Vec<String>> = BTreeMap::new();
    for event in events {
        let mut author = ["author_name", "author_id", "author_class"].map(|name| field(event, name));
        if let Some(kind) = event.get("author_id").and_then(kind_of_nobody) {
            author = [field(event, "author_name"), String::new(), kind.to_owned()];
        }
        if author.iter().all(String::is_empty) {
            continue;
        }
        let known = addresses.entry(author.clone()).or_insert_with(|| {
            order.push(author);
            Vec::new()
        });
        let address = field(event, "ip_address");
        if !address.is_empty() && !known.contains(&address) {
            known.push(address);
        }
    }
    let more = order.len().saturating_sub(PEOPLE_MAX);
    let shown = order.into_iter().take(PEOPLE_MAX).map(|author| {
        let from = addresses.remove(&author).unwrap_or_default();
        let from_more = from.len().saturating_sub(PEOPLE_MAX);
        let [name, id, class] = author;
        json!({
            "name": name, "id": id, "class": class,
            "from": from.into_iter().take(PEOPLE_MAX).collect::<Vec<_>>().join(", "), "from_more": from_more,
        })
    });
    (shown.collect(), more)
}

fn cleaned(row: Value) -> Value {
    match row {
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| (name, Value::from(clean(&plain(&value), VALUE_CHARS_MAX))))
            .collect::<Map<_, _>>()
            .into(),
        other => other,
    }
}

/// One line without control characters and without those that change the direction of writing.
pub(crate) fn clean(text: &str, chars_max: usize) -> String {
    let is_bad = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let spaced: String = text.chars().map(|c| if is_bad(c) { ' ' } else { c }).collect();
    let line = spaced.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= chars_max {
        return line;
    }
    line.chars().take(chars_max.saturating_sub(1)).chain(['…']).collect()
}

/// White text on each of these has a contrast of at least 4.5 to 1.
pub(super) const fn colour(level: Level) -> &'static str {
    match level {
        Level::Critical => "#8b0a1a",
        Level::High => "#b83a0b",
        Level::Medium => "#8a5a00",
        Level::Low => "#1d4f91",
        Level::Informational => "#4a5568",
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::{self, event, notification};
    use super::*;

    #[test]
    fn the_text_part_can_be_acted_on() {
        let mut notification = notification();
        notification.events.truncate(3);
        let mail = mail(&notification).unwrap();
        let subject =
            "[Watchfire] HIGH One account clones many projects: author_id = 7 (alice <alice@example.com>)";
        assert_eq!(mail.subject, subject);
        insta::assert_snapshot!(mail.text, @r"
        HIGH  One account clones many projects
        author_id = 7  (alice <alice@example.com>)

        22 different entity_id within 10m, at least 20

        WHAT WAS DONE
          [DONE] block-author: blocked user 7 (alice); read back: blocked
            To undo:
              Admin area > Users > alice > Unblock
          [FAILED, ACT BY HAND] ticket: POST https://tickets answered 500

        WHO
          alice <alice@example.com>, id 7, User
            from 203.0.113.9

        WHEN (UTC)
          first 2026-01-31 09:00:00
          last  2026-01-31 09:08:00  (3 findings in this alert)

        WHY THE RULE FIRED
          22 different entity_id within 10m, at least 20
          Someone copies far more projects in ten minutes than a person reads.
          Rule gitlab-mass-clone (attack.t1213.003)

        EVIDENCE (25 events)
          2026-01-31 09:00:05  repository_git_operation  shop/project-0  Project project  203.0.113.9
          2026-01-31 09:01:05  repository_git_operation  shop/project-1  Project project  203.0.113.9
          2026-01-31 09:02:05  repository_git_operation  shop/project-2  Project project  203.0.113.9
          and 22 more

        SEE MORE
          watchfire search 'author_id:7 created_at:>=2026-01-31T08:00:00Z created_at:<=2026-01-31T10:08:00Z'

        IT MAY BE A FALSE ALARM IF
          - A new colleague setting up a workstation

        READ ABOUT IT
          https://attack.mitre.org/techniques/T1213/003/

        Alert 0123456789abcdef0123456789abcdef
        ");
    }

    #[test]
    fn both_parts_say_the_same() {
        let notification = notification();
        let mut mail = mail(&notification).unwrap();
        mail.html = mail.html.replace("&#x2f;", "/").replace("<wbr>", "");
        for part in [
            "One account clones many projects",
            "author_id = 7",
            "22 different",
            "203.0.113.9",
            "2026-01-31 09:08:00",
            "shop/project-19",
            "and 5 more",
            "block-author",
            "blocked user 7 (alice)",
            "answered 500",
            "Unblock",
            "A new colleague",
            "watchfire search",
            "gitlab-mass-clone",
        ] {
            assert!(mail.text.contains(part), "text: {part}\n{}", mail.text);
            assert!(mail.html.contains(part), "html: {part}\n{}", mail.html);
        }
        assert!(!mail.text.contains("shop/project-20"), "at most twenty rows");
    }

    /// A failed sign-in has the name that was typed and the author -1; a key has its own name and -3.
    #[test]
    fn the_subject_names_the_account_and_nobody_else() {
        let mut notification = notification();
        let mut of = |authors: &[(i64, &str)]| {
            let event = |(id, name): &(i64, &str)| {
                let mut event = event(1);
                event.insert("author_id".into(), (*id).into());
                event.insert("author_name".into(), (*name).into());
                event
            };
            notification.events = authors.iter().map(event).collect();
            let mail = mail(&notification).unwrap();
            (mail.subject.split_once("_id = 7").unwrap().1.to_owned(), mail.text)
        };
        let (subject, text) = of(&[(-1, "bob"), (-1, "bob"), (8, "Bob"), (-3, "ci")]);
        assert_eq!(subject, " (Bob)");
        assert!(text.contains("  bob, not signed in\n") && text.contains("  ci, deploy key\n"), "{text}");
        assert!(text.contains("  Bob, id 8, User\n"), "{text}");
        assert_eq!(of(&[(8, "Bob"), (9, "Bob")]).0, "");
        assert_eq!(of(&[(-1, "bob")]).0, "");
        assert_eq!(of(&[(8, "")]).0, "");
        assert_eq!(of(&[]).0, "");
    }

    #[test]
    fn what_an_attacker_types_stays_text() {
        let mut notification = notification();
        let mut evil = event(1);
        evil.insert("author_name".into(), "<img src=x onerror=alert(1)>\r\nDONE\u{202e}evil".into());
        notification.events = vec![evil];
        notification.alert.title = "a\r\nBcc: all@example.com".into();
        let mail = mail(&notification).unwrap();
        assert!(!mail.html.contains("<img") && mail.html.contains("&lt;img"));
        assert!(!mail.text.contains('\u{202e}') && !mail.text.contains('\r'));
        assert!(!mail.subject.contains(['\r', '\n']));
    }

    #[test]
    fn what_has_come_of_it_and_further_alerts_are_told() {
        use crate::alert::{AlertState, Occasion, Verdict};
        let mut notification = notification();
        notification.occasion = Occasion::Resolved;
        notification.triage.state = AlertState::Resolved;
        notification.triage.verdict = Some(Verdict::Benign);
        notification.triage.changed_by = Some("bob".into());
        notification.triage.note = Some("a <b>move</b>".into());
        notification.others = vec![tests_support::other(notification.alert.clone()); 60];
        let mail = mail(&notification).unwrap();
        let subject = "[Watchfire] HIGH Resolved by bob, benign: One account clones many projects: author_id = 7 \
                       (alice <alice@example.com>) and 60 further alerts";
        assert_eq!(mail.subject, subject);
        for part in [
            "HIGH  Resolved by bob, benign: One account",
            "NOTE\n  a <b>move</b>",
            "ALSO IN THIS MAIL",
            "and 10 more",
        ] {
            assert!(mail.text.contains(part), "{part}\n{}", mail.text);
        }
        for part in ["Resolved by bob, benign:", "a &lt;b&gt;move", "Also in this mail", "and 10 more"] {
            assert!(mail.html.contains(part), "{part}");
        }
    }

    #[test]
    fn every_standing_of_a_response_is_told() {
        let mut notification = notification();
        let base = notification.responses[0].clone();
        notification.responses = vec![
            Response { needs_human: true, changed: false, ..base.clone() },
            Response { dry_run: true, changed: false, ..base.clone() },
            Response { state: ResponseState::Pending, changed: false, ..base.clone() },
            Response { changed: false, ..base },
        ];
        let mail = mail(&notification).unwrap();
        for word in ["A PERSON MUST DECIDE", "REHEARSAL", "NOT YET DONE", "NOTHING TO DO"] {
            assert!(mail.text.contains(word) && mail.html.contains(word), "{word}");
        }
        notification.responses.clear();
        notification.events.clear();
        notification.alert.key.0.clear();
        notification.rule = Default::default();
        let bare = super::mail(&notification).unwrap();
        assert!(bare.text.contains("Nothing was changed"), "{}", bare.text);
        assert!(bare.subject.ends_with("clones many projects"));
    }

    #[test]
    fn colours_carry_white_text() {
        for level in Level::ALL {
            let hex = u32::from_str_radix(&colour(level)[1..], 16).unwrap();
            let part = |shift: u32| {
                let channel = f64::from((hex >> shift) & 255) / 255.0;
                if channel <= 0.03928 { channel / 12.92 } else { ((channel + 0.055) / 1.055).powf(2.4) }
            };
            let luminance = 0.2126 * part(16) + 0.7152 * part(8) + 0.0722 * part(0);
            assert!(1.05 / (luminance + 0.05) >= 4.5, "{level}");
        }
    }
}
