//! `behavior`: what a set of events must look like.

use super::ast::{Behavior, Compare, Kind};
use super::detection::Draft;
use super::read::{self, Context, Entries};
use super::report::Report;
use super::yaml::{Key, Place, Yaml};
use crate::time::Span;

/// The kinds there are; without one it is `count`.
const KINDS: [&str; 6] = ["count", "distinct", "sequence", "absence", "first_seen", "dormant"];
/// Kinds the language has and this version does not, with what stands beside them.
const LATER: [&str; 15] = [
    "sum",
    "avg",
    "min",
    "max",
    "median",
    "percentile",
    "ratio",
    "rare",
    "change",
    "spike",
    "unusual_hour",
    "travel",
    "bucket",
    "risk",
    "script",
];
const LATER_OPTIONS: [&str; 11] = [
    "peers",
    "history",
    "below",
    "min_events",
    "sensitivity",
    "direction",
    "season",
    "max_kmh",
    "half_life",
    "capacity",
    "leak",
];
const COMPARISONS: [&str; 5] = ["at_least", "more_than", "at_most", "fewer_than", "between"];

/// Every key of `behavior`: for what stands at the wrong place.
pub(super) const KEYS: [&str; 20] = [
    "by",
    "missing",
    "within",
    "count",
    "distinct",
    "sequence",
    "absence",
    "first_seen",
    "dormant",
    "at_least",
    "more_than",
    "at_most",
    "fewer_than",
    "between",
    "ordered",
    "unless",
    "same",
    "different",
    "learn",
    "forget",
];

/// The options and the kinds they belong to.
const OPTIONS: [(&str, &[&str]); 12] = [
    ("within", &["count", "distinct", "sequence", "absence"]),
    ("at_least", &["count", "distinct"]),
    ("more_than", &["count", "distinct"]),
    ("at_most", &["count", "distinct"]),
    ("fewer_than", &["count", "distinct"]),
    ("between", &["count", "distinct"]),
    ("ordered", &["sequence"]),
    ("unless", &["sequence"]),
    ("same", &["sequence"]),
    ("different", &["sequence"]),
    ("learn", &["first_seen"]),
    ("forget", &["first_seen"]),
];

/// Reads `behavior` of a YAML rule. Nothing after a mistake, which is reported.
pub(super) fn behavior(
    key: &Key,
    node: &Yaml,
    draft: &mut Draft<'_>,
    context: &mut Context<'_>,
) -> Option<Behavior> {
    let report = &mut *context.report;
    let errors = report.errors();
    let entries = read::map(node, "`behavior`", report)?;
    let later: Vec<&Key> =
        entries.iter().map(|(key, _)| key).filter(|key| LATER.contains(&key.text.as_str())).collect();
    for key in &later {
        let message = format!("`{}` is not available in this version", key.text);
        let help = format!("available are {}", super::suggest::one_of(&KINDS));
        report.error("unsupported", key.place, message).help(help);
    }
    let known: Vec<&str> = if later.is_empty() {
        KEYS.to_vec()
    } else {
        KEYS.iter().chain(&LATER).chain(&LATER_OPTIONS).copied().collect()
    };
    read::only(entries, &known, "`behavior`", report);
    if !later.is_empty() {
        return None;
    }
    let name = kind_name(entries, report)?;
    misplaced(entries, name, report);
    let (by, missing_is_a_group) = group(entries, report);
    let kind = kind(name, entries, &by, draft, report);
    let compare = compare(name, entries, key.place, report);
    let within = within(name, entries, key.place, report);
    if report.errors() > errors {
        return None;
    }
    let (kind, compare, within) = (kind?, compare?, within?);
    let compare = steps_of(&kind).map_or(compare, Compare::AtLeast);
    Some(Behavior { by, missing_is_a_group, within, kind, compare })
}

/// Reads `behavior` of a script file, where only the group and the window mean something.
pub(super) fn of_script(node: Option<&Yaml>, report: &mut Report) -> Option<Behavior> {
    let errors = report.errors();
    let entries = match node {
        Some(node) => read::map(node, "`behavior`", report)?,
        None => &[],
    };
    read::only(entries, &["by", "missing", "within"], "`behavior` of a script", report);
    let (by, missing_is_a_group) = group(entries, report);
    let within = read::value(entries, "within").map(|node| read::span(node, "`within`", report));
    let behavior = Behavior {
        by,
        missing_is_a_group,
        within: within.flatten().unwrap_or_default(),
        kind: Kind::Script,
        compare: Compare::AtLeast(1.0),
    };
    (report.errors() == errors).then_some(behavior)
}

