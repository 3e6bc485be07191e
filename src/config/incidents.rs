//! The `incidents` section.

use serde::Deserialize;

use super::units::Length;
use crate::time::Span;

/// How alerts gather.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IncidentsConfig {
    /// An incident takes further alerts until none came for so long.
    pub gap: Length,
}

impl Default for IncidentsConfig {
    fn default() -> Self {
        Self { gap: Length(Span::hours(24)) }
    }
}

impl IncidentsConfig {
    /// Values that would do harm: the key, and what to write.
    pub(super) fn problems(&self) -> Vec<(&'static str, String)> {
        let is_fit = (Span::minutes(1)..=Span::days(90)).contains(&self.gap.0);
        let wrong = (!is_fit).then(|| ("gap", "it must be from 1m to 90d, such as 24h".to_owned()));
        wrong.into_iter().collect()
    }
}
