//! The sections `reports` and `exports` of the configuration.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};

use crate::report::{Every, Schedule, SectionKind, TimeOfDay, Zone};

/// A report that is mailed for each period.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportConfig {
    /// Its name: what was sent under it is not sent again.
    pub name: String,
    /// How long its periods are.
    pub every: Every,
    /// When on the day after a period it is sent.
    #[serde(default, deserialize_with = "text")]
    pub at: TimeOfDay,
    /// Where that time of day is, and where its days begin.
    #[serde(default, deserialize_with = "text")]
    pub time_zone: Zone,
    /// The email action that sends it.
    pub action: String,
    /// What it tells of.
    #[serde(default = "all")]
    pub sections: Vec<SectionKind>,
    /// Only events that this finds.
    #[serde(default)]
    pub query: String,
}

/// A file of events that is written for each period.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportConfig {
    /// Its name, with which its files begin.
    pub name: String,
    /// How long its periods are.
    pub every: Every,
    /// When on the day after a period it is written.
    #[serde(default, deserialize_with = "text")]
    pub at: TimeOfDay,
    /// Where that time of day is, and where its days begin.
    #[serde(default, deserialize_with = "text")]
    pub time_zone: Zone,
    /// Only events that this finds.
    #[serde(default)]
    pub query: String,
    /// How events are written.
    #[serde(default)]
    pub format: ExportFormat,
    /// Where the files go.
    pub folder: PathBuf,
    /// How many files are kept, the newest ones; 0: all.
    #[serde(default)]
    pub keep: usize,
}

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum ExportFormat {
    /// RFC 4180.
    #[default]
    Csv,
    /// One JSON object a line.
    Ndjson,
    /// Apache Parquet: columns, with the sender's bytes in one of them.
    #[cfg(feature = "parquet")]
    Parquet,
}

fn all() -> Vec<SectionKind> {
    SectionKind::ALL.to_vec()
}

/// Reads a text by its `FromStr`.
fn text<'de, D: Deserializer<'de>, T: FromStr<Err: std::fmt::Display>>(
    deserializer: D,
) -> Result<T, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
}

impl ReportConfig {
    /// When it is due.
    #[must_use]
    pub fn schedule(&self) -> Schedule {
        Schedule { every: self.every, at: self.at, zone: self.time_zone.clone() }
    }
}

impl ExportConfig {
    /// When it is due.
    #[must_use]
    pub fn schedule(&self) -> Schedule {
        Schedule { every: self.every, at: self.at, zone: self.time_zone.clone() }
    }

    /// The same with its folder below another one, unless it is an absolute path.
    #[must_use]
    pub fn below(mut self, base: &Path) -> Self {
        self.folder = base.join(self.folder);
        self
    }
}

/// All that is made period by period.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schedules {
    /// Mails.
    pub reports: Vec<ReportConfig>,
    /// Files.
    pub exports: Vec<ExportConfig>,
}

/// Whether a name can be part of a file's name and of a saved position's.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let is_good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
    !text.is_empty() && text.len() <= 64 && text.chars().all(is_good) && !text.starts_with('-')
}
