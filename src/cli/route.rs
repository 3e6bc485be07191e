//! `watchfire route explain`: the way of an alert through the routes.

mod show;

use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};

use super::data::DataDir;
use super::rules::ShowArgs;
use super::terminal::Paint;
use crate::alert::{Alert, AlertId, Key, Level};
use crate::clock::Clock;
use crate::config::Config;
use crate::daemon::Rulebook;
use crate::engine::RuleSet;
use crate::event::Catalogue;
use crate::route::{Case, Facts, Hold, Inhibitors, Scene, hold};
use crate::store::{AlertQuery, Store, StoreError, StoredAlert};
use crate::time::Timestamp;

use show::{Explained, Past, explanation};

/// Options of `watchfire route`.
#[derive(Debug, Args)]
pub struct RouteArgs {
    #[command(subcommand)]
    command: RouteCommand,
}

#[derive(Debug, Subcommand)]
enum RouteCommand {
    /// Show the way of an alert through the routes: who is told, when, and what holds it back
    Explain(Box<ExplainArgs>),
}

/// Options of `watchfire route explain`.
#[derive(Debug, Args)]
#[command(after_help = "\
Of an alert, the way it went when it was committed, by the configuration as it is now; of one that is only thought of, \
the way it would go now.

Examples:
  watchfire route explain --config /etc/watchfire/watchfire.yaml 3f9a
  watchfire route explain --config watchfire.yaml --rule gitlab-mass-clone --key author_id=7 --entity shop/api
  watchfire route explain --config watchfire.yaml --rule gitlab-mass-clone --at 2027-01-03T02:00:00Z")]
struct ExplainArgs {
    /// The alert's id, or the beginning of it
    #[arg(value_name = "ALERT", conflicts_with = "rule", required_unless_present = "rule")]
    alert: Option<String>,
    /// Not an alert that there is: one of this rule, by id
    #[arg(long, value_name = "ID")]
    rule: Option<String>,
    /// Its level; the rule's when left out
    #[arg(long, value_name = "LEVEL", value_parser = parse_level, conflicts_with = "alert")]
    level: Option<Level>,
    /// A tag; the rule's when left out; may be repeated
    #[arg(long, value_name = "TAG", conflicts_with = "alert")]
    tag: Vec<String>,
    /// A field of its key: author_id=7; may be repeated
    #[arg(long, value_name = "FIELD=VALUE", value_parser = parse_pair, conflicts_with = "alert")]
    key: Vec<(String, String)>,
    /// What its events are about, by path; may be repeated
    #[arg(long, value_name = "PATH", conflicts_with = "alert")]
    entity: Vec<String>,
    /// Who did it, by name or id; may be repeated
    #[arg(long, value_name = "NAME", conflicts_with = "alert")]
    author: Vec<String>,
    /// The source of its events
    #[arg(long, value_name = "NAME", conflicts_with = "alert")]
    source: Option<String>,
    /// Their system
    #[arg(long, value_name = "NAME", conflicts_with = "alert")]
    forge: Option<String>,
    /// When: a date or a time
    #[arg(long, value_name = "DATE")]
    at: Option<String>,
    #[command(flatten)]
    data: DataDir,
    #[command(flatten)]
    show: ShowArgs,
}

fn parse_level(name: &str) -> Result<Level, String> {
    let names = Level::ALL.map(Level::name).join(", ");
    Level::named(name).ok_or_else(|| format!("no such level; there are {names}"))
}

fn parse_pair(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
    pair.map(|(name, value)| (name.to_owned(), value.to_owned()))
        .ok_or_else(|| "write FIELD=VALUE".to_owned())
}

/// Does what the subcommand says.
pub fn run(args: &RouteArgs) -> anyhow::Result<ExitCode> {
    let RouteCommand::Explain(args) = &args.command;
    let Some(config) = args.show.config()? else {
        return Err(super::Usage("give the configuration with the routes: --config FILE".to_owned()).into());
    };
    let now = Clock::system().now();
    let rules = Rulebook::new(args.show.book()?, Arc::new(Catalogue::built_in())).read(now).rules;
    let at = args.at.as_deref().map(Timestamp::parse).transpose();
    let at = at.map_err(|error| super::Usage(format!("--at: {error}")))?;
    // Without a store there is nothing that could hold back but the configuration.
    let store = if args.alert.is_some() { Some(args.data.store()?) } else { args.data.store().ok() };
    match explain(args, (&config, &rules), store.as_ref(), (at, now))? {
        Some(text) => {
            super::print(&text)?;
            Ok(ExitCode::SUCCESS)
        }
        None => {
            super::say(&format!(
                "watchfire: there is no alert `{}`",
                args.alert.as_deref().unwrap_or_default()
            ));
            Ok(ExitCode::FAILURE)
        }
    }
}

