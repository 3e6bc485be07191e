//! Sigma correlations.

use super::ast::{Compare, Correlation, CorrelationKind};
use super::read::{self, Entries};
use super::report::Report;
use super::yaml::{Key, Place, Yaml};

pub(super) const KEYS: [&str; 7] =
    ["type", "rules", "group-by", "timespan", "condition", "aliases", "generate"];
pub(super) const TYPES: [(&str, CorrelationKind); 4] = [
    ("event_count", CorrelationKind::EventCount),
    ("value_count", CorrelationKind::ValueCount),
    ("temporal", CorrelationKind::Temporal),
    ("temporal_ordered", CorrelationKind::TemporalOrdered),
];
const LATER: [&str; 6] = [
    "value_sum",
    "value_avg",
    "value_percentile",
    "value_median",
    "temporal_extended",
    "temporal_ordered_extended",
];
pub(super) const CRITERIA: [&str; 6] = ["gt", "gte", "lt", "lte", "eq", "neq"];

/// Ids or names of rules, each where it is written.
pub(super) type References = Vec<(String, Place)>;

/// Reads `correlation`; `generate` may also stand beside it. Nothing after a mistake, which is reported.
pub(super) fn correlation(
    key: &Key,
    node: &Yaml,
    beside: Option<&Yaml>,
    report: &mut Report,
) -> Option<(Correlation, References)> {
    let errors = report.errors();
    let entries = read::map(node, "`correlation`", report)?;
    read::only(entries, &KEYS, "`correlation`", report);
    let kind = kind(key, entries, report);
    let rules = references(key, entries, "`correlation`", report);
    let by = read::value(entries, "group-by").map(|node| read::names(node, "`group-by`", report));
    let within = match read::value(entries, "timespan") {
        Some(node) => read::span(node, "`timespan`", report),
        None if read::is_mistyped(entries, &["timespan"]) => None,
        None => {
            let noted = read::missing("timespan", "`correlation`", key.place, report);
            noted.help("add the window, as `timespan: 10m`");
            None
        }
    };
    let aliases = aliases(entries, &rules, report);
    let (compare, fields) = match (kind, read::get(entries, "condition")) {
        (Some(kind), Some((key, node))) => condition(kind, key, node, report),
        (Some(kind), None) => without_condition(kind, key.place, report),
        (None, _) => (None, Vec::new()),
    };
    let generate = [read::value(entries, "generate"), beside];
    let generate = generate
        .into_iter()
        .flatten()
        .fold(false, |generate, node| generate | read::boolean(node, "`generate`", report).unwrap_or(false));
    if report.errors() > errors {
        return None;
    }
    let correlation = Correlation {
        kind: kind?,
        rules: rules.iter().map(|(name, _)| name.clone()).collect(),
        by: by.unwrap_or_default(),
        aliases,
        within: within?,
        compare,
        expression: None,
        fields,
        generate,
    };
    Some((correlation, rules))
}

fn kind(key: &Key, entries: Entries<'_>, report: &mut Report) -> Option<CorrelationKind> {
    let Some(node) = read::value(entries, "type") else {
        let known: Vec<&str> = TYPES.iter().map(|(name, _)| *name).collect();
        let help = format!("expected {}", super::suggest::one_of(&known));
        read::missing("type", "`correlation`", key.place, report).help(help);
        return None;
    };
    let text = read::name(node, "`type`", report)?;
    let found = TYPES.iter().find(|(name, _)| *name == text);
    if found.is_none() {
        if LATER.contains(&text.as_str()) {
            let message = format!("the correlation type `{text}` is not available in this version");
            report.error("unsupported", node.place, message).suggest("", TYPES.map(|(name, _)| name));
        } else {
            let message = format!("unknown correlation type `{text}`");
            report.error("bad-value", node.place, message).suggest(&text, TYPES.map(|(name, _)| name));
        }
    }
    found.map(|(_, kind)| *kind)
}

/// The `rules` of a correlation or filter; none is an error.
pub(super) fn references(key: &Key, entries: Entries<'_>, what: &str, report: &mut Report) -> References {
    let Some(node) = read::value(entries, "rules") else {
        let noted = read::missing("rules", what, key.place, report);
        noted.help("list the ids or names of the rules it is for");
        return Vec::new();
    };
    let items = read::items(node);
    if items.is_empty() {
        report.error("bad-value", node.place, "`rules` is empty").help("list ids or names of rules");
    }
    let mut references: References = Vec::new();
    for item in items {
        let Some(name) = read::name(item, "an item of `rules`", report) else { continue };
        if references.iter().any(|(known, _)| *known == name) {
            report.error("duplicate-rule", item.place, format!("`{name}` stands twice in `rules`"));
        }
        references.push((name, item.place));
    }
    references
}

