//! The `sources` section: as written, what can be wrong with it, and what the sources are built from.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use super::poll::{self, Polled};
use super::tokens::Tokens;
use crate::deliver::{Secret, SecretRef, span_or_none};
use crate::enrich::OWN_SOURCE;
use crate::event::Format;
use crate::time::Span;

/// One entry of `sources`, as written. Which keys it needs depends on `type`; see [`SourceConfig::problems`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceConfig {
    /// Names the source in events, metrics and checkpoints: lower-case letters, digits, `-` and `_`.
    pub name: String,
    /// How events arrive.
    #[serde(rename = "type")]
    pub kind: SourceKind,
    /// `gitlab` and `http`: the path that is posted to.
    pub path: Option<String>,
    /// `gitlab` and `http`: the token that senders must show.
    pub token: Option<SecretRef>,
    /// `gitlab` and `http`: further tokens, such as those of several destinations, or the next one while rotating.
    #[serde(default)]
    pub tokens: Vec<SecretRef>,
    /// `file`: the file that is followed.
    pub file: Option<PathBuf>,
    /// How the events are written; `gitlab` for `type: gitlab`, otherwise recognised event by event when absent.
    pub format: Option<Format>,
    /// The system its events happened in: `gitlab` for `gitlab` and `gitlab_api` (or that of what it fills), otherwise
    /// called as the source.
    pub forge: Option<String>,
    /// `gitlab_api`: where GitLab is, without `/api/v4`.
    pub url: Option<String>,
    /// `gitlab_api`: the groups whose events are fetched, and those of all that is in them.
    #[serde(default)]
    pub groups: Vec<poll::Name>,
    /// `gitlab_api`: the projects whose events are fetched; without both, the whole instance's.
    #[serde(default)]
    pub projects: Vec<poll::Name>,
    /// `gitlab_api`: how often it is asked.
    #[serde(default, deserialize_with = "span_or_none")]
    pub every: Option<Span>,
    /// `gitlab_api`: how far each look reaches back behind the one before.
    #[serde(default, deserialize_with = "span_or_none")]
    pub overlap: Option<Span>,
    /// `gitlab_api`: how far the first look reaches back.
    #[serde(default, deserialize_with = "span_or_none")]
    pub since: Option<Span>,
    /// `gitlab_api`: the sources whose gaps are filled from here.
    #[serde(default)]
    pub fills: Vec<String>,
    /// `gitlab_api`: it only fills gaps.
    #[serde(default)]
    pub only_fills: bool,
    /// `gitlab_api`: a PEM file with further root certificates.
    pub ca: Option<PathBuf>,
    /// `gitlab_api`: what one request may take.
    #[serde(default, deserialize_with = "span_or_none")]
    pub timeout: Option<Span>,
}

/// How events arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// GitLab audit event streaming: one event per `POST`.
    Gitlab,
    /// `POST` of NDJSON, a JSON array or one object, with a bearer token.
    Http,
    /// A file with one JSON object per line, followed through rotation and truncation.
    File,
    /// Standard input, one JSON object per line.
    Stdin,
    /// GitLab's REST API, asked again and again.
    #[serde(rename = "gitlab_api")]
    GitlabApi,
}

/// A source as configured and checked, its tokens resolved.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its name.
    pub name: Arc<str>,
    /// The system its events happened in.
    pub forge: Arc<str>,
    /// How its events are written; none: recognised event by event.
    pub format: Option<Format>,
    /// Where they come from.
    pub input: Input,
}

/// Where a source's events come from.
#[derive(Debug, Clone)]
pub enum Input {
    /// GitLab audit event streaming.
    Gitlab {
        /// The path that is posted to.
        path: String,
        /// Who may.
        tokens: Tokens,
    },
    /// Bodies of many events.
    Http {
        /// The path that is posted to.
        path: String,
        /// Who may.
        tokens: Tokens,
    },
    /// A followed file.
    File(PathBuf),
    /// Standard input.
    Stdin,
    /// GitLab's REST API.
    Api(Box<Polled>),
}

/// What is wrong with an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key whose value is meant; none: the entry as a whole.
    pub key: Option<&'static str>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

/// Paths that the API itself answers.
const RESERVED: [&str; 4] = ["/healthz", "/readyz", "/metrics", "/api"];

impl SourceKind {
    /// The word in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gitlab => "gitlab",
            Self::Http => "http",
            Self::File => "file",
            Self::Stdin => "stdin",
            Self::GitlabApi => "gitlab_api",
        }
    }

    /// Whether it is posted to.
    #[must_use]
    pub const fn is_http(self) -> bool {
        matches!(self, Self::Gitlab | Self::Http)
    }
}

