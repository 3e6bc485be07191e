//! Whether tests exclude each other. A condition is written out as alternatives, each a list of demands that must
//! hold together; it cannot hold if none of the alternatives can. What is not understood is taken to hold.

use std::collections::BTreeSet;

use crate::rule::ast::{Cmp, Condition, Detection, Node, Op, Test};

/// More alternatives than this are not written out.
const ALTERNATIVES_MAX: usize = 512;

/// The ways in which a condition can hold.
#[derive(Debug, Clone)]
pub(super) struct Alternatives<'a>(Vec<Vec<Demand<'a>>>);

/// One thing an alternative demands of an event.
#[derive(Debug, Clone)]
enum Demand<'a> {
    /// The field has one of these values, folded.
    OneOf(&'a str, BTreeSet<String>),
    /// It has none of them.
    NoneOf(&'a str, BTreeSet<String>),
    /// A number in this relation.
    Number(&'a str, Cmp, f64),
    /// Some text, whatever the test.
    Text(&'a str),
    /// Missing or null.
    Null(&'a str),
    /// There, or not.
    Exists(&'a str, bool),
    /// This very test holds, or does not.
    Same(&'a Test, bool),
}

/// The alternatives of a selection; none if there are too many.
pub(super) fn of_node(node: &Node) -> Option<Alternatives<'_>> {
    node_or_not(node, false).map(Alternatives)
}

/// The alternatives of a condition; none if there are too many.
pub(super) fn of_condition<'a>(
    condition: &'a Condition,
    detection: &'a Detection,
) -> Option<Alternatives<'a>> {
    condition_or_not(condition, detection, false).map(Alternatives)
}

type Written<'a> = Option<Vec<Vec<Demand<'a>>>>;

fn condition_or_not<'a>(condition: &Condition, detection: &'a Detection, negated: bool) -> Written<'a> {
    let each =
        |children: &[Condition]| children.iter().map(|c| condition_or_not(c, detection, negated)).collect();
    match (condition, negated) {
        (Condition::And(children), false) | (Condition::Or(children), true) => product(each(children)),
        (Condition::Or(children), false) | (Condition::And(children), true) => union(each(children)),
        (Condition::Not(child), _) => condition_or_not(child, detection, !negated),
        (Condition::Selection(index), _) => node_or_not(&detection.selections.get(*index)?.node, negated),
    }
}

fn node_or_not(node: &Node, negated: bool) -> Written<'_> {
    if let Some((field, values)) = one_of(node) {
        let demand = if negated { Demand::NoneOf(field, values) } else { Demand::OneOf(field, values) };
        return Some(vec![vec![demand]]);
    }
    match (node, negated) {
        (Node::And(children), false) | (Node::Or(children), true) => product(each(children, negated)),
        (Node::Or(children), false) | (Node::And(children), true) => union(each(children, negated)),
        (Node::Not(child), _) => node_or_not(child, !negated),
        (Node::Test(test), _) => Some(vec![demands(test, negated)]),
        (Node::Script(_), _) => Some(vec![Vec::new()]),
    }
}

fn each(children: &[Node], negated: bool) -> Vec<Written<'_>> {
    children.iter().map(|child| node_or_not(child, negated)).collect()
}

fn product<'a>(parts: Vec<Written<'a>>) -> Written<'a> {
    let mut whole = vec![Vec::new()];
    for part in parts {
        let part = part?;
        if whole.len().saturating_mul(part.len()) > ALTERNATIVES_MAX {
            return None;
        }
        let joined = |left: &Vec<Demand<'a>>, right: &Vec<Demand<'a>>| [left.clone(), right.clone()].concat();
        whole = whole.iter().flat_map(|left| part.iter().map(move |right| joined(left, right))).collect();
    }
    Some(whole)
}

fn union<'a>(parts: Vec<Written<'a>>) -> Written<'a> {
    let mut whole = Vec::new();
    for part in parts {
        whole.extend(part?);
        if whole.len() > ALTERNATIVES_MAX {
            return None;
        }
    }
    Some(whole)
}

/// Plain values of one field, compared without regard to case.
fn one_of(node: &Node) -> Option<(&str, BTreeSet<String>)> {
    let plain = |node: &'_ Node| match node {
        Node::Test(Test { field: Some(_), op: Op::Exact(_), cased: false }) => true,
        Node::Or(_) | Node::And(_) | Node::Not(_) | Node::Test(_) | Node::Script(_) => false,
    };
    let tests = match node {
        Node::Or(children) if !children.is_empty() && children.iter().all(plain) => children.as_slice(),
        Node::Test(_) if plain(node) => std::slice::from_ref(node),
        _ => return None,
    };
    let mut field = None;
    let mut values = BTreeSet::new();
    for test in tests {
        let Node::Test(Test { field: Some(name), op: Op::Exact(value), .. }) = test else { return None };
        if *field.get_or_insert(name.as_str()) != name {
            return None;
        }
        values.insert(value.to_lowercase());
    }
    Some((field?, values))
}

