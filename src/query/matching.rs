//! Whether an event is what a query looks for.

use std::borrow::Cow;
use std::net::IpAddr;

use serde_json::{Map, Value};

use super::ast::{Cmp, Node, Operand, OperandKind, Pattern, Query, Term, Test, fields, fold};
use crate::time::Timestamp;

impl Query {
    /// Whether a canonical event is what the query looks for.
    #[must_use]
    pub fn matches(&self, event: &Map<String, Value>) -> bool {
        node_matches(&self.root, event)
    }
}

fn node_matches(node: &Node, event: &Map<String, Value>) -> bool {
    match node {
        Node::And(nodes) => nodes.iter().all(|node| node_matches(node, event)),
        Node::Or(nodes) => nodes.iter().any(|node| node_matches(node, event)),
        Node::Not(node) => !node_matches(node, event),
        Node::Term(Term::Anywhere(pattern)) => event.values().any(|value| occurs_in(pattern, value)),
        Node::Term(Term::Field(name, test)) => {
            fields(name).any(|field| any_at(event, field, &|value| test_holds(test, value)))
        }
    }
}

fn occurs_in(pattern: &Pattern, value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| occurs_in(pattern, item)),
        Value::Object(object) => object.values().any(|inner| occurs_in(pattern, inner)),
        scalar => text(scalar).is_some_and(|text| pattern.occurs_in(&fold(&text))),
    }
}

/// Whether the test holds for a value at the dotted path; a name with dots in it goes before a path.
fn any_at(object: &Map<String, Value>, path: &str, test: &dyn Fn(&Value) -> bool) -> bool {
    if object.get(path).is_some_and(|value| any_element(value, test)) {
        return true;
    }
    let Some((first, rest)) = path.split_once('.') else { return false };
    object.get(first).is_some_and(|value| {
        any_element(value, &|value| value.as_object().is_some_and(|inner| any_at(inner, rest, test)))
    })
}

fn any_element(value: &Value, test: &dyn Fn(&Value) -> bool) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| any_element(item, test)),
        single => test(single),
    }
}

fn test_holds(test: &Test, value: &Value) -> bool {
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

/// A scalar as text; null is nothing.
fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        Value::Bool(flag) => Some(Cow::Borrowed(if *flag { "true" } else { "false" })),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

impl Pattern {
    /// `*` alone.
    fn is_anything(&self) -> bool {
        self.folded.len() > 1 && self.folded.iter().all(String::is_empty)
    }

    /// Whether the whole of a folded text looks like this.
    fn is_whole(&self, text: &str) -> bool {
        match self.folded.as_slice() {
            [] => false,
            [literal] => literal == text,
            [first, middle @ .., last] => text
                .strip_prefix(first.as_str())
                .and_then(|rest| rest.strip_suffix(last.as_str()))
                .is_some_and(|rest| occur_in_order(middle, rest)),
        }
    }

    /// Whether a part of a folded text looks like this.
    fn occurs_in(&self, text: &str) -> bool {
        occur_in_order(&self.folded, text)
    }
}

/// Taking each part at its first place leaves the most room for those after it.
fn occur_in_order(parts: &[String], text: &str) -> bool {
    let mut rest = text;
    parts.iter().all(|part| match rest.find(part.as_str()) {
        Some(at) => {
            rest = rest.get(at + part.len()..).unwrap_or_default();
            true
        }
        None => false,
    })
}
