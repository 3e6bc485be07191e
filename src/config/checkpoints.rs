//! The `checkpoints` section.

use serde::Deserialize;

use super::units::Length;
use crate::time::Span;

/// How often the logs' state is signed, and who gets it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CheckpointsConfig {
    /// At least so often, if there is anything new.
    pub every: Length,
    /// Names of forwarders, and of actions that tell somebody and show a checkpoint whole.
    pub to: Vec<String>,
}

impl Default for CheckpointsConfig {
    fn default() -> Self {
        Self { every: Length(Span::hours(1)), to: Vec::new() }
    }
}

impl CheckpointsConfig {
    /// Values that would do harm: the key, and what to write.
    pub(super) fn problems(&self) -> Vec<(&'static str, String)> {
        let is_fit = (Span::minutes(1)..=Span::days(7)).contains(&self.every.0);
        if is_fit {
            return Vec::new();
        }
        vec![("every", "it must be from 1m to 7d: what is signed late can be changed before".to_owned())]
    }
}
