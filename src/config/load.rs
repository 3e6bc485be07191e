//! From a file to a checked configuration.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::checkpoints::CheckpointsConfig;
use super::document::Document;
use super::error::{ConfigError, Findings, Place};
use super::limits::Limits;
use super::log::LogConfig;
use super::tree::Node;
use super::{Env, check};
use crate::action::ActionConfig;
use crate::deliver::{Egress, Secret, SecretRef};
use crate::enrich::Own;
use crate::forward::ForwardConfig;
use crate::reporting::Schedules;
use crate::respond::ResponsesConfig;
use crate::retention::Policy;
use crate::route::{self, Route};
use crate::source::{Source, Tokens};
use crate::telemetry::LoggingConfig;
use crate::time::Span;

/// A checked configuration. Relative paths in the file are relative to the file's folder; here they are joined to it.
#[derive(Debug)]
pub struct Config {
    /// The folder of the file; what actions and forwarders say of paths is relative to it.
    pub base: PathBuf,
    /// Where the log and the store are.
    pub data_dir: PathBuf,
    /// Where the server listens.
    pub listen: SocketAddr,
    /// Where events come from, with their tokens.
    pub sources: Vec<Source>,
    /// Files and folders of rules.
    pub rules: Vec<PathBuf>,
    /// The folder of lists.
    pub lists: Option<PathBuf>,
    /// GeoIP databases.
    pub geo: Vec<PathBuf>,
    /// Watchfire's own accounts.
    pub own: Option<Arc<Own>>,
    /// How late an event may be and still be judged by windows.
    pub lateness: Span,
    /// What can be done about an alert, by name.
    pub actions: BTreeMap<String, ActionConfig>,
    /// Which alerts get which actions, beside those that rules name.
    pub routes: Vec<Route>,
    /// An incident takes further alerts until none came for so long.
    pub incident_gap: Span,
    /// What holds alerts back from being told.
    pub noise: route::Policy,
    /// Where events are passed on to.
    pub forward: Vec<ForwardConfig>,
    /// Where requests may go.
    pub egress: Egress,
    /// How long events are kept.
    pub retention: Policy,
    /// Reports and exports of days, weeks and months.
    pub schedules: Schedules,
    /// How often the logs' state is signed, and who gets it.
    pub checkpoints: CheckpointsConfig,
    /// The bounds.
    pub limits: Limits,
    /// When the log is sealed.
    pub log: LogConfig,
    /// How logs look.
    pub logging: LoggingConfig,
    /// Who may administrate beside the tokens of the store.
    pub administrators: Option<Tokens>,
    /// Calls of the API a second and token.
    pub api_rate: u32,
    /// What holds for all responses together.
    pub responses: ResponsesConfig,
}

/// Reads a configuration and the secrets of its sources.
pub fn load(path: &Path, env: &Env<'_>) -> Result<Config, ConfigError> {
    read(path, Some(env))
}

/// Reads a configuration without its secrets, where they need not be known: nobody can post to its sources.
pub fn load_without_secrets(path: &Path) -> Result<Config, ConfigError> {
    read(path, None)
}

fn read(path: &Path, env: Option<&Env<'_>>) -> Result<Config, ConfigError> {
    let text =
        std::fs::read_to_string(path).map_err(|error| ConfigError::Read { path: path.to_owned(), error })?;
    parse(&text, path, env)
}

/// The steps, each of which reports all it finds before the next begins.
pub(super) fn parse(text: &str, path: &Path, env: Option<&Env<'_>>) -> Result<Config, ConfigError> {
    let mut findings = Findings::new(path, text);
    let tree = match Node::parse(text) {
        Ok(tree) => tree,
        Err(error) => {
            check::structure(&error, None, &mut findings);
            return Err(findings.into_error());
        }
    };
    check::empty(&tree, &mut findings);
    check::plain_secrets(&tree, &mut findings);
    findings.result()?;
    let document: Document = match serde_yaml::from_str(text) {
        Ok(document) => document,
        Err(error) => {
            check::structure(&error, Some(&tree), &mut findings);
            return Err(findings.into_error());
        }
    };
    check::meaning(&document, &tree, &mut findings);
    let base = path.parent().unwrap_or(Path::new("")).to_owned();
    let mut secrets = Secrets { env, base: &base, findings: &mut findings };
    let (sources, administrators) = secrets.open(&document, &tree);
    findings.result()?;
    Ok(Config {
        data_dir: base.join(document.data_dir),
        listen: document.listen.0,
        sources,
        rules: document.rules.iter().map(|path| base.join(path)).collect(),
        lists: document.lists.map(|path| base.join(path)),
        geo: document.geo.databases.iter().map(|path| base.join(path)).collect(),
        own: document.own.accounts(),
        lateness: document.lateness.0,
        actions: document.actions,
        routes: document.routes,
        incident_gap: document.incidents.gap.0,
        noise: route::Policy {
            inhibit: document.inhibit,
            maintenance: document.maintenance,
            storm: document.storm,
            notices: document.notices,
        },
        forward: document.forward,
        egress: document.egress,
        retention: document.retention.policy(),
        schedules: Schedules {
            reports: document.reports,
            exports: document.exports.into_iter().map(|export| export.below(&base)).collect(),
        },
        checkpoints: document.checkpoints,
        limits: document.limits,
        log: document.log,
        logging: document.logging,
        administrators,
        api_rate: document.api.rate,
        responses: document.responses,
        base,
    })
}

/// Fetches secrets, and reports those that are not there.
struct Secrets<'a, 'b> {
    env: Option<&'a Env<'a>>,
    base: &'a Path,
    findings: &'a mut Findings<'b>,
}

impl Secrets<'_, '_> {
    fn open(&mut self, document: &Document, tree: &Node) -> (Vec<Source>, Option<Tokens>) {
        let items = tree.get("sources").map(Node::items).unwrap_or_default();
        let mut sources = Vec::new();
        for (config, node) in document.sources.iter().zip(items) {
            // In the order of `SourceConfig::secrets`.
            let token = node.get("token").filter(|_| config.token.is_some());
            let tokens = node.get("tokens").map(Node::items).unwrap_or_default();
            let places = token.into_iter().chain(tokens).map(|node| node.place);
            let secrets: Vec<Secret> = config
                .secrets()
                .zip(places)
                .filter_map(|(reference, place)| self.fetch(reference, place))
                .collect();
            sources.push(config.build(self.base, &secrets, &document.sources));
        }
        let place = tree.get("api").and_then(|api| api.get("token")).map(|node| node.place);
        let reference = document.api.token.as_ref().zip(place);
        let administrators = reference.map(|(reference, place)| {
            let secret = self.fetch(reference, place);
            Tokens::new(secret.as_slice())
        });
        (sources, administrators)
    }

    fn fetch(&mut self, reference: &SecretRef, place: Place) -> Option<Secret> {
        match reference.resolve(self.env?, self.base) {
            Ok(secret) if secret.expose().trim().is_empty() => {
                let help = "an empty token would let everybody in".to_owned();
                self.findings.add("secret", Some(place), "this secret is empty".to_owned(), Some(help));
                None
            }
            Ok(secret) => Some(secret),
            Err(error) => {
                self.findings.add("secret", Some(place), error.to_string(), None);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
