//! The mail: a text and an HTML part that say the same, written for somebody who has just been woken.
//!
//! First what happened and what was done about it, then how to undo it, then the evidence. Every value from an
//! event is cut to one short line without control or direction-changing characters: the mail shows what an
//! attacker typed, and must not be laid out by him.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde_json::{Map, Value, json};

use crate::alert::{Alert, AlertId, AlertState, Level, Occasion};

use super::card::{SHORT_CHARS, before, other, what_else};
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
/// Entities that are named.
const PLACES_MAX: usize = 3;
/// Of an account's name.
const NAME_CHARS_MAX: usize = 60;
/// Of a name or key in the subject.
const WHO_CHARS_MAX: usize = 28;
const WHO_CHARS_MIN: usize = 8;
/// Of a title in the subject, before a name is cut.
const TITLE_CHARS_MIN: usize = 20;
const SUBJECT_CHARS_MAX: usize = 69;

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
    environment.add_template("notice.html", include_str!("templates/notice.html"))?;
    Ok(environment)
});

/// Writes the mail for an alert.
///
/// # Errors
/// Only when the built-in templates are broken, which the tests would show.
pub fn mail(notification: &Notification) -> Result<Mail, TemplateError> {
    let context = context(notification);
    Ok(Mail {
        subject: subject(notification),
        text: filled("mail.txt", &context)?,
        html: filled("mail.html", &context)?,
    })
}

/// One of the built-in templates.
pub(super) fn filled(name: &str, context: &Value) -> Result<String, TemplateError> {
    let environment = TEMPLATES.as_ref().map_err(broken)?;
    let template = environment.get_template(name).map_err(|error| broken(&error))?;
    template.render(value_of(context)).map_err(|error| broken(&error))
}

/// `[Watchfire] HIGH One account clones many projects: Alice`, short enough for a phone's list. Where it is too long the
/// rule's title is cut, then whom it is about, and never the level.
#[must_use]
pub fn subject(notification: &Notification) -> String {
    let Notification { occasion, alert, others, .. } = notification;
    let more = match others.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let before = format!("[Watchfire] {} {}", alert.level.name().to_uppercase(), in_a_word(*occasion));
    let title = clean(&alert.title, VALUE_CHARS_MAX);
    let length = |text: &str| text.chars().count();
    let room = SUBJECT_CHARS_MAX.saturating_sub(length(&before) + length(&more));
    let name =
        account(&notification.events).unwrap_or_else(|| clean(&alert.key.to_string(), VALUE_CHARS_MAX));
    let who_room = room.saturating_sub(length(&title).min(TITLE_CHARS_MIN) + 2);
    let who = at_a_word(&name, who_room.clamp(WHO_CHARS_MIN, WHO_CHARS_MAX));
    let who = if who.is_empty() { who } else { format!(": {who}") };
    format!("{before}{}{who}{more}", at_a_word(&title, room.saturating_sub(length(&who))))
}

/// What has come of an alert, for a subject; who did it stands in the mail.
const fn in_a_word(occasion: Occasion) -> &'static str {
    match occasion {
        Occasion::Opened => "",
        Occasion::Reminder => "(reminder) ",
        Occasion::Escalated => "(escalated) ",
        Occasion::Acknowledged => "(acknowledged) ",
        Occasion::Resolved => "(resolved) ",
        Occasion::Reopened => "(reopened) ",
        Occasion::Undo => "(to be undone) ",
    }
}