fn aliases(entries: Entries<'_>, rules: &References, report: &mut Report) -> Vec<(String, String, String)> {
    let mut aliases = Vec::new();
    let Some(node) = read::value(entries, "aliases") else { return aliases };
    for (alias, fields) in read::map(node, "`aliases`", report).unwrap_or_default() {
        for (rule, field) in read::map(fields, "an alias", report).unwrap_or_default() {
            if rules.iter().all(|(known, _)| *known != rule.text) {
                let message = format!("`{}` is not among the `rules` of this correlation", rule.text);
                let known = rules.iter().map(|(known, _)| known.as_str());
                report.error("unknown-rule", rule.place, message).suggest(&rule.text, known);
            }
            if let Some(field) = read::name(field, "a field's name", report) {
                aliases.push((alias.text.clone(), rule.text.clone(), field));
            }
        }
    }
    aliases
}

fn without_condition(
    kind: CorrelationKind,
    place: Place,
    report: &mut Report,
) -> (Option<Compare>, Vec<String>) {
    if matches!(kind, CorrelationKind::EventCount | CorrelationKind::ValueCount) {
        let noted = read::missing("condition", "`correlation`", place, report);
        noted.help("add one, as `condition: {gte: 5}`");
    }
    (None, Vec::new())
}

fn condition(
    kind: CorrelationKind,
    key: &Key,
    node: &Yaml,
    report: &mut Report,
) -> (Option<Compare>, Vec<String>) {
    let is_temporal = matches!(kind, CorrelationKind::Temporal | CorrelationKind::TemporalOrdered);
    if is_temporal && node.scalar().is_some_and(|scalar| !scalar.text.is_empty()) {
        let message = "a condition over rules is not available in this version";
        report.error("unsupported", node.place, message).help("leave it out: all rules must match");
        return (None, Vec::new());
    }
    let Some(entries) = read::map(node, "`condition`", report) else { return (None, Vec::new()) };
    let takes_field = kind == CorrelationKind::ValueCount;
    let known: Vec<&str> = CRITERIA.iter().copied().chain(takes_field.then_some("field")).collect();
    read::only(entries, &known, "`condition` of a correlation", report);
    let fields = match read::value(entries, "field") {
        Some(node) if takes_field => read::names(node, "`field`", report),
        _ => Vec::new(),
    };
    if takes_field && fields.is_empty() {
        let noted = read::missing("field", "`condition` of a `value_count`", key.place, report);
        noted.help("name the field whose values are counted");
    }
    let mut criteria = Vec::new();
    for (key, value) in entries.iter().filter(|(key, _)| CRITERIA.contains(&key.text.as_str())) {
        if let Some(number) = read::whole(value, &format!("`{}`", key.text), report) {
            criteria.push((key, number));
        }
    }
    let is_bare = entries.iter().all(|(key, _)| !CRITERIA.contains(&key.text.as_str()));
    if is_bare && !is_temporal && !read::is_mistyped(entries, &CRITERIA) {
        let help = format!("add one of {}", super::suggest::one_of(&CRITERIA));
        read::missing("gte", "`condition`", key.place, report).help(help);
    }
    if kind == CorrelationKind::TemporalOrdered && !criteria.is_empty() {
        let message = "a condition on `temporal_ordered` is not available in this version";
        report
            .error("unsupported", key.place, message)
            .help("leave it out: all rules must match, in this order");
    }
    (compare(&criteria, report), fields)
}

fn compare(criteria: &[(&Key, f64)], report: &mut Report) -> Option<Compare> {
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
    // What is counted is whole, so an open bound is the next closed one.
    let low = |compare: Compare| match compare {
        Compare::AtLeast(low) => Some(low),
        Compare::MoreThan(low) => Some(low + 1.0),
        _ => None,
    };
    let high = |compare: Compare| match compare {
        Compare::AtMost(high) => Some(high),
        Compare::FewerThan(high) => Some(high - 1.0),
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
