//! `watchfire check`: every mistake of the configuration, the rules and the lists, at once.

mod actions;
mod wiring;

use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;

use super::diagnostics::{self, Format, Texts};
use super::rules::EnrichArgs;
use super::terminal::Paint;
use crate::clock::Clock;
use crate::config::{Config, load_without_secrets};
use crate::daemon::{Reading, Rulebook, RulebookConfig};
use crate::event::Catalogue;
use crate::rule::{Diagnostic, Severity, lint, lint_filter};
use crate::time::{Span, Timestamp};

/// Options of `watchfire check`.
#[derive(Debug, Args)]
#[command(after_help = "\
A PATH is a rule file (.yml, .yaml, .rhai), a folder of them, or a configuration, which brings its own rules and lists. \
Secrets are not needed. Exit code 1 if there is an error, or with --deny-warnings a warning.

Examples:
  watchfire check /etc/watchfire/watchfire.yaml
  watchfire check rules --lists lists
  watchfire check --config watchfire.yaml rules/new.yml    are the actions it names configured?
  watchfire check rules --format sarif > watchfire.sarif")]
pub struct CheckArgs {
    /// Rule files, folders of rules, configurations
    #[arg(value_name = "PATH", required_unless_present = "config")]
    paths: Vec<PathBuf>,
    /// The configuration that the rules belong to
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A folder with lists; the configuration's when left out
    #[arg(long, value_name = "DIR")]
    lists: Option<PathBuf>,
    #[command(flatten)]
    enrich: EnrichArgs,
    /// How mistakes are written
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Fail for warnings too
    #[arg(long)]
    deny_warnings: bool,
}

impl CheckArgs {
    /// Where no configuration says more.
    fn rulebook(&self, rules: Vec<PathBuf>) -> RulebookConfig {
        let (lists, lateness) = (self.lists.clone(), Span::minutes(5));
        self.enrich.over(RulebookConfig { rules, lists, lateness, ..RulebookConfig::default() })
    }
}

