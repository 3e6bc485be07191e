//! When a measure is worth a finding.

use super::kind::Words;
use super::statistics::share;
use super::table::COMPARISONS;
use crate::rule::ast::Compare;
use crate::rule::read;
use crate::rule::report::Report;
use crate::rule::suggest;
use crate::rule::yaml::Yaml;

/// What the numbers of a comparison may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Numbers {
    /// What is counted is whole, and there is at least one.
    Whole,
    /// Any number.
    Real,
    /// `50%` or 0.5.
    Share,
    /// More than nothing.
    Score,
}

/// Reads the comparison of the behaviours that have one; the others hold or do not.
pub(super) fn compare(words: &Words<'_>, report: &mut Report) -> Option<Compare> {
    let names = COMPARISONS.map(|entry| entry.name);
    let names: Vec<&str> = names.into_iter().filter(|name| words.takes(name)).collect();
    if names.is_empty() {
        return Some(Compare::AtLeast(1.0));
    }
    let mut found = names.iter().filter_map(|name| words.get(name));
    let Some((key, node)) = found.next() else {
        if !words.is_mistyped(&names) {
            let help = format!("add one of {}", suggest::one_of(&names));
            read::missing("at_least", "`behavior`", words.place, report).help(help);
        }
        return None;
    };
    if let Some((second, _)) = found.next() {
        let message = format!("`{}` and `{}` cannot both be given", key.text, second.text);
        report.error("two-comparisons", second.place, message).help("use `between: [low, high]`");
        return None;
    }
    let numbers = match words.kind.name {
        "count" | "distinct" => Numbers::Whole,
        "ratio" => Numbers::Share,
        "risk" => Numbers::Score,
        _ => Numbers::Real,
    };
    let what = format!("`{}`", key.text);
    let mut number = |node: &Yaml| match numbers {
        Numbers::Whole => read::whole(node, &what, report),
        Numbers::Share => share(node, &what, report),
        Numbers::Real | Numbers::Score => read::number(node, &what, report),
    };
    let compare = match key.text.as_str() {
        "between" => match read::items(node).as_slice() {
            [low, high] => Compare::Between(number(low)?, number(high)?),
            _ => {
                let noted = report.error("bad-value", node.place, "`between` needs two numbers");
                noted.help("write `between: [5, 10]`");
                return None;
            }
        },
        "at_least" => Compare::AtLeast(number(node)?),
        "more_than" => Compare::MoreThan(number(node)?),
        "at_most" => Compare::AtMost(number(node)?),
        _ => Compare::FewerThan(number(node)?),
    };
    if let Some(problem) = problem(numbers, compare) {
        report.error("bad-value", node.place, format!("{what} {problem}"));
        return None;
    }
    Some(compare)
}

/// What is wrong with a comparison that always or never holds.
fn problem(numbers: Numbers, compare: Compare) -> Option<&'static str> {
    match compare {
        Compare::Between(low, high) if low > high => Some("is empty: the lower bound comes first"),
        _ if numbers == Numbers::Real => None,
        Compare::AtLeast(low) if numbers == Numbers::Whole && low < 1.0 => {
            Some("always holds: the smallest is 1")
        }
        Compare::AtMost(high) | Compare::Between(_, high) if numbers == Numbers::Whole && high < 1.0 => {
            Some("asks for nothing at all: use `absence`")
        }
        Compare::FewerThan(high) if numbers == Numbers::Whole && high < 2.0 => {
            Some("asks for nothing at all: use `absence`")
        }
        Compare::AtLeast(low) if low <= 0.0 => Some("always holds: it must be more than 0"),
        Compare::MoreThan(low) if low < 0.0 => Some("always holds: it must not be negative"),
        _ => None,
    }
}
