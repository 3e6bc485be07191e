//! The settings of `type: gitlab_api`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Deserializer};

use crate::deliver::{Secret, SecretRef, parse_url};
use crate::source::config::{Problem, SourceConfig};
use crate::time::Span;

/// How often GitLab is asked, unless configured otherwise.
const EVERY: Span = Span::minutes(1);
/// Asked more often, an instance is only kept busy.
const EVERY_MIN: Span = Span::seconds(5);
/// How far each look reaches back behind the one before.
const OVERLAP: Span = Span::minutes(10);
/// How far the first look reaches back.
const SINCE: Span = Span::days(1);
/// A page may take an instance long.
const TIMEOUT: Span = Span::seconds(60);

/// Whose audit events are fetched.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// Everybody's; needs an administrator's token.
    Instance,
    /// A group's own, by id or path; needs an owner's token.
    Group(String),
    /// A project's, by id or path; needs a maintainer's token.
    Project(String),
}

/// An API that is asked, as configured.
#[derive(Debug, Clone)]
pub struct Polled {
    /// Where GitLab is, without `/api/v4`.
    pub url: String,
    /// Where the token is kept, the folder a relative path begins at, and the token as it was at the start.
    pub token: (SecretRef, PathBuf, Option<Secret>),
    /// Whose events. Of a group also its subgroups' and projects'.
    pub targets: Vec<Target>,
    /// How often.
    pub every: Span,
    /// How far each look reaches back behind the one before.
    pub overlap: Span,
    /// How far the first look reaches back.
    pub since: Span,
    /// The sources whose gaps are filled from here.
    pub fills: Vec<Arc<str>>,
    /// Whether it only fills gaps.
    pub only_fills: bool,
    /// A PEM file with further root certificates.
    pub ca: Option<PathBuf>,
    /// What one request may take.
    pub timeout: Span,
}

/// A group or project: its number or its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(pub String);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Number(u64),
            Path(String),
        }
        Ok(Self(match Either::deserialize(deserializer)? {
            Either::Number(number) => number.to_string(),
            Either::Path(path) => path,
        }))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instance => f.write_str("instance"),
            Self::Group(name) => write!(f, "group {name}"),
            Self::Project(name) => write!(f, "project {name}"),
        }
    }
}

/// The keys that only an API has, and whether this entry has them.
pub(in crate::source) fn unused(config: &SourceConfig) -> impl Iterator<Item = &'static str> {
    let present = [
        ("url", config.url.is_some()),
        ("groups", !config.groups.is_empty()),
        ("projects", !config.projects.is_empty()),
        ("every", config.every.is_some()),
        ("overlap", config.overlap.is_some()),
        ("since", config.since.is_some()),
        ("fills", !config.fills.is_empty()),
        ("only_fills", config.only_fills),
        ("ca", config.ca.is_some()),
        ("timeout", config.timeout.is_some()),
    ];
    present.into_iter().filter(|(_, is_present)| *is_present).map(|(key, _)| key)
}

/// What is wrong with an entry of this type.
pub(in crate::source) fn check(config: &SourceConfig, problems: &mut Vec<Problem>) {
    const KIND: &str = "gitlab_api";
    let help = "the address of GitLab, such as https://gitlab.example.com";
    match &config.url {
        None => problems.push(Problem::missing(KIND, "url", "https://gitlab.example.com")),
        Some(url) => match parse_url(url) {
            Err(error) => problems.push(Problem::at("url", error.to_string(), help)),
            Ok(url) if has_more_than_a_place(&url) => {
                let message = "`url` has more than an address".to_owned();
                problems.push(Problem::at("url", message, help));
            }
            Ok(_) => {}
        },
    }
    if config.token.is_none() {
        problems.push(Problem::missing(KIND, "token", "{file: /etc/watchfire/gitlab-api-token}"));
    }
    for (key, is_present) in [
        ("path", config.path.is_some()),
        ("tokens", !config.tokens.is_empty()),
        ("file", config.file.is_some()),
        ("format", config.format.is_some()),
    ] {
        if is_present {
            problems.push(Problem::unused(KIND, key, "it asks GitLab, and its events are GitLab's"));
        }
    }
    for name in config.groups.iter().chain(&config.projects).filter(|name| !is_name(&name.0)) {
        let message = format!("`{}` is neither a number nor a path", name.0);
        problems.push(Problem::at("groups", message, "write a number, or a path such as group/subgroup"));
    }
    if config.only_fills && config.fills.is_empty() {
        let message = "`only_fills` needs the sources that it fills".to_owned();
        problems.push(Problem::at("only_fills", message, "add `fills: [NAME]`"));
    }
    if config.every.is_some_and(|every| every < EVERY_MIN) {
        let message = format!("`every` is shorter than {EVERY_MIN}");
        problems.push(Problem::at("every", message, "ask less often; each look is at least one request"));
    }
}

fn has_more_than_a_place(url: &crate::deliver::Url) -> bool {
    url.query().is_some()
        || url.fragment().is_some()
        || !url.username().is_empty()
        || url.password().is_some()
}

fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "/-_.".contains(c);
    !name.is_empty() && name.chars().all(fits)
}

impl Polled {
    /// From a checked entry; files are looked for in `base`.
    pub(in crate::source) fn build(config: &SourceConfig, base: &Path, secrets: &[Secret]) -> Self {
        let groups = config.groups.iter().map(|name| Target::Group(name.0.clone()));
        let projects = config.projects.iter().map(|name| Target::Project(name.0.clone()));
        let mut targets: Vec<Target> = groups.chain(projects).collect();
        if targets.is_empty() {
            targets.push(Target::Instance);
        }
        let reference = config.token.clone().unwrap_or_else(|| SecretRef::Env(String::new()));
        Self {
            url: config.url.clone().unwrap_or_default(),
            token: (reference, base.to_owned(), secrets.first().cloned()),
            targets,
            every: config.every.unwrap_or(EVERY),
            overlap: config.overlap.unwrap_or(OVERLAP),
            since: config.since.unwrap_or(SINCE),
            fills: config.fills.iter().map(|name| name.as_str().into()).collect(),
            only_fills: config.only_fills,
            ca: config.ca.as_ref().map(|path| base.join(path)),
            timeout: config.timeout.unwrap_or(TIMEOUT),
        }
    }
}
