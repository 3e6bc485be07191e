//! Reading rules for commands that need them all to be right, or say what is not.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::bail;

use crate::daemon::{Reading, Rulebook, RulebookConfig};
use crate::event::Catalogue;
use crate::time::{Span, Timestamp};

/// Reads rules; prints what is wrong with them, and fails if nothing is left.
pub(super) fn read(
    paths: &[PathBuf],
    lists: Option<&Path>,
    lateness: Span,
    today: Timestamp,
) -> anyhow::Result<Reading> {
    let config = RulebookConfig { rules: paths.to_vec(), lists: lists.map(Path::to_path_buf), lateness };
    let reading = Rulebook::new(config, Arc::new(Catalogue::built_in())).read(today);
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
