//! Tests in words.

use crate::rule::ast::{Cmp, Glob, Node, Op, RefKind, Test, TimePart};

/// How many values of a list are told.
const VALUES_MAX: usize = 4;

/// One test: `author_id is 7`.
pub(super) fn test(test: &Test) -> String {
    let field = test.field.as_deref().unwrap_or("any value");
    let cased = if test.cased { ", case counts" } else { "" };
    let what = match &test.op {
        Op::TimePart(part, cmp, number) => {
            return format!("{} of {field} {} {number}", part_name(*part), sign(*cmp));
        }
        Op::Cidr(network) => format!("lies in {network}"),
        Op::Number(cmp, number) => format!("{} {number}", sign(*cmp)),
        Op::Null => "is missing or null".to_owned(),
        Op::Exists(true) => "is there".to_owned(),
        Op::Exists(false) => "is not there".to_owned(),
        Op::FieldRef(other, kind) => format!("{} {other}", ref_verb(*kind)),
        Op::Regex(pattern) => format!("matches /{pattern}/"),
        op => format!("{} {}", verb(op), value(op)),
    };
    format!("{field} {what}{cased}")
}

/// Several tests of one field in one way, as a list of values stands for them: `a is one of b, c`. None if they are
/// not alike.
pub(super) fn one_of(nodes: &[Node]) -> Option<(String, Option<&str>)> {
    let tests: Vec<&Test> = nodes
        .iter()
        .map(|node| match node {
            Node::Test(test) => Some(test),
            Node::And(_) | Node::Or(_) | Node::Not(_) | Node::Script(_) => None,
        })
        .collect::<Option<_>>()?;
    let (first, rest) = tests.split_first()?;
    let same = |test: &&&Test| {
        test.field == first.field
            && test.cased == first.cased
            && has_value(&test.op)
            && verb(&test.op) == verb(&first.op)
    };
    if rest.is_empty() || !has_value(&first.op) || !rest.iter().all(|test| same(&test)) {
        return None;
    }
    let field = first.field.as_deref();
    let shown: Vec<String> = tests.iter().take(VALUES_MAX).map(|test| value(&test.op)).collect();
    let more = tests.len().saturating_sub(VALUES_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let cased = if first.cased { ", case counts" } else { "" };
    let label = format!(
        "{} {} one of {}{more}{cased}",
        field.unwrap_or("any value"),
        verb(&first.op),
        shown.join(", ")
    );
    Some((label, field))
}

const fn has_value(op: &Op) -> bool {
    matches!(
        op,
        Op::Exact(_) | Op::Contains(_) | Op::StartsWith(_) | Op::EndsWith(_) | Op::Wildcard(_) | Op::Cidr(_)
    )
}

const fn verb(op: &Op) -> &'static str {
    match op {
        Op::Exact(_) => "is",
        Op::Contains(_) => "contains",
        Op::StartsWith(_) => "starts with",
        Op::EndsWith(_) => "ends with",
        Op::Wildcard(_) => "looks like",
        Op::Cidr(_) => "lies in",
        _ => "",
    }
}

fn value(op: &Op) -> String {
    match op {
        Op::Exact(text) | Op::Contains(text) | Op::StartsWith(text) | Op::EndsWith(text) => {
            if text.is_empty() { "the empty text".to_owned() } else { text.clone() }
        }
        Op::Wildcard(globs) => globs
            .iter()
            .map(|glob| match glob {
                Glob::Literal(text) => text.as_str(),
                Glob::One => "?",
                Glob::Many => "*",
            })
            .collect(),
        Op::Cidr(network) => network.to_string(),
        _ => String::new(),
    }
}

const fn sign(cmp: Cmp) -> &'static str {
    match cmp {
        Cmp::Eq => "=",
        Cmp::Lt => "<",
        Cmp::Lte => "<=",
        Cmp::Gt => ">",
        Cmp::Gte => ">=",
    }
}

const fn ref_verb(kind: RefKind) -> &'static str {
    match kind {
        RefKind::Equals => "is the same as",
        RefKind::Contains => "contains the value of",
        RefKind::StartsWith => "starts with the value of",
        RefKind::EndsWith => "ends with the value of",
    }
}

const fn part_name(part: TimePart) -> &'static str {
    match part {
        TimePart::Minute => "minute",
        TimePart::Hour => "hour",
        TimePart::Day => "day",
        TimePart::Week => "week",
        TimePart::Month => "month",
        TimePart::Year => "year",
    }
}
