//! Sigma correlations.

use super::ast::{Correlation, CorrelationKind};
use super::criteria::{self, Criteria};
use super::read::{self, Entries};
use super::report::Report;
use super::yaml::{Key, Place, Yaml};

pub(super) const KEYS: [&str; 7] =
    ["type", "rules", "group-by", "timespan", "condition", "aliases", "generate"];
/// The types of Sigma 2.1; `value_median`, which other tools add; and the names that proposals gave to the temporal
/// types with an expression.
pub(super) const TYPES: [(&str, CorrelationKind); 10] = [
    ("event_count", CorrelationKind::EventCount),
    ("value_count", CorrelationKind::ValueCount),
    ("temporal", CorrelationKind::Temporal),
    ("temporal_ordered", CorrelationKind::TemporalOrdered),
    ("value_sum", CorrelationKind::ValueSum),
    ("value_avg", CorrelationKind::ValueAvg),
    ("value_percentile", CorrelationKind::ValuePercentile(50.0)),
    ("value_median", CorrelationKind::ValueMedian),
    ("temporal_extended", CorrelationKind::Temporal),
    ("temporal_ordered_extended", CorrelationKind::TemporalOrdered),
];

/// Ids or names of rules, each where it is written.
pub(super) type References = Vec<(String, Place)>;

/// What a document says about other documents; it is checked when all are read.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// The rules it is over or for.
    pub(super) rules: References,
    /// Where each alias of a correlation names its rule.
    pub(super) aliases: Vec<Place>,
    /// A correlation's condition over its rules.
    pub(super) condition: Option<Yaml>,
}

/// Reads `correlation`; `generate` may also stand beside it. Nothing after a mistake, which is reported.
pub(super) fn correlation(
    key: &Key,
    node: &Yaml,
    beside: Option<&Yaml>,
    report: &mut Report,
) -> Option<(Correlation, Links)> {
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
    let (aliases, places) = aliases(entries, report);
    let condition = read::get(entries, "condition");
    let criteria = match kind {
        Some(kind) => criteria::criteria((kind, rules.len()), key, condition, report),
        None => Criteria::default(),
    };
    let generate = generate(entries, beside, report);
    if report.errors() > errors {
        return None;
    }
    let kind = match (kind?, criteria.rank) {
        (CorrelationKind::ValuePercentile(_), Some(rank)) => CorrelationKind::ValuePercentile(rank),
        (kind, _) => kind,
    };
    let correlation = Correlation {
        kind,
        rules: rules.iter().map(|(name, _)| name.clone()).collect(),
        by: by.unwrap_or_default(),
        aliases,
        within: within?,
        compare: criteria.compare,
        fields: criteria.fields,
        expression: None,
        generate,
    };
    Some((correlation, Links { rules, aliases: places, condition: criteria.expression }))
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
        let message = format!("unknown correlation type `{text}`");
        report.error("bad-value", node.place, message).suggest(&text, TYPES.map(|(name, _)| name));
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

/// Alias, rule and that rule's field; and where each rule is named.
fn aliases(entries: Entries<'_>, report: &mut Report) -> (Vec<(String, String, String)>, Vec<Place>) {
    let (mut aliases, mut places) = (Vec::new(), Vec::new());
    let Some(node) = read::value(entries, "aliases") else { return (aliases, places) };
    for (alias, fields) in read::map(node, "`aliases`", report).unwrap_or_default() {
        for (rule, field) in read::map(fields, "an alias", report).unwrap_or_default() {
            if let Some(field) = read::name(field, "a field's name", report) {
                aliases.push((alias.text.clone(), rule.text.clone(), field));
                places.push(rule.place);
            }
        }
    }
    (aliases, places)
}

/// Inside `correlation`, where the specification's text has it, or beside it, where its examples do.
fn generate(entries: Entries<'_>, beside: Option<&Yaml>, report: &mut Report) -> bool {
    let inside = read::value(entries, "generate");
    let mut read = |node: Option<&Yaml>| node.and_then(|node| read::boolean(node, "`generate`", report));
    let (within, outside) = (read(inside), read(beside));
    if let (Some(node), Some(within), Some(outside)) = (beside, within, outside)
        && within != outside
    {
        let message = "`generate` says one thing inside `correlation` and another beside it";
        report.error("two-answers", node.place, message).help("remove one of them");
    }
    within.or(outside).unwrap_or(false)
}