fn explain(
    args: &ExplainArgs,
    (config, rules): (&Config, &RuleSet),
    store: Option<&Store>,
    (at, now): (Option<Timestamp>, Timestamp),
) -> anyhow::Result<Option<String>> {
    let (alert, scene, at, past) = match (&args.alert, store) {
        (Some(id), Some(store)) => {
            let Some(stored) = find(store, id)? else { return Ok(None) };
            let scene = store.scene(&stored.alert.id)?.unwrap_or_else(|| Scene::of_key(&stored.alert.key));
            let id = &stored.alert.id;
            let past = Past {
                deliveries: store.outbox_of(id)?,
                held: store.held_of(id)?,
                followups: store.followups_of(id)?,
            };
            let at = at.unwrap_or(stored.created_at);
            (stored.alert, scene, at, Some(past))
        }
        _ => {
            let at = at.unwrap_or(now);
            let alert = args.thought_of(rules, at);
            let scene = args.scene(&alert.key);
            (alert, scene, at, None)
        }
    };
    let holds_at = if past.is_some() { now } else { at };
    let holds = holds(config, &Case { alert: &alert, scene: &scene }, store, holds_at)?;
    let named = rules.unit(&alert.rule).map(|unit| unit.rule.respond.clone()).unwrap_or_default();
    let is_known = rules.unit(&alert.rule).is_some();
    let explained =
        Explained { config, alert: &alert, scene: &scene, named: &named, is_known, at, holds, past };
    Ok(Some(explanation(&explained, Paint::stdout())))
}

/// What would hold such an alert back.
fn holds(
    config: &Config,
    case: &Case<'_>,
    store: Option<&Store>,
    at: Timestamp,
) -> Result<Vec<Hold>, StoreError> {
    let policy = &config.noise;
    let Some(store) = store else { return Ok(hold(policy, case, &Facts::default(), at)) };
    let longest = policy.longest_inhibition().unwrap_or_default();
    let quiet = store.silences_in_force(at)?;
    let open = Inhibitors::new(policy, store.open_alerts(policy, at.minus(longest))?);
    let recent = store.recent_alerts(&case.alert.rule, case.scene.source.as_deref(), at)?;
    Ok(hold(policy, case, &Facts { quiet: &quiet, open: Some(&open), recent }, at))
}

impl ExplainArgs {
    /// An alert that there is not.
    fn thought_of(&self, rules: &RuleSet, at: Timestamp) -> Alert {
        let id = self.rule.clone().unwrap_or_default();
        let rule = rules.unit(&id).map(|unit| &unit.rule);
        let tags = if self.tag.is_empty() {
            rule.map(|rule| rule.tags.clone()).unwrap_or_default()
        } else {
            self.tag.clone()
        };
        Alert {
            id: AlertId(String::new()),
            rule: id.into(),
            title: rule.map(|rule| rule.title.clone()).unwrap_or_default(),
            level: self.level.or(rule.map(|rule| rule.level)).unwrap_or_default(),
            tags,
            key: Key(self.key.clone()),
            started_at: at,
            last_at: at,
            position: 0,
            findings: 1,
            value: 1.0,
            reason: String::new(),
            evidence: Vec::new(),
            evidence_count: 1,
            merged_into: None,
        }
    }

    fn scene(&self, key: &Key) -> Scene {
        let mut scene = Scene {
            source: self.source.clone(),
            forge: self.forge.clone(),
            sources: self.source.iter().cloned().collect(),
            forges: self.forge.iter().cloned().collect(),
            authors: self.author.iter().map(|name| (String::new(), name.clone())).collect(),
            entities: self.entity.iter().cloned().collect(),
        };
        scene.complete(key);
        scene
    }
}

/// By the whole id, or by a beginning that only one has.
fn find(store: &Store, id: &str) -> anyhow::Result<Option<StoredAlert>> {
    if let Some(stored) = store.alert(&AlertId(id.to_owned()))? {
        return Ok(Some(stored));
    }
    let mut near = store.alerts(&AlertQuery::default())?;
    near.retain(|stored| stored.alert.id.0.starts_with(id));
    if near.len() > 1 {
        return Err(super::Usage(format!("{} alerts begin with `{id}`", near.len())).into());
    }
    Ok(near.pop())
}

#[cfg(test)]
mod tests;