/// A text's first words, as many as there is room for. The mark is ASCII, for it would have a mail encode its subject.
fn at_a_word(text: &str, chars_max: usize) -> String {
    const CUT: &str = "...";
    if text.chars().count() <= chars_max {
        return text.to_owned();
    }
    let shown: String = text.chars().take(chars_max.saturating_sub(CUT.len())).collect();
    let whole = shown.rsplit_once(' ').map_or(shown.as_str(), |(whole, _)| whole);
    format!("{}{CUT}", whole.trim_end_matches([',', ':', ' ']))
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
    let (places, places_more) = places(&notification.events);
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
        "reason": clean(&alert.reason, 500),
        "description": notification.rule.description.as_deref().map(|text| clean(text, 1000)),
        "people": people,
        "people_more": people_more,
        "when": when(alert),
        "places": places,
        "places_more": places_more,
        "incident": notification.incident.as_ref().map(|around| clean(&what_else(around), VALUE_CHARS_MAX)),
        "findings": alert.findings,
        "one_day": one_day(&rows),
        "rows": rows,
        "count": alert.evidence_count,
        "more": alert.evidence_count.saturating_sub(shown),
        "responses": notification.responses.iter().map(response).collect::<Vec<_>>(),
        "falsepositives": lines(&notification.rule.falsepositives),
        "references": lines(&notification.rule.references),
        "tags": lines(&alert.tags),
        "commands": commands(notification),
        "rule": clean(&alert.rule, VALUE_CHARS_MAX),
        "id": alert.id.0,
    })
}

/// From when to when: `2026-01-31 09:00:00 to 09:08:00`, in UTC.
pub(super) fn when(alert: &Alert) -> String {
    let [first, last] = [alert.started_at, alert.last_at].map(|time| minute(&time.to_string()));
    match (first.split_once(' '), last.split_once(' ')) {
        _ if first == last => first,
        (Some((day, _)), Some((same, time))) if day == same => format!("{first} to {time}"),
        _ => format!("{first} to {last}"),
    }
}

/// Whether all rows are of one day.
fn one_day(rows: &[Value]) -> bool {
    let day = |row: &Value| {
        row.get("time").and_then(Value::as_str).and_then(|time| Some(time.split_once(' ')?.0.to_owned()))
    };
    let mut days = rows.iter().map(day);
    let first = days.next().flatten();
    first.is_some() && days.all(|day| day == first)
}

/// The entities of the evidence, in order of first appearance.
pub(super) fn places(events: &[Map<String, Value>]) -> (Vec<String>, usize) {
    let mut found: Vec<String> = Vec::new();
    for event in events {
        let path =
            event.get("entity_path").map(|path| clean(&plain(path), VALUE_CHARS_MAX)).unwrap_or_default();
        if !path.is_empty() && !found.contains(&path) {
            found.push(path);
        }
    }
    let more = found.len().saturating_sub(PLACES_MAX);
    found.truncate(PLACES_MAX);
    (found, more)
}

/// The beginning of an alert's id.
pub(super) fn short(id: &AlertId) -> String {
    id.0.chars().take(SHORT_CHARS).collect()
}

