//! An exception as a Sigma filter, as people write it.

use std::fmt::Write as _;

use serde_json::Value;

use super::condition::{Condition, Test};
use crate::rule::ast::{Filter, LogSource, Rule};
use crate::rule::{Lists, RuleFile, load};
use crate::time::{Span, Timestamp};

/// An exception is looked at again after so long.
const HOLDS_FOR: Span = Span::days(90);
/// Characters of its title.
const TITLE_MAX: usize = 150;

/// The filter's text.
pub(super) fn filter(rule: &Rule, conditions: &[Condition], (owner, now): (&str, Timestamp)) -> String {
    let words: Vec<String> = conditions.iter().map(ToString::to_string).collect();
    let title: String =
        format!("Not for {}: {}", rule.id, words.join(", ")).chars().take(TITLE_MAX).collect();
    let expires: String = now.plus(HOLDS_FOR).to_string().chars().take(10).collect();
    let mut text = format!("title: {}\n{}", quoted(&title), logsource(&rule.logsource));
    let _ = write!(
        text,
        "owner: {}\nexpires: {expires}\nfilter:\n  rules: [{}]\n",
        quoted(owner),
        quoted(&rule.id)
    );
    text.push_str(&selection(conditions, 2));
    text.push_str("  condition: known\n");
    text
}

/// A rule that finds what the filter excepts: whether an event is touched is asked of the same engine.
pub(super) fn probe(rule: &Rule, conditions: &[Condition]) -> String {
    format!(
        "title: touched\nid: touched\n{}detection:\n{}  condition: known\n",
        logsource(&rule.logsource),
        selection(conditions, 2)
    )
}

/// The rule of such a text; none if it is not right.
pub(super) fn read_rule(text: &str) -> Option<Rule> {
    let file = RuleFile { path: "touched.yml".into(), text: text.to_owned() };
    let loaded = load(&[file], &Lists::default());
    if loaded.has_errors() { None } else { loaded.rules.into_iter().next() }
}

/// The filter of such a text; none if it is not right.
pub(super) fn read_filter(text: &str) -> Option<Filter> {
    let file = RuleFile { path: "proposed.yml".into(), text: text.to_owned() };
    let loaded = load(&[file], &Lists::default());
    if loaded.has_errors() { None } else { loaded.filters.into_iter().next() }
}

fn logsource(source: &LogSource) -> String {
    let parts = [("product", &source.product), ("category", &source.category), ("service", &source.service)];
    let parts: Vec<String> = parts
        .iter()
        .filter_map(|(name, value)| Some(format!("{name}: {}", quoted(value.as_deref()?))))
        .collect();
    format!("logsource: {{{}}}\n", parts.join(", "))
}

fn selection(conditions: &[Condition], indent: usize) -> String {
    let mut text = format!("{:indent$}known:\n", "");
    for condition in conditions {
        let (field, modifier, value) = match &condition.test {
            Test::Is(values) => (condition.field, "", listed(values)),
            Test::Begins(begin) => (condition.field, "|startswith", quoted(begin)),
            Test::Within(network) => (condition.field, "|cidr", network.to_string()),
        };
        let _ = writeln!(text, "{:indent$}  {field}{modifier}: {value}", "");
    }
    text
}

fn listed(values: &[Value]) -> String {
    let scalar = |value: &Value| value.as_str().map_or_else(|| value.to_string(), quoted);
    match values {
        [one] => scalar(one),
        many => format!("[{}]", many.iter().map(scalar).collect::<Vec<_>>().join(", ")),
    }
}

/// Plain where that is a text in YAML too, else in quotes, which JSON and YAML have in common.
fn quoted(text: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '/' | '.');
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic());
    let is_other =
        matches!(text.to_ascii_lowercase().as_str(), "true" | "false" | "null" | "yes" | "no" | "on" | "off");
    if begins && !is_other && text.chars().all(is_word) {
        return text.to_owned();
    }
    Value::from(text).to_string()
}
