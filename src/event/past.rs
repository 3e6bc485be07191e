//! Events of the past, that somebody has imported. It shows in their source's name, so that a replay knows it too.

/// What the names of sources begin with whose events are of the past: no configured source has such a name. Rules
/// learn from these events, and raise no alerts.
pub const PAST: &str = "past/";

/// Whether a source of this name brings events of the past.
#[must_use]
pub fn is_past(source: &str) -> bool {
    source.starts_with(PAST)
}
