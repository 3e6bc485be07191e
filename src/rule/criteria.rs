//! The `condition` of a correlation: a comparison, the field it is about, or an expression over the rules.

use super::ast::{Compare, CorrelationKind};
use super::read::{self, Entries};
use super::report::Report;
use super::yaml::{Key, Place, Yaml};

/// The comparisons.
pub(super) const CRITERIA: [&str; 6] = ["gt", "gte", "lt", "lte", "eq", "neq"];
/// The rank of a `value_percentile`: Watchfire's addition, since the specification names none.
pub(super) const RANK: &str = "percentile";
/// The rank where none is given.
const RANK_DEFAULT: f64 = 50.0;

/// What a correlation's condition says.
#[derive(Debug, Default)]
pub(super) struct Criteria {
    pub(super) compare: Option<Compare>,
    pub(super) fields: Vec<String>,
    /// The percentile's rank.
    pub(super) rank: Option<f64>,
    /// A condition over rules, which is read when their names are known.
    pub(super) expression: Option<Yaml>,
}

/// Reads the condition of a correlation of this kind over so many rules; mistakes are reported.
pub(super) fn criteria(
    (kind, rules): (CorrelationKind, usize),
    correlation: &Key,
    entry: Option<&(Key, Yaml)>,
    report: &mut Report,
) -> Criteria {
    let Some((key, node)) = entry else {
        if !is_temporal(kind) {
            let noted = read::missing("condition", "`correlation`", correlation.place, report);
            noted.help("add one, as `condition: {gte: 5}`");
        }
        return Criteria::default();
    };
    if is_temporal(kind) && node.scalar().is_some_and(|scalar| !scalar.text.is_empty()) {
        return Criteria { expression: Some(node.clone()), ..Criteria::default() };
    }
    let Some(entries) = read::map(node, "`condition`", report) else { return Criteria::default() };
    let mut known: Vec<&str> = CRITERIA.to_vec();
    known.extend(takes_field(kind).then_some("field"));
    known.extend(matches!(kind, CorrelationKind::ValuePercentile(_)).then_some(RANK));
    read::only(entries, &known, "`condition` of a correlation", report);
    let compare = comparison(kind, key, entries, report);
    if let Some(compare) = compare {
        check_reach((kind, rules), compare, key.place, report);
    }
    Criteria {
        compare,
        fields: fields(kind, key, entries, report),
        rank: rank(kind, key, entries, report),
        expression: None,
    }
}

pub(super) fn is_temporal(kind: CorrelationKind) -> bool {
    matches!(kind, CorrelationKind::Temporal | CorrelationKind::TemporalOrdered)
}

fn takes_field(kind: CorrelationKind) -> bool {
    !is_temporal(kind) && kind != CorrelationKind::EventCount
}

/// Whether the measure is a count, so that fractions mean nothing.
fn is_counted(kind: CorrelationKind) -> bool {
    is_temporal(kind) || matches!(kind, CorrelationKind::EventCount | CorrelationKind::ValueCount)
}

fn fields(kind: CorrelationKind, key: &Key, entries: Entries<'_>, report: &mut Report) -> Vec<String> {
    if !takes_field(kind) {
        return Vec::new();
    }
    let node = read::value(entries, "field");
    let fields = node.map(|node| read::names(node, "`field`", report)).unwrap_or_default();
    match (fields.len(), node) {
        (0, _) if read::is_mistyped(entries, &["field"]) => {}
        (0, _) => {
            let noted = read::missing("field", "`condition` of a correlation over values", key.place, report);
            noted.help("name the field whose values are looked at");
        }
        (2.., Some(node)) if !is_counted(kind) => {
            let message = "only one field can be computed with";
            report.error("bad-value", node.place, message).help("write one correlation for each field");
        }
        _ => {}
    }
    fields
}

/// The rank of a percentile, 0 to 100.
fn rank(kind: CorrelationKind, key: &Key, entries: Entries<'_>, report: &mut Report) -> Option<f64> {
    if !matches!(kind, CorrelationKind::ValuePercentile(_)) {
        return None;
    }
    let Some(node) = read::value(entries, RANK) else {
        if !read::is_mistyped(entries, &[RANK]) {
            let message = format!("no `{RANK}` says which one is meant: {RANK_DEFAULT} is taken, the median");
            let help =
                "add `percentile: 95`; for values that are rare write a rule with `behavior: {rare: FIELD}`";
            report.warning("percentile-rank", key.place, message).help(help);
        }
        return Some(RANK_DEFAULT);
    };
    let rank = read::number(node, "`percentile`", report)?;
    if !(0.0..=100.0).contains(&rank) {
        report.error("bad-value", node.place, "`percentile` must lie between 0 and 100");
    }
    Some(rank)
}

