//! Sigma filters: exceptions to rules.

use super::ast::{Body, Filter, LogSource, Origin, Rule};
use super::correlation::{Links, References};
use super::detection::Draft;
use super::read::{self, Context, Entries};
use super::report::Report;
use super::yaml::{Key, Place, Yaml};
use crate::event::Format;
use crate::time::{Span, Timestamp};

/// Reads `filter`. `owner` and `expires` may stand inside it or beside it. Nothing after a mistake, which is
/// reported.
pub(super) fn filter(
    (key, node): (&Key, &Yaml),
    document: Entries<'_>,
    logsource: LogSource,
    origin: Origin,
    context: &mut Context<'_>,
) -> Option<(Filter, Links)> {
    let errors = context.report.errors();
    let entries = read::map(node, "`filter`", context.report)?;
    let rules = rules(key, entries, context.report);
    let draft = Draft::new(entries, &["rules", "owner", "expires"], key.place, context.report);
    let detection = draft.finish(context);
    let report = &mut *context.report;
    let title = match read::value(document, "title") {
        Some(node) => read::name(node, "`title`", report),
        None => {
            read::missing("title", "this filter", key.place, report).help("say what it excepts");
            None
        }
    };
    let either = |name: &str| read::value(document, name).or_else(|| read::value(entries, name));
    let owner = either("owner").and_then(|node| read::name(node, "`owner`", report));
    let expires = either("expires").and_then(|node| expiry(node, report));
    if report.errors() > errors {
        return None;
    }
    let names = rules.iter().map(|(name, _)| name.clone()).collect();
    let filter =
        Filter { title: title?, logsource, rules: names, detection: detection?, owner, expires, origin };
    Some((filter, Links { rules, ..Links::default() }))
}

/// `any` stands for every rule.
fn rules(key: &Key, entries: Entries<'_>, report: &mut Report) -> References {
    let is_any = |node: &Yaml| {
        let items = read::items(node);
        items.len() == 1 && items.iter().all(|item| item.scalar().is_some_and(|one| one.text == "any"))
    };
    if read::value(entries, "rules").is_some_and(is_any) {
        return Vec::new();
    }
    super::correlation::references(key, entries, "`filter`", report)
}

/// A date holds to its end, UTC; a time holds until then.
fn expiry(node: &Yaml, report: &mut Report) -> Option<Timestamp> {
    let text = read::name(node, "`expires`", report)?;
    match Timestamp::parse(&text) {
        Ok(time) if text.trim().len() == "2026-01-31".len() => Some(time.plus(Span::days(1))),
        Ok(time) => Some(time),
        Err(error) => {
            report.error("bad-value", node.place, format!("`expires`: {error}"));
            None
        }
    }
}

/// Whether a filter is for rules of this log source: what it says of it must be true of the rule.
#[must_use]
pub fn fits(filter: &LogSource, rule: &LogSource) -> bool {
    let is_same = |wanted: &Option<String>, there: &Option<String>| wanted.is_none() || wanted == there;
    let format = |product: &str| Format::ALL.into_iter().find(|format| format.is_product(product));
    let is_product = match (&filter.product, &rule.product) {
        (Some(wanted), Some(there)) => wanted == there || format(wanted).is_some_and(|f| f.is_product(there)),
        (wanted, _) => wanted.is_none(),
    };
    is_product && is_same(&filter.category, &rule.category) && is_same(&filter.service, &rule.service)
}

/// Warns where a filter names a rule that it cannot change.
pub(super) fn check_reach(
    logsource: &LogSource,
    rule: &Rule,
    (name, place): (&str, Place),
    report: &mut Report,
) {
    if matches!(rule.body, Body::Correlation(_)) {
        let message = format!("`{name}` is a correlation, which sees no events that could be excepted");
        report.warning("filter-without-effect", place, message).help("name the rules it is over");
    } else if !fits(logsource, &rule.logsource) {
        let message = format!("the `logsource` of this filter does not fit the rule `{name}`");
        let help = "say no more of it than the rule does; the filter does nothing here";
        report.warning("filter-without-effect", place, message).help(help);
    }
}