fn demands(test: &Test, negated: bool) -> Vec<Demand<'_>> {
    let mut demands = vec![Demand::Same(test, !negated)];
    let Some(field) = test.field.as_deref() else { return demands };
    match (&test.op, negated) {
        (Op::Exists(wanted), _) => demands.push(Demand::Exists(field, *wanted != negated)),
        (Op::Null, false) => demands.push(Demand::Null(field)),
        (_, true) => {}
        (Op::Exact(value), false) => {
            demands.push(Demand::OneOf(field, BTreeSet::from([value.to_lowercase()])));
        }
        (Op::Number(cmp, number), false) => {
            demands.extend([Demand::Text(field), Demand::Number(field, *cmp, *number)]);
        }
        (_, false) => demands.push(Demand::Text(field)),
    }
    demands
}

impl<'a> Alternatives<'a> {
    /// Both must hold; none if there are too many ways.
    pub(super) fn and(self, other: Self) -> Option<Self> {
        product(vec![Some(self.0), Some(other.0)]).map(Self)
    }

    /// Why no alternative can hold; none if one can. `is_scalar` tells the fields that have one value at most.
    pub(super) fn impossible(&self, is_scalar: &dyn Fn(&str) -> bool) -> Option<String> {
        let mut reason = None;
        for alternative in &self.0 {
            let found = conflict(alternative, is_scalar)?;
            reason.get_or_insert(found);
        }
        reason
    }

    /// How many different values of a field get through, where every alternative names them.
    pub(super) fn values_of(&self, field: &str, is_scalar: &dyn Fn(&str) -> bool) -> Option<usize> {
        let mut all = BTreeSet::new();
        for alternative in self.0.iter().filter(|alternative| conflict(alternative, is_scalar).is_none()) {
            let mut sets = alternative.iter().filter_map(|demand| match demand {
                Demand::OneOf(name, values) if *name == field => Some(values),
                _ => None,
            });
            all.extend(sets.next()?.iter().cloned());
        }
        is_scalar(field).then_some(all.len())
    }
}

/// Why these demands cannot hold together.
fn conflict(demands: &[Demand<'_>], is_scalar: &dyn Fn(&str) -> bool) -> Option<String> {
    for (index, left) in demands.iter().enumerate() {
        for right in demands.iter().skip(index + 1) {
            let found = pair(left, right, is_scalar).or_else(|| pair(right, left, is_scalar));
            if found.is_some() {
                return found;
            }
        }
    }
    None
}

fn pair(left: &Demand<'_>, right: &Demand<'_>, is_scalar: &dyn Fn(&str) -> bool) -> Option<String> {
    match (left, right) {
        (Demand::OneOf(a, some), Demand::NoneOf(b, none)) if a == b && some.is_subset(none) => {
            Some(format!("`{a}` would have to be {} and not to be it", words(some)))
        }
        (Demand::OneOf(a, these), Demand::OneOf(b, those))
            if a == b && is_scalar(a) && these.is_disjoint(those) =>
        {
            Some(format!("`{a}` would have to be both {} and {}", words(these), words(those)))
        }
        (Demand::OneOf(a, values), Demand::Number(b, cmp, number)) if a == b && is_scalar(a) => {
            let fits = |value: &String| value.parse().is_ok_and(|value| cmp.holds(value, *number));
            (!values.iter().any(fits))
                .then(|| format!("`{a}` would have to be {} and {} {number}", words(values), sign(*cmp)))
        }
        (Demand::Number(a, above @ (Cmp::Gt | Cmp::Gte), low), Demand::Number(b, below, high))
            if a == b && is_scalar(a) && matches!(below, Cmp::Lt | Cmp::Lte) =>
        {
            let is_open = *above == Cmp::Gt || *below == Cmp::Lt;
            (low > high || (is_open && low >= high))
                .then(|| format!("`{a}` would have to be {} {low} and {} {high}", sign(*above), sign(*below)))
        }
        (Demand::OneOf(a, _) | Demand::Text(a), Demand::Null(b) | Demand::Exists(b, false)) if a == b => {
            Some(format!("`{a}` would have to be missing and to have a value"))
        }
        (Demand::Exists(a, true), Demand::Exists(b, false)) if a == b => {
            Some(format!("`{a}` would have to be there and not to be there"))
        }
        (Demand::Same(a, true), Demand::Same(b, false)) if a == b => {
            let field = a.field.as_deref().unwrap_or("the event");
            Some(format!("one test of `{field}` would have to hold and not to hold"))
        }
        _ => None,
    }
}

fn words(values: &BTreeSet<String>) -> String {
    let shown: Vec<String> = values.iter().take(3).map(|value| format!("`{value}`")).collect();
    let more = if values.len() > 3 { " or another" } else { "" };
    format!("{}{more}", shown.join(" or "))
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