impl SourceConfig {
    /// Everything that is wrong with this entry by itself.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let help = "use lower-case letters, digits, `-` and `_`";
        if !is_name(&self.name) {
            problems.push(Problem::at("name", format!("`{}` cannot name a source", self.name), help));
        }
        if self.name == OWN_SOURCE {
            let message = format!("`{OWN_SOURCE}` is the source of the events that Watchfire writes itself");
            problems.push(Problem::at("name", message, "rules pass over those: give it another name"));
        }
        if let Some(forge) = self.forge.as_ref().filter(|forge| !is_name(forge)) {
            problems.push(Problem::at("forge", format!("`{forge}` cannot name a forge"), help));
        }
        match self.kind {
            SourceKind::Gitlab | SourceKind::Http => self.check_endpoint(&mut problems),
            SourceKind::File | SourceKind::Stdin => self.check_no_endpoint(&mut problems),
            SourceKind::GitlabApi => poll::check(self, &mut problems),
        }
        if self.kind != SourceKind::GitlabApi {
            let help = "only `type: gitlab_api` asks";
            let unused = poll::unused(self).map(|key| Problem::unused(self.kind.name(), key, help));
            problems.extend(unused);
        }
        if self.kind == SourceKind::Gitlab && !matches!(self.format, None | Some(Format::Gitlab)) {
            let message = "a source of type gitlab always has the format gitlab".to_owned();
            problems.push(Problem::at("format", message, "use `type: http` for other formats"));
        }
        problems
    }

    fn check_endpoint(&self, problems: &mut Vec<Problem>) {
        let kind = self.kind.name();
        match &self.path {
            None => problems.push(Problem::missing(kind, "path", &format!("/ingest/{}", self.name))),
            Some(path) => problems.extend(path_problem(path)),
        }
        if self.token.is_none() && self.tokens.is_empty() {
            problems.push(Problem::missing(kind, "token", "{env: WATCHFIRE_TOKEN}"));
        }
        if self.file.is_some() {
            problems.push(Problem::unused(kind, "file", "only `type: file` reads a file"));
        }
    }

    fn check_no_endpoint(&self, problems: &mut Vec<Problem>) {
        let kind = self.kind.name();
        let help = "only `type: gitlab` and `type: http` are posted to";
        let unused = [
            ("path", self.path.is_some()),
            ("token", self.token.is_some()),
            ("tokens", !self.tokens.is_empty()),
        ];
        for (key, _) in unused.into_iter().filter(|(_, present)| *present) {
            problems.push(Problem::unused(kind, key, help));
        }
        match (self.kind, &self.file) {
            (SourceKind::File, None) => {
                let example = "/var/log/gitlab/gitlab-rails/audit_json.log";
                problems.push(Problem::missing(kind, "file", example));
            }
            (SourceKind::Stdin, Some(_)) => {
                problems.push(Problem::unused(kind, "file", "only `type: file` reads a file"));
            }
            _ => {}
        }
    }

    /// Where its tokens are kept.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretRef> {
        self.token.iter().chain(&self.tokens)
    }

    /// The system its events happened in, by what is written here.
    fn own_forge(&self) -> &str {
        let is_gitlab = matches!(self.kind, SourceKind::Gitlab | SourceKind::GitlabApi);
        self.forge.as_deref().unwrap_or(if is_gitlab { "gitlab" } else { &self.name })
    }

    /// The system its events happened in; where it does not say and fills gaps of others, that of the first of them.
    #[must_use]
    pub fn forge<'a>(&'a self, all: &'a [Self]) -> &'a str {
        let is_filled = |other: &&Self| self.fills.contains(&other.name) && other.kind.is_http();
        match (&self.forge, all.iter().find(is_filled)) {
            (None, Some(filled)) => filled.own_forge(),
            _ => self.own_forge(),
        }
    }

    /// The checked source; relative files are looked for in `base`, `all` are the entries of the section. An entry with [`SourceConfig::problems`] gives
    /// a source that is never reached or never finds its file.
    #[must_use]
    pub fn build(&self, base: &Path, secrets: &[Secret], all: &[Self]) -> Source {
        let path = || self.path.clone().unwrap_or_default();
        let input = match self.kind {
            SourceKind::Gitlab => Input::Gitlab { path: path(), tokens: Tokens::new(secrets) },
            SourceKind::Http => Input::Http { path: path(), tokens: Tokens::new(secrets) },
            SourceKind::File => Input::File(base.join(self.file.as_deref().unwrap_or(Path::new("")))),
            SourceKind::Stdin => Input::Stdin,
            SourceKind::GitlabApi => Input::Api(Box::new(Polled::build(self, base, secrets))),
        };
        let is_gitlab = matches!(self.kind, SourceKind::Gitlab | SourceKind::GitlabApi);
        let format = if is_gitlab { Some(Format::Gitlab) } else { self.format };
        Source { name: self.name.as_str().into(), forge: self.forge(all).into(), format, input }
    }
}

