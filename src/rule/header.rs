//! What a rule says about itself: title, level, tags, where its events come from, what follows an alert.

use super::ast::{Body, Detection, LogSource, Origin, Rule};
use super::read::{self, Entries};
use super::report::Report;
use super::suggest;
use super::yaml::{Place, Yaml};
use crate::alert::Level;
use crate::time::Span;

/// The keys of Sigma 2.1's three kinds of document, and two that published rules carry.
pub(super) const SIGMA: [&str; 23] = [
    "title",
    "id",
    "name",
    "status",
    "level",
    "description",
    "author",
    "date",
    "modified",
    "tags",
    "references",
    "falsepositives",
    "related",
    "taxonomy",
    "license",
    "fields",
    "scope",
    "logsource",
    "detection",
    "correlation",
    "filter",
    "generate",
    "simulation",
];
/// The keys Watchfire adds.
pub(super) const OWN: [&str; 10] =
    ["behavior", "suppress", "respond", "dry_run", "score", "tests", "owner", "expires", "vars", "import"];
/// The keys of `correlation`, for what stands outside of it.
const IN_CORRELATION: [&str; 3] = ["group-by", "timespan", "aliases"];
const STATUS: [&str; 5] = ["stable", "test", "experimental", "deprecated", "unsupported"];

/// Reads everything but the body. Nothing after a mistake, which is reported.
pub(super) fn header(
    entries: Entries<'_>,
    origin: Origin,
    place: Place,
    report: &mut Report,
) -> Option<Rule> {
    let errors = report.errors();
    let title = match read::value(entries, "title") {
        Some(node) => read::name(node, "`title`", report),
        None if read::is_mistyped(entries, &["title"]) => None,
        None => {
            read::missing("title", "this rule", place, report).help("say what it finds, in one line");
            None
        }
    };
    let id = optional(entries, "id", report);
    let name = optional(entries, "name", report);
    let level = level(entries, report);
    let status = status(entries, report);
    let suppress = read::value(entries, "suppress")
        .and_then(|node| read::span_or_zero(node, "`suppress`", report))
        .unwrap_or(Span(0));
    let score = read::value(entries, "score").and_then(|node| score(node, report));
    let dry_run = read::value(entries, "dry_run").and_then(|node| read::boolean(node, "`dry_run`", report));
    let mut list = |key: &str| {
        let what = format!("`{key}`");
        read::value(entries, key).map(|node| read::names(node, &what, report)).unwrap_or_default()
    };
    let (tags, references, falsepositives) = (list("tags"), list("references"), list("falsepositives"));
    let respond = list("respond");
    let description = optional(entries, "description", report);
    let logsource = logsource(entries, report);
    if report.errors() > errors {
        return None;
    }
    let title = title?;
    let id = id.or_else(|| name.clone()).unwrap_or_else(|| slug(&title));
    Some(Rule {
        id: id.into(),
        name,
        title,
        level,
        status,
        description,
        tags,
        references,
        falsepositives,
        logsource,
        body: Body::Single(Detection::default()),
        suppress,
        score,
        respond,
        dry_run: dry_run.unwrap_or(false),
        tests: Vec::new(),
        origin,
    })
}

/// What an alert adds to `risk`: more than 0, and few enough thousandths for a whole number.
fn score(node: &Yaml, report: &mut Report) -> Option<f64> {
    let score = read::number(node, "`score`", report)?;
    if !(0.001..=1_000_000.0).contains(&score) {
        report.error("bad-value", node.place, "`score` must be 0.001 to 1000000");
        return None;
    }
    Some(score)
}

