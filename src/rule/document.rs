//! One document: a detection rule, a correlation, a script rule, a filter or a lookup.

use std::sync::Arc;

use super::ast::{Body, Filter, Origin, Rule, ScriptSource};
use super::correlation::Links;
use super::detection::Draft;
use super::read::{self, Context, Entries};
use super::report::Report;
use super::yaml::{Key, Place, Yaml};
use super::{behavior, correlation, example, filter, header, lookup};
use crate::enrich::Table;

/// A document without mistakes of its own.
#[derive(Debug)]
pub(super) enum Checked {
    /// The rule, where its id and name are written, and what a correlation says about others.
    Rule(Box<Rule>, Place, Links),
    /// The filter and the rules it is for.
    Filter(Box<Filter>, Links),
    /// The table, and where the document begins.
    Lookup(Arc<Table>, Place),
}

/// What a document is, by its keys.
enum Shape<'a> {
    Detection(&'a (Key, Yaml)),
    Correlation(&'a (Key, Yaml)),
    Filter(&'a (Key, Yaml)),
    /// A script without a detection, which sees every event; or risk.
    Bare,
}

/// Reads one document. Nothing after a mistake, which is reported.
pub(super) fn document(
    root: &Yaml,
    path: &Arc<str>,
    script: Option<ScriptSource>,
    context: &mut Context<'_>,
) -> Option<Checked> {
    let errors = context.report.errors();
    let entries = read::map(root, "a rule", context.report)?;
    let place = Place { width: 1, ..root.place };
    if read::get(entries, "lookup").is_some() && !is_rule(entries, context.report) {
        return lookup::lookup(entries, place, context).map(|table| Checked::Lookup(table, place));
    }
    header::check_keys(entries, context.report);
    let origin = Origin { path: Arc::clone(path), line: place.line };
    let shape = shape(entries, place, script.is_some(), context.report)?;
    let checked = match shape {
        Shape::Filter((key, node)) => {
            refuse(
                entries,
                &["behavior", "respond", "dry_run", "suppress", "tests"],
                "a filter",
                context.report,
            );
            header::check_logsource(entries, place, context.report);
            let logsource = header::logsource(entries, context.report);
            filter::filter((key, node), entries, logsource, origin, context)
                .map(|(filter, links)| Checked::Filter(Box::new(filter), links))
        }
        shape => rule(entries, &shape, script, origin, context),
    };
    checked.filter(|_| context.report.errors() == errors)
}

/// Whether a lookup has the body of a rule too, which is reported.
fn is_rule(entries: Entries<'_>, report: &mut Report) -> bool {
    let body = ["detection", "correlation", "filter"].into_iter().find_map(|key| read::get(entries, key));
    if let Some((key, _)) = body {
        let message = "a document is one of detection, correlation, filter and lookup";
        let help = "write a second document, after a line with `---`";
        report.error("two-kinds", key.place, message).help(help);
    }
    body.is_some()
}

/// The names by which other documents may refer to this one, whether or not it has mistakes.
pub(super) fn known_as(root: &Yaml) -> Vec<String> {
    let entries = root.entries().unwrap_or_default();
    let title = read::value(entries, "title").and_then(Yaml::scalar).map(|title| header::slug(&title.text));
    let written = ["id", "name"].into_iter().filter_map(|key| read::value(entries, key)?.scalar());
    written.map(|scalar| scalar.text.clone()).chain(title).collect()
}

fn rule(
    entries: Entries<'_>,
    shape: &Shape<'_>,
    script: Option<ScriptSource>,
    origin: Origin,
    context: &mut Context<'_>,
) -> Option<Checked> {
    let place = Place { line: origin.line, column: 1, width: 1, file: 0 };
    let header = header::header(entries, origin, place, context.report);
    let mut links = Links::default();
    let body = match shape {
        Shape::Correlation((key, node)) => {
            refuse(entries, &["behavior", "owner", "expires"], "a correlation", context.report);
            let beside = read::value(entries, "generate");
            let read = correlation::correlation(key, node, beside, context.report);
            read.map(|(correlation, found)| {
                links = found;
                Body::Correlation(correlation)
            })
        }
        Shape::Detection((key, node)) => {
            refuse(entries, &["owner", "expires", "generate"], "a rule", context.report);
            if measures(entries, "risk") {
                let message = "`risk` is over the alerts of other rules; it has no `detection`";
                context.report.error("misplaced-key", key.place, message).help("remove it");
            }
            header::check_logsource(entries, place, context.report);
            let draft = read::map(node, "`detection`", context.report)
                .map(|inner| Draft::new(inner, &[], key.place, context.report));
            draft.and_then(|draft| events_body(entries, draft, script, context))
        }
        Shape::Bare | Shape::Filter(_) => events_body(entries, Draft::empty(place), script, context),
    };
    let product = read::value(entries, "logsource")
        .and_then(Yaml::entries)
        .and_then(|logsource| read::value(logsource, "product")?.scalar());
    let product = product.map(|scalar| scalar.text.as_str());
    let tests = read::value(entries, "tests").map(|node| example::examples(node, product, context.report));
    let id_place = ["id", "name", "title"].into_iter().find_map(|key| Some(read::get(entries, key)?.1.place));
    let rule = Rule { body: body?, tests: tests.unwrap_or_default(), ..header? };
    Some(Checked::Rule(Box::new(rule), id_place.unwrap_or(place), links))
}

/// The body of a rule over events: behaviour first, since it names selections.
fn events_body(
    entries: Entries<'_>,
    mut draft: Draft<'_>,
    script: Option<ScriptSource>,
    context: &mut Context<'_>,
) -> Option<Body> {
    let written = read::get(entries, "behavior");
    if let Some(script) = script {
        let behavior = behavior::of_script(written.map(|(_, node)| node), context.report);
        let detection = draft.finish(context)?;
        return Some(Body::Script(detection, behavior?, script));
    }
    let named = written.and_then(|(_, node)| read::get(node.entries()?, "script"));
    let script = named.and_then(|(_, node)| context.scripts.find(node, context.report));
    let behavior = written.map(|(key, node)| behavior::behavior(key, node, &mut draft, context));
    let is_broken = matches!(behavior, Some(None));
    let detection = if is_broken { draft.finish_loosely(context) } else { draft.finish(context) };
    match (detection?, behavior) {
        (detection, None) => Some(Body::Single(detection)),
        (detection, Some(behavior)) if named.is_some() => Some(Body::Script(detection, behavior?, script?)),
        (detection, Some(behavior)) => Some(Body::Behavior(detection, behavior?)),
    }
}

fn shape<'a>(entries: Entries<'a>, place: Place, is_script: bool, report: &mut Report) -> Option<Shape<'a>> {
    let (detection, correlation, filter) =
        (read::get(entries, "detection"), read::get(entries, "correlation"), read::get(entries, "filter"));
    if let Some((key, _)) = read::get(entries, "action")
        && detection.is_none()
        && correlation.is_none()
    {
        let message = "`action` documents are no longer part of Sigma";
        report.error("unsupported", key.place, message).help("write each rule out");
        return None;
    }
    match (detection, correlation, filter) {
        (Some(detection), None, None) => Some(Shape::Detection(detection)),
        (None, Some(correlation), None) if !is_script => Some(Shape::Correlation(correlation)),
        (None, None, Some(filter)) if !is_script => Some(Shape::Filter(filter)),
        (None, None, None) if is_script || ["risk", "script"].iter().any(|kind| measures(entries, kind)) => {
            Some(Shape::Bare)
        }
        (None, None, None) if read::is_mistyped(entries, &["detection", "correlation", "filter"]) => None,
        (None, None, None) => {
            let help = "add `detection:` with selections and a condition, or `correlation:`, or `filter:`";
            read::missing("detection", "this rule", place, report).help(help);
            None
        }
        _ => {
            let extra = [filter, correlation, detection].into_iter().flatten().next();
            let place = extra.map_or(place, |(key, _)| key.place);
            let message = "a document is one of detection, correlation and filter";
            report
                .error("two-kinds", place, message)
                .help("write a second document, after a line with `---`");
            None
        }
    }
}

/// Risk is over the alerts of other rules, so it needs no events of its own; a script can choose by itself.
fn measures(entries: Entries<'_>, kind: &str) -> bool {
    let behavior = read::value(entries, "behavior").and_then(Yaml::entries);
    behavior.is_some_and(|behavior| read::get(behavior, kind).is_some())
}

fn refuse(entries: Entries<'_>, keys: &[&str], what: &str, report: &mut Report) {
    for (key, _) in entries.iter().filter(|(key, _)| keys.contains(&key.text.as_str())) {
        let message = format!("`{}` means nothing in {what}", key.text);
        report.error("misplaced-key", key.place, message).help("remove it");
    }
}
