//! Reading typed values out of the tree, with a diagnostic for what does not fit.

use std::str::FromStr;

use super::list::Lists;
use super::report::Report;
use super::script_link::Scripts;
use super::yaml::{Content, Key, Place, ScalarKind, Yaml};
use crate::time::Span;

/// What every part of the parser needs.
pub(super) struct Context<'a> {
    pub(super) report: &'a mut Report,
    pub(super) lists: &'a Lists,
    pub(super) scripts: &'a Scripts<'a>,
}

/// The entries of a map.
pub(super) type Entries<'a> = &'a [(Key, Yaml)];

/// The entry of that key.
pub(super) fn get<'a>(entries: Entries<'a>, key: &str) -> Option<&'a (Key, Yaml)> {
    entries.iter().find(|(known, _)| known.text == key)
}

/// The value of that key.
pub(super) fn value<'a>(entries: Entries<'a>, key: &str) -> Option<&'a Yaml> {
    get(entries, key).map(|(_, value)| value)
}

/// Reports every key that is not `known`, as an error.
pub(super) fn only(entries: Entries<'_>, known: &[&str], what: &str, report: &mut Report) {
    for (key, _) in entries {
        if !known.contains(&key.text.as_str()) {
            unknown_key(key, known, what, report);
        }
    }
}

/// One key too many.
pub(super) fn unknown_key(key: &Key, known: &[&str], what: &str, report: &mut Report) {
    let message = format!("unknown key `{}` in {what}", key.text);
    report.error("unknown-key", key.place, message).suggest(&key.text, known.iter().copied());
}

/// A value of the wrong type.
pub(super) fn wrong_type(node: &Yaml, what: &str, expected: &str, report: &mut Report) {
    let message = format!("{what} must be {expected}, not {}", node.describe());
    report.error("wrong-type", node.place, message);
}

/// Whether a key is there but for a slip, which [`only`] reports, so that it need not be missed as well.
pub(super) fn is_mistyped(entries: Entries<'_>, keys: &[&str]) -> bool {
    let is_near = |text: &str| keys.iter().any(|key| super::suggest::is_slip(text, key));
    entries.iter().any(|(key, _)| is_near(&key.text))
}

/// A key that has to be there.
pub(super) fn missing<'r>(
    key: &str,
    what: &str,
    place: Place,
    report: &'r mut Report,
) -> super::report::Noted<'r> {
    report.error("missing-key", place, format!("{what} has no `{key}`"))
}

/// The entries, if it is a map.
pub(super) fn map<'a>(node: &'a Yaml, what: &str, report: &mut Report) -> Option<Entries<'a>> {
    let entries = node.entries();
    if entries.is_none() {
        wrong_type(node, what, "a map", report);
    }
    entries
}

/// A scalar that is there, as its text.
pub(super) fn text(node: &Yaml, what: &str, report: &mut Report) -> Option<String> {
    match node.scalar() {
        Some(scalar) if scalar.kind != ScalarKind::Null => Some(scalar.text.clone()),
        _ => {
            wrong_type(node, what, "a text", report);
            None
        }
    }
}

/// A scalar that is there and not blank.
pub(super) fn name(node: &Yaml, what: &str, report: &mut Report) -> Option<String> {
    let text = text(node, what, report)?;
    if text.trim().is_empty() {
        report.error("bad-value", node.place, format!("{what} is empty"));
        return None;
    }
    Some(text)
}

/// The items of a list, or the value itself as the only item; nothing gives no items.
pub(super) fn items(node: &Yaml) -> Vec<&Yaml> {
    match &node.content {
        Content::List(items) => items.iter().collect(),
        Content::Scalar(_) if node.is_null() => Vec::new(),
        Content::Map(_) | Content::Scalar(_) => vec![node],
    }
}

/// One name or a list of names.
pub(super) fn names(node: &Yaml, what: &str, report: &mut Report) -> Vec<String> {
    items(node).into_iter().filter_map(|item| name(item, what, report)).collect()
}

/// A boolean.
pub(super) fn boolean(node: &Yaml, what: &str, report: &mut Report) -> Option<bool> {
    match node.scalar() {
        Some(scalar) if scalar.kind == ScalarKind::Bool => Some(scalar.text.eq_ignore_ascii_case("true")),
        _ => {
            wrong_type(node, what, "true or false", report);
            None
        }
    }
}

/// A finite number.
pub(super) fn number(node: &Yaml, what: &str, report: &mut Report) -> Option<f64> {
    let parsed = node.scalar().and_then(|scalar| match scalar.kind {
        ScalarKind::Int | ScalarKind::Float => number_of(&scalar.text),
        ScalarKind::Null | ScalarKind::Bool | ScalarKind::Str => None,
    });
    if parsed.is_none() {
        wrong_type(node, what, "a number", report);
    }
    parsed
}

/// A whole number that is not negative.
pub(super) fn whole(node: &Yaml, what: &str, report: &mut Report) -> Option<f64> {
    let number = number(node, what, report)?;
    if number < 0.0 || number.fract() != 0.0 {
        report.error("bad-value", node.place, format!("{what} must be a whole number, not negative"));
        return None;
    }
    Some(number)
}

/// The number a plain scalar's text stands for, also in hexadecimal and octal.
pub(super) fn number_of(text: &str) -> Option<f64> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "whoever compares with more than 53 bits has been warned by YAML"
    )]
    let whole = integer_of(text).map(|number| number as f64);
    whole.or_else(|| f64::from_str(text).ok()).filter(|number| number.is_finite())
}

/// The whole number a plain scalar's text stands for.
pub(super) fn integer_of(text: &str) -> Option<i64> {
    if let Some(hex) = text.strip_prefix("0x") {
        return i64::from_str_radix(hex, 16).ok();
    }
    if let Some(octal) = text.strip_prefix("0o") {
        return i64::from_str_radix(octal, 8).ok();
    }
    i64::from_str(text).ok()
}

/// A length of time that is more than nothing.
pub(super) fn span(node: &Yaml, what: &str, report: &mut Report) -> Option<Span> {
    let span = span_or_zero(node, what, report)?;
    if span.0 == 0 {
        report.error("bad-value", node.place, format!("{what} must be more than nothing"));
        return None;
    }
    Some(span)
}

/// A length of time; `0` needs no unit.
pub(super) fn span_or_zero(node: &Yaml, what: &str, report: &mut Report) -> Option<Span> {
    let text = text(node, what, report)?;
    if text == "0" {
        return Some(Span(0));
    }
    match Span::from_str(&text) {
        Ok(span) => Some(span),
        Err(error) => {
            report.error("bad-span", node.place, format!("{what}: {error}"));
            None
        }
    }
}
