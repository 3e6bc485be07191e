//! The `api` section of the configuration.

use serde::Deserialize;

use super::rate::Pace;
use crate::deliver::SecretRef;

/// The `api` section.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApiConfig {
    /// Opens all of `/api/v1`, beside the tokens that `watchfire token add` makes.
    pub token: Option<SecretRef>,
    /// Calls a second that one token may make; four times as many at once.
    pub rate: u32,
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self { token: None, rate: 50 }
    }
}

/// More calls a second are not counted exactly.
const RATE_MAX: u32 = 1_000;

impl ApiConfig {
    /// What is wrong with `rate`, if something is.
    #[must_use]
    pub fn rate_problem(&self) -> Option<String> {
        (!(1..=RATE_MAX).contains(&self.rate)).then(|| format!("it must be from 1 to {RATE_MAX}"))
    }

    pub(super) fn pace(rate: u32) -> Pace {
        let rate = rate.clamp(1, RATE_MAX);
        Pace { cost_ms: i64::from(1_000 / rate), burst: i64::from(rate) * 4 }
    }
}
