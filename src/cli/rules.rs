//! Reading rules for commands that need them all to be right, or say what is not.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::bail;
use clap::Args;

use crate::clock::Clock;
use crate::config::{Config, load_without_secrets};
use crate::daemon::{Learnt, Reading, Rulebook, RulebookConfig};
use crate::engine::Limits;
use crate::enrich::Own;
use crate::event::Catalogue;
use crate::rule::{Diagnostic, Severity};
use crate::store::Store;
use crate::time::{Span, Timestamp};

/// What events are enriched with, where no configuration says it.
#[derive(Debug, Clone, Default, Args)]
pub struct EnrichArgs {
    /// A GeoIP database (.mmdb), for `geo.*`; may be repeated
    #[arg(long = "geo", value_name = "FILE")]
    geo: Vec<PathBuf>,
    /// An account of Watchfire's own, by id or name, for `self`; may be repeated
    #[arg(long = "self", value_name = "AUTHOR")]
    own: Vec<String>,
}

impl EnrichArgs {
    /// Puts what is given in place of what a configuration says.
    pub(super) fn over(&self, config: RulebookConfig) -> RulebookConfig {
        let geo = if self.geo.is_empty() { config.geo } else { self.geo.clone() };
        let own = Own::new(&self.own, &self.own).map(Arc::new).or(config.own);
        let learnt = if self.own.is_empty() { config.learnt } else { Learnt::default() };
        RulebookConfig { geo, own, learnt, ..config }
    }
}

/// The configuration that events are shown by, for commands that read no rules of their own.
#[derive(Debug, Clone, Default, Args)]
pub struct ShowArgs {
    /// The configuration: its lookups, GeoIP databases and own accounts are shown too
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    enrich: EnrichArgs,
}

impl ShowArgs {
    /// What events are shown with. Rules are read for their lookups alone: what is wrong with them is told in a line.
    pub(super) fn catalogue(&self) -> anyhow::Result<Arc<Catalogue>> {
        let book = self.book()?;
        if book.rules.is_empty() && book.geo.is_empty() && book.own.is_none() && book.learnt.get().is_empty()
        {
            return Ok(Arc::new(Catalogue::built_in()));
        }
        let (geo, today) = (book.geo.clone(), Clock::system().now());
        let reading = Rulebook::new(book, Arc::new(Catalogue::built_in())).read(today);
        if let Some(wrong) = reading.diagnostics.iter().find(|wrong| is_of(wrong, &geo)) {
            bail!("{}: {}", wrong.path, wrong.message);
        }
        if reading.has_errors() {
            super::say("watchfire: the rules have errors (see `watchfire check`): lookups may be missing");
        }
        Ok(Arc::clone(reading.rules.catalogue()))
    }

    /// The configuration's rules and lists, and what the command line puts in place of the rest.
    pub(super) fn book(&self) -> anyhow::Result<RulebookConfig> {
        Ok(self.enrich.over(self.config()?.as_ref().map(book_of).unwrap_or_default()))
    }

    /// The configuration that was named, without its secrets.
    pub(super) fn config(&self) -> anyhow::Result<Option<Config>> {
        self.config.as_deref().map(config).transpose()
    }
}

/// Whether it is one of these files that something is wrong with.
fn is_of(wrong: &Diagnostic, paths: &[PathBuf]) -> bool {
    wrong.severity == Severity::Error && paths.iter().any(|path| path.to_string_lossy() == *wrong.path)
}

/// What events are judged by: a configuration, the command line, or the defaults, the latter two field by field.
#[derive(Debug, Clone, Default, Args)]
pub struct JudgeArgs {
    /// The configuration: its rules unless others are given, lists, enrichment, lateness and limits
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// A folder with lists
    #[arg(long, value_name = "DIR")]
    pub(super) lists: Option<PathBuf>,
    #[command(flatten)]
    pub(super) enrich: EnrichArgs,
    /// How late an event may be and still be judged by windows [default: 5m, or the configuration's]
    #[arg(long, value_name = "SPAN")]
    pub(super) lateness: Option<Span>,
}

/// What events are judged by, settled.
#[derive(Debug)]
pub(super) struct Basis {
    /// None was given: the actions that rules name are only names.
    pub(super) config: Option<Config>,
    /// What the state may take.
    pub(super) limits: Limits,
    book: RulebookConfig,
}

impl JudgeArgs {
    /// Reads the configuration, if there is one; these rules come in place of its own.
    pub(super) fn settle(&self, rules: &[PathBuf]) -> anyhow::Result<Basis> {
        let config = self.config.as_deref().map(config).transpose()?;
        let given = config.as_ref().map(book_of);
        let base = Limits::default();
        let lateness = self.lateness.or(given.as_ref().map(|book| book.lateness)).unwrap_or(base.lateness);
        let given = given.unwrap_or_default();
        let book = self.enrich.over(RulebookConfig {
            rules: if rules.is_empty() { given.rules.clone() } else { rules.to_vec() },
            lists: self.lists.clone().or_else(|| given.lists.clone()),
            lateness,
            ..given
        });
        let limits = config.as_ref().map_or(base, |config| config.limits.detection(lateness));
        // What is asked here is what rules would find: also in what was imported without alerts.
        let limits = Limits { lateness, judges_past: true, ..limits };
        Ok(Basis { config, limits, book })
    }
}

