//! What is wrong with a configuration although every key is known: found on the document's tree, so that each
//! finding has its place.

use super::document::Document;
use super::error::{Findings, PLAIN_SECRET, Place, SECRET_KEYS};
use super::tree::{Key, Node, Value};
use super::{retention, routes, schedules, suggest};
use crate::action::ActionConfig;
use crate::forward::ForwardConfig;

/// A secret written out. Checked before anything else, so that no later message can quote it.
pub(super) fn plain_secrets(tree: &Node, findings: &mut Findings<'_>) {
    tree.walk(&mut |key, node| {
        let secret = key.is_some_and(|key| SECRET_KEYS.contains(&key.name.as_str()));
        if secret && node.text().is_some() {
            let name = key.map_or("secret", |key| key.name.as_str());
            let message = format!("`{name}` is written into the configuration");
            let help = "secrets come from the environment or a file only: `{env: NAME}` or `{file: PATH}`";
            findings.add(PLAIN_SECRET, Some(node.place), message, Some(help.to_owned()));
        }
    });
}

/// A file of nothing but comments: surely not what was meant.
pub(super) fn empty(tree: &Node, findings: &mut Findings<'_>) {
    if matches!(tree.value, Value::Null) {
        let help = "begin with examples/minimal.yaml".to_owned();
        findings.add("syntax", None, "the configuration is empty".to_owned(), Some(help));
    }
}

/// Turns what the parser says into a finding with the best place and help that can be found.
pub(super) fn structure(error: &serde_yaml::Error, tree: Option<&Node>, findings: &mut Findings<'_>) {
    use serde_yaml::Error as E;
    let error = error.without_snippet();
    let place = error.location().map(|location| Place::of(&location));
    let around = place.and_then(|place| key_at(tree?, place));
    match error {
        E::SerdeUnknownField { field, expected, .. } => {
            // In a section with a `type`, the parser only knows where the section begins.
            let within = around.and_then(|(_, node)| key_named(node, field));
            let place = within.map(|key| key.place).or(place);
            let help = suggest::help(field, "keys here", expected);
            findings.add("unknown-key", place, format!("unknown key `{field}`"), Some(help));
        }
        E::SerdeUnknownVariant { variant, expected, .. } => {
            let help = suggest::help(variant, "possible values", expected);
            findings.add("unknown-value", place, format!("unknown value `{variant}`"), Some(help));
        }
        E::SerdeMissingField { field, .. } => {
            let of = around.map(|(key, _)| format!("`{}`", key.name)).unwrap_or_else(|| "this".to_owned());
            findings.add("missing-key", place, format!("{of} needs the key `{field}`"), None);
        }
        E::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().unwrap_or("?");
            let help = Some("leave one of them".to_owned());
            findings.add("duplicate-key", place, format!("the key `{key}` stands here twice"), help);
        }
        E::InvalidScalar { ty, .. } => {
            findings.add("wrong-type", place, format!("this is not of type {ty}"), None);
        }
        E::MultipleDocuments { .. } => {
            let message = "a configuration is one document".to_owned();
            findings.add("syntax", place, message, Some("remove this line".to_owned()));
        }
        other => {
            let text = other.to_string();
            let message = text.rfind(" at line ").and_then(|end| text.get(..end)).unwrap_or(&text);
            let message = match around {
                Some((key, _)) => format!("in `{}`: {message}", key.name),
                None => message.to_owned(),
            };
            findings.add("invalid", place, message, None);
        }
    }
}

/// The entry whose key begins at this place.
fn key_at(tree: &Node, place: Place) -> Option<(&Key, &Node)> {
    let mut found = None;
    tree.walk(&mut |key, node| {
        if let Some(key) = key.filter(|key| key.place.begins_at(place)) {
            found = found.or(Some((key, node)));
        }
    });
    found
}

/// The first key of this name within a value.
fn key_named<'a>(node: &'a Node, name: &str) -> Option<&'a Key> {
    let mut found = None;
    node.walk(&mut |key, _| found = found.or(key.filter(|key| key.name == name)));
    found
}

/// Everything that the sections' types let pass.
pub(super) fn meaning(document: &Document, tree: &Node, findings: &mut Findings<'_>) {
    let nothing = Node { place: Place { line: 0, column: 0, width: 1 }, value: Value::Null };
    let section = |name: &str| tree.get(name).unwrap_or(&nothing);
    let sources = section("sources");
    for (source, node) in document.sources.iter().zip(sources.items()) {
        for problem in source.problems() {
            let place = problem.key.and_then(|key| node.get(key)).unwrap_or(node).place;
            findings.add("source", Some(place), problem.message, problem.help);
        }
    }
    for key in ["name", "path", "file"] {
        unique(sources, key, "source", findings);
    }
    one_stdin(sources, findings);
    fills(document, sources, findings);
    unique(section("forward"), "name", "forwarder", findings);
    unique(section("reports"), "name", "report", findings);
    unique(section("exports"), "name", "export", findings);
    schedules::reports(document, section("reports"), findings);
    schedules::exports(document, section("exports"), findings);
    routes::check(document, &section, findings);
    let names: Vec<&str> = sources.items().iter().filter_map(|source| source.get("name")?.text()).collect();
    retention::meaning(&document.retention, &names, section("retention"), findings);
    keepers(document, section("checkpoints"), findings);
    let limits = section("limits");
    for (key, message) in document.limits.problems() {
        let place = limits.get(key).unwrap_or(limits).place;
        findings.add("limit", Some(place), format!("`limits.{key}` is too small"), Some(message));
    }
    let checkpoints = section("checkpoints");
    for (key, message) in document.checkpoints.problems() {
        let place = checkpoints.get(key).unwrap_or(checkpoints).place;
        findings.add("limit", Some(place), format!("`checkpoints.{key}` will not do"), Some(message));
    }
    let incidents = section("incidents");
    for (key, message) in document.incidents.problems() {
        let place = incidents.get(key).unwrap_or(incidents).place;
        findings.add("limit", Some(place), format!("`incidents.{key}` will not do"), Some(message));
    }
    let egress = section("egress");
    for (key, message) in document.egress.problems() {
        let place = egress.get(key).unwrap_or(egress).place;
        findings.add("egress", Some(place), format!("`egress.{key}` will not do"), Some(message));
    }
    let log = section("log");
    for (key, message) in document.log.problems() {
        let place = log.get(key).unwrap_or(log).place;
        findings.add("limit", Some(place), format!("`log.{key}` will not do"), Some(message));
    }
    let responses = section("responses");
    for (key, message) in document.responses.problems() {
        let place = responses.get(key).unwrap_or(responses).place;
        findings.add("responses", Some(place), format!("`responses.{key}` will not do"), Some(message));
    }
    askers(document, responses, findings);
    if let Some(message) = document.api.rate_problem() {
        let place = section("api").get("rate").map(|node| node.place);
        findings.add("limit", place, "`api.rate` is out of range".to_owned(), Some(message));
    }
    if let Err(error) = document.logging.filter() {
        let place = section("logging").get("level").map(|node| node.place);
        findings.add("log-level", place, error.to_string(), None);
    }
}