fn kind_name(entries: Entries<'_>, report: &mut Report) -> Option<&'static str> {
    let mut found = KINDS.iter().filter_map(|kind| Some((*kind, &read::get(entries, kind)?.0)));
    let first = found.next();
    if let (Some((first, first_key)), Some((second, second_key))) = (first, found.next()) {
        let (later, name) = if second_key.place.line >= first_key.place.line {
            (second_key, second)
        } else {
            (first_key, first)
        };
        let message = format!("a behaviour measures one thing; `{name}` is one too many");
        report.error("two-kinds", later.place, message).help("write a second rule");
        return None;
    }
    Some(first.map_or("count", |(kind, _)| kind))
}

fn misplaced(entries: Entries<'_>, kind: &str, report: &mut Report) {
    for (key, _) in entries {
        let Some((_, kinds)) = OPTIONS.iter().find(|(option, _)| *option == key.text) else { continue };
        if !kinds.contains(&kind) {
            let message = format!("`{}` means nothing with `{kind}`", key.text);
            let help = format!("it belongs to {}", super::suggest::one_of(kinds));
            report.error("misplaced-key", key.place, message).help(help);
        }
    }
}

fn group(entries: Entries<'_>, report: &mut Report) -> (Vec<String>, bool) {
    let by = read::value(entries, "by").map(|node| read::names(node, "`by`", report)).unwrap_or_default();
    let missing = read::value(entries, "missing");
    let is_group = missing.is_some_and(|node| {
        let is_group = node.scalar().is_some_and(|scalar| scalar.text == "group");
        if !is_group {
            let help = "events without the key go to the ledger when `missing` is left out";
            report.error("bad-value", node.place, "`missing` can only be `group`").help(help);
        }
        is_group
    });
    (by, is_group)
}

fn within(kind: &str, entries: Entries<'_>, place: Place, report: &mut Report) -> Option<Span> {
    match read::value(entries, "within") {
        Some(node) => read::span(node, "`within`", report),
        None if matches!(kind, "first_seen" | "dormant") => Some(Span(0)),
        None if read::is_mistyped(entries, &["within"]) => None,
        None => {
            let noted = read::missing("within", "`behavior`", place, report);
            noted.help("add the window, as `within: 10m`");
            None
        }
    }
}

fn kind(
    name: &str,
    entries: Entries<'_>,
    by: &[String],
    draft: &mut Draft<'_>,
    report: &mut Report,
) -> Option<Kind> {
    let Some((key, node)) = read::get(entries, name) else { return Some(Kind::Count) };
    match name {
        "count" => {
            let is_switch = node.is_null()
                || node.scalar().is_some_and(|scalar| scalar.text.eq_ignore_ascii_case("true"));
            if !is_switch {
                let message = "`count` takes no value: it counts the matching events";
                report.error("bad-value", node.place, message).help("write `at_least: 5`");
            }
            is_switch.then_some(Kind::Count)
        }
        "distinct" => fields(key, node, report).map(Kind::Distinct),
        "sequence" => super::sequence::sequence(node, entries, (by, draft), report).map(Kind::Sequence),
        "absence" => absence(node, draft, report),
        "first_seen" => {
            let mut span = |name: &str| match read::value(entries, name) {
                Some(node) => read::span_or_zero(node, &format!("`{name}`"), report),
                None => Some(Span(0)),
            };
            let (learn, forget) = (span("learn"), span("forget"));
            Some(Kind::FirstSeen { fields: fields(key, node, report)?, learn: learn?, forget: forget? })
        }
        _ => read::span(node, "`dormant`", report).map(Kind::Dormant),
    }
}

fn fields(key: &Key, node: &Yaml, report: &mut Report) -> Option<Vec<String>> {
    let what = format!("`{}`", key.text);
    let fields = read::names(node, &what, report);
    if read::items(node).is_empty() {
        let message = format!("{what} needs a field, or a list of fields");
        report.error("bad-value", node.place, message);
    }
    Some(fields).filter(|fields| !fields.is_empty())
}

fn absence(node: &Yaml, draft: &mut Draft<'_>, report: &mut Report) -> Option<Kind> {
    let is_bare =
        node.is_null() || node.scalar().is_some_and(|scalar| scalar.text.eq_ignore_ascii_case("true"));
    if is_bare {
        return Some(Kind::Absence { of: None, after: None });
    }
    let entries = read::map(node, "`absence`", report)?;
    read::only(entries, &["of", "after"], "`absence`", report);
    let mut selection = |name: &str| match read::value(entries, name) {
        None => Some(None),
        Some(node) => {
            let what = format!("`{name}`");
            let text = read::name(node, &what, report)?;
            draft.index(&text, node.place, report).map(Some)
        }
    };
    let (of, after) = (selection("of"), selection("after"));
    Some(Kind::Absence { of: of?, after: after? })
}

/// A sequence is complete with all its steps.
fn steps_of(kind: &Kind) -> Option<f64> {
    match kind {
        Kind::Sequence(sequence) => u32::try_from(sequence.steps.len()).ok().map(f64::from),
        _ => None,
    }
}

fn compare(kind: &str, entries: Entries<'_>, place: Place, report: &mut Report) -> Option<Compare> {
    if !matches!(kind, "count" | "distinct") {
        return Some(Compare::AtLeast(1.0));
    }
    let mut found = entries.iter().filter(|(key, _)| COMPARISONS.contains(&key.text.as_str()));
    let Some((key, node)) = found.next() else {
        if read::is_mistyped(entries, &COMPARISONS) {
            return None;
        }
        let help = format!("add one of {}", super::suggest::one_of(&COMPARISONS));
        read::missing("at_least", "`behavior`", place, report).help(help);
        return None;
    };
    if let Some((second, _)) = found.next() {
        let message = format!("`{}` and `{}` cannot both be given", key.text, second.text);
        let help = "use `between: [low, high]`";
        report.error("two-comparisons", second.place, message).help(help);
        return None;
    }
    let what = format!("`{}`", key.text);
    let compare = match key.text.as_str() {
        "between" => between(node, report)?,
        "at_least" => Compare::AtLeast(read::whole(node, &what, report)?),
        "more_than" => Compare::MoreThan(read::whole(node, &what, report)?),
        "at_most" => Compare::AtMost(read::whole(node, &what, report)?),
        _ => Compare::FewerThan(read::whole(node, &what, report)?),
    };
    let problem = match compare {
        Compare::AtLeast(low) if low < 1.0 => "always holds: the smallest is 1",
        Compare::AtMost(high) | Compare::Between(_, high) if high < 1.0 => {
            "asks for nothing at all: use `absence`"
        }
        Compare::FewerThan(high) if high < 2.0 => "asks for nothing at all: use `absence`",
        Compare::Between(low, high) if low > high => "is empty: the lower bound comes first",
        _ => return Some(compare),
    };
    report.error("bad-value", node.place, format!("{what} {problem}"));
    None
}

fn between(node: &Yaml, report: &mut Report) -> Option<Compare> {
    let items = read::items(node);
    let [low, high] = items.as_slice() else {
        report.error("bad-value", node.place, "`between` needs two numbers").help("write `between: [5, 10]`");
        return None;
    };
    Some(Compare::Between(read::whole(low, "`between`", report)?, read::whole(high, "`between`", report)?))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{diagnostics_of, rule_of};
    use super::super::{Severity, ast::Body};
    use super::*;

    const HEAD: &str = "title: T\nlogsource: {product: gitlab}\ndetection:\n  a: {x: 1}\n  b: {x: 2}\n  c: {x: 3}\n  condition: 1 of them\nbehavior:\n";

    fn check(behavior: &str) -> Behavior {
        match rule_of(&format!("{HEAD}{behavior}")).body {
            Body::Behavior(_, behavior) => behavior,
            other => panic!("{other:?}"),
        }
    }

    fn fails(behavior: &str) -> Vec<String> {
        let text = format!("{HEAD}{behavior}");
        let found = diagnostics_of(&text).into_iter().filter(|d| d.severity == Severity::Error);
        found.map(|d| format!("{}:{}+{} {}: {}", d.line, d.column, d.width, d.code, d.message)).collect()
    }

    #[test]
    fn each_kind_is_read() {
        let read = check("  {by: author_id, within: 10m, at_least: 5}");
        assert_eq!(read.by, ["author_id"]);
        assert_eq!((read.within, read.compare), (Span::minutes(10), Compare::AtLeast(5.0)));
        assert!(matches!(read.kind, Kind::Count) && !read.missing_is_a_group);

        let read = check("  {by: [a, b.c], missing: group, within: 1h, distinct: [d, e], between: [2, 4]}");
        assert!(matches!(read.kind, Kind::Distinct(fields) if fields == ["d", "e"]));
        assert_eq!(read.compare, Compare::Between(2.0, 4.0));
        assert!(read.missing_is_a_group && read.by == ["a", "b.c"]);

        let read = check("  {by: a, within: 1h, absence: {of: b, after: a}}");
        assert!(matches!(read.kind, Kind::Absence { of: Some(1), after: Some(0) }));
        let read = check("  {within: 1h, absence: }");
        assert!(matches!(read.kind, Kind::Absence { of: None, after: None }) && read.by.is_empty());

        let read = check("  {by: a, first_seen: ip_address, learn: 14d, forget: 90d}");
        let Kind::FirstSeen { fields, learn, forget } = read.kind else { panic!() };
        assert_eq!((fields, learn, forget), (vec!["ip_address".to_owned()], Span::days(14), Span::days(90)));

        assert!(
            matches!(check("  {by: a, dormant: 60d}").kind, Kind::Dormant(span) if span == Span::days(60))
        );
    }

    #[test]
    fn every_mistake_is_named_where_it_stands() {
        for (behavior, expected) in [
            ("  {by: a, within: 10m}", "8:1+8 missing-key: `behavior` has no `at_least`"),
            ("  {by: a, at_least: 3}", "8:1+8 missing-key: `behavior` has no `within`"),
            ("  {within: 10m, atleast: 3}", "9:17+7 unknown-key: unknown key `atleast` in `behavior`"),
            ("  {within: 10, at_least: 3}", "9:12+2 bad-span: `within`"),
            ("  {within: 1h, at_least: 0}", "9:26+1 bad-value: `at_least` always holds"),
            ("  {within: 1h, at_least: 1.5}", "9:26+3 bad-value: `at_least` must be a whole number"),
            ("  {within: 1h, at_most: 0}", "9:25+1 bad-value: `at_most` asks for nothing"),
            ("  {within: 1h, between: [5, 2]}", "9:25+1 bad-value: `between` is empty"),
            ("  {within: 1h, between: 5}", "9:25+1 bad-value: `between` needs two numbers"),
            ("  {within: 1h, at_least: 1, at_most: 3}", "9:29+7 two-comparisons:"),
            ("  {within: 1h, count: 3}", "9:23+1 bad-value: `count` takes no value"),
            ("  {within: 1h, distinct: a, sequence: [a, b]}", "9:29+8 two-kinds:"),
            ("  {dormant: 1h, within: 3h}", "9:17+6 misplaced-key: `within` means nothing with `dormant`"),
            (
                "  {within: 1h, at_least: 2, learn: 3d}",
                "9:29+5 misplaced-key: `learn` means nothing with `count`",
            ),
            ("  {within: 1h, absence: {of: d}}", "9:30+1 unknown-selection: there is no selection `d`"),
            ("  {within: 1h, absence: {off: a}}", "9:26+3 unknown-key: unknown key `off` in `absence`"),
            ("  {spike: {of: count}, history: 28d}", "9:4+5 unsupported: `spike` is not available"),
            ("  {first_seen: []}", "9:16+1 bad-value: `first_seen` needs a field"),
            ("  {within: 1h, at_least: 2, missing: skip}", "9:38+4 bad-value: `missing` can only be `group`"),
            ("  5", "9:3+1 wrong-type: `behavior` must be a map, not a number"),
        ] {
            let found = fails(behavior);
            assert!(found.iter().any(|line| line.starts_with(expected)), "{behavior}: {found:#?}");
        }
    }
}
