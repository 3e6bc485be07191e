//! A data folder as a daemon leaves it, for tests.

use tempfile::TempDir;

use crate::time::Timestamp;

/// A folder whose log has these GitLab events, from position 1 on.
pub(super) fn data_dir(events: &[String]) -> TempDir {
    crate::log::testing::data_dir(events, Timestamp::parse("2026-03-02T12:00:00Z").unwrap())
}
