//! What is wrong with the sections `reports` and `exports` although every key is known.

use super::document::Document;
use super::error::Findings;
use super::suggest;
use super::tree::Node;
use crate::action::ActionConfig;
use crate::query::Query;
use crate::reporting::is_name;
use crate::time::Timestamp;

/// Their names, actions, sections and queries.
pub(super) fn reports(document: &Document, list: &Node, findings: &mut Findings<'_>) {
    for (report, node) in document.reports.iter().zip(list.items()) {
        common((&report.name, &report.query), node, findings);
        let place = node.get("action").unwrap_or(node).place;
        match document.actions.get(&report.action) {
            Some(ActionConfig::Email(_)) => {}
            Some(_) => {
                let message = format!("the action `{}` sends no mail", report.action);
                let help = "reports are mailed: name an action of type email".to_owned();
                findings.add("report", Some(place), message, Some(help));
            }
            None => {
                let mails =
                    document.actions.iter().filter(|(_, action)| matches!(action, ActionConfig::Email(_)));
                let known: Vec<&str> = mails.map(|(name, _)| name.as_str()).collect();
                let message = format!("there is no action `{}`", report.action);
                let help = suggest::help(&report.action, "configured actions of type email", &known);
                findings.add("unknown-action", Some(place), message, Some(help));
            }
        }
        if report.sections.is_empty() {
            let place = node.get("sections").unwrap_or(node).place;
            let help = "leave `sections` out to have all of them".to_owned();
            findings.add(
                "report",
                Some(place),
                "a report without sections says nothing".to_owned(),
                Some(help),
            );
        }
    }
}

/// Their names, folders and queries.
pub(super) fn exports(document: &Document, list: &Node, findings: &mut Findings<'_>) {
    for (export, node) in document.exports.iter().zip(list.items()) {
        common((&export.name, &export.query), node, findings);
        if export.folder.as_os_str().is_empty() {
            let place = node.get("folder").unwrap_or(node).place;
            let help = "name the folder that its files go to".to_owned();
            findings.add("export", Some(place), "`folder` is empty".to_owned(), Some(help));
        }
    }
}

fn common((name, query): (&str, &str), node: &Node, findings: &mut Findings<'_>) {
    if !is_name(name) {
        let place = node.get("name").unwrap_or(node).place;
        let help = "write small letters, digits, `-` and `_`, at most 64: files and saved positions have it"
            .to_owned();
        findings.add("name", Some(place), format!("`{name}` will not do as a name"), Some(help));
    }
    if let Err(error) = Query::parse(query, Timestamp(0)) {
        let place = node.get("query").unwrap_or(node).place;
        findings.add("query", Some(place), format!("`query`: {}", error.message), error.help);
    }
}