/// Whether it can name a source or a forge.
pub(super) fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    !name.is_empty() && name.chars().all(fits)
}

/// A path is literal: letters, digits and `/-_.~`, so that it means the same to every proxy in between.
fn path_problem(path: &str) -> Option<Problem> {
    if !path.starts_with('/') {
        let help = format!("write `/{path}`");
        return Some(Problem::at("path", format!("the path `{path}` does not begin with `/`"), &help));
    }
    let literal = |c: char| c.is_ascii_alphanumeric() || "/-_.~".contains(c);
    if let Some(odd) = path.chars().find(|c| !literal(*c)) {
        let message = format!("the path `{path}` contains `{odd}`");
        return Some(Problem::at("path", message, "use letters, digits and `/-_.~`"));
    }
    let below =
        |reserved: &&str| path.strip_prefix(*reserved).is_some_and(|r| r.is_empty() || r.starts_with('/'));
    RESERVED.iter().find(|reserved| below(reserved)).map(|reserved| {
        let message = format!("`{reserved}` is answered by Watchfire itself");
        Problem::at("path", message, "choose another path, such as `/ingest/NAME`")
    })
}

impl Problem {
    pub(super) fn at(key: &'static str, message: String, help: &str) -> Self {
        Self { key: Some(key), message, help: Some(help.to_owned()) }
    }

    pub(super) fn missing(kind: &str, key: &'static str, example: &str) -> Self {
        let message = format!("a source of type {kind} needs `{key}`");
        Self { key: None, message, help: Some(format!("add `{key}: {example}`")) }
    }

    pub(super) fn unused(kind: &str, key: &'static str, help: &str) -> Self {
        Self::at(key, format!("a source of type {kind} has no `{key}`"), help)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(json: serde_json::Value) -> Vec<String> {
        let config: SourceConfig = serde_json::from_value(json).unwrap();
        config.problems().into_iter().map(|p| p.message).collect()
    }

    #[test]
    fn an_entry_needs_what_its_type_needs_and_nothing_else() {
        let token = serde_json::json!({"env": "T"});
        assert_eq!(
            problems(serde_json::json!({"name": "g", "type": "gitlab", "path": "/in", "token": token})),
            Vec::<String>::new()
        );
        assert_eq!(
            problems(serde_json::json!({"name": "g", "type": "gitlab", "path": "/in"})),
            ["a source of type gitlab needs `token`"]
        );
        assert_eq!(
            problems(serde_json::json!({"name": "f", "type": "file", "path": "/in", "tokens": [token]})),
            [
                "a source of type file has no `path`",
                "a source of type file has no `tokens`",
                "a source of type file needs `file`"
            ]
        );
        assert_eq!(
            problems(serde_json::json!({"name": "F g", "type": "stdin"})),
            ["`F g` cannot name a source"]
        );
        assert_eq!(
            problems(serde_json::json!({"name": "watchfire", "type": "stdin"})),
            ["`watchfire` is the source of the events that Watchfire writes itself"]
        );
    }

    #[test]
    fn a_forge_is_what_is_written_or_what_it_fills_or_gitlab_or_the_source_itself() {
        let read = |json: serde_json::Value| serde_json::from_value::<SourceConfig>(json).unwrap();
        let all = [
            read(serde_json::json!({"name": "a", "type": "gitlab"})),
            read(serde_json::json!({"name": "b", "type": "gitlab", "forge": "gitlab-b"})),
            read(serde_json::json!({"name": "ci", "type": "http", "format": "gitlab"})),
            read(serde_json::json!({"name": "rails", "type": "file", "forge": "gitlab"})),
            read(serde_json::json!({"name": "in", "type": "stdin"})),
            read(serde_json::json!({"name": "api", "type": "gitlab_api"})),
            read(serde_json::json!({"name": "api-b", "type": "gitlab_api", "fills": ["b"]})),
            read(serde_json::json!({"name": "api-c", "type": "gitlab_api", "fills": ["b"], "forge": "c"})),
        ];
        let forges: Vec<&str> = all.iter().map(|source| source.forge(&all)).collect();
        assert_eq!(forges, ["gitlab", "gitlab-b", "ci", "gitlab", "in", "gitlab", "gitlab-b", "c"]);
        let odd = problems(serde_json::json!({"name": "in", "type": "stdin", "forge": "My GitLab"}));
        assert_eq!(odd, ["`My GitLab` cannot name a forge"]);
    }

    #[test]
    fn a_path_is_literal_and_not_one_of_ours() {
        for good in ["/ingest/gitlab", "/logs", "/apiary", "/a-b_c.d~e"] {
            assert_eq!(path_problem(good), None, "{good}");
        }
        for bad in ["ingest", "/in/{x}", "/in *", "/metrics", "/api/v1/x", "/readyz", "/in?x"] {
            assert!(path_problem(bad).is_some(), "{bad}");
        }
    }
}
