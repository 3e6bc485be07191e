//! The file as written. Every section's struct stands beside its owner; here they are put together.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::checkpoints::CheckpointsConfig;
use super::enrichment::{GeoConfig, OwnConfig};
use super::incidents::IncidentsConfig;
use super::limits::Limits;
use super::log::LogConfig;
use super::retention::RetentionConfig;
use super::units::{Address, Length};
use crate::action::ActionConfig;
use crate::api::ApiConfig;
use crate::deliver::Egress;
use crate::forward::ForwardConfig;
use crate::reporting::{ExportConfig, ReportConfig};
use crate::respond::ResponsesConfig;
use crate::route::{Inhibition, Notices, Route, Storm, Window};
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
    pub incidents: IncidentsConfig,
    pub inhibit: Vec<Inhibition>,
    pub maintenance: Vec<Window>,
    pub storm: Storm,
    pub notices: Notices,
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
    pub responses: ResponsesConfig,
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
            incidents: IncidentsConfig::default(),
            inhibit: Vec::new(),
            maintenance: Vec::new(),
            storm: Storm::default(),
            notices: Notices::default(),
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
            responses: ResponsesConfig::default(),
        }
    }
}
