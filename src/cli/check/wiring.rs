//! What the configuration and the rules say of each other: actions that rules name, rules that routes name.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::config::{Config, Route};
use crate::daemon::Reading;
use crate::route::{DeadEnd, dead_ends};
use crate::rule::ast::Rule;
use crate::rule::{Diagnostic, Severity, closest, locate};

/// A configuration and the rules it runs.
pub(super) struct Wiring<'a> {
    pub(super) config: &'a Config,
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
    pub(super) reading: &'a Reading,
}

impl Wiring<'_> {
    /// Names that nobody bears.
    pub(super) fn check(&self) -> Vec<Diagnostic> {
        let mut found = self.responses();
        found.extend(self.routes());
        if self.config.rules.is_empty() && self.config.forward.is_empty() {
            let message = "there are neither rules nor forwarders: events are stored and nothing else";
            let help = Some("add `rules: [FOLDER]`".to_owned());
            found.push(self.warning("no-rules", ("", ""), message.to_owned(), help));
        }
        found
    }

    fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.reading.rules.units().iter().map(|unit| &unit.rule)
    }

    /// The actions that rules name and nobody configured. One that is a slip away from a configured one is an
    /// error; others are a warning, told once, since rules are shared and not everybody has every action.
    fn responses(&self) -> Vec<Diagnostic> {
        let actions = &self.config.actions;
        let mut unknown: BTreeMap<&str, Vec<&Rule>> = BTreeMap::new();
        for rule in self.rules() {
            for name in rule.respond.iter().filter(|name| !actions.contains_key(*name)) {
                unknown.entry(name).or_default().push(rule);
            }
        }
        let mut found = Vec::new();
        for (name, rules) in unknown {
            let config = self.path.display();
            if let Some(near) = closest(name, actions.keys().map(String::as_str)) {
                let message = format!("there is no action `{name}` in {config}");
                let help = format!("did you mean `{near}`?");
                let error = |rule: &&Rule| self.response(rule, name, Severity::Error, (&message, &help));
                found.extend(rules.iter().map(error));
            } else if let Some(first) = rules.first() {
                let count = if rules.len() == 1 {
                    "this rule names".to_owned()
                } else {
                    format!("{} rules name", rules.len())
                };
                let message = format!("{config} has no action `{name}`, which {count}");
                let help = match actions.is_empty() {
                    true => "add it under `actions`; until then these alerts are only stored".to_owned(),
                    false => format!(
                        "add it under `actions`; there are {}",
                        quoted(actions.keys().map(String::as_str))
                    ),
                };
                found.push(self.response(first, name, Severity::Warning, (&message, &help)));
            }
        }
        found
    }

    /// A diagnostic at the name of an action in a rule.
    fn response(
        &self,
        rule: &Rule,
        name: &str,
        severity: Severity,
        (message, help): (&str, &str),
    ) -> Diagnostic {
        let text = self.reading.texts.get(&rule.origin.path).map(String::as_str);
        let (from, ..) = locate(text, rule.origin.line, "respond");
        let (line, column, width) = locate(text, from, name);
        Diagnostic {
            severity,
            code: "unknown-action",
            message: message.to_owned(),
            help: Some(help.to_owned()),
            path: Arc::clone(&rule.origin.path),
            line,
            column,
            width,
        }
    }

    /// Rules and tags that routes name and no rule bears, and routes that no alert can come to.
    fn routes(&self) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        self.unknown(&self.config.routes, &mut found);
        // What is named in vain has been told by then.
        if found.is_empty() {
            let known: Vec<_> =
                self.rules().map(|rule| (&*rule.id, rule.level, rule.tags.as_slice())).collect();
            for DeadEnd { path, why } in dead_ends(&self.config.routes, &known) {
                let path: Vec<String> = path.iter().map(ToString::to_string).collect();
                let message = format!("route {} never matches: {why}", path.join("."));
                found.push(self.warning("dead-route", ("routes", "routes"), message, None));
            }
        }
        found
    }

    fn unknown(&self, routes: &[Route], found: &mut Vec<Diagnostic>) {
        for route in routes {
            for name in &route.when.rules {
                if self.rules().any(|rule| name.matches(&rule.id)) {
                    continue;
                }
                let text = name.text();
                let bearer = self.rules().find(|rule| rule.name.as_deref() == Some(text));
                let near = || closest(text, self.rules().map(|rule| &*rule.id));
                let help = match bearer {
                    Some(rule) => Some(format!("routes go by `id`: write `{}`", rule.id)),
                    None => near().map(|near| format!("did you mean `{near}`?")),
                };
                let message = format!("no rule has the id `{name}`: this route never matches it");
                found.push(self.warning("unknown-rule", ("routes", text), message, help));
            }
            for tag in &route.when.tags {
                let tags = || self.rules().flat_map(|rule| &rule.tags).map(String::as_str);
                if tags().any(|known| known == tag) {
                    continue;
                }
                let help = closest(tag, tags()).map(|near| format!("did you mean `{near}`?"));
                let message = format!("no rule has the tag `{tag}`");
                found.push(self.warning("unknown-tag", ("routes", tag), message, help));
            }
            self.unknown(&route.routes, found);
        }
    }

    /// A warning about a word in a section of the configuration; about the file without one.
    fn warning(
        &self,
        code: &'static str,
        (section, word): (&str, &str),
        message: String,
        help: Option<String>,
    ) -> Diagnostic {
        let (line, column, width) = match section {
            "" => (0, 1, 1),
            section => {
                let (from, ..) = locate(Some(self.text), 1, section);
                locate(Some(self.text), from, word)
            }
        };
        let path = self.path.to_string_lossy().into();
        Diagnostic { severity: Severity::Warning, code, message, help, path, line, column, width }
    }
}

fn quoted<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