impl Basis {
    /// Reads the rules; prints what is wrong with them, and fails if nothing is left.
    pub(super) fn read(&self, today: Timestamp) -> anyhow::Result<Reading> {
        read_book(self.book.clone(), today)
    }

    /// Other rules, judged by the same.
    pub(super) fn read_others(&self, rules: &[PathBuf], today: Timestamp) -> anyhow::Result<Reading> {
        read_book(RulebookConfig { rules: rules.to_vec(), ..self.book.clone() }, today)
    }
}

/// Reads a configuration without its secrets; says what is wrong with it as `check` does.
fn config(path: &Path) -> anyhow::Result<Config> {
    load_without_secrets(path).map_err(|error| super::Usage(error.to_string()).into())
}

/// What tokens told the daemon whose data folder this is; nothing where there is none, or it cannot be read.
pub(super) fn learnt(config: &Config) -> Learnt {
    let store = Store::open_read_only(&config.data_dir);
    store.and_then(|store| Learnt::of(&store)).unwrap_or_default()
}

fn book_of(config: &Config) -> RulebookConfig {
    RulebookConfig {
        rules: config.rules.clone(),
        lists: config.lists.clone(),
        geo: config.geo.clone(),
        own: config.own.clone(),
        learnt: learnt(config),
        lateness: config.lateness,
    }
}

/// Reads rules; prints what is wrong with them, and fails if nothing is left.
pub(super) fn read_book(book: RulebookConfig, today: Timestamp) -> anyhow::Result<Reading> {
    let paths = book.rules.clone();
    let reading = Rulebook::new(book, Arc::new(Catalogue::built_in())).read(today);
    if reading.has_errors() {
        super::say(&reading.render(super::has_color()));
    }
    if reading.rules.units().is_empty() {
        if paths.is_empty() {
            bail!("the configuration names no rules: give some with --rules");
        }
        let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        bail!("no rule could be read from {}", paths.join(", "));
    }
    Ok(reading)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::Parser;

    use super::*;
    use crate::event::canonical;

    #[derive(Parser)]
    struct Show {
        #[command(flatten)]
        args: ShowArgs,
    }

    #[derive(Parser)]
    struct Judge {
        #[command(flatten)]
        args: JudgeArgs,
    }

    const CONFIG: &str = "\
rules: [rules]
lists: lists
lateness: 20m
self: {author_names: [watchfire-bot]}
limits: {state: 64MiB, state_per_rule: 8MiB}
";

    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        fs::create_dir(dir.path().join("rules")).unwrap();
        fs::create_dir(dir.path().join("lists")).unwrap();
        put("watchfire.yaml", CONFIG);
        put("lists/people.csv", "username,team\nann,operations\n");
        put("rules/people.yml", "lookup: people\nmatch: {author_name: username}\nas: author\n");
        put(
            "rules/rule.yml",
            "title: T\nid: t\nlogsource: {product: gitlab}\ndetection: {a: {event_type: x}, condition: a}\n",
        );
        dir
    }

    #[test]
    fn events_are_shown_with_the_lookups_of_the_configuration() {
        let dir = folder();
        let config = dir.path().join("watchfire.yaml");
        let show = |options: &[&str]| Show::try_parse_from(options).unwrap().args.catalogue().unwrap();
        let text = r#"{"event_type":"user_created","author_id":7,"author_name":"Ann","entity_id":1}"#;
        let format = crate::event::Format::Gitlab;
        let event =
            crate::decode::decode(format, &"g".into(), text.into(), None, Timestamp(0)).unwrap().event;
        let shown = |catalogue: &Catalogue| serde_json::Value::from(canonical(&event, catalogue)).to_string();
        let with = shown(&show(&["show", "--config", config.to_str().unwrap()]));
        assert!(with.contains("operations"), "{with}");
        assert!(!shown(&show(&["show"])).contains("operations"));
        let missing = Show::try_parse_from(["show", "--config", "nowhere.yaml"]).unwrap().args.catalogue();
        assert!(missing.unwrap_err().to_string().contains("nowhere.yaml"));
    }

    #[test]
    fn what_is_given_comes_before_the_configuration_and_that_before_the_defaults() {
        let dir = folder();
        let config = dir.path().join("watchfire.yaml");
        let settle = |options: &[&str], rules: &[PathBuf]| {
            let all = ["judge"].iter().chain(options);
            Judge::try_parse_from(all).unwrap().args.settle(rules).unwrap()
        };
        let of = ["--config", config.to_str().unwrap()];
        let configured = settle(&of, &[]);
        assert_eq!(configured.limits.lateness, Span::minutes(20));
        assert_eq!(
            (configured.limits.state_bytes_max, configured.limits.rule_bytes_max),
            (64 << 20, 8 << 20)
        );
        assert_eq!(configured.book.rules, [dir.path().join("rules")]);
        assert!(
            configured.book.own.is_some() && configured.read(Timestamp(0)).unwrap().rules.units().len() == 1
        );
        let given =
            settle(&[&of[..], &["--lateness", "1h", "--lists", "elsewhere"]].concat(), &["r.yml".into()]);
        assert_eq!((given.limits.lateness, given.book.lateness), (Span::hours(1), Span::hours(1)));
        assert_eq!(given.book.rules, [PathBuf::from("r.yml")]);
        assert_eq!(given.book.lists, Some("elsewhere".into()));
        let bare = settle(&[], &["r.yml".into()]);
        assert_eq!(bare.limits, Limits { judges_past: true, ..Limits::default() });
        assert!(bare.config.is_none());
    }
}
