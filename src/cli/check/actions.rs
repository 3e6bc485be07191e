//! Whether actions and forwarders can be built, secrets aside: addresses, templates, conditions.

use std::path::Path;
use std::sync::Arc;

use crate::action::{Action, ActionConfig};
use crate::clock::Clock;
use crate::config::Config;
use crate::deliver::{BuildContext, SecretRef, TextOrSecret};
use crate::event::Catalogue;
use crate::forward::{ForwardConfig, Forwarder};
use crate::respond::ResponderConfig;
use crate::rule::{Diagnostic, Lists, RuleFile, Severity, load, locate};

/// Stands for every secret: it is a header's value, and base64 as webhooks want it.
const STAND_IN: &str = "whsec_c3RhbmRzIGZvciBhIHNlY3JldCBpbiBgY2hlY2tg";

/// What cannot be built.
pub(super) fn check(
    config: &Config,
    (path, text): (&Path, &str),
    catalogue: &Arc<Catalogue>,
) -> Vec<Diagnostic> {
    let env = |_: &str| Some(STAND_IN.to_owned());
    let context = BuildContext { env: &env, base: &config.base, egress: &config.egress };
    let file: Arc<str> = path.to_string_lossy().into();
    let problem = |section: &str, name: &str, message: String| {
        let (from, ..) = locate(Some(text), 1, section);
        let (line, column, width) = locate(Some(text), from, name);
        let (severity, code, help, path) = (Severity::Error, "bad-setting", None, Arc::clone(&file));
        Diagnostic { severity, code, message, help, path, line, column, width }
    };
    let mut found = Vec::new();
    for (name, action) in &config.actions {
        if let Err(error) = Action::build(name, &without_secrets(action), &context) {
            found.push(problem("actions", name, error.to_string()));
        }
    }
    for forward in &config.forward {
        let name = forward.name();
        let catalogue = Arc::clone(catalogue);
        let built = Forwarder::build(&plain(forward), None, catalogue, Clock::system(), &context);
        if let Err(error) = built {
            found.push(problem("forward", name, error.to_string()));
        }
        for message in condition(forward) {
            found.push(problem("forward", name, format!("forward `{name}`: condition: {message}")));
        }
    }
    found
}

/// What is wrong with the detection that selects events.
fn condition(forward: &ForwardConfig) -> Vec<String> {
    let Some(condition) = forward.condition() else { return Vec::new() };
    let document = serde_json::json!({"title": "forward", "logsource": {}, "detection": condition});
    let file = RuleFile { path: "condition".into(), text: document.to_string() };
    let found = load(&[file], &Lists::new()).diagnostics.into_iter();
    let errors = found.filter(|diagnostic| diagnostic.severity == Severity::Error);
    let with_help = |error: Diagnostic| match error.help {
        Some(help) => format!("{}; {help}", error.message),
        None => error.message,
    };
    errors.map(with_help).collect()
}

fn stand_in() -> SecretRef {
    SecretRef::Env("SECRET".to_owned())
}

/// A text stays what it is; a secret becomes the stand-in, a secret address an address.
fn address(text: &TextOrSecret) -> TextOrSecret {
    match text {
        TextOrSecret::Secret(_) => TextOrSecret::Text("https://secret.invalid/".to_owned()),
        plain @ TextOrSecret::Text(_) => plain.clone(),
    }
}

fn value(text: &mut TextOrSecret) {
    if let TextOrSecret::Secret(reference) = text {
        *reference = stand_in();
    }
}

/// The same action with stand-ins for its secrets, and without certificates that are not on this machine.
fn without_secrets(action: &ActionConfig) -> ActionConfig {
    let mut action = action.clone();
    match &mut action {
        ActionConfig::Email(email) => {
            email.smtp.password.iter_mut().for_each(|password| *password = stand_in());
            email.smtp.ca = None;
        }
        ActionConfig::Webhook(webhook) => {
            webhook.url = address(&webhook.url);
            webhook.secret.iter_mut().chain(&mut webhook.secrets).for_each(|secret| *secret = stand_in());
            webhook.headers.values_mut().for_each(value);
            webhook.ca = None;
        }
        ActionConfig::Respond(respond) => match &mut respond.responder {
            ResponderConfig::Gitlab(gitlab) => (gitlab.token, gitlab.ca) = (stand_in(), None),
            ResponderConfig::Github(github) => (github.token, github.ca) = (stand_in(), None),
            ResponderConfig::Http(http) => {
                http.ca = None;
                http.url = address(&http.url);
                http.headers.values_mut().for_each(value);
                let look = http.look.iter_mut().map(|look| &mut look.request);
                for call in look.chain(&mut http.undo) {
                    call.url = address(&call.url);
                    call.headers.values_mut().for_each(value);
                }
            }
        },
        ActionConfig::Http(http) => {
            http.url = address(&http.url);
            http.headers.values_mut().for_each(value);
            http.ca = None;
        }
        ActionConfig::Command(command) => command.env.values_mut().for_each(value),
        ActionConfig::Target(target) => target.cover(&stand_in(), address),
    }
    action
}

fn plain(forward: &ForwardConfig) -> ForwardConfig {
    let mut forward = forward.clone();
    if let ForwardConfig::Http(http) = &mut forward {
        http.url = address(&http.url);
        http.token.iter_mut().for_each(|token| *token = stand_in());
        http.headers.values_mut().for_each(value);
        http.ca = None;
    }
    forward
}

/// The configuration's text as it may be shown: addresses and headers may hold secrets, so of actions and
/// forwarders only the names are left. Lines stay where they are.
pub(super) fn covered(text: &str) -> String {
    let mut is_covered = false;
    let mut shown = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        if !line.starts_with([' ', '-', '#', '\n']) {
            is_covered = line.starts_with("actions") || line.starts_with("forward");
        }
        let end = if line.ends_with('\n') { "\n" } else { "" };
        let is_name = |part: &str| part.trim_start_matches([' ', '-', '{']).starts_with("name");
        match line.split_once(':') {
            Some((key, rest)) if is_covered && is_name(key) => {
                let name = rest.split([',', '}', '#']).next().unwrap_or_default().trim_end();
                shown.push_str(&format!("{key}:{name}{end}"));
            }
            Some((key, _)) if is_covered => shown.push_str(&format!("{key}: …{end}")),
            None if is_covered => shown.push_str(end),
            _ => shown.push_str(line),
        }
    }
    shown
}