/// Runs it.
pub fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let mut found = check(args, Clock::system().now());
    diagnostics::sort(&mut found.diagnostics);
    let paint = Paint::stdout();
    match args.format {
        Format::Text => super::print(&found.text(paint))?,
        Format::Json => super::print(&diagnostics::json(&found.diagnostics)?)?,
        Format::Sarif => super::print(&diagnostics::sarif(&found.diagnostics)?)?,
    }
    let errors = diagnostics::count(&found.diagnostics, Severity::Error);
    let is_clean = errors == 0 && (!args.deny_warnings || found.diagnostics.is_empty());
    Ok(if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What a check came to.
#[derive(Debug, Default)]
struct Found {
    diagnostics: Vec<Diagnostic>,
    texts: Texts,
    rules: usize,
}

impl Found {
    fn text(&self, paint: Paint) -> String {
        let count =
            |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
        let errors = diagnostics::count(&self.diagnostics, Severity::Error);
        let warnings = diagnostics::count(&self.diagnostics, Severity::Warning);
        let summary = [
            count(self.texts.len(), "file"),
            count(self.rules, "rule"),
            count(errors, "error"),
            count(warnings, "warning"),
        ];
        let summary = match (errors, warnings) {
            (0, 0) => paint.green(&summary.join(", ")),
            (0, _) => paint.yellow(&summary.join(", ")),
            _ => paint.red(&summary.join(", ")),
        };
        format!("{}{summary}\n", diagnostics::text(&self.diagnostics, &self.texts, paint.has_color()))
    }
}

fn check(args: &CheckArgs, today: Timestamp) -> Found {
    let mut found = Found::default();
    let (configs, rules): (Vec<_>, Vec<_>) = args.paths.iter().cloned().partition(|path| is_config(path));
    let configs: Vec<PathBuf> = args.config.iter().cloned().chain(configs).collect();
    if configs.is_empty() {
        let config = args.rulebook(rules);
        found.read(config, today);
        return found;
    }
    for path in configs {
        let Some(config) = found.config(&path) else {
            // The rules are worth a look even so; what they refer to is unknown.
            if !rules.is_empty() {
                found.read(args.rulebook(rules.clone()), today);
            }
            continue;
        };
        let all = outermost(config.rules.iter().chain(&rules));
        let lists = args.lists.clone().or_else(|| config.lists.clone());
        let book = RulebookConfig {
            rules: all,
            lists,
            geo: config.geo.clone(),
            own: config.own.clone(),
            learnt: super::rules::learnt(&config),
            lateness: config.lateness,
        };
        let reading = found.read(args.enrich.over(book), today);
        let text = found.texts.get(&*path.to_string_lossy()).cloned().unwrap_or_default();
        let wiring = wiring::Wiring { config: &config, path: &path, text: &text, reading: &reading };
        found.diagnostics.extend(wiring.check());
        found.diagnostics.extend(actions::check(&config, (&path, &text), reading.rules.catalogue()));
    }
    found
}

impl Found {
    /// The configuration, if it can be read.
    fn config(&mut self, path: &Path) -> Option<Config> {
        let shown: Arc<str> = path.to_string_lossy().into();
        match load_without_secrets(path) {
            Ok(config) => {
                let text = std::fs::read_to_string(path).unwrap_or_default();
                self.texts.insert(shown, actions::covered(&text));
                Some(config)
            }
            Err(error) => {
                match error.diagnostics() {
                    [] => self.diagnostics.push(Diagnostic {
                        severity: Severity::Error,
                        code: "unreadable",
                        message: error.to_string(),
                        help: None,
                        path: Arc::clone(&shown),
                        line: 0,
                        column: 1,
                        width: 1,
                    }),
                    several => self.diagnostics.extend_from_slice(several),
                }
                self.texts.insert(shown, error.text().to_owned());
                None
            }
        }
    }

    /// Reads rules and lists, and looks at what they can hardly mean.
    fn read(&mut self, config: RulebookConfig, today: Timestamp) -> Reading {
        let mut reading = Rulebook::new(config, Arc::new(Catalogue::built_in())).read(today);
        let catalogue = Arc::clone(reading.rules.catalogue());
        self.diagnostics.append(&mut reading.diagnostics);
        let text = |path: &Arc<str>| reading.texts.get(path).map(String::as_str);
        for unit in reading.rules.units() {
            self.diagnostics.extend(lint(&unit.rule, &catalogue, text(&unit.rule.origin.path)));
        }
        for filter in &reading.filters {
            self.diagnostics.extend(lint_filter(filter, &catalogue, text(&filter.origin.path)));
        }
        self.rules += reading.rules.units().len();
        self.texts.extend(reading.texts.iter().map(|(path, text)| (Arc::clone(path), text.clone())));
        reading
    }
}

/// Whether a file is a configuration and no rule, by the keys at its left edge.
fn is_config(path: &Path) -> bool {
    let is_yaml = path.extension().is_some_and(|ending| ending == "yml" || ending == "yaml");
    if !is_yaml || !path.is_file() {
        return false;
    }
    let Ok(text) = std::fs::read_to_string(path) else { return false };
    let has = |keys: &[&str]| {
        text.lines().filter_map(|line| line.split_once(':')).any(|(key, _)| keys.contains(&key.trim_end()))
    };
    has(&["sources", "listen", "data_dir", "actions", "routes", "forward"])
        && !has(&["detection", "correlation", "filter"])
}

/// The paths that lie in none of the others, each once and without detours: what is read twice seems to be doubled.
fn outermost<'p>(paths: impl Iterator<Item = &'p PathBuf>) -> Vec<PathBuf> {
    let whole = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let all: Vec<(PathBuf, PathBuf)> = paths.map(|path| (whole(path), straight(path))).collect();
    let is_inside = |index: usize, path: &Path| {
        let mut others = all.iter().enumerate().filter(|(other, _)| *other != index);
        others.any(|(other, (outer, _))| path.starts_with(outer) && (path != outer || other < index))
    };
    let kept = all.iter().enumerate().filter(|(index, (path, _))| !is_inside(*index, path));
    kept.map(|(_, (_, shown))| shown.clone()).collect()
}

/// `rules/gitlab` for `examples/../rules/gitlab`, if that is the same.
fn straight(path: &Path) -> PathBuf {
    let mut straight = PathBuf::new();
    for part in path.components() {
        let is_up = part == Component::ParentDir;
        if is_up && matches!(straight.components().next_back(), Some(Component::Normal(_))) {
            straight.pop();
        } else {
            straight.push(part);
        }
    }
    let is_same = match (straight.canonicalize(), path.canonicalize()) {
        (Ok(left), Ok(right)) => left == right,
        _ => false,
    };
    if is_same { straight } else { path.to_owned() }
}

#[cfg(test)]
mod tests;
