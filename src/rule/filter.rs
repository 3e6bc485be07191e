//! Sigma filters: exceptions to rules.

use super::ast::{Filter, LogSource, Origin};
use super::correlation::References;
use super::detection::Draft;
use super::read::{self, Context, Entries};
use super::report::Report;
use super::yaml::{Key, Yaml};
use crate::time::{Span, Timestamp};

/// Reads `filter`. `owner` and `expires` may stand inside it or beside it. Nothing after a mistake, which is
/// reported.
pub(super) fn filter(
    (key, node): (&Key, &Yaml),
    document: Entries<'_>,
    logsource: LogSource,
    origin: Origin,
    context: &mut Context<'_>,
) -> Option<(Filter, References)> {
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
    Some((filter, rules))
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