/// No two entries of a list have the same value of a key.
pub(super) fn unique(list: &Node, key: &str, what: &str, findings: &mut Findings<'_>) {
    let values: Vec<&Node> = list.items().iter().filter_map(|item| item.get(key)).collect();
    for (index, node) in values.iter().enumerate() {
        let Some(text) = node.text() else { continue };
        let earlier = values.iter().take(index).find(|other| other.text() == Some(text));
        if let Some(earlier) = earlier {
            let message = format!("another {what} has the {key} `{text}` already");
            let help = format!("the first one is on line {}", earlier.place.line);
            findings.add("duplicate", Some(node.place), message, Some(help));
        }
    }
}

/// What is filled must be there, and be posted to: other sources read on where they left off.
fn fills(document: &Document, sources: &Node, findings: &mut Findings<'_>) {
    let posted = document.sources.iter().filter(|source| source.kind.is_http());
    let known: Vec<&str> = posted.map(|source| source.name.as_str()).collect();
    for node in sources.items().iter().filter_map(|source| source.get("fills")).flat_map(Node::items) {
        let Some(name) = node.text().filter(|name| !known.contains(name)) else { continue };
        let help = suggest::help(name, "sources that are posted to", &known);
        let message = format!("there is no source `{name}` that is posted to");
        findings.add("unknown-source", Some(node.place), message, Some(help));
    }
    let all = &document.sources;
    for (source, node) in all.iter().zip(sources.items()) {
        let own = source.forge(all);
        let filled = all.iter().filter(|other| other.kind.is_http() && source.fills.contains(&other.name));
        if let Some(other) = filled.map(|other| other.forge(all)).find(|other| *other != own) {
            let message = format!("it brings events of the forge {own} and fills gaps of the forge {other}");
            let help = "what it brings would be stored a second time: give them the same `forge`".to_owned();
            findings.add("source", Some(node.get("fills").unwrap_or(node).place), message, Some(help));
        }
    }
}

/// Who keeps checkpoints: people, programs that are told of alerts, receivers of events.
fn keepers(document: &Document, checkpoints: &Node, findings: &mut Findings<'_>) {
    let fit = document.actions.iter().filter(|(_, action)| action.unfit_to_keep().is_none());
    let actions = fit.map(|(name, _)| name.as_str());
    let known: Vec<&str> = actions.chain(document.forward.iter().map(ForwardConfig::name)).collect();
    for node in checkpoints.get("to").map(Node::items).unwrap_or_default() {
        let Some(name) = node.text().filter(|name| !known.contains(name)) else { continue };
        let unfit = document.actions.get(name).and_then(ActionConfig::unfit_to_keep);
        let help = unfit.map_or_else(
            || suggest::help(name, "actions and forwarders that can", &known),
            |reason| format!("`{name}` cannot: {reason}"),
        );
        let message = format!("there is no action or forwarder `{name}` that can keep checkpoints");
        findings.add("unknown-keeper", Some(node.place), message, Some(help));
    }
}

/// Who asks for approval, and who keeps the record.
fn askers(document: &Document, responses: &Node, findings: &mut Findings<'_>) {
    let known: Vec<&str> = document.actions.keys().map(String::as_str).collect();
    let asking = responses.get("approval").and_then(|approval| approval.get("actions"));
    for (named, what) in [(asking, "ask for approval"), (responses.get("record"), "record what was done")] {
        for node in named.map(Node::items).unwrap_or_default() {
            let Some(name) = node.text().filter(|name| !known.contains(name)) else { continue };
            let help = suggest::help(name, "actions", &known);
            let message = format!("there is no action `{name}` that could {what}");
            findings.add("unknown-action", Some(node.place), message, Some(help));
        }
    }
}

fn one_stdin(sources: &Node, findings: &mut Findings<'_>) {
    let kinds = sources.items().iter().filter_map(|source| source.get("type"));
    for second in kinds.filter(|kind| kind.text() == Some("stdin")).skip(1) {
        let message = "only one source can read standard input".to_owned();
        findings.add("duplicate", Some(second.place), message, None);
    }
}