/// Reports keys nobody knows: an error where one is a slip away from a known key or belongs elsewhere, else a
/// warning, since Sigma allows keys of one's own.
pub(super) fn check_keys(entries: Entries<'_>, report: &mut Report) {
    for (key, _) in entries {
        let text = key.text.as_str();
        let known = || SIGMA.iter().chain(&OWN).copied();
        if known().any(|known| known == text)
            || text.starts_with("custom")
            || text.starts_with("regression_tests")
        {
            continue;
        }
        let inside = [("behavior", super::behavior::keys()), ("correlation", IN_CORRELATION.to_vec())];
        if let Some((parent, _)) = inside.iter().find(|(_, keys)| keys.contains(&text)) {
            let message = format!("`{text}` belongs inside `{parent}`");
            report.error("misplaced-key", key.place, message).help(format!("indent it below `{parent}:`"));
        } else if let Some(near) = known().find(|known| suggest::is_slip(text, known)) {
            let message = format!("unknown key `{text}`");
            report.error("unknown-key", key.place, message).help(format!("did you mean `{near}`?"));
        } else {
            let message = format!("unknown key `{text}` is ignored");
            report.warning("unknown-key", key.place, message).help("keys of your own belong under `custom`");
        }
    }
}

/// Reads `logsource`; without one the rule sees every event.
pub(super) fn logsource(entries: Entries<'_>, report: &mut Report) -> LogSource {
    let Some(node) = read::value(entries, "logsource") else { return LogSource::default() };
    let Some(entries) = read::map(node, "`logsource`", report) else { return LogSource::default() };
    let known = ["product", "category", "service", "definition"];
    for (key, _) in entries {
        let text = key.text.as_str();
        if known.contains(&text) {
            continue;
        }
        let message = format!("unknown key `{text}` in `logsource`");
        match suggest::closest(text, known) {
            Some(near) => {
                report.error("unknown-key", key.place, message).help(format!("did you mean `{near}`?"))
            }
            None => report.warning("unknown-key", key.place, message).help("it is ignored"),
        }
    }
    LogSource {
        product: optional(entries, "product", report),
        category: optional(entries, "category", report),
        service: optional(entries, "service", report),
    }
}

/// Warns where a rule or filter over events does not say whose.
pub(super) fn check_logsource(entries: Entries<'_>, place: Place, report: &mut Report) {
    if read::get(entries, "logsource").is_none() {
        let message = "there is no `logsource`: events of every product are seen";
        report.warning("missing-key", place, message).help("add `logsource: {product: gitlab}`");
    }
}

fn optional(entries: Entries<'_>, key: &str, report: &mut Report) -> Option<String> {
    let node = read::value(entries, key).filter(|node| !node.is_null())?;
    read::name(node, &format!("`{key}`"), report)
}

fn level(entries: Entries<'_>, report: &mut Report) -> Level {
    let Some((text, node)) = word(entries, "level", report) else { return Level::default() };
    Level::named(&text).unwrap_or_else(|| {
        let known = Level::ALL.map(Level::name);
        unknown_word(node, "level", &text, &known, report);
        Level::default()
    })
}

fn status(entries: Entries<'_>, report: &mut Report) -> Option<String> {
    let (text, node) = word(entries, "status", report)?;
    if !STATUS.contains(&text.as_str()) {
        unknown_word(node, "status", &text, &STATUS, report);
    }
    Some(text)
}

fn word<'a>(entries: Entries<'a>, key: &str, report: &mut Report) -> Option<(String, &'a Yaml)> {
    let node = read::value(entries, key)?;
    Some((read::name(node, &format!("`{key}`"), report)?, node))
}

fn unknown_word(node: &Yaml, key: &str, text: &str, known: &[&str], report: &mut Report) {
    let message = format!("unknown {key} `{text}`");
    report.error("bad-value", node.place, message).suggest(text, known.iter().copied());
}

/// The letters and digits of a title in lower case, with `-` for what is between them.
pub(super) fn slug(title: &str) -> String {
    let words: Vec<String> = title
        .split(|c: char| !c.is_alphanumeric())
        .filter(|w| !w.is_empty())
        .map(str::to_lowercase)
        .collect();
    let slug: String = words.join("-").chars().take(100).collect();
    if slug.is_empty() { "rule".to_owned() } else { slug }
}
