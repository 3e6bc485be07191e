//! The command that shows more than fits into a notification.

use crate::alert::Alert;
use crate::time::{Span, Timestamp};

/// How much before and after the alert is looked at.
const MARGIN: Span = Span::minutes(60);

/// `watchfire search '…'` for the alert's key, from an hour before it to an hour after; for a POSIX shell.
#[must_use]
pub fn search_command(alert: &Alert) -> String {
    let mut terms: Vec<String> =
        alert.key.0.iter().map(|(field, value)| format!("{field}:{}", query_text(value))).collect();
    terms.push(format!("created_at:>={}", second(alert.started_at.minus(MARGIN))));
    terms.push(format!("created_at:<={}", second(alert.last_at.plus(MARGIN))));
    format!("watchfire search '{}'", terms.join(" ").replace('\'', r"'\''"))
}

/// A time to the second: `2026-01-31T09:00:00Z`.
fn second(time: Timestamp) -> String {
    let text = time.to_string();
    text.split_once('.').map_or(text.clone(), |(whole, _)| format!("{whole}Z"))
}

/// A value as the search language wants it: bare where that is safe, else in quotes.
fn query_text(value: &str) -> String {
    let is_bare = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '@');
    if !value.is_empty() && value.chars().all(is_bare) && !value.starts_with('-') {
        return value.to_owned();
    }
    if value.starts_with('-') && value[1..].chars().all(|c| c.is_ascii_digit()) && value.len() > 1 {
        return value.to_owned();
    }
    let escaped: String = value
        .chars()
        .filter(|c| !c.is_control())
        .flat_map(|c| matches!(c, '"' | '\\').then_some('\\').into_iter().chain([c]))
        .collect();
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::alert;
    use super::*;
    use crate::alert::Key;

    #[test]
    fn the_command_survives_shell_and_query() {
        let mut alert = alert();
        let mut with = |value: &str| {
            alert.key = Key(vec![("author_name".into(), value.into())]);
            search_command(&alert)
        };
        let times = "created_at:>=2026-01-31T08:00:00Z created_at:<=2026-01-31T10:08:00Z";
        assert_eq!(with("alice"), format!("watchfire search 'author_name:alice {times}'"));
        assert_eq!(with("-3"), format!("watchfire search 'author_name:-3 {times}'"));
        assert_eq!(
            with("O'Neil \"x\\"),
            format!(r#"watchfire search 'author_name:"O'\''Neil \"x\\" {times}'"#)
        );
        assert_eq!(with(""), format!("watchfire search 'author_name:\"\" {times}'"));
    }
}
