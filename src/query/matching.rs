//! Whether an event is what a query looks for.

use std::borrow::Cow;
use std::net::IpAddr;

use serde_json::{Map, Value};

use super::ast::{Cmp, NOT_FREE_TEXT, Node, Operand, OperandKind, Query, Term, Test, fields, fold};
use crate::enrich::{Enrichment, Wanted};
use crate::time::Timestamp;

impl Query {
    /// Whether a canonical event is what the query looks for. No lookup table was laid over the event.
    #[must_use]
    pub fn matches(&self, event: &Map<String, Value>) -> bool {
        self.finds(event, &Enrichment::default())
    }

    /// Whether a canonical event is what the query looks for, when this was laid over it. Free text is not looked for
    /// in what was.
    #[must_use]
    pub fn finds(&self, event: &Map<String, Value>, enrichment: &Enrichment) -> bool {
        node_matches(&self.root, event, enrichment)
    }
}

fn node_matches(node: &Node, event: &Map<String, Value>, enrichment: &Enrichment) -> bool {
    match node {
        Node::And(nodes) => nodes.iter().all(|node| node_matches(node, event, enrichment)),
        Node::Or(nodes) => nodes.iter().any(|node| node_matches(node, event, enrichment)),
        Node::Not(node) => !node_matches(node, event, enrichment),
        Node::Term(Term::Anywhere(phrase)) if phrase.words.is_empty() => true,
        Node::Term(Term::Anywhere(phrase)) => {
            each_text(event, enrichment, &mut |text| phrase.occurs_in(&fold(text)))
        }
        Node::Term(Term::Field(name, test)) => {
            fields(name).any(|field| any_at(event, field, &mut |value| test_holds(test, value)))
        }
    }
}

/// Visits the texts and numbers in which words are looked for, until the visitor has found something.
pub(crate) fn each_text(
    event: &Map<String, Value>,
    enrichment: &Enrichment,
    visit: &mut dyn FnMut(&str) -> bool,
) -> bool {
    let has_tables = !enrichment.tables().is_empty();
    let is_laid = |outer: &str, inner: &str| {
        matches!(enrichment.wanted(&format!("{outer}.{inner}")), Some(Wanted::Cell(..)))
    };
    event.iter().filter(|(name, _)| !NOT_FREE_TEXT.contains(&name.as_str())).any(|(outer, value)| match value
    {
        Value::Object(object) if has_tables => {
            object.iter().any(|(inner, value)| !is_laid(outer, inner) && each_in(value, visit))
        }
        value => each_in(value, visit),
    })
}

fn each_in(value: &Value, visit: &mut dyn FnMut(&str) -> bool) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| each_in(item, visit)),
        Value::Object(object) => object.values().any(|inner| each_in(inner, visit)),
        Value::Bool(_) => false,
        scalar => text(scalar).is_some_and(|text| visit(&text)),
    }
}

/// Whether the test holds for a value at the dotted path; a name with dots in it goes before a path.
pub(crate) fn any_at(object: &Map<String, Value>, path: &str, test: &mut dyn FnMut(&Value) -> bool) -> bool {
    if object.get(path).is_some_and(|value| any_element(value, test)) {
        return true;
    }
    let Some((first, rest)) = path.split_once('.') else { return false };
    object.get(first).is_some_and(|value| {
        any_element(value, &mut |value| value.as_object().is_some_and(|inner| any_at(inner, rest, test)))
    })
}

fn any_element(value: &Value, test: &mut dyn FnMut(&Value) -> bool) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| any_element(item, test)),
        single => test(single),
    }
}

pub(crate) fn test_holds(test: &Test, value: &Value) -> bool {
    match test {
        // `*` asks only whether there is a value, so an object will do.
        Test::Like(pattern) if pattern.is_anything() => !value.is_null(),
        Test::Like(pattern) => text(value).is_some_and(|text| pattern.is_whole(&fold(&text))),
        Test::Network(network, written) => text(value).is_some_and(|text| {
            text.parse::<IpAddr>().is_ok_and(|address: IpAddr| {
                network.contains(&address) || network.contains(&address.to_canonical())
            }) || fold(&text) == fold(written)
        }),
        Test::Within(operand) => holds(Cmp::Gte, operand, value) && holds(Cmp::Lte, operand, value),
        Test::Compare(cmp, operand) => holds(*cmp, operand, value),
        Test::Range(low, high) => {
            low.as_ref().is_none_or(|low| holds(Cmp::Gte, low, value))
                && high.as_ref().is_none_or(|high| holds(Cmp::Lte, high, value))
        }
    }
}

fn holds(cmp: Cmp, operand: &Operand, value: &Value) -> bool {
    match &operand.kind {
        OperandKind::Number(number) => number_of(value).is_some_and(|value| match cmp {
            Cmp::Lt => value < *number,
            Cmp::Lte => value <= *number,
            Cmp::Gt => value > *number,
            Cmp::Gte => value >= *number,
        }),
        OperandKind::Time(from, to) => time_of(value).is_some_and(|value| match cmp {
            Cmp::Lt => value < *from,
            Cmp::Lte => value < *to,
            Cmp::Gt => value >= *to,
            Cmp::Gte => value >= *from,
        }),
        OperandKind::Text(operand) => text(value).map(|text| fold(&text)).is_some_and(|value| match cmp {
            Cmp::Lt => value < *operand,
            Cmp::Lte => value <= *operand,
            Cmp::Gt => value > *operand,
            Cmp::Gte => value >= *operand,
        }),
    }
}

fn number_of(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// RFC 3339, or the milliseconds since 1970 that some forges write.
fn time_of(value: &Value) -> Option<Timestamp> {
    match value {
        Value::Number(number) => number.as_i64().map(Timestamp),
        Value::String(text) => Timestamp::parse(text).ok(),
        _ => None,
    }
}

/// A scalar as text; null is nothing. 1.0 and 1 are one number, so they have one text.
pub(crate) fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) => {
            let mut text = number.to_string();
            if text.ends_with(".0") {
                text.truncate(text.len() - 2);
            }
            Some(Cow::Owned(text))
        }
        Value::Bool(flag) => Some(Cow::Borrowed(if *flag { "true" } else { "false" })),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