/// What to type: to see all of it, to say that somebody looks into it, to look further.
fn commands(notification: &Notification) -> Vec<String> {
    let (alert, id) = (&notification.alert, short(&notification.alert.id));
    let mut commands = vec![format!("watchfire alert {id}")];
    match notification.triage.state {
        AlertState::Open => commands.push(format!("watchfire alert ack {id}")),
        AlertState::Acknowledged => commands.push(format!("watchfire alert resolve {id} --as VERDICT")),
        AlertState::Resolved => {}
    }
    commands.push(clean(&search_command(alert), COMMAND_CHARS_MAX));
    commands
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
        assert_eq!(mail.subject, "[Watchfire] HIGH One account clones...: alice <alice@example.com>");
        insta::assert_snapshot!(mail.text, @r"
        HIGH  One account clones many projects

        Who        alice <alice@example.com>, id 7, User
        From       203.0.113.9
        About      author_id = 7
        When       2026-01-31 09:00:00 to 09:08:00 UTC
        Where      shop/project-0, shop/project-1, shop/project-2
        Why        22 different entity_id within 10m, at least 20 (3 times by now)

        WHAT WAS DONE
          [DONE] block-author: blocked user 7 (alice); read back: blocked
            To undo:
              Admin area > Users > alice > Unblock
          [FAILED, ACT BY HAND] ticket: POST https://tickets answered 500

        WHAT TO DO
          Someone copies far more projects in ten minutes than a person reads.
          watchfire alert 01234567
          watchfire alert ack 01234567
          watchfire search 'author_id:7 created_at:>=2026-01-31T08:00:00Z created_at:<=2026-01-31T10:08:00Z'

        IT MAY BE A FALSE ALARM IF
          - A new colleague setting up a workstation

        EVIDENCE (25 events, times in UTC)
          2026-01-31 09:00:05  repository_git_operation  shop/project-0  Project project  203.0.113.9
          2026-01-31 09:01:05  repository_git_operation  shop/project-1  Project project  203.0.113.9
          2026-01-31 09:02:05  repository_git_operation  shop/project-2  Project project  203.0.113.9
          and 22 more

        READ ABOUT IT
          https://attack.mitre.org/techniques/T1213/003/

        Rule gitlab-mass-clone (attack.t1213.003)
        Alert 0123456789abcdef0123456789abcdef
        ");
    }

    #[test]
    fn both_parts_say_the_same() {
        let mut notification = notification();
        notification.incident = Some(tests_support::around());
        let mut mail = mail(&notification).unwrap();
        mail.html = mail.html.replace("&#x2f;", "/").replace("<wbr>", "");
        for part in [
            "One account clones many projects",
            "author_id = 7",
            "22 different",
            "203.0.113.9",
            "2026-01-31 09:00:00 to 09:08:00",
            "3 alerts about author_id = 7 at gitlab, the gravest: CRITICAL A token burst (incident 7c1e09ab)",
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
            (mail.subject.split_once("many projects").unwrap().1.to_owned(), mail.text)
        };
        let (subject, text) = of(&[(-1, "bob"), (-1, "bob"), (8, "Bob"), (-3, "ci")]);
        assert_eq!(subject, ": Bob");
        assert!(text.contains("  bob, not signed in\n") && text.contains("  ci, deploy key\n"), "{text}");
        assert!(text.contains("  Bob, id 8, User\n"), "{text}");
        for nobody in [&[(8, "Bob"), (9, "Bob")][..], &[(-1, "bob")], &[(8, "")], &[]] {
            assert_eq!(of(nobody).0, ": author_id = 7");
        }
    }

    /// A phone's list of mails shows little: it has the level and whom it is about whatever the rule is called.
    #[test]
    fn a_subject_is_short_and_never_without_level_and_name() {
        let mut notification = notification();
        for (level, title, name) in [
            (
                Level::Critical,
                "A token was made at one address, and the account copied code at another",
                "administrator",
            ),
            (Level::Informational, "Deleted", "ein-sehr-langer-name-ohne-jedes-leerzeichen@example.com"),
            (Level::High, &"ä".repeat(300), &"ö ".repeat(60)),
        ] {
            notification.alert.level = level;
            notification.alert.title = title.to_owned();
            let mut event = event(1);
            event.insert("author_name".into(), name.into());
            notification.events = vec![event];
            for occasion in Occasion::ALL {
                for others in [0, 1, 999] {
                    notification.occasion = occasion;
                    notification.others = vec![tests_support::other(notification.alert.clone()); others];
                    let subject = subject(&notification);
                    assert!(subject.chars().count() < 70, "{subject}");
                    let start: String = name.chars().take(3).collect();
                    assert!(
                        subject.contains(&level.name().to_uppercase()) && subject.contains(start.trim()),
                        "{subject}"
                    );
                }
            }
        }
    }

    #[test]
    fn times_say_the_day_once() {
        let mut alert = tests_support::alert();
        assert_eq!(when(&alert), "2026-01-31 09:00:00 to 09:08:00");
        alert.last_at = alert.started_at.plus(crate::time::Span::days(1));
        assert_eq!(when(&alert), "2026-01-31 09:00:00 to 2026-02-01 09:00:00");
        alert.last_at = alert.started_at;
        assert_eq!(when(&alert), "2026-01-31 09:00:00");
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
        assert_eq!(mail.subject, "[Watchfire] HIGH (resolved) One account...: alice... and 60 more");
        for part in [
            "HIGH  Resolved by bob, benign: One account",
            "Note       a <b>move</b>",
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
        assert!(bare.text.contains("Nothing: this rule only tells you"), "{}", bare.text);
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
