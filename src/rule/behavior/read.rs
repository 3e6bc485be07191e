//! Reading `behavior`: one thing is measured, and what stands beside it must belong to it.

use super::compare::compare;
use super::kind::{Words, kind};
use super::table::{self, KINDS, KindEntry};
use crate::rule::ast::{Behavior, Compare, Kind};
use crate::rule::detection::Draft;
use crate::rule::read::{self, Context, Entries};
use crate::rule::report::Report;
use crate::rule::suggest;
use crate::rule::yaml::{Key, Yaml};
use crate::time::Span;

/// Reads `behavior` of a YAML rule. Nothing after a mistake, which is reported.
pub(in crate::rule) fn behavior(
    key: &Key,
    node: &Yaml,
    draft: &mut Draft<'_>,
    context: &mut Context<'_>,
) -> Option<Behavior> {
    let report = &mut *context.report;
    let errors = report.errors();
    let entries = read::map(node, "`behavior`", report)?;
    read::only(entries, &table::keys(), "`behavior`", report);
    let entry = kind_entry(entries, report)?;
    misplaced(entries, entry, report);
    let words = Words::new(entry, entries, key.place, report);
    let (by, missing_is_a_group) = group(entries, report);
    let kind = kind(&words, &by, draft, report);
    let compare = compare(&words, report);
    let within = within(&words, report);
    if report.errors() > errors {
        return None;
    }
    let (kind, compare, within) = (kind?, compare?, within?);
    let compare = steps_of(&kind).map_or(compare, Compare::AtLeast);
    Some(Behavior { by, missing_is_a_group, within, kind, compare })
}

/// Reads `behavior` of a rule that is a script file itself, where only the group and the window mean something.
pub(in crate::rule) fn of_script(node: Option<&Yaml>, report: &mut Report) -> Option<Behavior> {
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

/// The one thing that is measured; a count where nothing is named.
fn kind_entry(entries: Entries<'_>, report: &mut Report) -> Option<&'static KindEntry> {
    let named = |kind: &'static KindEntry| Some((kind, &read::get(entries, kind.name)?.0));
    let mut found: Vec<(&KindEntry, &Key)> = KINDS.iter().filter_map(named).collect();
    found.sort_by_key(|(_, key)| (key.place.line, key.place.column));
    match found.as_slice() {
        [] => KINDS.first(),
        [(only, _)] => Some(only),
        [_, (second, key), ..] => {
            let message = format!("a behaviour measures one thing; `{}` is one too many", second.name);
            report.error("two-kinds", key.place, message).help("write a second rule");
            None
        }
    }
}

fn misplaced(entries: Entries<'_>, kind: &KindEntry, report: &mut Report) {
    for (key, _) in entries {
        let text = key.text.as_str();
        let owners: Vec<&str> =
            KINDS.iter().filter(|kind| kind.options.contains(&text)).map(|kind| kind.name).collect();
        let is_kind = KINDS.iter().any(|kind| kind.name == text);
        if !is_kind && !owners.is_empty() && !kind.options.contains(&text) {
            let message = format!("`{text}` means nothing with `{}`", kind.name);
            let help = format!("it belongs to {}", suggest::one_of(&owners));
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

fn within(words: &Words<'_>, report: &mut Report) -> Option<Span> {
    match words.value("within") {
        Some(node) => read::span(node, "`within`", report),
        None if !words.takes("within") || ["change", "script"].contains(&words.kind.name) => Some(Span(0)),
        None if words.is_mistyped(&["within"]) => None,
        None => {
            let noted = read::missing("within", "`behavior`", words.place, report);
            noted.help("add the window, as `within: 10m`");
            None
        }
    }
}

/// A sequence is complete with all its steps.
fn steps_of(kind: &Kind) -> Option<f64> {
    match kind {
        Kind::Sequence(sequence) => u32::try_from(sequence.steps.len()).ok().map(f64::from),
        _ => None,
    }
}
