//! Whether a regular expression or script is all there is to choose events by. The matcher looks at a rule only when
//! a text it cannot do without has come by; where there is none, it looks every time.

use regex_syntax::hir::{Hir, HirKind};

use crate::rule::ast::{Condition, Detection, Glob, Node, Op, Test};

/// Shorter texts choose nothing.
const TEXT_MIN: usize = 3;

/// What is tried on every event, and the line of its selection; none if something is there to choose by, or the
/// test that is tried is a cheap one.
pub(super) fn unindexed(condition: &Condition, detection: &Detection) -> Option<(&'static str, u32)> {
    if condition_chooses(condition, detection, false) {
        return None;
    }
    costly(condition, detection)
}

fn condition_chooses(condition: &Condition, detection: &Detection, negated: bool) -> bool {
    let chooses = |child: &Condition| condition_chooses(child, detection, negated);
    match (condition, negated) {
        (Condition::And(children), false) | (Condition::Or(children), true) => children.iter().any(chooses),
        (Condition::Or(children), false) | (Condition::And(children), true) => children.iter().all(chooses),
        (Condition::Not(child), _) => condition_chooses(child, detection, !negated),
        (Condition::Selection(index), _) => {
            detection.selections.get(*index).is_some_and(|selection| node_chooses(&selection.node, negated))
        }
    }
}

fn node_chooses(node: &Node, negated: bool) -> bool {
    let chooses = |child: &Node| node_chooses(child, negated);
    match (node, negated) {
        (Node::And(children), false) | (Node::Or(children), true) => children.iter().any(chooses),
        (Node::Or(children), false) | (Node::And(children), true) => children.iter().all(chooses),
        (Node::Not(child), _) => node_chooses(child, !negated),
        (Node::Test(test), false) => test_chooses(test),
        (Node::Test(_), true) | (Node::Script(_), _) => false,
    }
}

fn test_chooses(test: &Test) -> bool {
    match &test.op {
        Op::Exact(_) => true,
        Op::Contains(text) | Op::StartsWith(text) | Op::EndsWith(text) => !text.is_empty(),
        Op::Wildcard(globs) => globs.iter().any(|glob| matches!(glob, Glob::Literal(_))),
        Op::Regex(pattern) => regex_syntax::parse(pattern).is_ok_and(|hir| has_text(&hir)),
        _ => false,
    }
}

/// Whether every match contains some text of a useful length.
fn has_text(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Literal(literal) => literal.0.len() >= TEXT_MIN,
        HirKind::Capture(capture) => has_text(&capture.sub),
        HirKind::Repetition(repetition) => repetition.min > 0 && has_text(&repetition.sub),
        HirKind::Alternation(children) => children.iter().all(has_text),
        HirKind::Concat(children) => children.iter().any(has_text) || longest_run(children) >= TEXT_MIN,
        HirKind::Empty | HirKind::Class(_) | HirKind::Look(_) => false,
    }
}

/// Letters that may be of either case are classes of two.
fn longest_run(children: &[Hir]) -> usize {
    let (mut longest, mut run) = (0, 0);
    for child in children {
        run = match child.kind() {
            HirKind::Literal(literal) => run + literal.0.len(),
            HirKind::Class(class) if is_letter(class) => run + 1,
            _ => 0,
        };
        longest = longest.max(run);
    }
    longest
}

fn is_letter(class: &regex_syntax::hir::Class) -> bool {
    use regex_syntax::hir::Class;
    match class {
        Class::Unicode(class) => {
            let count: u32 =
                class.iter().map(|range| u32::from(range.end()) - u32::from(range.start()) + 1).sum();
            count <= 4
        }
        Class::Bytes(class) => class.iter().count() <= 2,
    }
}

/// The first costly test, and its selection's line.
fn costly(condition: &Condition, detection: &Detection) -> Option<(&'static str, u32)> {
    match condition {
        Condition::And(children) | Condition::Or(children) => {
            children.iter().find_map(|child| costly(child, detection))
        }
        Condition::Not(child) => costly(child, detection),
        Condition::Selection(index) => {
            let selection = detection.selections.get(*index)?;
            Some((costly_node(&selection.node)?, selection.line))
        }
    }
}

fn costly_node(node: &Node) -> Option<&'static str> {
    match node {
        Node::And(children) | Node::Or(children) => children.iter().find_map(costly_node),
        Node::Not(child) => costly_node(child),
        Node::Test(Test { op: Op::Regex(_), .. }) => Some("regular expression"),
        Node::Test(_) => None,
        Node::Script(_) => Some("script"),
    }
}
