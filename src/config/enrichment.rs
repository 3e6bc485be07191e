//! What events are enriched with: where addresses lie, and which accounts are Watchfire's own.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;

use crate::enrich::Own;

/// The section `geo`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct GeoConfig {
    /// Files in MaxMind's format; of two that know an address the first one answers.
    pub databases: Vec<PathBuf>,
}

/// The section `self`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct OwnConfig {
    /// As in `author_id`.
    pub author_ids: Vec<Id>,
    /// As in `author_name`.
    pub author_names: Vec<String>,
}

/// An account's id: a number on most forges, a UUID on others.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(super) enum Id {
    Number(i64),
    Text(String),
}

impl OwnConfig {
    /// The accounts; none if nobody is named.
    pub(super) fn accounts(&self) -> Option<Arc<Own>> {
        let ids = self.author_ids.iter().map(|id| match id {
            Id::Number(number) => number.to_string(),
            Id::Text(text) => text.clone(),
        });
        Own::new(ids, self.author_names.iter().cloned()).map(Arc::new)
    }
}
