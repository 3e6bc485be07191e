//! The file as written. Every section's struct stands beside its owner; here they are put together.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::checkpoints::CheckpointsConfig;
use super::enrichment::{GeoConfig, OwnConfig};
use super::limits::Limits;
use super::log::LogConfig;
use super::retention::RetentionConfig;
use super::units::{Address, Length};
use crate::action::ActionConfig;
use crate::alert::Level;
use crate::api::ApiConfig;
use crate::deliver::Egress;
use crate::forward::ForwardConfig;
use crate::reporting::{ExportConfig, ReportConfig};
use crate::source::SourceConfig;
use crate::telemetry::LoggingConfig;
use crate::time::Span;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Document {
    pub data_dir: PathBuf,
    pub listen: Address,
    pub sources: Vec<SourceConfig>,
    pub rules: Vec<PathBuf>,
    pub lists: Option<PathBuf>,
    pub geo: GeoConfig,
    #[serde(rename = "self")]
    pub own: OwnConfig,
    pub lateness: Length,
    pub actions: BTreeMap<String, ActionConfig>,
    pub routes: Vec<Route>,
    pub forward: Vec<ForwardConfig>,
    pub egress: Egress,
    pub retention: RetentionConfig,
    pub reports: Vec<ReportConfig>,
    pub exports: Vec<ExportConfig>,
    pub checkpoints: CheckpointsConfig,
    pub limits: Limits,
    pub log: LogConfig,
    pub logging: LoggingConfig,
    pub api: ApiConfig,
}

impl Default for Document {
    fn default() -> Self {
        Self {
            data_dir: "/var/lib/watchfire".into(),
            listen: Address(([127, 0, 0, 1], 8650).into()),
            sources: Vec::new(),
            rules: Vec::new(),
            lists: None,
            geo: GeoConfig::default(),
            own: OwnConfig::default(),
            lateness: Length(Span::minutes(5)),
            actions: BTreeMap::new(),
            routes: Vec::new(),
            forward: Vec::new(),
            egress: Egress::default(),
            retention: RetentionConfig::default(),
            reports: Vec::new(),
            exports: Vec::new(),
            checkpoints: CheckpointsConfig::default(),
            limits: Limits::default(),
            log: LogConfig::default(),
            logging: LoggingConfig::default(),
            api: ApiConfig::default(),
        }
    }
}

/// Adds actions to the alerts it matches, beside those that the rule itself names. Conditions that are left out
/// match everything; of those given, each must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The alert's level is one of these.
    #[serde(default)]
    pub levels: Vec<Level>,
    /// The rule has one of these tags.
    #[serde(default)]
    pub tags: Vec<String>,
    /// The rule's id is one of these.
    #[serde(default)]
    pub rules: Vec<String>,
    /// Names of configured actions.
    pub actions: Vec<String>,
}

impl Route {
    /// Whether alerts of such a rule go this way.
    #[must_use]
    pub fn matches(&self, rule: &str, level: Level, tags: &[String]) -> bool {
        (self.levels.is_empty() || self.levels.contains(&level))
            && (self.rules.is_empty() || self.rules.iter().any(|id| id == rule))
            && (self.tags.is_empty() || self.tags.iter().any(|tag| tags.contains(tag)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_needs_every_condition_it_has() {
        let all = Route::default();
        assert!(all.matches("r", Level::Low, &[]));
        let narrow = Route {
            levels: vec![Level::High, Level::Critical],
            tags: vec!["exfiltration".into()],
            ..Route::default()
        };
        let tags = ["exfiltration".to_owned(), "attack.t1213".to_owned()];
        assert!(narrow.matches("r", Level::High, &tags));
        assert!(!narrow.matches("r", Level::Medium, &tags));
        assert!(!narrow.matches("r", Level::High, &tags[1..]));
        let named = Route { rules: vec!["mass-clone".into()], ..Route::default() };
        assert!(named.matches("mass-clone", Level::Low, &[]) && !named.matches("other", Level::Low, &[]));
    }
}