fn comparison(
    kind: CorrelationKind,
    key: &Key,
    entries: Entries<'_>,
    report: &mut Report,
) -> Option<Compare> {
    let mut criteria = Vec::new();
    for (key, value) in entries.iter().filter(|(key, _)| CRITERIA.contains(&key.text.as_str())) {
        let what = format!("`{}`", key.text);
        let number = if is_counted(kind) {
            read::whole(value, &what, report)
        } else {
            read::number(value, &what, report)
        };
        criteria.extend(number.map(|number| (key, number)));
    }
    let is_bare = entries.iter().all(|(key, _)| !CRITERIA.contains(&key.text.as_str()));
    if is_bare && !is_temporal(kind) && !read::is_mistyped(entries, &CRITERIA) {
        let help = format!("add one of {}", super::suggest::one_of(&CRITERIA));
        read::missing("gte", "`condition`", key.place, report).help(help);
    }
    compare(&criteria, is_counted(kind), report)
}

fn compare(criteria: &[(&Key, f64)], is_counted: bool, report: &mut Report) -> Option<Compare> {
    let mut found = criteria.iter().map(|(key, number)| match key.text.as_str() {
        "gt" => Compare::MoreThan(*number),
        "gte" => Compare::AtLeast(*number),
        "lt" => Compare::FewerThan(*number),
        "lte" => Compare::AtMost(*number),
        "eq" => Compare::Exactly(*number),
        _ => Compare::NotEqual(*number),
    });
    let (first, second) = (found.next()?, found.next());
    let Some(second) = second else { return Some(first) };
    let place = criteria.last().map_or(Place::FILE, |(key, _)| key.place);
    // An open bound is the next closed one: the next whole number of a count, else the next number there is.
    let low = |compare: Compare| match compare {
        Compare::AtLeast(low) => Some(low),
        Compare::MoreThan(low) => Some(if is_counted { low + 1.0 } else { low.next_up() }),
        _ => None,
    };
    let high = |compare: Compare| match compare {
        Compare::AtMost(high) => Some(high),
        Compare::FewerThan(high) => Some(if is_counted { high - 1.0 } else { high.next_down() }),
        _ => None,
    };
    let range = low(first).zip(high(second)).or_else(|| low(second).zip(high(first)));
    match range {
        Some((low, high)) if low <= high && criteria.len() == 2 => Some(Compare::Between(low, high)),
        Some(_) if criteria.len() == 2 => {
            report.error("bad-value", place, "nothing can meet both bounds");
            None
        }
        _ => {
            let message = "these comparisons cannot be combined";
            report.error("two-comparisons", place, message).help("give one, or a lower and an upper bound");
            None
        }
    }
}

/// Counts are judged at events, so that they are at least 1; and no more rules can match than there are.
fn check_reach((kind, rules): (CorrelationKind, usize), compare: Compare, place: Place, report: &mut Report) {
    let (low, high) = match compare {
        Compare::AtLeast(low) => (low, f64::INFINITY),
        Compare::MoreThan(low) => (low + 1.0, f64::INFINITY),
        Compare::AtMost(high) => (f64::NEG_INFINITY, high),
        Compare::FewerThan(high) => (f64::NEG_INFINITY, high - 1.0),
        Compare::Between(low, high) => (low, high),
        Compare::Exactly(number) => (number, number),
        Compare::NotEqual(_) => return,
    };
    if is_counted(kind) && high < 1.0 {
        let message =
            "this can never hold: it is judged when something has happened, so there is at least one";
        let help = "for something that does not happen, write a rule with `behavior: {absence: …}`";
        report.warning("never-fires", place, message).help(help);
    } else if is_temporal(kind) && low > rules as f64 {
        let message = format!("this can never hold: there are only {rules} rules");
        report.warning("never-fires", place, message).help("ask for fewer, or leave the condition out");
    }
}
