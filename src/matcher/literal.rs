//! Which literal texts a test cannot do without, and what waiting for them costs.

use regex_syntax::hir::Look;
use regex_syntax::hir::literal::Extractor;

use super::fold::fold;
use super::index::Literal;
use crate::rule::ast::{Cmp, Glob, Op, Test};

/// The guessed cost of waking up for a test: how many targets look, weighed by how common such literals are.
/// None: the test has no literals to wait for.
pub(super) fn price(literals: &[Literal], share: u64) -> Option<u64> {
    let weigh = |literal: &Literal| match literal {
        Literal::Whole(_) => 2,
        Literal::Start(text) | Literal::End(text) => match text.len() {
            0 => 1000,
            1 | 2 => 30,
            _ => 3,
        },
        Literal::Part(text) => match text.len() {
            0 => 1000,
            1 | 2 => 40,
            3 => 10,
            _ => 4,
        },
        Literal::Network(network) => {
            if network.prefix_len() < 8 {
                60
            } else {
                6
            }
        }
        Literal::Number(Cmp::Eq, _) => 3,
        Literal::Number(..) => 60,
    };
    let worst = literals.iter().map(weigh).sum::<u64>();
    (!literals.is_empty()).then(|| worst.saturating_mul(share.max(1)))
}

/// The folded literals of which at least one must stand in a value for the test to pass; empty: cannot tell.
pub(super) fn literals(test: &Test) -> Vec<Literal> {
    let one = |make: fn(Box<str>) -> Literal, text: &str| vec![make(fold(text).into())];
    match &test.op {
        Op::Exact(text) => one(Literal::Whole, text),
        Op::StartsWith(text) if !text.is_empty() => one(Literal::Start, text),
        Op::EndsWith(text) if !text.is_empty() => one(Literal::End, text),
        Op::Contains(text) if !text.is_empty() => one(Literal::Part, text),
        Op::Wildcard(globs) => {
            let texts = globs.iter().filter_map(|glob| match glob {
                Glob::Literal(text) => Some(text),
                Glob::One | Glob::Many => None,
            });
            texts.max_by_key(|text| text.len()).map_or_else(Vec::new, |text| one(Literal::Part, text))
        }
        Op::Regex(pattern) => regex_literals(pattern),
        Op::Cidr(network) => vec![Literal::Network(*network)],
        Op::Number(cmp, number) => vec![Literal::Number(*cmp, *number)],
        _ => Vec::new(),
    }
}

/// The literals every match of a regular expression starts with, if it has few and long ones.
fn regex_literals(pattern: &str) -> Vec<Literal> {
    let Ok(hir) = regex_syntax::parse(pattern) else { return Vec::new() };
    let prefixes = Extractor::new().limit_total(32).extract(&hir);
    let Some(found) = prefixes.literals() else { return Vec::new() };
    let texts: Vec<&str> =
        found.iter().filter_map(|literal| std::str::from_utf8(literal.as_bytes()).ok()).collect();
    let is_anchored = hir.properties().look_set_prefix().contains(Look::Start);
    // Of what a value begins with, one character tells more than nothing.
    let shortest = if is_anchored { 1 } else { 3 };
    if texts.len() != found.len() || texts.iter().any(|text| text.len() < shortest) {
        return Vec::new();
    }
    let make = if is_anchored { Literal::Start } else { Literal::Part };
    let mut folded: Vec<String> = texts.into_iter().map(fold).collect();
    folded.sort_unstable();
    folded.dedup();
    folded.into_iter().map(|text| make(text.into())).collect()
}
