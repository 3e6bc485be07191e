//! Reading rules for commands that need them all to be right, or say what is not.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Args;

use crate::daemon::{Reading, Rulebook, RulebookConfig};
use crate::enrich::{Database, Enrichment, Geo, Own};
use crate::event::Catalogue;
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
        RulebookConfig { geo, own, ..config }
    }

    /// What is known without rules, to show events with.
    pub(super) fn catalogue(&self) -> anyhow::Result<Catalogue> {
        let mut databases = Vec::new();
        for path in &self.geo {
            let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            let database = Database::read(bytes).with_context(|| path.display().to_string())?;
            databases.push(Arc::new(database));
        }
        let own = Own::new(&self.own, &self.own).map(Arc::new);
        let enrichment = Enrichment::new(Geo::new(databases).map(Arc::new), own, Vec::new());
        Ok(Catalogue::built_in().with(enrichment))
    }
}

/// Reads rules; prints what is wrong with them, and fails if nothing is left.
pub(super) fn read(
    paths: &[PathBuf],
    (lists, enrich): (Option<&Path>, &EnrichArgs),
    lateness: Span,
    today: Timestamp,
) -> anyhow::Result<Reading> {
    let lists = lists.map(Path::to_path_buf);
    let config = RulebookConfig { rules: paths.to_vec(), lists, lateness, ..RulebookConfig::default() };
    let reading = Rulebook::new(enrich.over(config), Arc::new(Catalogue::built_in())).read(today);
    if reading.has_errors() {
        super::say(&reading.render(super::has_color()));
    }
    if reading.rules.units().is_empty() {
        bail!(
            "no rule could be read from {}",
            paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ")
        );
    }
    Ok(reading)
}
