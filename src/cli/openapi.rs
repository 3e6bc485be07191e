//! `watchfire openapi`: the description of the API.

use std::process::ExitCode;

use clap::Args;

use crate::api;

/// Options of `watchfire openapi`.
#[derive(Debug, Args)]
#[command(after_help = "\
The same as the running daemon shows at /api/v1/openapi.json.

Example:
  watchfire openapi > openapi.json")]
pub struct OpenapiArgs {}

/// Prints it.
pub fn run(_: &OpenapiArgs) -> anyhow::Result<ExitCode> {
    super::print(&format!("{}\n", api::document().to_pretty_json()?))?;
    Ok(ExitCode::SUCCESS)
}
